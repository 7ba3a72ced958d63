//! What is judged: the request, with its objects read as whatever type asks for them.

use crate::error::Error;
use crate::json::{self, Raw};
use crate::objects::{ConfigMap, Metadata, Secret};
use crate::place::Place;
use crate::pod::{Image, Pod, PodSpec};
use crate::settings::NoSettings;
use serde::{Deserialize, Deserializer};
use std::borrow::Cow;
use std::collections::BTreeMap;
use std::fmt;

/// A request for admission, or an object that is checked or audited as if it were created.
///
/// Objects are read when they are asked for, and of them only what their type has. What the policy does not name in
/// `wasm.reads` is not given; whoever asks for it is told so.
pub struct Request<S = NoSettings> {
    /// The policy's name.
    pub policy: String,
    /// What sort of object it is about.
    pub kind: GroupVersionKind,
    /// The resource through which it is written.
    pub resource: GroupVersionResource,
    /// The object's name; empty while it has none.
    pub name: String,
    /// The object's namespace; empty if it is in none.
    pub namespace: String,
    /// What the policy's author sets.
    pub settings: S,
    rest: Rest,
}

/// What is read if it is asked for. The memory of a module lives as long as its call, so that texts stay where they are.
struct Rest {
    operation: Option<Operation>,
    sub_resource: Option<Cow<'static, str>>,
    user: Option<UserInfo>,
    dry_run: Option<bool>,
    options: Option<Raw<'static>>,
    object: Option<Raw<'static>>,
    old_object: Option<Raw<'static>>,
    params: Option<Raw<'static>>,
    namespace_object: Option<Raw<'static>>,
    /// What a test says is found.
    #[cfg(not(target_arch = "wasm32"))]
    lookups: BTreeMap<Cow<'static, str>, Raw<'static>>,
}

impl Rest {
    #[cfg(target_arch = "wasm32")]
    #[expect(clippy::unused_self, reason = "natively it is there")]
    fn look_up(&self, name: &str) -> Result<&'static str, Error> {
        Ok(crate::guest::look_up(name))
    }

    #[cfg(not(target_arch = "wasm32"))]
    fn look_up(&self, name: &str) -> Result<&'static str, Error> {
        let none = || Error::new(format!("the policy declares no look-up `{name}`"));
        self.lookups.get(name).map(|found| found.0).ok_or_else(none)
    }
}

/// What sort of object something is.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(default)]
pub struct GroupVersionKind {
    /// API group; empty for core.
    pub group: String,
    /// Version of that group.
    pub version: String,
    /// Kind, such as `Deployment`.
    pub kind: String,
}

/// Through which resource an object is written.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(default)]
pub struct GroupVersionResource {
    /// API group; empty for core.
    pub group: String,
    /// Version of that group.
    pub version: String,
    /// The plural, such as `deployments`.
    pub resource: String,
}

/// What is done.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Deserialize)]
#[serde(rename_all = "UPPERCASE")]
pub enum Operation {
    /// There is no such object yet.
    Create,
    /// An object is changed.
    Update,
    /// An object goes away: there is an old object and no new one.
    Delete,
    /// A connection, such as by `kubectl exec`.
    Connect,
}

/// Who asks.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(default)]
pub struct UserInfo {
    /// Such as `system:serviceaccount:shop:deployer`.
    pub username: String,
    /// What tells two users of one name apart, at different times.
    pub uid: String,
    /// The groups that they are in.
    pub groups: Vec<String>,
    /// What else the authenticator said of them.
    pub extra: BTreeMap<String, Vec<String>>,
}

impl<S> Request<S> {
    /// Reads the request as the ABI has it.
    pub(crate) fn read(text: &'static str, settings: S) -> Result<Self, Error> {
        let written = json::read_object(text).map_err(|error| Error::of_json("request", &error))?;
        let Written { policy, request, params, namespace_object, .. } = written;
        Ok(Self {
            policy,
            kind: request.kind,
            resource: request.resource,
            name: request.name,
            namespace: request.namespace,
            settings,
            rest: Rest {
                operation: request.operation,
                sub_resource: request.sub_resource,
                user: request.user_info,
                dry_run: request.dry_run,
                options: request.options,
                object: request.object,
                old_object: request.old_object,
                params,
                namespace_object,
                #[cfg(not(target_arch = "wasm32"))]
                lookups: written.lookups,
            },
        })
    }

    /// What is done; only with `operation` in `wasm.reads`.
    ///
    /// # Errors
    /// It is not given.
    pub fn operation(&self) -> Result<Operation, Error> {
        self.rest.operation.ok_or_else(|| Error::not_given("operation"))
    }

    /// Who asks; only with `userInfo` in `wasm.reads`.
    ///
    /// # Errors
    /// It is not given.
    pub fn user(&self) -> Result<&UserInfo, Error> {
        self.rest.user.as_ref().ok_or_else(|| Error::not_given("userInfo"))
    }

    /// The subresource, such as `scale`; empty if it is the object itself. Only with `subResource` in `wasm.reads`.
    ///
    /// # Errors
    /// It is not given.
    pub fn sub_resource(&self) -> Result<&str, Error> {
        self.rest.sub_resource.as_deref().ok_or_else(|| Error::not_given("subResource"))
    }

    /// Whether nothing will be persisted; only with `dryRun` in `wasm.reads`.
    ///
    /// # Errors
    /// It is not given.
    pub fn dry_run(&self) -> Result<bool, Error> {
        self.rest.dry_run.ok_or_else(|| Error::not_given("dryRun"))
    }

    /// The object as it is to be, as any type: your own, [`Metadata`] within one, or `serde_json::Value`. `None` when one is
    /// deleted.
    ///
    /// Of an object with a Pod under `matchPods`, an update is judged anew only where the Pod's spec, or the metadata beside
    /// it, changes. A policy that reads anything else needs `onUpdate: Always`.
    ///
    /// # Errors
    /// It is not of this type. A text that is borrowed must be a `Cow<'static, str>`: `&str` cannot hold what is escaped.
    pub fn object<T: Deserialize<'static>>(&self) -> Result<Option<T>, Error> {
        read("object", self.rest.object)
    }

    /// The object as it was; only with `oldObject` in `wasm.reads`. `None` when one is created.
    ///
    /// # Errors
    /// It is not given, or not of this type.
    pub fn old_object<T: Deserialize<'static>>(&self) -> Result<Option<T>, Error> {
        read("oldObject", self.rest.old_object)
    }

    /// CreateOptions and the like; only with `options` in `wasm.reads`. `None` where there are none.
    ///
    /// # Errors
    /// They are not given, or not of this type.
    pub fn options<T: Deserialize<'static>>(&self) -> Result<Option<T>, Error> {
        read("options", self.rest.options)
    }

    /// The policy's params; `None` if it has none.
    ///
    /// # Errors
    /// It is not of this type.
    pub fn params<T: Deserialize<'static>>(&self) -> Result<Option<T>, Error> {
        let params = self.rest.params.map(|params| json::read(params.0)).transpose();
        params.map(Option::flatten).map_err(|error| Error::of_json("params", &error))
    }

    /// The Namespace that the object is in; only with `namespaceObject` in `wasm.reads`. `None` if it is in none.
    ///
    /// # Errors
    /// It is not given, or not of this type.
    pub fn namespace_object<T: Deserialize<'static>>(&self) -> Result<Option<T>, Error> {
        read("namespaceObject", self.rest.namespace_object)
    }

    /// What was found by one of the policy's `lookups`, as a list of any type: [`Metadata`] within one of your own, or
    /// `serde_json::Value`. It is had from the controller when this is called, so that what is not asked for costs nothing;
    /// asked for twice, it is had twice. Of Secrets there is `metadata` alone.
    ///
    /// A module ends here whose policy declares no such look-up; natively that is an error.
    ///
    /// # Errors
    /// The policy declares no such look-up, or what was found is not of this type.
    pub fn lookup<T: Deserialize<'static>>(&self, name: &str) -> Result<Vec<T>, Error> {
        json::read_object(self.rest.look_up(name)?)
            .map_err(|error| Error::of_json(&format!("lookups.{name}"), &error))
    }

    /// The object's names, labels and annotations; empty ones when it is deleted. Of what has a template of Pods, these are
    /// its own, and not the template's, which are `pod()?.metadata`: see [`object`](Self::object) on updates of them.
    ///
    /// # Errors
    /// They are not what they must be.
    pub fn metadata(&self) -> Result<Metadata, Error> {
        #[derive(Default, Deserialize)]
        #[serde(default)]
        struct Object {
            metadata: Metadata,
        }
        Ok(self.object::<Object>()?.unwrap_or_default().metadata)
    }

    /// The Pod, or the template of Pods, in the object; `None` if the kind has none, and when the object is deleted.
    ///
    /// # Errors
    /// It is not what a Pod must be.
    pub fn pod(&self) -> Result<Option<Pod>, Error> {
        self.pod_as::<PodSpec>()
    }

    /// The same with a type of your own for the Pod's spec, which need only have what the policy reads. Mind that containers
    /// are in three lists: `containers`, `initContainers` and `ephemeralContainers`.
    ///
    /// # Errors
    /// It is not of this type.
    pub fn pod_as<T: Default + Deserialize<'static>>(&self) -> Result<Option<Pod<T>>, Error> {
        self.pod_of("object", self.rest.object)
    }

    /// The Pod, or the template of Pods, as it was; only with `oldObject` in `wasm.reads`. `None` when one is created.
    ///
    /// # Errors
    /// It is not given, or not what a Pod must be.
    pub fn old_pod(&self) -> Result<Option<Pod>, Error> {
        self.pod_of("oldObject", self.rest.old_object)
    }

    fn pod_of<T: Default + Deserialize<'static>>(
        &self,
        name: &str,
        object: Option<Raw<'static>>,
    ) -> Result<Option<Pod<T>>, Error> {
        let Some((place, object)) = self.place(name, object)? else { return Ok(None) };
        place.pod(object).map(Some).map_err(|error| Error::of_json(name, &error))
    }

    /// The images that the Pod, or the template of Pods, in the object uses: those of all containers, then those of image
    /// volumes; none where the kind has no Pod, and when the object is deleted. Nothing else of it is read, so that this is
    /// faster than [`pod`](Self::pod).
    ///
    /// # Errors
    /// They are not what they must be.
    pub fn images(&self) -> Result<Vec<Image>, Error> {
        let Some((place, object)) = self.place("object", self.rest.object)? else { return Ok(Vec::new()) };
        place.images(object).map_err(|error| Error::of_json("object", &error))
    }

    /// Where the Pod is in an object, and the object; `None` if there is none.
    fn place(
        &self,
        name: &str,
        object: Option<Raw<'static>>,
    ) -> Result<Option<(Place, &'static str)>, Error> {
        let object = object.ok_or_else(|| Error::not_given(name))?.0;
        Ok(Place::of(&self.kind.group, &self.kind.kind)
            .filter(|_| object != NULL)
            .map(|place| (place, object)))
    }

    /// The object if it is a ConfigMap.
    ///
    /// # Errors
    /// It is not what one must be.
    pub fn config_map(&self) -> Result<Option<ConfigMap>, Error> {
        if self.is_of_core("ConfigMap") { self.object() } else { Ok(None) }
    }

    /// The object if it is a Secret. Its values are `***`.
    ///
    /// # Errors
    /// It is not what one must be.
    pub fn secret(&self) -> Result<Option<Secret>, Error> {
        if self.is_of_core("Secret") { self.object() } else { Ok(None) }
    }

    fn is_of_core(&self, kind: &str) -> bool {
        self.kind.group.is_empty() && self.kind.kind == kind
    }
}

impl<S: fmt::Debug> fmt::Debug for Request<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Request")
            .field("policy", &self.policy)
            .field("kind", &self.kind)
            .field("namespace", &self.namespace)
            .field("name", &self.name)
            .field("settings", &self.settings)
            .finish_non_exhaustive()
    }
}

/// How JSON writes that there is nothing: of what was not asked for, there is not even that.
const NULL: &str = "null";

fn read<T: Deserialize<'static>>(name: &str, json: Option<Raw<'static>>) -> Result<Option<T>, Error> {
    let json = json.ok_or_else(|| Error::not_given(name))?;
    json::read_object(json.0).map_err(|error| Error::of_json(name, &error))
}

fn given<'de: 'a, 'a, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Raw<'a>>, D::Error> {
    Raw::deserialize(deserializer).map(Some)
}

/// The request as the ABI has it; objects are not read yet.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Written {
    #[serde(default)]
    policy: String,
    request: WrittenRequest,
    #[serde(borrow, default, deserialize_with = "given")]
    params: Option<Raw<'static>>,
    #[serde(borrow, default, deserialize_with = "given")]
    namespace_object: Option<Raw<'static>>,
    #[cfg(not(target_arch = "wasm32"))]
    #[serde(borrow, default)]
    lookups: BTreeMap<Cow<'static, str>, Raw<'static>>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct WrittenRequest {
    kind: GroupVersionKind,
    #[serde(default)]
    resource: GroupVersionResource,
    #[serde(default)]
    name: String,
    #[serde(default)]
    namespace: String,
    operation: Option<Operation>,
    #[serde(borrow, default)]
    sub_resource: Option<Cow<'static, str>>,
    user_info: Option<UserInfo>,
    dry_run: Option<bool>,
    #[serde(borrow, default, deserialize_with = "given")]
    options: Option<Raw<'static>>,
    #[serde(borrow, default, deserialize_with = "given")]
    object: Option<Raw<'static>>,
    #[serde(borrow, default, deserialize_with = "given")]
    old_object: Option<Raw<'static>>,
}
