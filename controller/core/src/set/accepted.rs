//! What is in force, as texts and modules: another process starts from them as if it had seen them itself.

use super::PolicySet;
use super::unit::Unit;
use crate::confined::confine;
use crate::document::{ConfigMap, read_config_map};
use crate::yaml::{Text, TextPlace};
use std::collections::BTreeMap;
use std::sync::Arc;

/// A key's text of which documents are in force. What is broken now is in force as an earlier text has it, so that
/// a key may have several.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Accepted {
    /// The ConfigMap's namespace.
    pub namespace: String,
    /// The ConfigMap's name.
    pub config_map: String,
    /// The key in `data`.
    pub key: String,
    /// The key's text.
    pub text: Arc<str>,
    /// Which of its documents are in force, from 1, in order.
    pub documents: Vec<usize>,
    /// The modules of those that have one, as they were delivered: parts in order, raw or compressed once they are put
    /// together.
    pub modules: BTreeMap<usize, Vec<Arc<[u8]>>>,
}

impl PolicySet {
    /// The texts and modules of what is in force from ConfigMaps, sorted by place. What was, and waits for its module to
    /// be so again, is among it.
    pub fn accepted(&self) -> Vec<Accepted> {
        let mut texts: BTreeMap<(&str, &str, &str, &Arc<str>), Vec<&Unit>> = BTreeMap::new();
        for unit in self.units.iter().filter(|unit| !unit.origin.config_map.is_empty()) {
            let origin = &unit.origin;
            let place = (&*origin.namespace, &*origin.config_map, &*origin.key, &unit.source);
            texts.entry(place).or_default().push(unit);
        }
        let accepted = texts.into_iter().map(|((namespace, config_map, key, text), units)| {
            let mut documents: Vec<usize> = units.iter().map(|unit| unit.origin.document).collect();
            documents.sort_unstable();
            let with_module = units.iter().filter(|unit| !unit.parts.is_empty());
            let modules = with_module.map(|unit| (unit.origin.document, unit.parts.clone())).collect();
            Accepted {
                namespace: namespace.to_owned(),
                config_map: config_map.to_owned(),
                key: key.to_owned(),
                text: Arc::clone(text),
                documents,
                modules,
            }
        });
        accepted.collect()
    }

    /// What [`compile`](Self::compile) falls back on where nothing was compiled before. It decides nothing itself.
    /// What is not sound by now is left out.
    pub fn restore(accepted: &[Accepted], controller_namespace: &str) -> Self {
        let units = accepted.iter().flat_map(|accepted| units(accepted, controller_namespace));
        let units = portcullis_cel::with_large_stack(|| units.collect());
        Self { units, ..Self::default() }
    }
}

fn units(accepted: &Accepted, controller_namespace: &str) -> Vec<Arc<Unit>> {
    let Accepted { namespace, config_map, key, text, documents, modules } = accepted;
    let data = Text { text: text.to_string(), place: TextPlace::whole() };
    let config_map = ConfigMap {
        file: None,
        namespace: namespace.clone(),
        name: config_map.clone(),
        exceptions_only: false,
        data: vec![(key.clone(), data)],
        modules: Vec::new(),
    };
    let read = read_config_map(&config_map).into_iter();
    let wanted = read.filter(|read| documents.contains(&read.origin.document));
    let units = wanted.filter_map(|read| {
        let parts = modules.get(&read.origin.document);
        Unit::of(confine(read, controller_namespace), text, parts).map(Arc::new)
    });
    units.collect()
}
