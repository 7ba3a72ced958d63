//! Documents of a namespace other than the controller's govern that namespace and see nothing outside it.
//!
//! They are known by the namespace before their names, `shop/limits`, so that they clash with nothing of the cluster's,
//! and so is all that they refer to. What would look outside is an error.

use crate::document::{
    Document, DocumentError, Given, Lookup, Origin, Outcome, Params, PolicyDocument, ReadDocument, Salvage,
};
use crate::matching::built_in;
use crate::request::split_api_version;

/// The namespace that what has this name is confined to. A name alone has no slash.
pub(crate) fn namespace_of(name: &str) -> Option<&str> {
    name.split_once('/').map(|(namespace, _)| namespace)
}

/// A document as it counts, if it is of another namespace than the controller's.
pub(crate) fn confine(mut read: ReadDocument, controller_namespace: &str) -> ReadDocument {
    let namespace = read.origin.namespace.clone();
    if namespace.is_empty() || namespace == controller_namespace {
        return read;
    }
    let within = |name: &mut String| *name = format!("{namespace}/{name}");
    if let Some(identity) = &mut read.identity {
        within(&mut identity.name);
    }
    let mut found = Vec::new();
    match &mut read.outcome {
        Outcome::Document(Document::Policy(policy)) => {
            found = confine_policy(policy, &namespace, &read.origin)
        }
        Outcome::Document(Document::Binding(binding)) => {
            within(&mut binding.name);
            within(&mut binding.policy_name);
            if let Some(message) = confine_reference(&mut binding.params, &namespace) {
                found.push(DocumentError::at(
                    &read.origin,
                    Some(&binding.name),
                    binding.place.clone(),
                    message,
                ));
            }
        }
        Outcome::Document(Document::Exception(exception)) => {
            within(&mut exception.name);
            exception.policies.iter_mut().for_each(within);
        }
        Outcome::Broken { errors, salvage, partial } => {
            errors.iter_mut().filter_map(|error| error.name.as_mut()).for_each(within);
            match salvage {
                Some(Salvage::Policy(policy)) => {
                    errors.extend(confine_policy(policy, &namespace, &read.origin))
                }
                Some(Salvage::Binding(binding)) => {
                    within(&mut binding.name);
                    within(&mut binding.policy_name);
                }
                None => {}
            }
            if let Some(policy) = partial {
                confine_policy(policy, &namespace, &read.origin);
            }
        }
    }
    if !found.is_empty() {
        let salvage = match read.outcome {
            Outcome::Document(Document::Policy(policy)) => Some(Salvage::Policy(policy)),
            Outcome::Document(Document::Binding(binding)) => Some(Salvage::Binding(binding)),
            _ => None,
        };
        read.outcome = Outcome::Broken { errors: found, salvage, partial: None };
    }
    read
}

fn confine_policy(policy: &mut PolicyDocument, namespace: &str, origin: &Origin) -> Vec<DocumentError> {
    policy.name = format!("{namespace}/{}", policy.name);
    let mut found = Vec::new();
    let mut refuse = |place, message: String| {
        let error = DocumentError::at(origin, Some(&policy.name), place, message);
        let hint = format!("only a policy of the controller's namespace looks outside `{namespace}`");
        found.push(error.with_hint(hint));
    };
    for lookup in &mut policy.lookups {
        if let Some(message) = confine_lookup(lookup, namespace) {
            refuse(lookup.place.clone(), message);
        }
    }
    let own = std::iter::once((policy.place.clone(), &mut policy.params));
    let bound = policy.bindings.iter_mut().map(|binding| (binding.place.clone(), &mut binding.params));
    for (place, params) in own.chain(bound) {
        if let Some(message) = confine_reference(params, namespace) {
            refuse(place, message);
        }
    }
    for binding in &mut policy.bindings {
        binding.policy_name.clone_from(&policy.name);
    }
    found
}

/// Params come from the namespace; what is wrong if they shall come from another one. Of a kind that lives in none, there
/// are none: a reference with a namespace does not fit it.
fn confine_reference(params: &mut Params, namespace: &str) -> Option<String> {
    let Params::Ref(reference) = params else { return None };
    let given = reference.namespace.replace(namespace.to_owned());
    given.filter(|given| given != namespace).map(|given| {
        format!("`paramRef.namespace` is `{given}`, but a policy in namespace `{namespace}` sees nothing outside it")
    })
}

/// The same for a look-up.
fn confine_lookup(lookup: &mut Lookup, namespace: &str) -> Option<String> {
    let group = split_api_version(&lookup.api_version).0;
    let (name, kind) = (&lookup.name, &lookup.kind);
    if built_in::find(group, kind).is_some_and(|known| !known.namespaced) {
        return Some(format!("look-up `{name}`: a {kind} lives outside namespace `{namespace}`"));
    }
    let given = lookup.namespace.replace(Given::Value(namespace.to_owned()));
    match given {
        None => None,
        Some(Given::Value(given)) if given == namespace => None,
        Some(_) => Some(format!("look-up `{name}` may look into namespace `{namespace}` only")),
    }
}
