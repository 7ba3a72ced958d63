//! What the expressions of all policies see of one request, each part built at most once and only if read.

use super::excepted::Excepted;
use super::phase::{Phase, REQUEST_BUDGET};
use crate::authorization::{self, Asked};
use crate::exception::Exception;
use crate::facts::{Facts, Sought};
use crate::matching::Match;
use crate::matching::rules::Target;
use crate::pod::{self, Lists, PodView};
use crate::policy::{CompiledBinding, CompiledPolicy, Input, Reads, Unsure};
use crate::request::{GroupVersionKind, GroupVersionResource, Request, UserInfo};
use portcullis_cel::tree::{Builder, Root};
use portcullis_cel::{AccessReview, Authorizer, Node, Tree, Value};
use std::cell::{Cell, OnceCell, RefCell};
use std::collections::BTreeSet;
use std::sync::Arc;

/// One request under decision.
pub(crate) struct Context<'a> {
    pub(crate) request: &'a Request,
    pub(crate) facts: &'a Facts,
    answers: Option<&'a Arc<dyn Authorizer>>,
    exceptions: &'a [Exception],
    now: jiff::Timestamp,
    /// Whether the request creates or updates a mirror Pod of the requesting node itself.
    pub(crate) is_mirror_pod: bool,
    /// What policies may still spend on the request, in CEL's units of cost.
    pub(crate) left: Cell<u64>,
    request_tree: OnceCell<Tree>,
    objects: OnceCell<Objects<'a>>,
    authorizer: OnceCell<Arc<Asked>>,
    /// What was looked up by name in vain.
    sought: RefCell<BTreeSet<Sought>>,
}

/// The objects of a request with the views of them that `matchPods` binds.
pub(crate) struct Objects<'a> {
    pub(crate) object: &'a Tree,
    pub(crate) old_object: &'a Tree,
    kind: &'a GroupVersionKind,
    pod: OnceCell<Option<Pod<'a>>>,
}

/// A Pod or Pod template with its lists.
pub(crate) struct Pod<'a> {
    pub(crate) view: PodView<'a>,
    object: &'a Tree,
    lists: OnceCell<Lists>,
}

impl<'a> Context<'a> {
    pub(crate) fn new(
        request: &'a Request,
        facts: &'a Facts,
        answers: Option<&'a Arc<dyn Authorizer>>,
        exceptions: &'a [Exception],
        now: jiff::Timestamp,
    ) -> Self {
        Self {
            request,
            facts,
            answers,
            exceptions,
            now,
            is_mirror_pod: pod::is_mirror_pod_of_requester(request),
            left: Cell::new(REQUEST_BUDGET),
            request_tree: OnceCell::new(),
            objects: OnceCell::new(),
            authorizer: OnceCell::new(),
            sought: RefCell::default(),
        }
    }

    /// Binds `authorizer` and `authorizer.requestResource`, where they are read.
    pub(super) fn bind_authorizer(&self, reads: &Reads, phase: &mut Phase<'a>) {
        let (asks, asks_of_request) = (reads.reads(Input::Authorizer), reads.reads(Input::RequestResource));
        if !asks && !asks_of_request {
            return;
        }
        let asked = self.authorizer.get_or_init(|| Arc::new(Asked::new(self.answers.cloned())));
        let answers: Arc<dyn Authorizer> = Arc::<Asked>::clone(asked);
        let user = self.request.user.as_ref().map(|user| Arc::new(authorization::user(user)));
        if asks_of_request && let Some(resource) = authorization::request_resource(self.request) {
            let check = Value::resource_check(user.clone(), Arc::clone(&answers), resource);
            phase.set(Input::RequestResource, check);
        }
        if asks {
            phase.set(Input::Authorizer, Value::authorizer(user, answers));
        }
    }

    /// What the authorizer was asked in vain.
    pub(crate) fn unanswered(&self) -> Vec<AccessReview> {
        self.authorizer.get().map(|asked| asked.unanswered()).unwrap_or_default()
    }

    /// Notes that something was looked up in vain, unless somebody asked for it already.
    pub(super) fn seek(&self, sought: Sought) {
        if !self.facts.is_learned(&sought) {
            self.sought.borrow_mut().insert(sought);
        }
    }

    /// What was looked up in vain.
    pub(crate) fn sought(&self) -> Vec<Sought> {
        self.sought.take().into_iter().collect()
    }

    /// Whether a policy's own constraints match.
    pub(crate) fn matches(&self, policy: &CompiledPolicy) -> Match {
        policy.matcher.matches(self.request, self.facts)
    }

    /// Whether a binding narrows the policy's match to leave the request out.
    pub(crate) fn binding_matches(&self, binding: &CompiledBinding) -> Match {
        match &binding.match_resources {
            None => Match::Yes,
            Some(resources) => resources.matches_in_any_version(self.request, self.facts),
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

    /// The objects with the views of them.
    pub(crate) fn objects(&'a self) -> &'a Objects<'a> {
        self.objects.get_or_init(|| Objects::of(self.request))
    }

    /// What of a group of reads is not known here: each entry names one thing and the paths by which it is read.
    pub(super) fn missing(&self, reads: &Reads) -> Vec<String> {
        let all = [Unsure::NamespaceObject].into_iter().chain(OF_REQUEST);
        self.unknown(reads, all)
    }

    /// The same without the Namespace object, which is not given to everything.
    pub(super) fn missing_of_request(&self, reads: &Reads) -> Vec<String> {
        self.unknown(reads, OF_REQUEST)
    }

    fn unknown(&self, reads: &Reads, all: impl IntoIterator<Item = Unsure>) -> Vec<String> {
        if reads.is_sure() {
            return Vec::new();
        }
        let mut missing: Vec<(String, Vec<&str>)> = Vec::new();
        for what in all {
            let paths = reads.unsure(what);
            if let Some(name) = (!paths.is_empty()).then(|| self.name_unknown(what)).flatten() {
                let paths = paths.iter().map(String::as_str);
                match missing.iter_mut().find(|(known, _)| *known == name) {
                    Some((_, known)) => known.extend(paths),
                    None => missing.push((name, paths.collect())),
                }
            }
        }
        missing.into_iter().map(|(name, paths)| named(&name, paths.into_iter())).collect()
    }

    /// The name of something, if it is not known here.
    fn name_unknown(&self, what: Unsure) -> Option<String> {
        let request = self.request;
        let unknown_kind = || request.resource.is_none().then(|| Target::converted(request).unknown_kind());
        match what {
            Unsure::User => request.user.is_none().then(|| "the user".to_owned()),
            Unsure::OldObject => (!request.old_object_known).then(|| "the old object".to_owned()),
            Unsure::Options => {
                let unknown = request.user.is_none() && request.options.is_null();
                unknown.then(|| "what options the request carries".to_owned())
            }
            Unsure::Resource => unknown_kind(),
            Unsure::Namespace if request.namespace.is_empty() => unknown_kind(),
            Unsure::NamespaceObject if request.namespace.is_empty() => unknown_kind(),
            Unsure::NamespaceObject => self.namespace_object().err(),
            Unsure::Namespace | Unsure::Params => None,
        }
    }

    /// The variable `namespaceObject`: null for cluster-scoped objects and for Namespaces; an error message
    /// where the namespace should be known and is not.
    pub(crate) fn namespace_object(&self) -> Result<Node<'a>, String> {
        if self.request.namespace.is_empty() || self.request.kind.is_namespace() {
            return Ok(Node::default());
        }
        self.facts
            .namespace(&self.request.namespace)
            .map(Tree::root)
            .ok_or_else(|| format!("namespace `{}`", self.request.namespace))
    }
}

/// What of a request itself may be unknown.
const OF_REQUEST: [Unsure; 5] =
    [Unsure::User, Unsure::OldObject, Unsure::Resource, Unsure::Namespace, Unsure::Options];

/// How many paths are listed.
const MAX_PATHS: usize = 5;

/// What is missing, with the paths by which it is read.
pub(super) fn named<'p>(name: &str, paths: impl ExactSizeIterator<Item = &'p str>) -> String {
    let more = if paths.len() > MAX_PATHS { " and others" } else { "" };
    let listed: Vec<String> = paths.take(MAX_PATHS).map(|path| format!("`{path}`")).collect();
    format!("{name} ({}{more})", listed.join(", "))
}

impl<'a> Objects<'a> {
    fn of(request: &'a Request) -> Self {
        let (object, old_object) = (&request.object, &request.old_object);
        Self { object, old_object, kind: &request.kind, pod: OnceCell::new() }
    }

    /// The Pod or the Pod template inside the object; none in other kinds.
    pub(crate) fn pod(&self) -> Option<&Pod<'a>> {
        let pod = |view| Pod { view, object: self.object, lists: OnceCell::new() };
        self.pod.get_or_init(|| PodView::new(self.kind, self.object).map(pod)).as_ref()
    }

    /// Binds what of the objects and their views is read.
    pub(crate) fn bind(&'a self, reads: &Reads, bind: &mut impl FnMut(Input, Value<'a>)) {
        let mut bind_read = |input: Input, value: &dyn Fn() -> Value<'a>| {
            if reads.reads(input) {
                bind(input, value());
            }
        };
        bind_read(Input::Object, &|| Value::from_json(self.object.root()));
        bind_read(Input::OldObject, &|| Value::from_json(self.old_object.root()));
        if reads.reads_pod()
            && let Some(pod) = self.pod()
        {
            let old_spec = || PodView::new(self.kind, self.old_object).map(|view| view.spec);
            bind_read(Input::PodSpec, &|| Value::from_json(pod.view.spec));
            bind_read(Input::PodMetadata, &|| Value::from_json(pod.view.metadata));
            bind_read(Input::OldPodSpec, &|| Value::from_json(old_spec().unwrap_or_default()));
            bind_read(Input::Containers, &|| Value::from_json(pod.lists().containers.root()));
            bind_read(Input::Images, &|| Value::from_json(pod.lists().images.root()));
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
    // Where there are none the API server has empty ones.
    let options = if request.options.is_null() {
        let none = builder.open_map();
        builder.close_map(none)
    } else {
        builder.copy(request.options.root())
    };
    builder.entry("options", options);
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
