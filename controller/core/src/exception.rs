//! Exceptions: which requests, or which of their images, a policy is not applied to.

use crate::confined::namespace_of;
use crate::document::{ExceptionDocument, Subject};
use crate::request::{GroupVersionKind, Request, UserInfo};
use portcullis_cel::ImageReference;
use std::sync::Arc;

/// A PolicyException, ready to be asked.
#[derive(Debug, Clone)]
pub struct Exception {
    document: Arc<ExceptionDocument>,
    /// Kind and group of each entry of `match.kinds`.
    kinds: Vec<(String, String)>,
}

/// What of a request an exception covers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Coverage<'a> {
    /// Nothing.
    None,
    /// The request.
    Whole,
    /// Only those elements whose image is under one of these prefixes.
    Images(&'a [String]),
}

impl Coverage<'_> {
    /// Whether an element with this image is covered. What is no valid reference is under no prefix.
    pub fn includes(&self, reference: &str) -> bool {
        match self {
            Self::None => false,
            Self::Whole => true,
            Self::Images(prefixes) => ImageReference::parse(reference)
                .is_ok_and(|image| prefixes.iter().any(|prefix| image.is_under(prefix) == Ok(true))),
        }
    }
}

impl Exception {
    /// Prepares a document.
    pub fn new(document: Arc<ExceptionDocument>) -> Self {
        let kinds = document
            .kinds
            .iter()
            .map(|entry| entry.split_once('.').unwrap_or((entry, "")))
            .map(|(kind, group)| (kind.to_owned(), group.to_owned()))
            .collect();
        Self { document, kinds }
    }

    /// The document, for its name, reason and expiry.
    pub fn document(&self) -> &ExceptionDocument {
        &self.document
    }

    /// What the exception covers when this policy judges this request: fields are a conjunction, entries of
    /// one field a disjunction, an empty field covers all. An exception holds until `expiresAt`.
    pub fn covers(&self, policy: &str, request: &Request, now: jiff::Timestamp) -> Coverage<'_> {
        let document = &self.document;
        let covered = self.names(policy)
            && document.expires_at.is_none_or(|expiry| now < expiry)
            && self.covers_kind(&request.kind)
            && self.covers_namespace(&request.namespace)
            && self.covers_name(&request.name)
            && self.covers_user(request.user.as_ref());
        match (covered, document.images.as_slice()) {
            (false, _) => Coverage::None,
            (true, []) => Coverage::Whole,
            (true, images) => Coverage::Images(images),
        }
    }

    /// Whether it concerns this policy for some images only.
    pub(crate) fn names_images_of(&self, policy: &str) -> bool {
        self.names(policy) && !self.document.images.is_empty()
    }

    fn names(&self, policy: &str) -> bool {
        // All of the cluster's, or all of the namespace in which the exception is.
        let is_of_all = |name: &str| match (name.strip_suffix('*'), namespace_of(policy)) {
            (Some(""), None) => true,
            (Some(all), Some(namespace)) => all.strip_suffix('/') == Some(namespace),
            _ => false,
        };
        self.document.policies.iter().any(|name| name == policy || is_of_all(name))
    }

    /// By group and kind: an exception outlives a version.
    fn covers_kind(&self, requested: &GroupVersionKind) -> bool {
        self.kinds.is_empty()
            || self.kinds.iter().any(|(kind, group)| *kind == requested.kind && *group == requested.group)
    }

    /// What is in no namespace is in none of those listed.
    fn covers_namespace(&self, namespace: &str) -> bool {
        let listed = &self.document.namespaces;
        listed.is_empty() || !namespace.is_empty() && listed.iter().any(|glob| glob_matches(glob, namespace))
    }

    /// A name that the API server has yet to generate is covered by `*` only.
    fn covers_name(&self, name: &str) -> bool {
        let listed = &self.document.names;
        listed.is_empty()
            || listed.iter().any(|glob| if name.is_empty() { glob == "*" } else { glob_matches(glob, name) })
    }

    /// Nobody is no subject: what is not known is not excepted.
    fn covers_user(&self, user: Option<&UserInfo>) -> bool {
        let subjects = &self.document.subjects;
        subjects.is_empty() || user.is_some_and(|user| subjects.iter().any(|subject| subject.is(user)))
    }
}

impl Subject {
    /// Whether a user is, or belongs to, this subject.
    pub fn is(&self, user: &UserInfo) -> bool {
        match self {
            Self::User(name) => user.username == *name,
            Self::Group(name) => user.groups.contains(name),
            Self::ServiceAccount { namespace, name } => user
                .username
                .strip_prefix("system:serviceaccount:")
                .and_then(|account| account.split_once(':'))
                .is_some_and(|account| account == (namespace, name)),
        }
    }
}

/// Names in Kubernetes have at most 253 characters. Longer ones match no glob but `*`, which bounds the
/// work.
const MAX_NAME: usize = 253;

/// Whether a glob (`*` any characters, `?` exactly one) matches a whole name.
fn glob_matches(glob: &str, name: &str) -> bool {
    if glob == "*" {
        return true;
    }
    if name.len() > MAX_NAME || glob.len() > 2 * MAX_NAME {
        return false;
    }
    let (mut pattern, mut rest) = (glob.chars(), name.chars());
    // After the last `*`: what follows it, and from where in the name that is tried next. Only the last
    // one need be tried again, so the work is at most the product of both lengths.
    let mut retry = None;
    loop {
        let (mut pattern_after, mut rest_after) = (pattern.clone(), rest.clone());
        match (pattern_after.next(), rest_after.next()) {
            (None, None) => return true,
            (Some('*'), _) => {
                retry = Some((pattern_after.clone(), rest.clone()));
                pattern = pattern_after;
            }
            (Some(wanted), Some(found)) if wanted == '?' || wanted == found => {
                pattern = pattern_after;
                rest = rest_after;
            }
            _ => {
                let Some((after_star, from)) = &mut retry else { return false };
                if from.next().is_none() {
                    return false;
                }
                pattern = after_star.clone();
                rest = from.clone();
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::document::Place;
    use crate::matching::Resources;
    use crate::request::Operation;
    use crate::yaml::Position;
    use serde_json::json;

    const POLICY: &str = "no-root";

    fn strings(list: &[&str]) -> Vec<String> {
        list.iter().map(|&text| text.to_owned()).collect()
    }

    fn place(field: &str) -> Place {
        Place { field: field.to_owned(), position: Position { line: 1, column: 1 } }
    }

    /// An exception of every policy for everything.
    fn document() -> ExceptionDocument {
        ExceptionDocument {
            name: "legacy".to_owned(),
            place: place("metadata.name"),
            policies: strings(&["*"]),
            policies_at: place("spec.policies"),
            kinds: Vec::new(),
            namespaces: Vec::new(),
            names: Vec::new(),
            images: Vec::new(),
            subjects: Vec::new(),
            reason: "until it is rebuilt".to_owned(),
            expires_at: None,
        }
    }

    /// The Deployment `shop/web`, changed by the service account `shop/deployer`.
    fn request() -> Request {
        let object = json!({
            "apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "web", "namespace": "shop"}
        });
        let mut request = Request::for_object(object, &Resources::new(), Operation::Create);
        request.user = Some(UserInfo {
            username: "system:serviceaccount:shop:deployer".to_owned(),
            groups: strings(&["system:serviceaccounts", "system:serviceaccounts:shop"]),
            ..UserInfo::default()
        });
        request
    }

    fn now() -> jiff::Timestamp {
        "2026-07-01T12:00:00Z".parse().unwrap()
    }

    fn check_on(document: ExceptionDocument, request: &Request, expect: bool) {
        let exception = Exception::new(Arc::new(document));
        let expect = if expect { Coverage::Whole } else { Coverage::None };
        assert_eq!(exception.covers(POLICY, request, now()), expect, "{:?}", exception.document());
    }

    fn check(document: ExceptionDocument, expect: bool) {
        check_on(document, &request(), expect);
    }

    #[test]
    fn policies() {
        for (policies, expect) in [
            (&["*"][..], true),
            (&["no-root"], true),
            (&["other", "no-root"], true),
            (&["other"], false),
            (&["no-*"], false),
            (&[], false),
        ] {
            check(ExceptionDocument { policies: strings(policies), ..document() }, expect);
        }
    }

    #[test]
    fn kinds_by_group_never_by_version() {
        for (kinds, expect) in [
            (&["Deployment.apps"][..], true),
            (&["Pod", "Deployment.apps"], true),
            (&["Deployment"], false),
            (&["Deployment.extensions"], false),
            (&["deployment.apps"], false),
            (&["Deployment.v1.apps"], false),
            (&["*"], false),
        ] {
            check(ExceptionDocument { kinds: strings(kinds), ..document() }, expect);
        }
        let pod = json!({"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "web"}});
        let pod = Request::for_object(pod, &Resources::new(), Operation::Create);
        check_on(ExceptionDocument { kinds: strings(&["Pod"]), ..document() }, &pod, true);
        let role = json!({"apiVersion": "rbac.authorization.k8s.io/v1", "kind": "Role"});
        let role = Request::for_object(role, &Resources::new(), Operation::Create);
        let kinds = strings(&["Role.rbac.authorization.k8s.io"]);
        check_on(ExceptionDocument { kinds, ..document() }, &role, true);
    }

    #[test]
    fn namespaces_and_names() {
        for (globs, namespace, name) in [
            (&["shop"][..], true, false),
            (&["web"], false, true),
            (&["sh*", "w?b"], true, true),
            (&["*"], true, true),
            (&["s"], false, false),
            (&[""], false, false),
        ] {
            check(ExceptionDocument { namespaces: strings(globs), ..document() }, namespace);
            check(ExceptionDocument { names: strings(globs), ..document() }, name);
        }
    }

    #[test]
    fn what_has_no_name_or_namespace() {
        let mut request = request();
        request.name.clear();
        request.namespace.clear();
        check_on(document(), &request, true);
        for (globs, name) in [(&["*"][..], true), (&["web-*"], false), (&["**"], false), (&[""], false)] {
            check_on(ExceptionDocument { names: strings(globs), ..document() }, &request, name);
            check_on(ExceptionDocument { namespaces: strings(globs), ..document() }, &request, false);
        }
    }

    #[test]
    fn subjects() {
        let user = |name: &str| Subject::User(name.to_owned());
        let group = |name: &str| Subject::Group(name.to_owned());
        let account = |namespace: &str, name: &str| Subject::ServiceAccount {
            namespace: namespace.to_owned(),
            name: name.to_owned(),
        };
        for (subjects, expect) in [
            (vec![user("system:serviceaccount:shop:deployer")], true),
            (vec![user("deployer")], false),
            (vec![user("*")], false),
            (vec![group("system:serviceaccounts:shop")], true),
            (vec![group("system:masters")], false),
            (vec![account("shop", "deployer")], true),
            (vec![account("shop", "other"), group("system:serviceaccounts")], true),
            (vec![account("shop:deployer", "")], false),
            (vec![account("", "shop:deployer")], false),
        ] {
            let document = ExceptionDocument { subjects, ..document() };
            check_on(document.clone(), &Request { user: None, ..request() }, false);
            check(document, expect);
        }
    }

    #[test]
    fn expiry() {
        for (expires_at, expect) in [
            ("2026-07-01T12:00:01Z", true),
            ("2026-07-01T12:00:00Z", false),
            ("2025-07-01T12:00:00Z", false),
            ("2026-07-01T14:00:00.5+02:00", true),
        ] {
            check(ExceptionDocument { expires_at: Some(expires_at.parse().unwrap()), ..document() }, expect);
        }
    }

    #[test]
    fn fields_are_a_conjunction() {
        let all = ExceptionDocument {
            kinds: strings(&["Deployment.apps"]),
            namespaces: strings(&["shop"]),
            names: strings(&["web"]),
            subjects: vec![Subject::Group("system:serviceaccounts".to_owned())],
            ..document()
        };
        check(all.clone(), true);
        check(ExceptionDocument { kinds: strings(&["Pod"]), ..all.clone() }, false);
        check(ExceptionDocument { namespaces: strings(&["other"]), ..all.clone() }, false);
        check(ExceptionDocument { names: strings(&["other"]), ..all.clone() }, false);
        check(ExceptionDocument { subjects: vec![Subject::User("x".to_owned())], ..all }, false);
    }

    #[test]
    fn images_cover_elements_only() {
        let images = strings(&["r.io/legacy"]);
        let some = ExceptionDocument { images: images.clone(), ..document() };
        let exception = Exception::new(Arc::new(some.clone()));
        assert_eq!(exception.covers(POLICY, &request(), now()), Coverage::Images(&images));
        check(ExceptionDocument { names: strings(&["other"]), ..some }, false);
    }

    #[test]
    fn images_by_prefix() {
        let prefixes = strings(&["not/a registry", "r.io/legacy", "ghcr.io"]);
        for (reference, expect) in [
            ("r.io/legacy/app:1", true),
            ("r.io/legacy@sha256:0000000000000000000000000000000000000000000000000000000000000000", true),
            ("ghcr.io/any/thing", true),
            ("r.io/legacy-not/app", false),
            ("r.io/other", false),
            ("ghcr.io.evil.com/any", false),
            ("R.io/LEGACY", false),
            ("", false),
        ] {
            assert_eq!(Coverage::Images(&prefixes).includes(reference), expect, "{reference}");
            assert!(Coverage::Whole.includes(reference) && !Coverage::None.includes(reference));
        }
        assert!(!Coverage::Images(&[]).includes("r.io/legacy/app"));
    }

    #[test]
    fn globs() {
        for (glob, name, expect) in [
            ("web", "web", true),
            ("web", "webs", false),
            ("web*", "web", true),
            ("*web", "my-web", true),
            ("*e*", "web", true),
            ("w?b", "web", true),
            ("w?b", "wb", false),
            ("???", "web", true),
            ("??", "web", false),
            ("*?", "", false),
            ("", "", true),
            ("", "web", false),
            ("**", "web", true),
            ("a*b*c", "a-b-b-c", true),
            ("a*b*c", "a-c-b", false),
            ("*-?-*", "x-y-z", true),
            ("a*ab", "aaab", true),
            ("a.b", "axb", false),
            ("[a]", "a", false),
            ("?", "é", true),
        ] {
            assert_eq!(glob_matches(glob, name), expect, "`{glob}` on `{name}`");
        }
    }

    #[test]
    fn globs_that_defeat_backtracking_are_quick() {
        let name = "a".repeat(MAX_NAME);
        assert!(!glob_matches(&format!("{}b", "*a".repeat(250)), &name));
        assert!(!glob_matches(&"a*".repeat(1_000_000), &name));
        assert!(!glob_matches("a*", &"a".repeat(1_000_000)));
        assert!(glob_matches("*", &"a".repeat(1_000_000)));
    }
}
