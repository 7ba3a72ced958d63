//! `authorizations` of a case: what the authorizer allows, in the words of RBAC's rules. What none of them
//! allows is not allowed.

use super::fields::{Fault, Fields};
use super::request::strings;
use portcullis_core::authorization::{
    AccessAnswer, AccessAttributes, AccessReview, Authorizer, ResourceAttributes,
};
use portcullis_core::yaml::{Node, Value};

const FIELDS: &[&str] = &[
    "user",
    "group",
    "verbs",
    "apiGroups",
    "resources",
    "resourceNames",
    "namespaces",
    "nonResourceURLs",
    "reason",
    "error",
];

/// Rules that answer for the authorizer: the first one that applies does.
#[derive(Debug, Clone)]
pub struct Rules(Vec<Rule>);

/// A `PolicyRule` of `rbac.authorization.k8s.io/v1`, and whom it is for.
#[derive(Debug, Clone)]
struct Rule {
    /// Whom it is for; everybody, if neither is given.
    user: Option<String>,
    group: Option<String>,
    verbs: Vec<String>,
    api_groups: Vec<String>,
    /// Such as `pods`, `pods/exec`, `*/scale` and `*`.
    resources: Vec<String>,
    /// Every object, if there are none.
    resource_names: Vec<String>,
    /// Every namespace, if there are none.
    namespaces: Vec<String>,
    /// Such as `/healthz` and `/logs/*`.
    paths: Vec<String>,
    reason: String,
    /// Instead of being allowed, this is what the authorizer fails with.
    error: Option<String>,
}

impl Rules {
    pub(super) fn read(node: &Node) -> Result<Self, Fault> {
        let Value::Sequence(items) = &node.value else {
            return Err(Fault::new(node.at, "`authorizations` must be a list of rules"));
        };
        items.iter().map(Rule::read).collect::<Result<_, _>>().map(Self)
    }
}

impl Authorizer for Rules {
    fn answer(&self, review: &AccessReview) -> Option<AccessAnswer> {
        review.user.as_ref()?;
        let rule = self.0.iter().find(|rule| rule.applies(review));
        Some(rule.map_or_else(AccessAnswer::default, |rule| AccessAnswer {
            allowed: rule.error.is_none(),
            reason: rule.reason.clone(),
            error: rule.error.clone(),
        }))
    }
}

impl Rule {
    fn read(node: &Node) -> Result<Self, Fault> {
        let fields = Fields::of(node, FIELDS)?;
        let list = |name: &str| -> Result<Vec<String>, Fault> {
            fields.get(name).map_or(Ok(Vec::new()), |node| strings(name, node))
        };
        let rule = Self {
            user: fields.text("user")?,
            group: fields.text("group")?,
            verbs: list("verbs")?,
            api_groups: list("apiGroups")?,
            resources: list("resources")?,
            resource_names: list("resourceNames")?,
            namespaces: list("namespaces")?,
            paths: list("nonResourceURLs")?,
            reason: fields.text("reason")?.unwrap_or_default(),
            error: fields.text("error")?,
        };
        if rule.verbs.is_empty() {
            return Err(fields.lacks("verbs"));
        }
        if rule.resources.is_empty() == rule.paths.is_empty() {
            return Err(Fault::new(fields.at, "a rule has `resources` or `nonResourceURLs`"));
        }
        if !rule.resources.is_empty() && rule.api_groups.is_empty() {
            let hint = Some("the core group is `\"\"`".to_owned());
            return Err(Fault { hint, ..fields.lacks("apiGroups") });
        }
        Ok(rule)
    }

    fn applies(&self, review: &AccessReview) -> bool {
        let Some(user) = &review.user else { return false };
        self.user.as_ref().is_none_or(|name| *name == user.username)
            && self.group.as_ref().is_none_or(|group| user.groups.contains(group))
            && includes(&self.verbs, &review.verb)
            && match &review.attributes {
                AccessAttributes::Path(path) => self.paths.iter().any(|pattern| covers(pattern, path)),
                AccessAttributes::Resource(resource) => self.applies_to(resource),
            }
    }

    fn applies_to(&self, resource: &ResourceAttributes) -> bool {
        let ResourceAttributes { resource: plural, subresource, namespace, name, .. } = resource;
        let written =
            if subresource.is_empty() { plural.to_string() } else { format!("{plural}/{subresource}") };
        let any_of_subresource = format!("*/{subresource}");
        includes(&self.api_groups, &resource.group)
            && (includes(&self.resources, &written)
                || (!subresource.is_empty() && self.resources.contains(&any_of_subresource)))
            && (self.resource_names.is_empty() || self.resource_names.iter().any(|known| **known == **name))
            && (self.namespaces.is_empty() || includes(&self.namespaces, namespace))
    }
}

fn includes(list: &[String], wanted: &str) -> bool {
    list.iter().any(|entry| entry == "*" || entry == wanted)
}

/// Whether a path is the pattern, or begins with what is before the `*` at its end.
fn covers(pattern: &str, path: &str) -> bool {
    pattern == path || pattern.strip_suffix('*').is_some_and(|prefix| path.starts_with(prefix))
}

#[cfg(test)]
mod tests {
    use super::*;
    use portcullis_core::authorization::AccessUser;
    use portcullis_core::yaml;
    use std::sync::Arc;

    const RULES: &str = "
- user: jane
  verbs: [create, update]
  apiGroups: [apps]
  resources: [deployments, '*/scale']
  namespaces: [shop]
- group: dev
  verbs: ['*']
  apiGroups: ['']
  resources: [pods]
  resourceNames: [web]
  reason: a developer
- verbs: [get]
  nonResourceURLs: [/healthz, /logs/*]
- verbs: [list]
  apiGroups: ['*']
  resources: ['*']
  error: no connection
";

    fn rules(text: &str) -> Result<Rules, Fault> {
        Rules::read(&yaml::read(text).remove(0).unwrap())
    }

    fn resource(written: &str, namespace: &str, name: &str) -> AccessAttributes {
        let (resource, group) = written.split_once('.').unwrap_or((written, ""));
        let (resource, subresource) = resource.split_once('/').unwrap_or((resource, ""));
        AccessAttributes::Resource(ResourceAttributes {
            group: group.into(),
            resource: resource.into(),
            subresource: subresource.into(),
            namespace: namespace.into(),
            name: name.into(),
            ..ResourceAttributes::default()
        })
    }

    #[test]
    fn rules_apply_as_those_of_rbac() {
        let rules = rules(RULES).unwrap();
        let path = |path: &str| AccessAttributes::Path(path.into());
        for (user, verb, attributes, expected) in [
            ("jane", "create", resource("deployments.apps", "shop", ""), "yes "),
            ("jane", "create", resource("deployments.apps", "other", ""), "no "),
            ("jane", "create", resource("deployments", "shop", ""), "no "),
            ("jane", "update", resource("statefulsets/scale.apps", "shop", "x"), "yes "),
            ("jane", "create", resource("deployments/status.apps", "shop", ""), "no "),
            ("joe", "create", resource("deployments.apps", "shop", ""), "no "),
            ("joe", "delete", resource("pods", "", "web"), "yes a developer"),
            ("joe", "delete", resource("pods", "", "api"), "no "),
            ("joe", "get", path("/healthz"), "yes "),
            ("joe", "get", path("/logs/a"), "yes "),
            ("joe", "get", path("/healthz/x"), "no "),
            ("joe", "list", resource("secrets", "", ""), "error no connection"),
        ] {
            let groups = if user == "joe" { vec!["dev".to_owned()] } else { Vec::new() };
            let user = AccessUser { username: user.to_owned(), groups, ..AccessUser::default() };
            let review = AccessReview { user: Some(Arc::new(user)), verb: verb.into(), attributes };
            let answer = rules.answer(&review).unwrap();
            let found = match (answer.allowed, answer.error) {
                (true, None) => format!("yes {}", answer.reason),
                (false, None) => format!("no {}", answer.reason),
                (_, Some(error)) => format!("error {error}"),
            };
            assert_eq!(found, expected, "{review}");
        }
        let nobody = AccessReview { user: None, verb: "get".into(), attributes: path("/healthz") };
        assert_eq!(rules.answer(&nobody), None);
    }

    #[test]
    fn what_is_no_rule() {
        for (text, expected) in [
            ("verbs: [get]", "`authorizations` must be a list of rules"),
            ("- {resources: [pods]}", "`verbs` is missing"),
            ("- {verbs: [get]}", "a rule has `resources` or `nonResourceURLs`"),
            ("- {verbs: [get], resources: [pods]}", "`apiGroups` is missing"),
            ("- {verb: get}", "unknown field `verb`"),
            ("- {verbs: get}", "`verbs` must be a list of strings"),
        ] {
            assert_eq!(rules(text).unwrap_err().message, expected, "{text}");
        }
    }
}
