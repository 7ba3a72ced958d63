//! Whether a suite proves anything: each validation is replaced by `true`, one at a time, and a case must fail.

use portcullis::suite::{self, Suite};
use portcullis_core::set::Sources;
use portcullis_core::yaml::{self, Position, Text, TextPlace};
use serde_json::Value;

/// Where validations are in a document.
const LISTS: [&str; 2] = ["/spec/validations", "/spec/audit/validations"];

/// Adds what no case notices to `problems`. Returns how many validations there are.
pub(super) fn unnoticed(suite: &Suite, sources: &Sources, problems: &mut Vec<String>) -> usize {
    let now = jiff::Timestamp::now();
    let mutants = mutants(sources);
    if !suite::run(suite, sources, now).cases.iter().all(suite::CaseReport::passed) {
        problems.push("a suite that fails as it is can notice nothing".to_owned());
        return mutants.len();
    }
    for Mutant { sources, name } in &mutants {
        let report = suite::run(suite, sources, now);
        if let Some(problem) = report.invalid_policies.first() {
            problems.push(format!("{name} replaced by `true`: {}", problem.message));
        } else if report.cases.iter().all(suite::CaseReport::passed) {
            problems.push(format!("{name} is replaced by `true` and no case notices"));
        }
    }
    mutants.len()
}

/// Policies of which one does not do what it should.
struct Mutant {
    sources: Sources,
    /// Which validation of which policy was replaced.
    name: String,
}

fn mutants(sources: &Sources) -> Vec<Mutant> {
    let mut mutants = Vec::new();
    for (index, config_map) in sources.config_maps.iter().enumerate() {
        for (key, (_, text)) in config_map.data.iter().enumerate() {
            let documents: Vec<Value> =
                yaml::read(&text.text).into_iter().flatten().map(|document| document.to_json()).collect();
            for (name, documents) in weakened(&documents) {
                let mut sources = sources.clone();
                let place =
                    sources.config_maps.get_mut(index).and_then(|config_map| config_map.data.get_mut(key));
                if let Some((_, text)) = place {
                    *text = stream(&documents);
                    mutants.push(Mutant { sources, name });
                }
            }
        }
    }
    mutants
}

/// The documents with one validation replaced, once for each validation, and its name.
fn weakened(documents: &[Value]) -> Vec<(String, Vec<Value>)> {
    let mut all = Vec::new();
    for (at, document) in documents.iter().enumerate() {
        for list in LISTS {
            let count = document.pointer(list).and_then(Value::as_array).map_or(0, Vec::len);
            for number in 0..count {
                let mut documents = documents.to_vec();
                let pointer = format!("{list}/{number}/expression");
                let expression = documents.get_mut(at).and_then(|document| document.pointer_mut(&pointer));
                if let Some(expression) = expression {
                    *expression = "true".into();
                    let policy = document["metadata"]["name"].as_str().unwrap_or_default();
                    let field = list.trim_start_matches('/').replace('/', ".");
                    all.push((format!("policy `{policy}`: `{field}[{number}]`"), documents));
                }
            }
        }
    }
    all
}

/// Documents as the text of a ConfigMap's key: JSON is YAML.
fn stream(documents: &[Value]) -> Text {
    let documents: Vec<String> = documents.iter().map(Value::to_string).collect();
    Text { text: documents.join("\n---\n"), place: TextPlace::at(Position { line: 1, column: 1 }) }
}

#[cfg(test)]
mod tests {
    use super::weakened;
    use serde_json::json;

    #[test]
    fn every_validation_is_replaced_once() {
        let documents = [
            json!({"kind": "PolicyException", "metadata": {"name": "e"}, "spec": {"reason": "r"}}),
            json!({"kind": "Policy", "metadata": {"name": "p"}, "spec": {
                "validations": [{"expression": "a"}, {"expression": "b"}],
                "audit": {"validations": [{"expression": "c"}]}}}),
        ];
        let all = weakened(&documents);
        let names: Vec<&str> = all.iter().map(|(name, _)| name.as_str()).collect();
        let expect = [
            "policy `p`: `spec.validations[0]`",
            "policy `p`: `spec.validations[1]`",
            "policy `p`: `spec.audit.validations[0]`",
        ];
        assert_eq!(names, expect);
        let (_, second) = &all[1];
        let validations = &second[1]["spec"]["validations"];
        assert_eq!(validations, &json!([{"expression": "a"}, {"expression": "true"}]));
    }
}
