//! Label selectors, as `k8s.io/apimachinery/pkg/labels` evaluates them.

use crate::document::{LabelSelector, Requirement, SelectorOperator};
use portcullis_cel::tree::Content;
use portcullis_cel::{Node, Tree};
use std::fmt;

impl LabelSelector {
    /// Whether everything is selected, even what can have no labels.
    pub fn is_empty(&self) -> bool {
        self.requirements.is_empty()
    }

    /// Whether labels satisfy every requirement. `labels` is `metadata.labels`; what is not an object
    /// counts as no labels.
    pub fn matches(&self, labels: Option<Node<'_>>) -> bool {
        self.requirements.iter().all(|requirement| requirement.matches(label(labels, &requirement.key)))
    }

    /// Whether an object is selected. Only an empty selector selects what has no `metadata`, such as the
    /// options of `pods/exec`, or no object at all.
    pub fn matches_object(&self, object: &Tree) -> bool {
        if self.is_empty() {
            return true;
        }
        match object.get("metadata") {
            Some(metadata) if metadata.is_object() => self.matches(metadata.get("labels")),
            _ => false,
        }
    }
}

/// As the API server takes it (`labels.Parse` of apimachinery).
impl fmt::Display for LabelSelector {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, Requirement { key, operator }) in self.requirements.iter().enumerate() {
            if index > 0 {
                f.write_str(",")?;
            }
            match operator {
                SelectorOperator::In(values) => write!(f, "{key} in ({})", values.join(","))?,
                SelectorOperator::NotIn(values) => write!(f, "{key} notin ({})", values.join(","))?,
                SelectorOperator::Exists => f.write_str(key)?,
                SelectorOperator::DoesNotExist => write!(f, "!{key}")?,
            }
        }
        Ok(())
    }
}

impl Requirement {
    /// Whether the value of the label `key` satisfies this; `None` where there is no such label.
    pub fn matches(&self, value: Option<&str>) -> bool {
        let is_one_of = |values: &[String]| value.is_some_and(|value| values.iter().any(|v| v == value));
        match &self.operator {
            SelectorOperator::In(values) => is_one_of(values),
            SelectorOperator::NotIn(values) => !is_one_of(values),
            SelectorOperator::Exists => value.is_some(),
            SelectorOperator::DoesNotExist => value.is_none(),
        }
    }
}

/// One label. A null value is the empty string, as Go's decoder reads it; other values that are not
/// strings, which the API server refuses, count as absent.
pub(crate) fn label<'a>(labels: Option<Node<'a>>, key: &str) -> Option<&'a str> {
    match labels?.get(key)?.content() {
        Content::Text(value) => Some(value),
        Content::Null => Some(""),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Value as Json, json};

    fn selector(key: &str, operator: SelectorOperator) -> LabelSelector {
        LabelSelector { requirements: vec![Requirement { key: key.to_owned(), operator }] }
    }

    fn check(operator: SelectorOperator, labels: Json, expect: bool) {
        let selector = selector("app", operator);
        assert_eq!(selector.matches(Some(Tree::from(&labels).root())), expect, "{selector:?} on {labels}");
    }

    fn values(values: &[&str]) -> Vec<String> {
        values.iter().map(|&value| value.to_owned()).collect()
    }

    #[test]
    fn a_selector_as_the_api_server_takes_it() {
        use SelectorOperator::{DoesNotExist, Exists, In, NotIn};
        let requirements = [
            ("app", In(values(&["a", "b"]))),
            ("tier", NotIn(values(&["x"]))),
            ("team", Exists),
            ("x/old", DoesNotExist),
        ];
        let requirements = requirements.map(|(key, operator)| Requirement { key: key.to_owned(), operator });
        let text = LabelSelector { requirements: requirements.into() }.to_string();
        assert_eq!(text, "app in (a,b),tier notin (x),team,!x/old");
        assert_eq!(LabelSelector::default().to_string(), "");
    }

    #[test]
    fn operators_follow_kubernetes() {
        use SelectorOperator::{DoesNotExist, Exists, In, NotIn};
        check(In(values(&["a", "b"])), json!({"app": "b"}), true);
        check(In(values(&["a", "b"])), json!({"app": "c"}), false);
        check(In(values(&["a"])), json!({}), false);
        check(In(values(&[""])), json!({"app": ""}), true);
        check(In(values(&[""])), json!({"app": null}), true);
        check(In(values(&[""])), json!({}), false);
        check(NotIn(values(&["a"])), json!({"app": "a"}), false);
        check(NotIn(values(&["a"])), json!({"app": "b"}), true);
        check(NotIn(values(&["a"])), json!({"other": "a"}), true);
        check(Exists, json!({"app": ""}), true);
        check(Exists, json!({"App": "x"}), false);
        check(DoesNotExist, json!({}), true);
        check(DoesNotExist, json!({"app": "x"}), false);
    }

    #[test]
    fn odd_labels_are_no_labels() {
        for labels in [json!(null), json!([]), json!("app"), json!(5), json!({"app": 5}), json!({"app": {}})]
        {
            check(SelectorOperator::Exists, labels.clone(), false);
            check(SelectorOperator::NotIn(values(&["a"])), labels, true);
        }
        assert!(!selector("app", SelectorOperator::Exists).matches(None));
        assert!(selector("app", SelectorOperator::DoesNotExist).matches(None));
    }

    #[test]
    fn every_requirement_must_hold() {
        let mut both = selector("app", SelectorOperator::Exists);
        both.requirements.extend(selector("tier", SelectorOperator::In(values(&["web"]))).requirements);
        assert!(both.matches(Some(Tree::from(json!({"app": "x", "tier": "web"})).root())));
        assert!(!both.matches(Some(Tree::from(json!({"app": "x", "tier": "db"})).root())));
        assert!(!both.matches(Some(Tree::from(json!({"tier": "web"})).root())));
    }

    #[test]
    fn only_an_empty_selector_selects_what_has_no_metadata() {
        let absent = selector("app", SelectorOperator::DoesNotExist);
        assert!(absent.matches_object(&Tree::from(json!({"metadata": {}}))));
        for object in [json!(null), json!({"kind": "PodExecOptions"}), json!({"metadata": null}), json!([])] {
            let object = Tree::from(object);
            assert!(!absent.matches_object(&object), "{object}");
            assert!(LabelSelector::default().matches_object(&object), "{object}");
        }
    }
}
