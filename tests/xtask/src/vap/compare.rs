//! Where two answers differ, and how differences are shown.

use super::answer::Answer;
use std::collections::{BTreeMap, BTreeSet};

/// What two answers differ in.
#[derive(Debug, Clone)]
pub(crate) struct Difference {
    /// The number of the case in its run.
    pub(crate) case: usize,
    /// `verdict`, `code`, `reason`, `cause`, `message`, `warnings`, `unsent warnings` or `annotation KEY`.
    pub(crate) field: String,
    pub(crate) ours: String,
    pub(crate) theirs: String,
    /// What was wrong with the documents on our side, a line each.
    pub(crate) problems: String,
    pub(crate) features: BTreeSet<&'static str>,
}

/// Lists what an answer of ours differs in from the API server's.
pub(crate) fn compare(ours: &Answer, theirs: &Answer) -> Vec<(String, String, String)> {
    let mut found = Vec::new();
    let mut check = |field: &str, ours: String, theirs: String| {
        if ours != theirs {
            found.push((field.to_owned(), ours, theirs));
        }
    };
    if let Some(broken) = &ours.broken {
        check("verdict", format!("broken: {broken}"), verdict(theirs));
        return found;
    }
    if ours.allowed != theirs.allowed {
        check("verdict", verdict(ours), verdict(theirs));
        return found;
    }
    check("code", ours.code.to_string(), theirs.code.to_string());
    check("reason", ours.reason.clone(), theirs.reason.clone());
    check("cause", ours.cause.clone(), theirs.cause.clone());
    // The API server puts the object before it, and says no more; ours goes on with further failures, a line each.
    let begins = ours.message == theirs.cause || ours.message.starts_with(&format!("{}\n", theirs.cause));
    if !begins || !theirs.message.ends_with(&theirs.cause) {
        check("message", ours.message.clone(), theirs.message.clone());
    }
    let sent = |warning: &&String| !theirs.unsent.contains(warning);
    let field = match ours.warnings.iter().filter(sent).eq(&theirs.warnings) {
        true => "unsent warnings",
        false => "warnings",
    };
    check(field, ours.warnings.join("\n"), theirs.warnings.join("\n"));
    let keys: BTreeSet<&String> = ours.annotations.keys().chain(theirs.annotations.keys()).collect();
    for key in keys {
        let text = |answer: &Answer| answer.annotations.get(key).map(ToString::to_string).unwrap_or_default();
        check(&format!("annotation {key}"), text(ours), text(theirs));
    }
    found
}

fn verdict(answer: &Answer) -> String {
    match answer.allowed {
        true => "allowed".to_owned(),
        false => format!("denied: {}", answer.message),
    }
}

/// Prints differences by what they have in common, the most frequent first, with some examples of each.
pub(crate) fn print(differences: &[Difference], examples: usize) {
    let mut groups: BTreeMap<(String, String, String), Vec<&Difference>> = BTreeMap::new();
    for difference in differences {
        let field = difference.field.split(' ').next().unwrap_or_default().to_owned();
        let key = (field, pattern(&difference.ours), pattern(&difference.theirs));
        groups.entry(key).or_default().push(difference);
    }
    let mut groups: Vec<_> = groups.into_iter().collect();
    groups.sort_by_key(|(_, group)| usize::MAX - group.len());
    for ((field, ..), group) in groups {
        println!("{} × {field}", group.len());
        for difference in group.iter().take(examples) {
            let features: Vec<&str> = difference.features.iter().copied().collect();
            println!("    case {}: {}", difference.case, features.join(" "));
            println!("      ours   {}", short(&difference.ours));
            println!("      theirs {}", short(&difference.theirs));
            if !difference.problems.is_empty() {
                println!("      documents: {}", short(&difference.problems));
            }
        }
    }
}

fn short(text: &str) -> String {
    let mut shortened: String = text.chars().take(400).collect();
    if shortened.len() < text.len() {
        shortened.push('…');
    }
    shortened.replace('\n', "⏎")
}

/// A text without what varies from case to case: names, numbers, and what is quoted.
fn pattern(text: &str) -> String {
    let mut pattern = String::new();
    let mut quote = None;
    for character in text.chars() {
        match quote {
            Some(end) if character == end => quote = None,
            Some(_) => {}
            None if "'\"`".contains(character) => quote = Some(character),
            None if character.is_ascii_digit() => {}
            None => pattern.push(character),
        }
    }
    pattern.chars().take(120).collect()
}
