//! From a policy's `wasm` to its module: the parts are found among the ConfigMaps, and whoever runs modules loads them.

use super::{Sources, State};
use crate::document::{ConfigMap, Document, DocumentError, Origin, Place, PolicyDocument, Wasm};
use crate::module::{Loading, MAX_PARTS, Module, Modules, Refusal, Source};
use crate::policy::{self, CompiledPolicy};
use crate::yaml::Node;
use std::collections::BTreeMap;
use std::sync::Arc;

/// Whether a document needs a module.
pub(super) fn is_used_by(document: &Document) -> bool {
    matches!(document, Document::Policy(policy) if policy.wasm.is_some())
}

/// A policy that cannot be in force as it is now.
pub(super) enum Unusable {
    /// This is wrong.
    Broken(Box<PolicyDocument>, Vec<DocumentError>),
    /// Its module is not there yet, or nobody here runs modules.
    Pending(Box<PolicyDocument>),
}

/// The state of a policy of which a version is in force.
pub(super) fn state(is_kept: bool, is_pending: bool) -> State {
    match (is_kept, is_pending) {
        (true, true) => State::Pending,
        (true, false) => State::KeptOld,
        (false, _) => State::Loaded,
    }
}

/// A module as it was delivered: what is put together in this order.
pub(super) type Parts = Vec<Arc<[u8]>>;

/// What was delivered, or what is wrong and what to do.
type Delivery = Result<Parts, (String, String)>;

/// Compiles a policy, whose document is `node`, with its module if it has one, which is handed on as it was delivered.
pub(super) fn compile(
    Sources { modules, config_maps, .. }: &Sources,
    origin: &Origin,
    policy: Box<PolicyDocument>,
    node: Option<&Node>,
) -> Result<(CompiledPolicy, Parts), Unusable> {
    // Nobody looks for what nobody runs.
    let delivery = policy.wasm.as_ref().filter(|_| modules.is_some());
    let delivery = delivery.map_or(Ok(Parts::new()), |wasm| parts(&wasm.module, origin, config_maps));
    compile_delivered(modules.as_deref(), origin, policy, delivery, node)
}

/// The same with what was delivered before.
pub(super) fn compile_accepted(
    modules: Option<&dyn Modules>,
    origin: &Origin,
    policy: Box<PolicyDocument>,
    parts: &Parts,
) -> Result<CompiledPolicy, Unusable> {
    compile_delivered(modules, origin, policy, Ok(parts.clone()), None).map(|(compiled, _)| compiled)
}

fn compile_delivered(
    modules: Option<&dyn Modules>,
    origin: &Origin,
    policy: Box<PolicyDocument>,
    delivery: Delivery,
    node: Option<&Node>,
) -> Result<(CompiledPolicy, Parts), Unusable> {
    let load = |wasm| load(modules, &delivery, origin, &policy, wasm, node);
    let (module, refused, is_pending) = match policy.wasm.as_ref().map(load) {
        None => (None, Vec::new(), false),
        Some(Outcome::Loaded(module)) => (Some(module), Vec::new(), false),
        Some(Outcome::Pending) => (None, Vec::new(), true),
        Some(Outcome::Refused(refused)) => (None, refused, false),
    };
    match policy::compile(origin, &policy, module) {
        Ok(_) if is_pending => Err(Unusable::Pending(policy)),
        Ok(compiled) if refused.is_empty() => Ok((compiled, delivery.unwrap_or_default())),
        Ok(_) => Err(Unusable::Broken(policy, refused)),
        Err(errors) => Err(Unusable::Broken(policy, [errors, refused].concat())),
    }
}

/// What became of a module.
enum Outcome {
    Loaded(Arc<dyn Module>),
    Pending,
    Refused(Vec<DocumentError>),
}

fn load(
    modules: Option<&dyn Modules>,
    delivery: &Delivery,
    origin: &Origin,
    policy: &PolicyDocument,
    wasm: &Wasm,
    node: Option<&Node>,
) -> Outcome {
    let refuse = |Refusal { field, message, hint }: Refusal| {
        let field = format!("spec.wasm.{field}");
        let position = node.map_or(wasm.place.position, |node| node.position_of(&field));
        let error = DocumentError::at(origin, Some(&policy.name), Place { field, position }, message);
        DocumentError { hint, ..error }
    };
    let Some(modules) = modules else { return Outcome::Pending };
    let parts = match delivery {
        Ok(parts) => parts,
        Err((message, hint)) => {
            let (message, hint) = (message.clone(), Some(hint.clone()));
            return Outcome::Refused(vec![refuse(Refusal { field: "module".to_owned(), message, hint })]);
        }
    };
    let sha256 = wasm.sha256.as_deref();
    let source = Source { policy: &policy.name, parts, sha256, settings: &wasm.settings };
    match modules.load(&source) {
        Loading::Ready(module) => Outcome::Loaded(module),
        Loading::Pending => Outcome::Pending,
        Loading::Refused(refusals) => Outcome::Refused(refusals.into_iter().map(refuse).collect()),
    }
}

/// What was delivered under a name: a key of the policy's own ConfigMap, or `NAME.1-of-N` to `NAME.N-of-N` of any in its
/// namespace. What is wrong, and what to do, if it is not all there.
fn parts(name: &str, origin: &Origin, config_maps: &[ConfigMap]) -> Delivery {
    let own = config_maps.iter().filter(|config_map| {
        (&config_map.file, &config_map.namespace, &config_map.name)
            == (&origin.file, &origin.namespace, &origin.config_map)
    });
    if let Some((_, module)) = own.flat_map(|own| &own.modules).find(|(key, _)| key == name) {
        return Ok(vec![Arc::clone(module)]);
    }
    let mut found: BTreeMap<usize, (&ConfigMap, &Arc<[u8]>)> = BTreeMap::new();
    let mut count = None;
    for config_map in config_maps.iter().filter(|config_map| config_map.namespace == origin.namespace) {
        for (key, part) in &config_map.modules {
            let Some((number, of)) = numbered(key, name) else { continue };
            if *count.get_or_insert(of) != of {
                let message = format!(
                    "there are parts of `{name}` that do not belong together: not all are `-of-{of}`"
                );
                return Err((message, "remove those of another version".to_owned()));
            }
            if let Some((other, _)) = found.insert(number, (config_map, part)) {
                let (one, other) = (&config_map.name, &other.name);
                let message = format!("part {number} of `{name}` is in ConfigMap `{one}` and in `{other}`");
                return Err((message, "remove one of them".to_owned()));
            }
        }
    }
    let Some(count) = count else {
        let message = format!("there is no module `{name}` in `binaryData`, nor beside the policy's file");
        let hint = "build it and put it there (`cargo xtask modules` does so for the library's), and let `portcullis wrap` put \
                    it into the ConfigMap before that is applied";
        return Err((message, hint.to_owned()));
    };
    let missing: Vec<String> =
        (1..=count).filter(|number| !found.contains_key(number)).map(|number| number.to_string()).collect();
    if !missing.is_empty() {
        let message = format!("of the {count} parts of `{name}` these are missing: {}", missing.join(", "));
        return Err((message, "apply all of the ConfigMaps that hold them".to_owned()));
    }
    Ok(found.into_values().map(|(_, part)| Arc::clone(part)).collect())
}

/// The number of a part and how many there are, if a key is that of a part.
fn numbered(key: &str, name: &str) -> Option<(usize, usize)> {
    let (number, of) = key.strip_prefix(name)?.strip_prefix('.')?.split_once("-of-")?;
    let (number, of): (usize, usize) = (number.parse().ok()?, of.parse().ok()?);
    ((1..=of).contains(&number) && of <= MAX_PARTS).then_some((number, of))
}
