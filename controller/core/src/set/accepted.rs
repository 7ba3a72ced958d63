//! What is in force, as texts: another process starts from them as if it had seen them itself.

use super::PolicySet;
use super::assemble::Unit;
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
}

impl PolicySet {
    /// The texts of what is in force from ConfigMaps, sorted.
    pub fn accepted(&self) -> Vec<Accepted> {
        let mut texts: BTreeMap<(&str, &str, &str, &Arc<str>), Vec<usize>> = BTreeMap::new();
        for unit in self.units.iter().filter(|unit| !unit.origin.config_map.is_empty()) {
            let origin = &unit.origin;
            let place = (&*origin.namespace, &*origin.config_map, &*origin.key, &unit.source);
            texts.entry(place).or_default().push(origin.document);
        }
        let accepted = texts.into_iter().map(|((namespace, config_map, key, text), mut documents)| {
            documents.sort_unstable();
            Accepted {
                namespace: namespace.to_owned(),
                config_map: config_map.to_owned(),
                key: key.to_owned(),
                text: Arc::clone(text),
                documents,
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
    let Accepted { namespace, config_map, key, text, documents } = accepted;
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
    wanted.filter_map(|read| Unit::of(confine(read, controller_namespace), text).map(Arc::new)).collect()
}
