//! Where two verdicts differ, and how differences are shown.

use crate::celgo::{Question, Verdict, class};
use std::collections::BTreeMap;
use std::fmt;

/// What two verdicts differ in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Kind {
    /// One engine failed.
    Crash,
    /// One compiles it, the other does not.
    Refusal,
    /// The checked type.
    Type,
    /// The value, or whether there is one.
    Value,
    /// The class of the error.
    Error,
    /// The words of an error of the same class.
    Message,
    /// The cost alone.
    Cost,
}

impl Kind {
    /// As entries of explained.json name it.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Crash => "crash",
            Self::Refusal => "refusal",
            Self::Type => "type",
            Self::Value => "value",
            Self::Error => "error",
            Self::Message => "message",
            Self::Cost => "cost",
        }
    }
}

/// An expression on which the engines differ.
#[derive(Debug, Clone)]
pub(crate) struct Difference {
    pub(crate) kind: Kind,
    pub(crate) expression: String,
    pub(crate) object: Option<String>,
    pub(crate) ours: String,
    pub(crate) theirs: String,
}

/// What our verdict differs in from cel-go's; ours has one end, which has to be among cel-go's.
pub(crate) fn compare(question: &Question, ours: &Verdict, theirs: &Verdict) -> Option<Difference> {
    let difference = |kind, ours: String, theirs: String| {
        let object = question.object.as_deref().map(str::to_owned);
        Some(Difference { kind, expression: question.expression.clone(), object, ours, theirs })
    };
    match (ours, theirs) {
        (Verdict::Refused(_), Verdict::Refused(_)) => None,
        (Verdict::Crashed(_), _) | (_, Verdict::Crashed(_)) => {
            difference(Kind::Crash, ours.to_string(), theirs.to_string())
        }
        (Verdict::Refused(_), _) | (_, Verdict::Refused(_)) => {
            difference(Kind::Refusal, ours.to_string(), theirs.to_string())
        }
        (Verdict::Ran { checked: ours, .. }, Verdict::Ran { checked: theirs, .. }) if ours != theirs => {
            difference(Kind::Type, ours.clone().unwrap_or_default(), theirs.clone().unwrap_or_default())
        }
        (Verdict::Ran { ends: our_ends, .. }, Verdict::Ran { ends: their_ends, .. }) => {
            let ours_end = our_ends.first()?;
            if their_ends.contains(ours_end) {
                return None;
            }
            let same = their_ends.iter().find(|end| end.result == ours_end.result);
            let kind = match (&ours_end.result, their_ends.first().map(|end| &end.result)) {
                _ if same.is_some() => {
                    let costs: Vec<String> = their_ends.iter().map(|end| end.cost.to_string()).collect();
                    return difference(Kind::Cost, ours_end.cost.to_string(), costs.join(" or "));
                }
                (Err(ours), Some(Err(theirs))) if class(ours) == class(theirs) => Kind::Message,
                (Err(_), Some(Err(_))) => Kind::Error,
                _ => Kind::Value,
            };
            difference(kind, ours.to_string(), theirs.to_string())
        }
    }
}

impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Refused(message) => write!(f, "refused: {message}"),
            Self::Crashed(message) => write!(f, "crashed: {message}"),
            Self::Ran { ends, .. } => {
                let ends: Vec<String> = ends
                    .iter()
                    .map(|end| match &end.result {
                        Ok(value) => format!("{} at {}", short(&show(value)), end.cost),
                        Err(error) => format!("error `{}` at {}", short(error), end.cost),
                    })
                    .collect();
                f.write_str(&ends.join(" or "))
            }
        }
    }
}

/// A value as one reads it.
fn show(value: &serde_json::Value) -> String {
    let inner = &value["value"];
    let kind = value["type"].as_str().unwrap_or_default();
    match (kind, inner) {
        ("list", serde_json::Value::Array(items)) => {
            format!("[{}]", items.iter().map(show).collect::<Vec<_>>().join(", "))
        }
        ("map", serde_json::Value::Array(pairs)) => {
            let pairs = pairs.iter().map(|pair| format!("{}: {}", show(&pair[0]), show(&pair[1])));
            format!("{{{}}}", pairs.collect::<Vec<_>>().join(", "))
        }
        ("optional", serde_json::Value::Object(_)) => format!("optional({})", show(inner)),
        ("string", inner) => inner.to_string(),
        (kind, serde_json::Value::String(text)) => format!("{kind} {text}"),
        (_, inner) => inner.to_string(),
    }
}

fn short(text: &str) -> String {
    let mut shortened: String = text.chars().take(160).collect();
    if shortened.len() < text.len() {
        shortened.push('…');
    }
    shortened.replace('\n', "⏎")
}

/// Prints differences by what they have in common, the most frequent first, each with its shortest examples.
pub(crate) fn print(differences: &[Difference], examples: usize) {
    let mut groups: BTreeMap<(Kind, String, String), Vec<&Difference>> = BTreeMap::new();
    for difference in differences {
        let key = (difference.kind, pattern(&difference.ours), pattern(&difference.theirs));
        groups.entry(key).or_default().push(difference);
    }
    let mut groups: Vec<_> = groups.into_iter().collect();
    groups.sort_by_key(|((kind, ..), group)| (*kind, usize::MAX - group.len()));
    for ((kind, ..), mut group) in groups {
        println!("{} × {}", group.len(), kind.name());
        group.sort_by_key(|difference| difference.expression.len());
        for difference in group.iter().take(examples) {
            let object = difference.object.as_deref().map(|name| format!("   [{name}]")).unwrap_or_default();
            println!("    {}{object}", short(&difference.expression));
            println!("      ours   {}", difference.ours);
            println!("      cel-go {}", difference.theirs);
        }
    }
}

/// A text without what varies from case to case: costs, numbers, quoted parts, and which overload there is not.
fn pattern(text: &str) -> String {
    let text = text.rsplit_once(" at ").map_or(text, |(before, _)| before);
    for common in ["no such overload", "invalid qualifier type", "comprehension range type", "iterable type"]
    {
        if let Some(end) = text.find(common).map(|start| start + common.len()) {
            return text.get(..end).unwrap_or(text).chars().filter(|c| !c.is_ascii_digit()).collect();
        }
    }
    let mut pattern = String::new();
    let mut quote = None;
    for character in text.chars() {
        match quote {
            Some(end) if character == end => quote = None,
            Some(_) => {}
            None if "'\"".contains(character) => quote = Some(character),
            None if character.is_ascii_digit() => {
                if !pattern.ends_with('#') {
                    pattern.push('#');
                }
            }
            None => pattern.push(character),
        }
    }
    pattern.chars().take(40).collect()
}
