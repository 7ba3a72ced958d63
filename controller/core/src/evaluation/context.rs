//! What the expressions of all policies see of one request, each part built at most once and only if read.

use super::excepted::Excepted;
use crate::exception::Exception;
use crate::facts::Facts;
use crate::matching::Match;
use crate::pod::{self, BoundList, PodView};
use crate::policy::{CompiledBinding, CompiledPolicy, Reads};
use crate::request::{GroupVersionKind, GroupVersionResource, Request, UserInfo};
use portcullis_cel::{Bindings, Value};
use serde_json::{Map, Value as Json, json};
use std::sync::OnceLock;

/// One request under decision.
pub(crate) struct Context<'a> {
    pub(crate) request: &'a Request,
    pub(crate) facts: &'a Facts,
    exceptions: &'a [Exception],
    now: jiff::Timestamp,
    /// Whether the request creates or updates a mirror Pod of the requesting node itself.
    pub(crate) is_mirror_pod: bool,
    request_json: OnceLock<Json>,
    plain: OnceLock<Objects<'a>>,
    masked_secrets: OnceLock<(Json, Json)>,
    masked: OnceLock<Objects<'a>>,
}

/// The objects of a request with the views of them that `matchPods` binds.
pub(crate) struct Objects<'a> {
    pub(crate) object: &'a Json,
    pub(crate) old_object: &'a Json,
    pub(crate) pod: Option<Pod<'a>>,
    pub(crate) old_pod_spec: Option<&'a Json>,
}

/// A Pod or Pod template with its lists.
pub(crate) struct Pod<'a> {
    pub(crate) view: PodView<'a>,
    containers: OnceLock<BoundList>,
    images: OnceLock<BoundList>,
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
            request_json: OnceLock::new(),
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
    pub(crate) fn request_json(&self) -> &Json {
        self.request_json.get_or_init(|| request_json(self.request))
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
                    super::masking::mask(&self.request.kind, &self.request.object),
                    super::masking::mask(&self.request.kind, &self.request.old_object),
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
    pub(crate) fn namespace_object(&self) -> Result<&'a Json, String> {
        let is_namespace = self.request.kind.group.is_empty() && self.request.kind.kind == "Namespace";
        if self.request.namespace.is_empty() || is_namespace {
            return Ok(&Json::Null);
        }
        self.facts
            .namespace(&self.request.namespace)
            .ok_or_else(|| format!("namespace `{}`", self.request.namespace))
    }
}

impl<'a> Objects<'a> {
    fn of(request: &Request, object: &'a Json, old_object: &'a Json) -> Self {
        let pod = PodView::new(&request.kind, object).map(|view| Pod {
            view,
            containers: OnceLock::new(),
            images: OnceLock::new(),
        });
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
        bind("object", &|| Value::from_json(self.object));
        bind("oldObject", &|| Value::from_json(self.old_object));
        if let Some(pod) = &self.pod {
            bind("podSpec", &|| Value::from_json(pod.view.spec));
            bind("podMetadata", &|| Value::from_json(pod.view.metadata));
            bind("oldPodSpec", &|| Value::from_json(self.old_pod_spec.unwrap_or(&Json::Null)));
            bind("containers", &|| Value::from_json(&pod.containers().list));
            bind("images", &|| Value::from_json(&pod.images().list));
        }
    }
}

impl Pod<'_> {
    /// What `containers` is bound to, made when it is first read.
    pub(crate) fn containers(&self) -> &BoundList {
        self.containers.get_or_init(|| BoundList::containers(&self.view))
    }

    /// What `images` is bound to, made when it is first read.
    pub(crate) fn images(&self) -> &BoundList {
        self.images.get_or_init(|| BoundList::images(&self.view))
    }
}

fn request_json(request: &Request) -> Json {
    let mut fields = Map::new();
    fields.insert("kind".to_owned(), kind_json(&request.kind));
    if let Some(resource) = &request.resource {
        fields.insert("resource".to_owned(), resource_json(resource));
    }
    fields
        .insert("requestKind".to_owned(), kind_json(request.request_kind.as_ref().unwrap_or(&request.kind)));
    if let Some(resource) = request.request_resource.as_ref().or(request.resource.as_ref()) {
        fields.insert("requestResource".to_owned(), resource_json(resource));
    }
    let request_sub_resource = request.request_sub_resource.as_deref().unwrap_or(&request.sub_resource);
    for (name, value) in [
        ("subResource", request.sub_resource.as_str()),
        ("requestSubResource", request_sub_resource),
        ("name", &request.name),
        ("namespace", &request.namespace),
        ("operation", request.operation.as_str()),
    ] {
        if !value.is_empty() {
            fields.insert(name.to_owned(), Json::from(value));
        }
    }
    if let Some(user) = &request.user {
        fields.insert("userInfo".to_owned(), user_json(user));
    }
    fields.insert("dryRun".to_owned(), Json::Bool(request.dry_run));
    if !request.options.is_null() {
        fields.insert("options".to_owned(), request.options.clone());
    }
    Json::Object(fields)
}

fn kind_json(kind: &GroupVersionKind) -> Json {
    json!({"group": kind.group, "version": kind.version, "kind": kind.kind})
}

fn resource_json(resource: &GroupVersionResource) -> Json {
    json!({"group": resource.group, "version": resource.version, "resource": resource.resource})
}

fn user_json(user: &UserInfo) -> Json {
    let mut fields = Map::new();
    for (name, value) in [("username", &user.username), ("uid", &user.uid)] {
        if !value.is_empty() {
            fields.insert(name.to_owned(), Json::from(value.as_str()));
        }
    }
    if !user.groups.is_empty() {
        fields.insert("groups".to_owned(), json!(user.groups));
    }
    if !user.extra.is_empty() {
        fields.insert("extra".to_owned(), json!(user.extra));
    }
    Json::Object(fields)
}
