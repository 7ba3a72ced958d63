//! Documents of Kubernetes' own: what `kubectl apply` refuses is refused here, at the same field.

use super::sentences;
use crate::cluster::Sentence;
use crate::cluster::world::{Said, World};
use anyhow::{Context, Result, ensure};
use kube::api::{ApiResource, DynamicObject, GroupVersionKind, PostParams};
use kube::{Api, Client};
use serde_json::{Value, json};
use std::collections::{BTreeMap, BTreeSet};

/// What is changed in a sound document: JSON pointers with what comes in their place, in JSON; nothing means that it goes.
type Case = &'static [(&'static str, &'static str)];

pub(super) fn all() -> Vec<Sentence> {
    sentences![what_the_api_server_refuses_of_a_policy_is_refused_here_at_the_same_field]
}

fn what_the_api_server_refuses_of_a_policy_is_refused_here_at_the_same_field(
    world: &mut World<'_>,
) -> Result<()> {
    let mut documents = Vec::new();
    for (base, cases) in [(policy(), POLICIES), (binding(), BINDINGS)] {
        for case in cases {
            let mut document = base.clone();
            for (pointer, value) in *case {
                put(&mut document, pointer, value).with_context(|| format!("{pointer}: {value}"))?;
            }
            document["metadata"]["name"] = json!(format!("case-{}", documents.len()));
            documents.push((document, *case));
        }
    }
    let (documents, cases): (Vec<Value>, Vec<Case>) = documents.into_iter().unzip();
    let runtime = tokio::runtime::Runtime::new()?;
    let theirs =
        runtime.block_on(async { refused_by_api_server(world.client().await?, &documents).await })?;
    let stream: Vec<String> = documents.iter().map(Value::to_string).collect();
    let stream = stream.join("\n---\n");
    let ours = refused_by_lint(&world.offline("lint -o json -").input(&stream).run()?)?;
    let mut differences = Vec::new();
    for (index, (document, case)) in documents.iter().zip(&cases).enumerate() {
        let name = format!("case-{index}");
        let none = BTreeSet::new();
        let theirs = theirs.get(&name).unwrap_or(&none);
        let ours = ours.get(&name).unwrap_or(&none);
        if !agree(theirs, ours) {
            let kind = &document["kind"];
            differences.push(format!("{kind} {case:?}\n  API server: {theirs:?}\n  lint: {ours:?}"));
        }
    }
    let refused = theirs.len();
    println!("  {} documents, {refused} of them refused", documents.len());
    ensure!(refused * 4 > documents.len() * 3, "only {refused} of {} are refused", documents.len());
    ensure!(differences.is_empty(), "{} differ:\n{}", differences.len(), differences.join("\n"));
    Ok(())
}

/// Whether both name the same fields, but for those where ours says nothing of what follows from another error:
/// expressions that use a variable without a name or an expression, and the second of two fields of which one must
/// be given.
fn agree(theirs: &BTreeSet<String>, ours: &BTreeSet<String>) -> bool {
    let follows = |field: &&String| {
        ours.iter().any(|cause| cause.starts_with("spec.variables["))
            || (field.as_str() == "spec.auditAnnotations" && ours.contains("spec.validations"))
    };
    ours.is_subset(theirs)
        && ours.is_empty() == theirs.is_empty()
        && theirs.difference(ours).all(|field| follows(&field))
}

/// Puts a JSON text where the pointer says, or takes away what is there where the text is empty.
fn put(document: &mut Value, pointer: &str, text: &str) -> Result<()> {
    let (parent, key) = pointer.rsplit_once('/').context("no pointer")?;
    let parent = document.pointer_mut(parent).context("there is no such place")?;
    let value = if text.is_empty() { None } else { Some(serde_json::from_str(text)?) };
    match (parent, value) {
        (Value::Object(fields), Some(value)) => drop(fields.insert(key.to_owned(), value)),
        (Value::Object(fields), None) => drop(fields.remove(key).context("it is not there")?),
        (Value::Array(items), Some(value)) => items.insert(key.parse()?, value),
        _ => anyhow::bail!("its parent is neither an object nor a list"),
    }
    Ok(())
}

/// The fields that are complained of, by the name of the document.
type Refused = BTreeMap<String, BTreeSet<String>>;

/// Creates each document without leaving a trace.
async fn refused_by_api_server(client: Client, documents: &[Value]) -> Result<Refused> {
    let once = PostParams { dry_run: true, ..PostParams::default() };
    let mut refused = Refused::new();
    for document in documents {
        let object: DynamicObject = serde_json::from_value(document.clone())?;
        let kind = document["kind"].as_str().context("no kind")?;
        let kind = GroupVersionKind::gvk("admissionregistration.k8s.io", "v1", kind);
        let api = Api::<DynamicObject>::all_with(client.clone(), &ApiResource::from_gvk(&kind));
        let status = match api.create(&once, &object).await {
            Ok(_) => continue,
            Err(kube::Error::Api(status)) => status,
            Err(error) => return Err(error.into()),
        };
        let causes = status.details.iter().flat_map(|details| &details.causes);
        let fields: BTreeSet<String> = causes.map(|cause| cause.field.clone()).collect();
        ensure!(!fields.is_empty(), "no field is to blame: {}", status.message);
        refused.insert(object.metadata.name.unwrap_or_default(), fields);
    }
    Ok(refused)
}

fn refused_by_lint(said: &Said) -> Result<Refused> {
    let report: Value = serde_json::from_str(&said.stdout).with_context(|| format!("{said:?}"))?;
    let mut refused = Refused::new();
    for finding in report["findings"].as_array().context("no findings")? {
        if finding["severity"] == "error" {
            let text = |field: &str| Some(finding[field].as_str()?.to_owned());
            let (name, field) = text("document").zip(text("field")).with_context(|| finding.to_string())?;
            refused.entry(name).or_default().insert(field);
        }
    }
    Ok(refused)
}

fn policy() -> Value {
    json!({
        "apiVersion": "admissionregistration.k8s.io/v1",
        "kind": "ValidatingAdmissionPolicy",
        "metadata": {},
        "spec": {
            "failurePolicy": "Fail",
            "matchConstraints": {
                "resourceRules": [
                    {"apiGroups": [""], "apiVersions": ["v1"], "operations": ["CREATE"], "resources": ["pods"]},
                ],
            },
            "matchConditions": [{"name": "named", "expression": "has(object.metadata.name)"}],
            "variables": [{"name": "labels", "expression": "object.metadata.?labels.orValue({})"}],
            "validations": [{"expression": "'team' in variables.labels", "message": "no team"}],
            "auditAnnotations": [{"key": "team", "valueExpression": "string(size(variables.labels))"}],
        },
    })
}

fn binding() -> Value {
    json!({
        "apiVersion": "admissionregistration.k8s.io/v1",
        "kind": "ValidatingAdmissionPolicyBinding",
        "metadata": {},
        "spec": {
            "policyName": "team",
            "validationActions": ["Deny"],
            "paramRef": {"name": "teams", "parameterNotFoundAction": "Deny"},
            "matchResources": {
                "namespaceSelector": {"matchLabels": {"stage": "prod"}},
                "resourceRules": [
                    {"apiGroups": [""], "apiVersions": ["v1"], "operations": ["*"], "resources": ["pods"]},
                ],
            },
        },
    })
}

/// Changes of a policy; the first is none.
const POLICIES: &[Case] = &[
    &[],
    &[("/spec/failurePolicy", "")],
    &[("/spec/failurePolicy", r#""Maybe""#)],
    &[("/spec/paramKind", r#"{"apiVersion": "v1", "kind": "ConfigMap"}"#)],
    &[("/spec/paramKind", r#"{"apiVersion": "", "kind": "ConfigMap"}"#)],
    &[("/spec/paramKind", r#"{"kind": "ConfigMap"}"#)],
    &[("/spec/paramKind", r#"{"apiVersion": "v1"}"#)],
    &[("/spec/paramKind", r#"{"apiVersion": "a/b/c", "kind": "X"}"#)],
    &[("/spec/paramKind", r#"{"apiVersion": "Big.example.com/v1", "kind": "X"}"#)],
    &[("/spec/paramKind", r#"{"apiVersion": "example.com/", "kind": "X"}"#)],
    &[("/spec/paramKind", r#"{"apiVersion": "example.com/1v", "kind": "X"}"#)],
    &[("/spec/paramKind", r#"{"apiVersion": "v1", "kind": "Config Map"}"#)],
    &[("/spec/matchConstraints", "")],
    &[("/spec/matchConstraints/resourceRules", "[]")],
    &[("/spec/matchConstraints/resourceRules", "")],
    &[("/spec/matchConstraints/matchPolicy", r#""Exact""#)],
    &[("/spec/matchConstraints/matchPolicy", r#""Sometimes""#)],
    &[(
        "/spec/matchConstraints/excludeResourceRules",
        r#"[{"apiGroups": [], "apiVersions": ["v1"], "operations": ["CREATE"], "resources": ["pods"]}]"#,
    )],
    &[("/spec/matchConstraints/resourceRules/0/apiGroups", "[]")],
    &[("/spec/matchConstraints/resourceRules/0/apiGroups", "")],
    &[("/spec/matchConstraints/resourceRules/0/apiGroups", r#"["*", "apps"]"#)],
    &[("/spec/matchConstraints/resourceRules/0/apiVersions", "[]")],
    &[("/spec/matchConstraints/resourceRules/0/apiVersions", "")],
    &[("/spec/matchConstraints/resourceRules/0/apiVersions", r#"[""]"#)],
    &[("/spec/matchConstraints/resourceRules/0/apiVersions", r#"["*", "v1"]"#)],
    &[("/spec/matchConstraints/resourceRules/0/operations", "[]")],
    &[("/spec/matchConstraints/resourceRules/0/operations", "")],
    &[("/spec/matchConstraints/resourceRules/0/operations", r#"["*", "CREATE"]"#)],
    &[("/spec/matchConstraints/resourceRules/0/operations", r#"["create"]"#)],
    &[("/spec/matchConstraints/resourceRules/0/operations", r#"["CONNECT", "DELETE"]"#)],
    &[("/spec/matchConstraints/resourceRules/0/resources", "[]")],
    &[("/spec/matchConstraints/resourceRules/0/resources", "")],
    &[("/spec/matchConstraints/resourceRules/0/resources", r#"[""]"#)],
    &[("/spec/matchConstraints/resourceRules/0/resources", r#"["*", "pods"]"#)],
    &[("/spec/matchConstraints/resourceRules/0/resources", r#"["*/*", "pods"]"#)],
    &[("/spec/matchConstraints/resourceRules/0/resources", r#"["*/*", "*"]"#)],
    &[("/spec/matchConstraints/resourceRules/0/resources", r#"["pods/*", "pods/status"]"#)],
    &[("/spec/matchConstraints/resourceRules/0/resources", r#"["*/scale", "pods/scale"]"#)],
    &[("/spec/matchConstraints/resourceRules/0/resources", r#"["pods", "pods/*", "*/scale"]"#)],
    &[("/spec/matchConstraints/resourceRules/0/resources", r#"["pods/a/b"]"#)],
    &[("/spec/matchConstraints/resourceRules/0/resources", r#"["*", "pods/status"]"#)],
    &[("/spec/matchConstraints/resourceRules/0/scope", r#""Namespaced""#)],
    &[("/spec/matchConstraints/resourceRules/0/scope", r#""Global""#)],
    &[("/spec/matchConstraints/resourceRules/0/resourceNames", r#"["a", "b"]"#)],
    &[("/spec/matchConstraints/resourceRules/0/resourceNames", r#"["a", "a"]"#)],
    &[("/spec/matchConstraints/resourceRules/0/resourceNames", r#"["a/b", ".."]"#)],
    &[("/spec/matchConstraints/namespaceSelector", "{}")],
    &[(
        "/spec/matchConstraints/namespaceSelector",
        r#"{"matchExpressions": [{"key": "a", "operator": "Near", "values": ["b"]}]}"#,
    )],
    &[(
        "/spec/matchConstraints/namespaceSelector",
        r#"{"matchExpressions": [{"key": "a", "operator": "In"}]}"#,
    )],
    &[(
        "/spec/matchConstraints/namespaceSelector",
        r#"{"matchExpressions": [{"key": "a", "operator": "NotIn", "values": []}]}"#,
    )],
    &[(
        "/spec/matchConstraints/namespaceSelector",
        r#"{"matchExpressions": [{"key": "a", "operator": "Exists", "values": ["b"]}]}"#,
    )],
    &[(
        "/spec/matchConstraints/namespaceSelector",
        r#"{"matchExpressions": [{"key": "a", "operator": "DoesNotExist"}]}"#,
    )],
    &[(
        "/spec/matchConstraints/namespaceSelector",
        r#"{"matchExpressions": [{"key": "not a key", "operator": "Exists"}]}"#,
    )],
    &[(
        "/spec/matchConstraints/namespaceSelector",
        r#"{"matchExpressions": [{"key": "", "operator": "Exists"}]}"#,
    )],
    &[(
        "/spec/matchConstraints/namespaceSelector",
        r#"{"matchExpressions": [{"key": "a", "operator": "In", "values": ["b c"]}]}"#,
    )],
    &[("/spec/matchConstraints/namespaceSelector", r#"{"matchLabels": {"a b": "c"}}"#)],
    &[("/spec/matchConstraints/namespaceSelector", r#"{"matchLabels": {"a": "b c"}}"#)],
    &[("/spec/matchConstraints/objectSelector", r#"{"matchLabels": {"a": "-"}}"#)],
    &[("/spec/matchConditions", "")],
    &[("/spec/matchConditions/0/name", r#""""#)],
    &[("/spec/matchConditions/0/name", "")],
    &[("/spec/matchConditions/0/name", r#""not a name""#)],
    &[("/spec/matchConditions/0/name", r#""example.com/name""#)],
    &[("/spec/matchConditions/0/expression", r#""""#)],
    &[("/spec/matchConditions/0/expression", r#""  ""#)],
    &[("/spec/matchConditions/0/expression", r#""object.metadata.name""#)],
    &[("/spec/matchConditions/0/expression", r#""1""#)],
    &[("/spec/matchConditions/0/expression", r#""'a' in variables.labels""#)],
    &[("/spec/matchConditions/0/expression", r#""true &&""#)],
    &[("/spec/matchConditions/1", r#"{"name": "named", "expression": "true"}"#)],
    &[(
        "/spec/matchConditions/1",
        r#"{"name": "other", "expression": "authorizer.group('').resource('pods').check('get').allowed()"}"#,
    )],
    &[("/spec/variables/0/name", r#""""#)],
    &[("/spec/variables/0/name", r#""a-b""#)],
    &[("/spec/variables/0/name", r#""in""#)],
    &[("/spec/variables/0/name", r#""1a""#)],
    &[("/spec/variables/0/expression", r#""""#)],
    &[("/spec/variables/0/expression", r#"" ""#)],
    &[("/spec/variables/1", r#"{"name": "other", "expression": "1 +"}"#)],
    &[("/spec/variables/1", r#"{"name": "other", "expression": "nothing.here"}"#)],
    &[
        ("/spec/variables/1", r#"{"name": "other", "expression": "variables.later"}"#),
        ("/spec/variables/2", r#"{"name": "later", "expression": "1"}"#),
    ],
    &[("/spec/variables/1", r#"{"name": "other", "expression": "size(variables.labels)"}"#)],
    &[("/spec/variables/1", r#"{"name": "other", "expression": "request.nmae"}"#)],
    &[("/spec/validations", "[]")],
    &[("/spec/validations", ""), ("/spec/auditAnnotations", "")],
    &[("/spec/validations", "")],
    &[("/spec/auditAnnotations", "")],
    &[("/spec/validations/0/expression", r#""""#)],
    &[("/spec/validations/0/expression", r#""\n""#)],
    &[("/spec/validations/0/expression", "")],
    &[("/spec/validations/0/expression", r#""1""#)],
    &[("/spec/validations/0/expression", r#""object.spec.hostNetwork""#)],
    &[("/spec/validations/0/expression", r#""objekt == null""#)],
    &[("/spec/validations/0/expression", r#""'a'.startWith('b')""#)],
    &[("/spec/validations/0/expression", r#""1 == 'a'""#)],
    &[("/spec/validations/0/expression", r#""(true""#)],
    &[("/spec/validations/0/expression", r#""duration('1d') == duration('1h')""#)],
    &[("/spec/validations/0/expression", r#""'a'.matches('(')""#)],
    &[("/spec/validations/0/expression", r#""params.x == 1""#)],
    &[("/spec/validations/0/expression", r#""true ||\ntrue""#), ("/spec/validations/0/message", "")],
    &[("/spec/validations/0/message", r#""""#)],
    &[("/spec/validations/0/message", r#""  ""#)],
    &[("/spec/validations/0/message", r#""two\nlines""#)],
    &[("/spec/validations/0/message", r#""line\n""#)],
    &[("/spec/validations/0/messageExpression", r#""""#)],
    &[("/spec/validations/0/messageExpression", r#"" ""#)],
    &[("/spec/validations/0/messageExpression", r#""'no ' + 'team'""#)],
    &[("/spec/validations/0/messageExpression", r#""1""#)],
    &[("/spec/validations/0/messageExpression", r#""object.metadata.name""#)],
    &[("/spec/validations/0/messageExpression", r#""string(object.metadata.name)""#)],
    &[("/spec/validations/0/messageExpression", r#""'a' +""#)],
    &[(
        "/spec/validations/0/messageExpression",
        r#""string(authorizer.group('').resource('pods').check('get').allowed())""#,
    )],
    &[("/spec/validations/0/messageExpression", r#""params.x + ''""#)],
    &[("/spec/validations/0/reason", r#""Forbidden""#)],
    &[("/spec/validations/0/reason", r#""Teapot""#)],
    &[("/spec/validations/0/reason", r#""""#)],
    &[("/spec/auditAnnotations/0/key", r#""""#)],
    &[("/spec/auditAnnotations/0/key", "")],
    &[("/spec/auditAnnotations/0/key", r#""a b""#)],
    &[("/spec/auditAnnotations/0/key", r#""a/b""#)],
    &[("/spec/auditAnnotations/1", r#"{"key": "team", "valueExpression": "'a'"}"#)],
    &[("/spec/auditAnnotations/0/valueExpression", r#""""#)],
    &[("/spec/auditAnnotations/0/valueExpression", r#"" ""#)],
    &[("/spec/auditAnnotations/0/valueExpression", r#""1""#)],
    &[("/spec/auditAnnotations/0/valueExpression", r#""null""#)],
    &[("/spec/auditAnnotations/0/valueExpression", r#""object.metadata.name""#)],
    &[("/spec/auditAnnotations/0/valueExpression", r#""'a' +""#)],
];

/// Changes of a binding; the first is none.
const BINDINGS: &[Case] = &[
    &[],
    &[("/spec/policyName", r#""""#)],
    &[("/spec/policyName", "")],
    &[("/spec/policyName", r#""Not A Name""#)],
    &[("/spec/validationActions", "[]")],
    &[("/spec/validationActions", "")],
    &[("/spec/validationActions", r#"["Block"]"#)],
    &[("/spec/validationActions", r#"["Deny", "Warn"]"#)],
    &[("/spec/validationActions", r#"["Deny", "Audit"]"#)],
    &[("/spec/validationActions", r#"["Audit", "Audit"]"#)],
    &[("/spec/paramRef", "{}")],
    &[("/spec/paramRef", r#"{"parameterNotFoundAction": "Deny"}"#)],
    &[("/spec/paramRef/parameterNotFoundAction", "")],
    &[("/spec/paramRef/parameterNotFoundAction", r#""""#)],
    &[("/spec/paramRef/parameterNotFoundAction", r#""Warn""#)],
    &[("/spec/paramRef/selector", "{}")],
    &[("/spec/paramRef/name", ""), ("/spec/paramRef/selector", "{}")],
    &[("/spec/paramRef/name", ""), ("/spec/paramRef/selector", r#"{"matchLabels": {"a": "b c"}}"#)],
    &[("/spec/paramRef/name", r#""a/b""#)],
    &[("/spec/paramRef/name", r#""..""#)],
    &[("/spec/paramRef/namespace", r#""shop""#)],
    &[("/spec/matchResources", "")],
    &[("/spec/matchResources", "{}")],
    &[("/spec/matchResources/matchPolicy", r#""Never""#)],
    &[("/spec/matchResources/resourceRules/0/operations", "[]")],
    &[("/spec/matchResources/resourceRules/0/apiGroups", r#"["*", "apps"]"#)],
    &[("/spec/matchResources/resourceRules/0/scope", r#""World""#)],
    &[("/spec/matchResources/resourceRules/0/resourceNames", r#"["a", "a"]"#)],
    &[("/spec/matchResources/resourceRules", "[]")],
    &[(
        "/spec/matchResources/excludeResourceRules",
        r#"[{"apiGroups": [""], "apiVersions": ["v1"], "operations": ["CREATE"], "resources": []}]"#,
    )],
    &[("/spec/matchResources/namespaceSelector", r#"{"matchLabels": {"a": "b c"}}"#)],
    &[(
        "/spec/matchResources/objectSelector",
        r#"{"matchExpressions": [{"key": "a", "operator": "In", "values": []}]}"#,
    )],
];
