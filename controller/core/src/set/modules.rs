//! From a policy's `wasm` to its module: the parts are found among the ConfigMaps, and whoever runs modules loads them.

use super::origins::is_from;
use super::{Sources, State};
use crate::document::{ConfigMap, Document, DocumentError, Origin, Place, PolicyDocument, Wasm};
use crate::module::{Loading, MAX_PARTS, Module, Modules, Refusal, SHORT_DIGEST, Source};
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

/// What was delivered, with the SHA-256 that it must have if that is known, or what is wrong and what to do.
type Delivery = Result<(Parts, Option<String>), (String, String)>;

/// Compiles a policy, whose document is `node`, with its module if it has one, which is handed on as it was delivered.
pub(super) fn compile(
    Sources { modules, config_maps, .. }: &Sources,
    origin: &Origin,
    policy: Box<PolicyDocument>,
    node: Option<&Node>,
) -> Result<(CompiledPolicy, Parts), Unusable> {
    // Nobody looks for what nobody runs.
    let wasm = policy.wasm.as_ref().filter(|_| modules.is_some());
    let delivery = wasm.map_or(Ok((Parts::new(), None)), |wasm| delivered(wasm, origin, config_maps));
    compile_delivered(modules.as_deref(), origin, policy, delivery, node)
}

/// The same with what was delivered before.
pub(super) fn compile_accepted(
    modules: Option<&dyn Modules>,
    origin: &Origin,
    policy: Box<PolicyDocument>,
    parts: &Parts,
) -> Result<CompiledPolicy, Unusable> {
    let sha256 = policy.wasm.as_ref().and_then(|wasm| wasm.sha256.clone());
    let delivery = Ok((parts.clone(), sha256));
    compile_delivered(modules, origin, policy, delivery, None).map(|(compiled, _)| compiled)
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
        Ok(compiled) if refused.is_empty() => Ok((compiled, delivery.unwrap_or_default().0)),
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
    let (parts, sha256) = match delivery {
        Ok((parts, sha256)) => (parts, sha256.as_deref()),
        Err((message, hint)) => {
            let (message, hint) = (message.clone(), Some(hint.clone()));
            return Outcome::Refused(vec![refuse(Refusal { field: "module".to_owned(), message, hint })]);
        }
    };
    let reads: Vec<&str> = wasm.reads.iter().map(|reads| reads.name()).collect();
    let lookups: Vec<&str> = policy.lookups.iter().map(|lookup| lookup.name.as_str()).collect();
    let source = Source {
        policy: &policy.name,
        parts,
        sha256,
        settings: &wasm.settings,
        reads: &reads,
        lookups: &lookups,
    };
    match modules.load(&source) {
        Loading::Ready(module) => Outcome::Loaded(module),
        Loading::Pending => Outcome::Pending,
        Loading::Refused(refusals) => Outcome::Refused(refusals.into_iter().map(refuse).collect()),
    }
}

/// What was delivered under a name: a key of the policy's own ConfigMap, or parts in any of its namespace, called
/// `NAME.DIGEST.1-of-N` to `NAME.DIGEST.N-of-N`. The digest tells those of one module from those of another that has the
/// name, too, be it a later version that is being applied or another policy's.
fn delivered(wasm: &Wasm, origin: &Origin, config_maps: &[ConfigMap]) -> Delivery {
    let name = wasm.module.as_str();
    let own = config_maps.iter().filter(|config_map| is_from(config_map, origin));
    let of_own = |wanted: &str| own.clone().flat_map(|own| &own.modules).find(|(key, _)| key == wanted);
    if let Some((_, module)) = of_own(name) {
        return Ok((vec![Arc::clone(module)], wasm.sha256.clone()));
    }
    let index = format!("{name}.sha256");
    let listed = of_own(&index).map(|(_, text)| read_digest(text).ok_or_else(|| not_a_digest(&index)));
    let digest = wasm.sha256.as_ref().map(|digest| Ok(digest.to_ascii_lowercase())).or(listed).transpose()?;
    let in_namespace = config_maps.iter().filter(|config_map| config_map.namespace == origin.namespace);
    let all = in_namespace.flat_map(|it| it.modules.iter().map(move |(key, part)| (it, key, part)));
    let mut parts = all.filter_map(|(it, key, part)| Some((it, part_of(key, name)?, part))).peekable();
    match digest {
        Some(digest) => put_together(name, &digest, parts).map(|parts| (parts, Some(digest))),
        None if parts.peek().is_some() => Err(undivided(name)),
        None => Err(missing(name)),
    }
}

/// The parts of a module with this digest.
fn put_together<'a>(
    name: &str,
    digest: &str,
    parts: impl Iterator<Item = (&'a ConfigMap, Part<'a>, &'a Arc<[u8]>)>,
) -> Result<Parts, (String, String)> {
    let short = digest.get(..SHORT_DIGEST).unwrap_or(digest);
    let mut found: BTreeMap<usize, (&ConfigMap, &Arc<[u8]>)> = BTreeMap::new();
    let mut count = None;
    for (config_map, Part { number, of, .. }, part) in parts.filter(|(_, part, _)| part.digest == short) {
        if *count.get_or_insert(of) != of {
            let message =
                format!("there are parts of `{name}` that do not belong together: not all are `-of-{of}`");
            return Err((message, "remove those of another version".to_owned()));
        }
        if let Some((other, _)) = found.insert(number, (config_map, part)).filter(|(_, other)| *other != part)
        {
            let (one, other) = (&other.name, &config_map.name);
            let message = format!(
                "part {number} of `{name}` is in ConfigMap `{one}` and in `{other}`, and not the same in both"
            );
            return Err((message, "remove one of them".to_owned()));
        }
    }
    let Some(count) = count else {
        let message = format!("there are no parts `{name}.{short}.1-of-N` of module `{name}`");
        return Err((message, APPLY_ALL.to_owned()));
    };
    let missing: Vec<String> =
        (1..=count).filter(|number| !found.contains_key(number)).map(|number| number.to_string()).collect();
    if !missing.is_empty() {
        let message = format!("of the {count} parts of `{name}` these are missing: {}", missing.join(", "));
        return Err((message, APPLY_ALL.to_owned()));
    }
    Ok(found.into_values().map(|(_, part)| Arc::clone(part)).collect())
}

const APPLY_ALL: &str = "apply all of the ConfigMaps that hold them: `portcullis wrap` writes them";

fn missing(name: &str) -> (String, String) {
    let message = format!("there is no module `{name}` in `binaryData`, nor beside the policy's file");
    let hint = "build it and put it there (`cargo xtask modules` does so for the library's), and let `portcullis wrap` put \
                it into the ConfigMap before that is applied";
    (message, hint.to_owned())
}

fn undivided(name: &str) -> (String, String) {
    let message = format!("`{name}` is delivered in parts, and nothing says which belong together");
    let hint = format!(
        "let `portcullis wrap` write its ConfigMaps, or give the module's SHA-256 as `sha256` and call the parts \
         `{name}.DIGEST.1-of-N` with the first {SHORT_DIGEST} digits of it"
    );
    (message, hint)
}

fn not_a_digest(key: &str) -> (String, String) {
    let hint = "`sha256sum` prints them, and `portcullis wrap` writes them".to_owned();
    (format!("`binaryData.{key}` must be 64 hexadecimal digits"), hint)
}

/// A digest as `sha256sum` prints it, be there a name behind it or not.
fn read_digest(text: &[u8]) -> Option<String> {
    let digest = std::str::from_utf8(text).ok()?.split_whitespace().next()?;
    let is_digest = digest.len() == 64 && digest.bytes().all(|byte| byte.is_ascii_hexdigit());
    is_digest.then(|| digest.to_ascii_lowercase())
}

/// What the key of a part says.
struct Part<'a> {
    /// Empty if it says none.
    digest: &'a str,
    number: usize,
    of: usize,
}

/// The same, if a key is that of a part of this name.
fn part_of<'a>(key: &'a str, name: &str) -> Option<Part<'a>> {
    let rest = key.strip_prefix(name)?.strip_prefix('.')?;
    let (digest, place) = rest.split_once('.').unwrap_or(("", rest));
    let (number, of) = place.split_once("-of-")?;
    let (number, of): (usize, usize) = (number.parse().ok()?, of.parse().ok()?);
    ((1..=of).contains(&number) && of <= MAX_PARTS).then_some(Part { digest, number, of })
}
