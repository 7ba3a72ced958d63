//! What a module is given of a request: expressions like any other, so that what it reads is known as theirs is.

use super::expression::{Expected, ExpressionCompiler};
use super::{CompiledExpression, Origins, Reads};
use crate::document::{Expression, ModuleReads, Params, PolicyDocument, Wasm};
use crate::facts::is_secret;
use crate::yaml::TextPlace;

/// A value of the request that a module is called with.
#[derive(Debug)]
pub(crate) struct Given {
    /// The field that it is below, empty for none, and its own name.
    pub(crate) path: (&'static str, String),
    pub(crate) expression: CompiledExpression,
}

/// Of the request, whatever the policy says: what is the same whoever asks and whatever for.
const ALWAYS: [&str; 4] = ["kind", "resource", "name", "namespace"];
/// The field of the request's JSON that repeats the AdmissionRequest.
pub(crate) const REQUEST: &str = "request";
/// The field that holds what was looked up, unless the module asks for that by name.
pub(crate) const LOOKUPS: &str = "lookups";
/// Of a Secret that is looked up, which is all that there is to be had.
const OF_SECRET: &str = "{'apiVersion': dyn('v1'), 'kind': dyn('Secret'), 'metadata': dyn(secret.metadata)}";

/// What a policy's module is given, sorted by what it is below, and what all of that reads.
pub(super) fn compile(
    compiler: &mut ExpressionCompiler<'_>,
    policy: &PolicyDocument,
    origins: &Origins,
) -> Option<(Vec<Given>, Reads)> {
    let Some(wasm) = &policy.wasm else { return Some((Vec::new(), Reads::default())) };
    let mut given = Vec::new();
    for (below, name, text) in written(policy, wasm) {
        let (place, at) = (wasm.place.clone(), TextPlace::at(wasm.place.position));
        let expression = compiler.compile(&Expression { text, place, at }, Expected::Anything, None)?;
        given.push(Given { path: (below, name), expression });
    }
    let reads: Vec<Reads> = given.iter().map(|given| Reads::of(&given.expression, origins)).collect();
    Some((given, Reads::union(&reads)))
}

/// A field of the request. A text that the AdmissionRequest leaves out is empty: what is not there at all was not asked
/// for, and no module must take the one for the other.
fn of_request(name: &str) -> String {
    match name {
        "name" | "namespace" | "subResource" => format!("request.?{name}.orValue('')"),
        name => format!("request.{name}"),
    }
}

/// Each value: what it is below, its name, and the expression that gives it.
fn written(policy: &PolicyDocument, wasm: &Wasm) -> Vec<(&'static str, String, String)> {
    let mut all = Vec::new();
    let mut add = |below: &'static str, name: &str, text: String| all.push((below, name.to_owned(), text));
    let bindings = policy.bindings.iter().map(|binding| &binding.params);
    if bindings.chain([&policy.params]).any(|params| !matches!(params, Params::None)) {
        add("", "params", "params".to_owned());
    }
    if wasm.reads.contains(&ModuleReads::NamespaceObject) {
        add("", "namespaceObject", "namespaceObject".to_owned());
    }
    for name in ALWAYS {
        add(REQUEST, name, of_request(name));
    }
    add(REQUEST, "object", "object".to_owned());
    for reads in &wasm.reads {
        match reads {
            ModuleReads::NamespaceObject => {}
            ModuleReads::OldObject => add(REQUEST, reads.name(), "oldObject".to_owned()),
            reads => add(REQUEST, reads.name(), of_request(reads.name())),
        }
    }
    for lookup in &policy.lookups {
        let found = format!("lookups.{}", lookup.name);
        let is_secret = is_secret(&lookup.api_version, &lookup.kind);
        add(
            LOOKUPS,
            &lookup.name,
            if is_secret { format!("{found}.map(secret, {OF_SECRET})") } else { found },
        );
    }
    all
}
