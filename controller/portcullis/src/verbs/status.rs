//! `portcullis status`: what is in force in a cluster, and what is not as it was written.

use super::disarm::ControllerArgs;
use crate::cluster::status::{self, Answer};
use crate::exit::Exit;
use crate::report::table::Paint;
use crate::status::{PolicyStatus, State};
use crate::terminal::{GlobalArgs, Tone, clean, write_out};
use crate::verbs::values::duration;
use clap::{Args, ValueEnum};
use jiff::{SignedDuration, Timestamp};
use serde_json::{Value as Json, json};
use std::io::{IsTerminal, stdout};
use std::time::Duration;

const EXAMPLES: &str = "\
Examples:
  portcullis status
  portcullis status -o json
  kubectl apply -f policy.yaml && portcullis status --wait

`--wait` returns once the replica that leads has taken in every policy ConfigMap in the version that is in the \
cluster now, and the webhook configuration is in step. Other replicas watch the same and take it in at the same time, \
but are not asked; the API server begins to ask a new entry of the configuration a moment later.

Exit codes: 0 all policies are in force as written, 3 one is not, 1 the status cannot be told, is not what was waited \
for, nobody has led for a minute, or all is disarmed.

The same without this program: kubectl get configmap portcullis-status -n portcullis -o yaml";

/// Without a word for so long, nobody leads.
const SILENT: SignedDuration = SignedDuration::from_secs(60);

/// Flags of `portcullis status`.
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub struct StatusArgs {
    #[command(flatten)]
    controller: ControllerArgs,
    /// How to print it
    #[arg(short, long, value_enum, default_value_t = Output::Table, value_name = "FORMAT")]
    output: Output,
    /// Wait until every policy is taken in as it is in the cluster now
    #[arg(long)]
    wait: bool,
    /// How long to wait
    #[arg(long, requires = "wait", value_name = "DURATION", default_value = "60s", value_parser = duration)]
    timeout: Duration,
}

/// `--output`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Output {
    Table,
    Json,
    Yaml,
}

/// Prints the status.
///
/// # Errors
/// It cannot be read, or is not what was waited for in time.
pub fn run(args: &StatusArgs, global: &GlobalArgs) -> anyhow::Result<Exit> {
    let cluster = args.controller.find()?;
    let answer = match args.wait {
        true => status::wait(&cluster, args.timeout)?,
        false => status::ask(&cluster)?,
    };
    let now = Timestamp::now();
    let paint = Paint::new(global.color.enabled(stdout().is_terminal()));
    write_out(&match args.output {
        Output::Table => table(&answer, now, paint),
        Output::Json => serde_json::to_string_pretty(&json(&answer))? + "\n",
        Output::Yaml => yaml(&json(&answer)),
    })?;
    let silent =
        answer.leader.as_ref().is_some_and(|leader| leader.1.is_none_or(|then| age(then, now) > SILENT));
    if silent {
        let hint = format!("see whether one runs: `kubectl get pods -n {}`", args.controller.namespace());
        global.say(
            Tone::Error,
            "no replica has led for a minute: this may be out of date",
            None,
            Some(&hint),
        );
    }
    let disarmed = answer.texts.get("disarmed").is_some_and(|disarmed| disarmed == "true");
    if disarmed {
        let hint = "`portcullis arm` arms it again";
        global.say(Tone::Error, "disarmed: no policy is enforced", None, Some(hint));
    }
    let as_written = answer.policies.items.iter().all(|policy| policy.state <= State::Shadowed)
        && answer.config_maps.items.iter().all(|config_map| config_map.state <= State::Shadowed);
    let exit = if as_written { Exit::Clean } else { Exit::InvalidPolicy };
    Ok(exit.worst(if silent || disarmed { Exit::Failure } else { Exit::Clean }))
}

fn age(then: Timestamp, now: Timestamp) -> SignedDuration {
    now.duration_since(then)
}

fn table(answer: &Answer, now: Timestamp, paint: Paint) -> String {
    let text = |key: &str| answer.texts.get(key).map_or("", String::as_str);
    let mut out = String::new();
    let ready =
        if text("ready") == "true" { paint.good("ready") } else { paint.warning("not all as written") };
    out += &format!("{ready}: {}\n", clean(text("summary").lines().next().unwrap_or_default()));
    if let Some((identity, renewed)) = &answer.leader {
        let heard = renewed.map_or("never heard of".to_owned(), |then| {
            format!("heard of {} s ago", age(then, now).as_secs().max(0))
        });
        out += &format!("leader: {}, {heard}\n", clean(identity));
    }
    out += &format!("since: {}\n\n", clean(text("changed")));
    let mut rows =
        vec![["POLICY".to_owned(), "STATE".to_owned(), "CONFIGMAP".to_owned(), "MESSAGE".to_owned()]];
    for PolicyStatus { name, state, config_map, message } in &answer.policies.items {
        let [name, config_map, message] = [name, config_map, message].map(|text| clean(text).into_owned());
        rows.push([name, state.as_str().to_owned(), config_map, message]);
    }
    let width =
        |column: fn(&[String; 4]) -> &String| rows.iter().map(|row| column(row).chars().count()).max();
    let [first, second, third] = [width(|row| &row[0]), width(|row| &row[1]), width(|row| &row[2])];
    let [first, second, third] = [first, second, third].map(Option::unwrap_or_default);
    for [name, state, config_map, message] in &rows {
        let line = format!("{name:first$}  {state:second$}  {config_map:third$}  {message}");
        out += line.trim_end();
        out.push('\n');
    }
    if answer.policies.more > 0 {
        out += &format!("and {} more\n", answer.policies.more);
    }
    // What has no policy's name shows nowhere else.
    let named = |place: &str| answer.policies.items.iter().any(|policy| policy.config_map == place);
    for config_map in answer.config_maps.items.iter().filter(|it| it.state > State::Shadowed) {
        let place = format!("{}/{}", config_map.namespace, config_map.name);
        if !named(&place) {
            out += &format!("ConfigMap {}: {}\n", clean(&place), clean(&config_map.message));
        }
    }
    out
}

fn json(answer: &Answer) -> Json {
    let mut all: serde_json::Map<String, Json> =
        answer.texts.iter().map(|(key, text)| (key.clone(), typed(text))).collect();
    let list = |items: Json, more: usize| json!({"items": items, "more": more});
    all.insert("policyList".to_owned(), list(json!(answer.policies.items), answer.policies.more));
    all.insert("configMaps".to_owned(), list(json!(answer.config_maps.items), answer.config_maps.more));
    if let Some((identity, renewed)) = &answer.leader {
        let renewed = renewed.map(|then| then.to_string());
        all.insert("leader".to_owned(), json!({"identity": identity, "renewed": renewed}));
    }
    Json::Object(all)
}

/// Numbers and truth values as such: in a ConfigMap all is text.
fn typed(text: &str) -> Json {
    match text {
        "true" => Json::Bool(true),
        "false" => Json::Bool(false),
        _ => text.parse::<u64>().map_or_else(|_| Json::String(text.to_owned()), Json::from),
    }
}

fn yaml(value: &Json) -> String {
    let mut out = String::new();
    block(&mut out, value, 0);
    out
}

/// Texts are quoted as in JSON, which YAML reads as they are.
fn block(out: &mut String, value: &Json, indent: usize) {
    let pad = " ".repeat(indent);
    let mut entry = |head: String, value: &Json| match value {
        Json::Object(map) if !map.is_empty() => {
            let mut inner = String::new();
            block(&mut inner, value, indent + 2);
            *out += &if head == "-" {
                format!("{pad}- {}", inner.trim_start())
            } else {
                format!("{pad}{head}\n{inner}")
            };
        }
        Json::Array(list) if !list.is_empty() => {
            *out += &format!("{pad}{head}\n");
            block(out, value, indent);
        }
        plain => *out += &format!("{pad}{head} {plain}\n"),
    };
    match value {
        Json::Object(map) => map.iter().for_each(|(key, value)| entry(format!("{key}:"), value)),
        Json::Array(list) => list.iter().for_each(|value| entry("-".to_owned(), value)),
        plain => *out += &format!("{pad}{plain}\n"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::status::Told;
    use std::collections::BTreeMap;

    fn answer() -> Answer {
        let texts = [
            ("ready", "false"),
            ("summary", "1 of 2 policies\nmore"),
            ("policies", "2"),
            ("changed", "then"),
        ];
        let policy = |name: &str, state, message: &str| PolicyStatus {
            name: name.to_owned(),
            state,
            config_map: format!("gate/{name}"),
            message: message.to_owned(),
        };
        Answer {
            texts: texts
                .iter()
                .map(|(key, text)| ((*key).to_owned(), (*text).to_owned()))
                .collect::<BTreeMap<_, _>>(),
            policies: Told {
                items: vec![
                    policy("longer", State::Broken, "line 3: \u{1b}"),
                    policy("b", State::Loaded, ""),
                ],
                more: 1,
            },
            config_maps: Told { items: Vec::new(), more: 0 },
            leader: Some(("a-1".to_owned(), Some(Timestamp::UNIX_EPOCH))),
        }
    }

    #[test]
    fn a_table_for_people() {
        let now = Timestamp::from_second(3).unwrap();
        let expected = "\
not all as written: 1 of 2 policies
leader: a-1, heard of 3 s ago
since: then

POLICY  STATE   CONFIGMAP    MESSAGE
longer  broken  gate/longer  line 3: \\u{1b}
b       loaded  gate/b
and 1 more
";
        assert_eq!(table(&answer(), now, Paint::new(false)), expected);
    }

    #[test]
    fn yaml_says_what_json_does() {
        let value = json!({"a": true, "b": {"c": [{"d": 1, "e": "x: \"y\""}, {"d": [2, 3]}], "f": []}});
        let expected =
            "a: true\nb:\n  c:\n  - d: 1\n    e: \"x: \\\"y\\\"\"\n  - d:\n    - 2\n    - 3\n  f: []\n";
        assert_eq!(yaml(&value), expected);
        assert_eq!(json(&answer())["policies"], json!(2));
    }
}
