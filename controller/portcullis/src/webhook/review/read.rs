//! The way in: from a body to the fields of an AdmissionReview, in one pass and without copying objects.

use portcullis_core::request::Operation;
use portcullis_core::set::{Plan, Sort};
use portcullis_core::tree::{Builder, Root, Selection};
use serde::Deserialize;
use serde::de::{DeserializeSeed, Deserializer, Error, MapAccess, Visitor};
use std::borrow::Cow;
use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

/// What is kept of the objects of requests of a sort; all of them if there is no plan.
pub type PlanOf<'p> = dyn Fn(Sort<'_>) -> Option<Arc<Plan>> + 'p;

/// A text that is not copied unless it has escapes.
#[derive(Deserialize, Default)]
pub(super) struct Text<'a>(#[serde(borrow)] pub(super) Cow<'a, str>);

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", expecting = "an object with `apiVersion` and `kind`")]
pub(super) struct TypeMeta<'a> {
    #[serde(borrow, default)]
    pub(super) api_version: Cow<'a, str>,
    #[serde(borrow, default)]
    pub(super) kind: Cow<'a, str>,
}

#[derive(Default)]
pub(super) struct Envelope<'a> {
    pub(super) api_version: Text<'a>,
    pub(super) kind: Text<'a>,
    pub(super) request: Option<AdmissionRequest<'a>>,
}

/// AdmissionRequest as it stands there, its objects in the builder.
#[derive(Default)]
pub(super) struct AdmissionRequest<'a> {
    pub(super) uid: Text<'a>,
    pub(super) kind: Option<Kind>,
    pub(super) resource: Option<Resource>,
    pub(super) sub_resource: Option<String>,
    pub(super) request_kind: Option<Kind>,
    pub(super) request_resource: Option<Resource>,
    pub(super) request_sub_resource: Option<String>,
    pub(super) name: Option<String>,
    pub(super) namespace: Option<String>,
    pub(super) operation: Text<'a>,
    pub(super) user_info: Option<User>,
    pub(super) object: Root,
    pub(super) old_object: Root,
    pub(super) dry_run: Option<bool>,
    pub(super) options: Root,
    /// By which the objects were read.
    pub(super) plan: Option<Arc<Plan>>,
    /// Whether something that belongs to the sort came after an object that was read by a plan.
    pub(super) out_of_order: bool,
}

impl AdmissionRequest<'_> {
    /// The sort of the request, as far as it has been read.
    fn sort(&self) -> Option<Sort<'_>> {
        let kind = self.kind.as_ref()?;
        let resource = self.resource.as_ref()?.names();
        let sub_resource = self.sub_resource.as_deref().unwrap_or_default();
        let original = self.request_resource.as_ref();
        Some(Sort {
            operation: Operation::parse(&self.operation.0)?,
            group: &kind.group,
            version: &kind.version,
            kind: &kind.kind,
            resource,
            sub_resource,
            original_resource: Some(original.map_or(resource, Resource::names)),
            original_sub_resource: self.request_sub_resource.as_deref().unwrap_or(sub_resource),
        })
    }
}

#[derive(Deserialize, Default)]
#[serde(default, expecting = "a group, version and kind")]
pub(super) struct Kind {
    pub(super) group: String,
    pub(super) version: String,
    pub(super) kind: String,
}

#[derive(Deserialize, Default)]
#[serde(default, expecting = "a group, version and resource")]
pub(super) struct Resource {
    pub(super) group: String,
    pub(super) version: String,
    pub(super) resource: String,
}

impl Resource {
    fn names(&self) -> [&str; 3] {
        [&self.group, &self.version, &self.resource]
    }
}

#[derive(Deserialize, Default)]
#[serde(default, expecting = "a UserInfo")]
pub(super) struct User {
    pub(super) username: String,
    pub(super) uid: String,
    pub(super) groups: Option<Vec<String>>,
    pub(super) extra: Option<BTreeMap<String, Option<Vec<String>>>>,
}

/// Reads a review, with what is to be kept of its objects into a builder.
pub(super) struct EnvelopeSeed<'b, 'p> {
    pub(super) builder: &'b mut Builder,
    pub(super) plan_of: &'p PlanOf<'p>,
}

#[derive(Deserialize, Clone, Copy)]
#[serde(field_identifier, rename_all = "camelCase")]
enum EnvelopeField {
    ApiVersion,
    Kind,
    Request,
    #[serde(other)]
    Other,
}

impl<'de> DeserializeSeed<'de> for EnvelopeSeed<'_, '_> {
    type Value = Envelope<'de>;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Self::Value, D::Error> {
        deserializer.deserialize_map(self)
    }
}

impl<'de> Visitor<'de> for EnvelopeSeed<'_, '_> {
    type Value = Envelope<'de>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an AdmissionReview")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
        let mut envelope = Envelope::default();
        let mut seen = Seen::default();
        while let Some(field) = map.next_key()? {
            match field {
                EnvelopeField::ApiVersion => {
                    seen.once(field as u32, "apiVersion")?;
                    envelope.api_version = map.next_value()?;
                }
                EnvelopeField::Kind => {
                    seen.once(field as u32, "kind")?;
                    envelope.kind = map.next_value()?;
                }
                EnvelopeField::Request => {
                    seen.once(field as u32, "request")?;
                    envelope.request = map.next_value_seed(RequestSeed {
                        builder: &mut *self.builder,
                        plan_of: self.plan_of,
                    })?;
                }
                EnvelopeField::Other => map.next_value::<serde::de::IgnoredAny>().map(drop)?,
            }
        }
        Ok(envelope)
    }
}

/// Reads what may be null.
struct RequestSeed<'b, 'p> {
    builder: &'b mut Builder,
    plan_of: &'p PlanOf<'p>,
}

#[derive(Deserialize, Clone, Copy)]
#[serde(field_identifier, rename_all = "camelCase")]
enum RequestField {
    Uid,
    Kind,
    Resource,
    SubResource,
    RequestKind,
    RequestResource,
    RequestSubResource,
    Name,
    Namespace,
    Operation,
    UserInfo,
    Object,
    OldObject,
    DryRun,
    Options,
    #[serde(other)]
    Other,
}

impl<'de> DeserializeSeed<'de> for RequestSeed<'_, '_> {
    type Value = Option<AdmissionRequest<'de>>;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Self::Value, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for RequestSeed<'_, '_> {
    type Value = Option<AdmissionRequest<'de>>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an AdmissionRequest")
    }

    fn visit_unit<E>(self) -> Result<Self::Value, E> {
        Ok(None)
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
        let Self { builder, plan_of } = self;
        let mut request = AdmissionRequest::default();
        let mut seen = Seen::default();
        let mut planned = false;
        while let Some(field) = map.next_key::<RequestField>()? {
            seen.once(field as u32, name_of(field))?;
            match field {
                // API servers send what tells the sort before the objects.
                RequestField::Object | RequestField::OldObject | RequestField::Options if !planned => {
                    planned = true;
                    request.plan = request.sort().and_then(plan_of);
                }
                _ => request.out_of_order |= request.plan.is_some() && tells_sort(field),
            }
            let plan = request.plan.as_deref();
            match field {
                RequestField::Uid => request.uid = map.next_value()?,
                RequestField::Kind => request.kind = map.next_value()?,
                RequestField::Resource => request.resource = map.next_value()?,
                RequestField::SubResource => request.sub_resource = map.next_value()?,
                RequestField::RequestKind => request.request_kind = map.next_value()?,
                RequestField::RequestResource => request.request_resource = map.next_value()?,
                RequestField::RequestSubResource => request.request_sub_resource = map.next_value()?,
                RequestField::Name => request.name = map.next_value()?,
                RequestField::Namespace => request.namespace = map.next_value()?,
                RequestField::Operation => request.operation = map.next_value()?,
                RequestField::UserInfo => request.user_info = map.next_value()?,
                RequestField::Object => {
                    request.object = kept(&mut map, builder, plan.map(|plan| &plan.object))?;
                }
                RequestField::OldObject => {
                    request.old_object = kept(&mut map, builder, plan.map(|plan| &plan.old_object))?;
                }
                RequestField::DryRun => request.dry_run = map.next_value()?,
                RequestField::Options => {
                    request.options = kept(&mut map, builder, plan.map(|plan| &plan.options))?;
                }
                RequestField::Other => map.next_value::<serde::de::IgnoredAny>().map(drop)?,
            }
        }
        Ok(Some(request))
    }
}

/// What a selection keeps of the value that comes next; all of it without one.
fn kept<'de, A: MapAccess<'de>>(
    map: &mut A,
    builder: &mut Builder,
    selection: Option<&Selection>,
) -> Result<Root, A::Error> {
    match selection {
        Some(selection) => map.next_value_seed(builder.seed_of(selection)),
        None => map.next_value_seed(builder.seed()),
    }
}

fn tells_sort(field: RequestField) -> bool {
    matches!(
        field,
        RequestField::Kind
            | RequestField::Resource
            | RequestField::SubResource
            | RequestField::RequestResource
            | RequestField::RequestSubResource
            | RequestField::Operation
    )
}

/// Which fields were there: no field may be twice, since others may take the other one for true.
#[derive(Default)]
struct Seen(u32);

impl Seen {
    fn once<E: Error>(&mut self, field: u32, name: &'static str) -> Result<(), E> {
        let bit = 1 << field;
        if self.0 & bit != 0 && !name.is_empty() {
            return Err(E::duplicate_field(name));
        }
        self.0 |= bit;
        Ok(())
    }
}

/// What a field is called; empty for those that are not looked at.
fn name_of(field: RequestField) -> &'static str {
    match field {
        RequestField::Uid => "uid",
        RequestField::Kind => "kind",
        RequestField::Resource => "resource",
        RequestField::SubResource => "subResource",
        RequestField::RequestKind => "requestKind",
        RequestField::RequestResource => "requestResource",
        RequestField::RequestSubResource => "requestSubResource",
        RequestField::Name => "name",
        RequestField::Namespace => "namespace",
        RequestField::Operation => "operation",
        RequestField::UserInfo => "userInfo",
        RequestField::Object => "object",
        RequestField::OldObject => "oldObject",
        RequestField::DryRun => "dryRun",
        RequestField::Options => "options",
        RequestField::Other => "",
    }
}
