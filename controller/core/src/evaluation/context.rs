//! What the expressions of all policies see of one request, each part built at most once and only if read.

use super::excepted::Excepted;
use crate::exception::Exception;
use crate::facts::Facts;
use crate::matching::Match;
use crate::pod::{self, Lists, PodView};
use crate::policy::{CompiledBinding, CompiledPolicy, Reads};
use crate::request::{GroupVersionKind, GroupVersionResource, Request, UserInfo};
use portcullis_cel::tree::{Builder, Root};
use portcullis_cel::{Bindings, Node, Tree, Value};
use std::sync::OnceLock;

/// One request under decision.
pub(crate) struct Context<'a> {
    pub(crate) request: &'a Request,
    pub(crate) facts: &'a Facts,
    exceptions: &'a [Exception],
    now: jiff::Timestamp,
    /// Whether the request creates or updates a mirror Pod of the requesting node itself.
    pub(crate) is_mirror_pod: bool,
    request_tree: OnceLock<Tree>,
    plain: OnceLock<Objects<'a>>,
    masked_secrets: OnceLock<(Tree, Tree)>,
    masked: OnceLock<Objects<'a>>,
}

/// The objects of a request with the views of them that `matchPods` binds.
pub(crate) struct Objects<'a> {
    pub(crate) object: &'a Tree,
    pub(crate) old_object: &'a Tree,
    pub(crate) pod: Option<Pod<'a>>,
    pub(crate) old_pod_spec: Option<Node<'a>>,
}

/// A Pod or Pod template with its lists.
pub(crate) struct Pod<'a> {
    pub(crate) view: PodView<'a>,
    object: &'a Tree,
    lists: OnceLock<Lists>,
}

impl<'a> Context<'a> {
    pub(crate) fn new(
        request: &'a Request,
        facts: &'a Facts,
        exceptions: &'a [Exception],
        now: jiff::Timestamp,
    ) -> Self {
        Self {
            request,
            facts,
            exceptions,
            now,
            is_mirror_pod: pod::is_mirror_pod_of_requester(request),
            request_tree: OnceLock::new(),
            plain: OnceLock::new(),
            masked_secrets: OnceLock::new(),
            masked: OnceLock::new(),
        }
    }

    /// Whether a policy's own constraints match.
    pub(crate) fn matches(&self, policy: &CompiledPolicy) -> Match {
        policy.matcher.matches(self.request, self.facts)
    }

    /// Whether a binding narrows the policy's match to leave the request out.
    pub(crate) fn binding_matches(&self, binding: &CompiledBinding) -> Match {
        match &binding.match_resources {
            None => Match::Yes,
            Some(resources) => resources.matches(self.request, self.facts),
        }
    }

    /// What exceptions leave of a policy.
    pub(crate) fn excepted(&self, policy: &CompiledPolicy) -> Excepted<'a> {
        Excepted::of(self.exceptions, &policy.info.name, self.request, self.now)
    }

    /// The variable `request`: AdmissionRequest without `uid`, `object` and `oldObject`, empty fields left out
    /// (`BuildRequestType` in apiserver's `pkg/admission/plugin/cel/compile.go`).
    pub(crate) fn request_tree(&self) -> &Tree {
        self.request_tree.get_or_init(|| request_tree(self.request))
    }

    /// The objects as they are.
    pub(crate) fn plain(&'a self) -> &'a Objects<'a> {
        self.plain.get_or_init(|| Objects::of(self.request, &self.request.object, &self.request.old_object))
    }

    /// The objects as messages and annotations may see them: those of Secrets without their values.
    pub(crate) fn masked(&'a self) -> &'a Objects<'a> {
        if !super::masking::holds_secrets(&self.request.kind) {
            return self.plain();
        }
        self.masked.get_or_init(|| {
            let (object, old_object) = self.masked_secrets.get_or_init(|| {
                (
                    super::masking::mask(&self.request.kind, self.request.object.root()),
                    super::masking::mask(&self.request.kind, self.request.old_object.root()),
                )
            });
            Objects::of(self.request, object, old_object)
        })
    }

    /// What of a group of reads is not known here.
    pub(super) fn missing(&self, reads: &Reads) -> Vec<String> {
        let mut missing = self.missing_of_request(reads);
        if reads.reads("namespaceObject")
            && let Err(namespace) = self.namespace_object()
        {
            missing.push(namespace);
        }
        missing
    }

    /// What of the request a group of reads needs and is not known here.
    pub(super) fn missing_of_request(&self, reads: &Reads) -> Vec<String> {
        let request = self.request;
        let mut missing = Vec::new();
        if reads.user() && request.user.is_none() {
            missing.push("the user".to_owned());
        }
        if reads.old_object() && !request.old_object_known {
            missing.push("the old object".to_owned());
        }
        missing
    }

    /// The variable `namespaceObject`: null for cluster-scoped objects and for Namespaces; an error message
    /// where the namespace should be known and is not.
    pub(crate) fn namespace_object(&self) -> Result<Node<'a>, String> {
        let is_namespace = self.request.kind.group.is_empty() && self.request.kind.kind == "Namespace";
        if self.request.namespace.is_empty() || is_namespace {
            return Ok(Node::default());
        }
        self.facts
            .namespace(&self.request.namespace)
            .map(Tree::root)
            .ok_or_else(|| format!("namespace `{}`", self.request.namespace))
    }
}

impl<'a> Objects<'a> {
    fn of(request: &Request, object: &'a Tree, old_object: &'a Tree) -> Self {
        let pod =
            PodView::new(&request.kind, object).map(|view| Pod { view, object, lists: OnceLock::new() });
        let old_pod_spec = PodView::new(&request.kind, old_object).map(|view| view.spec);
        Self { object, old_object, pod, old_pod_spec }
    }

    /// Binds what of the objects and their views is read.
    pub(crate) fn bind(&'a self, reads: &Reads, bindings: &mut Bindings<'a>) {
        let mut bind = |name: &str, value: &dyn Fn() -> Value<'a>| {
            if reads.reads(name) {
                bindings.set(name, value());
            }
        };
        bind("object", &|| Value::from_json(self.object.root()));
        bind("oldObject", &|| Value::from_json(self.old_object.root()));
        if let Some(pod) = &self.pod {
            bind("podSpec", &|| Value::from_json(pod.view.spec));
            bind("podMetadata", &|| Value::from_json(pod.view.metadata));
            bind("oldPodSpec", &|| Value::from_json(self.old_pod_spec.unwrap_or_default()));
            bind("containers", &|| Value::from_json(pod.lists().containers.root()));
            bind("images", &|| Value::from_json(pod.lists().images.root()));
        }
    }
}

impl Pod<'_> {
    /// What `containers` and `images` are bound to, made when either is first read.
    pub(crate) fn lists(&self) -> &Lists {
        self.lists.get_or_init(|| Lists::of(self.object, &self.view))
    }
}

fn request_tree(request: &Request) -> Tree {
    let mut builder = Builder::new();
    let map = builder.open_map();
    kind(&mut builder, "kind", &request.kind);
    kind(&mut builder, "requestKind", request.request_kind.as_ref().unwrap_or(&request.kind));
    for (name, resource) in [
        ("resource", request.resource.as_ref()),
        ("requestResource", request.request_resource.as_ref().or(request.resource.as_ref())),
    ] {
        if let Some(GroupVersionResource { group, version, resource }) = resource {
            texts(&mut builder, name, [("group", group), ("version", version), ("resource", resource)]);
        }
    }
    let request_sub_resource = request.request_sub_resource.as_deref().unwrap_or(&request.sub_resource);
    for (name, text) in [
        ("subResource", request.sub_resource.as_str()),
        ("requestSubResource", request_sub_resource),
        ("name", &request.name),
        ("namespace", &request.namespace),
        ("operation", request.operation.as_str()),
    ] {
        text_unless_empty(&mut builder, name, text);
    }
    if let Some(user) = &request.user {
        let value = user_map(&mut builder, user);
        builder.entry("userInfo", value);
    }
    builder.entry("dryRun", Builder::bool(request.dry_run));
    if !request.options.is_null() {
        let options = builder.copy(request.options.root());
        builder.entry("options", options);
    }
    let root = builder.close_map(map);
    let [tree] = builder.finish([root]);
    tree
}

fn kind(builder: &mut Builder, name: &str, kind: &GroupVersionKind) {
    let GroupVersionKind { group, version, kind } = kind;
    texts(builder, name, [("group", group), ("version", version), ("kind", kind)]);
}

/// An entry that is a map of strings.
fn texts(builder: &mut Builder, name: &str, fields: [(&str, &String); 3]) {
    let map = builder.open_map();
    for (field, text) in fields {
        let text = builder.text(text);
        builder.entry(field, text);
    }
    let value = builder.close_map(map);
    builder.entry(name, value);
}

fn text_unless_empty(builder: &mut Builder, name: &str, text: &str) {
    if !text.is_empty() {
        let text = builder.text(text);
        builder.entry(name, text);
    }
}

fn user_map(builder: &mut Builder, user: &UserInfo) -> Root {
    let map = builder.open_map();
    text_unless_empty(builder, "username", &user.username);
    text_unless_empty(builder, "uid", &user.uid);
    if !user.groups.is_empty() {
        let groups = list_of_texts(builder, &user.groups);
        builder.entry("groups", groups);
    }
    if !user.extra.is_empty() {
        let extra = builder.open_map();
        for (key, values) in &user.extra {
            let values = list_of_texts(builder, values);
            builder.entry(key, values);
        }
        let extra = builder.close_map(extra);
        builder.entry("extra", extra);
    }
    builder.close_map(map)
}

fn list_of_texts(builder: &mut Builder, texts: &[String]) -> Root {
    let list = builder.open_list();
    for text in texts {
        let text = builder.text(text);
        builder.item(text);
    }
    builder.close_list(list)
}
