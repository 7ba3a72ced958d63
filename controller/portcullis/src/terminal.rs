//! The person at the terminal: the flags every verb has for them, and how text reaches them.

use crate::logs::Lines;
use clap::{Args, ValueEnum};
use std::borrow::Cow;
use std::fmt;
use std::io::{self, IsTerminal, Write};
use tracing_subscriber::filter::{LevelFilter, Targets};
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;

/// Crates that log each failed attempt of what we say once ourselves; heard where more is asked for than usual.
const APART: [&str; 3] = ["kube_client", "kube_runtime", "tower"];

/// Flags that every verb has.
#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "Global options")]
pub struct GlobalArgs {
    /// How much to log, to standard error [default: info; warn for demo]
    #[arg(long, global = true, value_enum, value_name = "LEVEL")]
    pub log_level: Option<LogLevel>,
    /// How to write logs
    #[arg(long, global = true, value_enum, default_value_t = LogFormat::Text, value_name = "FORMAT")]
    pub log_format: LogFormat,
    /// When to use colour; `auto` means on a terminal, unless NO_COLOR is set
    #[arg(long, global = true, value_enum, default_value_t = Color::Auto, value_name = "WHEN")]
    pub color: Color,
}

/// `--log-level`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, ValueEnum)]
#[expect(missing_docs, reason = "the names say it, and doc comments would bloat --help")]
pub enum LogLevel {
    Error,
    Warn,
    Info,
    Debug,
    Trace,
}

/// `--log-format`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
#[expect(missing_docs, reason = "the names say it, and doc comments would bloat --help")]
pub enum LogFormat {
    Text,
    Json,
}

/// `--color`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
#[expect(missing_docs, reason = "the names say it, and doc comments would bloat --help")]
pub enum Color {
    Auto,
    Always,
    Never,
}

impl Color {
    /// Whether to colour what goes to a stream that is, or is not, a terminal.
    pub fn enabled(self, terminal: bool) -> bool {
        match self {
            Self::Always => true,
            Self::Never => false,
            Self::Auto => {
                terminal
                    && std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty())
                    && std::env::var_os("TERM").is_none_or(|value| value != "dumb")
            }
        }
    }
}

impl GlobalArgs {
    /// Sends logs to standard error from now on, as much as `default` unless a flag says otherwise, and, if `apart`, by
    /// a thread of their own, for which the end has to wait. A second call in one process changes nothing.
    pub fn start_logging(&self, default: LogLevel, apart: bool) {
        let level = match self.log_level.unwrap_or(default) {
            LogLevel::Error => LevelFilter::ERROR,
            LogLevel::Warn => LevelFilter::WARN,
            LogLevel::Info => LevelFilter::INFO,
            LogLevel::Debug => LevelFilter::DEBUG,
            LogLevel::Trace => LevelFilter::TRACE,
        };
        let lines = apart.then(Lines::to_standard_error).and_then(Result::ok);
        // Whether logs can be written is not to decide what else happens: reporting that they cannot would
        // panic, as it goes to standard error, too.
        let quiet = if level > LevelFilter::INFO { level } else { LevelFilter::OFF };
        let filter = APART.iter().map(|target| (*target, quiet)).collect::<Targets>().with_default(level);
        let logs = tracing_subscriber::fmt().with_max_level(level).log_internal_errors(false).with_writer(
            move || -> Box<dyn Write> {
                match &lines {
                    Some(lines) => Box::new(lines.clone()),
                    None => Box::new(io::stderr()),
                }
            },
        );
        // An error means that a logger is already there, as in tests that run several verbs.
        let _ = match self.log_format {
            LogFormat::Text => {
                let logs = logs.with_ansi(self.color.enabled(io::stderr().is_terminal())).with_target(false);
                logs.finish().with(filter).try_init()
            }
            LogFormat::Json => {
                logs.json().flatten_event(true).with_ansi(false).finish().with(filter).try_init()
            }
        };
    }

    /// Tells the person why the verb failed: one line, and a hint where the error carries one.
    pub fn report(&self, error: &anyhow::Error) {
        let hint = error.chain().find_map(|cause| cause.downcast_ref::<Hinted>()).map(|hinted| &*hinted.hint);
        self.say(Tone::Error, &format!("{error:#}"), None, hint);
    }

    /// Writes a message to standard error, with what it is about and a `hint:` line below; as a log line with
    /// `--log-format json`. What `--log-level` leaves out of the logs is left out here, too.
    pub fn say(&self, tone: Tone, message: &str, excerpt: Option<&dyn fmt::Display>, hint: Option<&str>) {
        if self.log_format == LogFormat::Json {
            match tone {
                Tone::Error => tracing::error!(hint, "{message}"),
                Tone::Note => tracing::info!(hint, "{message}"),
            }
            return;
        }
        let (word, colour) = match tone {
            Tone::Error => ("error", "\x1b[1;31m"),
            Tone::Note if self.log_level.is_some_and(|level| level < LogLevel::Info) => return,
            Tone::Note => ("note", "\x1b[1m"),
        };
        let coloured = self.color.enabled(io::stderr().is_terminal());
        let (before, after) = if coloured { (colour, "\x1b[0m") } else { ("", "") };
        let mut stderr = io::stderr().lock();
        // There is nobody left to tell when standard error itself is gone.
        let _ = writeln!(stderr, "{before}{word}{after}: {}", clean(message));
        if let Some(excerpt) = excerpt {
            let _ = write!(stderr, "{excerpt}");
        }
        if let Some(hint) = hint {
            let _ = writeln!(stderr, "  hint: {}", clean(hint));
        }
    }
}

/// How grave a message is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Tone {
    /// Something could not be done.
    Error,
    /// Good to know.
    Note,
}

/// An error with advice: what the person can do about it.
#[derive(Debug)]
pub struct Hinted {
    message: String,
    hint: String,
}

impl Hinted {
    /// An error that says `message` and advises `hint`.
    pub fn new(message: impl Into<String>, hint: impl Into<String>) -> Self {
        Self { message: message.into(), hint: hint.into() }
    }
}

impl fmt::Display for Hinted {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl std::error::Error for Hinted {}

/// Writes data to standard output. A reader that went away (`| head`) is no error: the verdict, and with it
/// the exit code, is known all the same.
pub fn write_out(text: &str) -> io::Result<()> {
    let mut stdout = io::stdout().lock();
    match stdout.write_all(text.as_bytes()).and_then(|()| stdout.flush()) {
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(()),
        result => result,
    }
}

/// Text from inputs as it may be shown: what could move the cursor, forge lines or reverse their order is
/// escaped.
pub(crate) fn clean(text: &str) -> Cow<'_, str> {
    let moves = |c: char| c.is_control() || matches!(c, '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}');
    if !text.chars().any(moves) {
        return Cow::Borrowed(text);
    }
    let mut shown = String::with_capacity(text.len());
    for character in text.chars() {
        if moves(character) {
            shown.extend(character.escape_default());
        } else {
            shown.push(character);
        }
    }
    Cow::Owned(shown)
}

#[cfg(test)]
mod tests {
    use super::clean;

    #[test]
    fn what_inputs_hold_cannot_move_the_cursor() {
        assert_eq!(clean("plain `text` — ü"), "plain `text` — ü");
        assert_eq!(clean("a\x1b[2Jb\nc"), "a\\u{1b}[2Jb\\nc");
        assert_eq!(clean("a\u{202e}b"), "a\\u{202e}b");
    }
}
