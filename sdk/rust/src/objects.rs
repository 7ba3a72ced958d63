//! Objects that are not Pods, as far as policies read them. Fields that are not here are skipped; a type of your own has
//! those that you need.

use serde::Deserialize;
use std::collections::BTreeMap;

/// What every object carries under `metadata`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct Metadata {
    /// Its name; empty while it has none (`generateName`).
    pub name: String,
    /// What its name will begin with.
    pub generate_name: Option<String>,
    /// Its namespace; empty in a template, and of what is in none.
    pub namespace: String,
    /// What it is selected by.
    pub labels: BTreeMap<String, String>,
    /// What else is noted on it.
    pub annotations: BTreeMap<String, String>,
    /// Whose it is.
    pub owner_references: Vec<OwnerReference>,
}

/// An entry of `metadata.ownerReferences`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct OwnerReference {
    /// Group and version of the owner.
    pub api_version: String,
    /// The owner's kind.
    pub kind: String,
    /// The owner's name.
    pub name: String,
    /// The owner's uid.
    pub uid: String,
    /// Whether it is the one that manages the object.
    pub controller: Option<bool>,
}

/// A ConfigMap.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct ConfigMap {
    /// Its names, labels and annotations.
    pub metadata: Metadata,
    /// Texts by key.
    pub data: BTreeMap<String, String>,
    /// The rest, in base64, by key.
    pub binary_data: BTreeMap<String, String>,
    /// Whether it may be changed no more.
    pub immutable: Option<bool>,
}

/// A Secret. A policy sees its keys and never its values: each is `***`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct Secret {
    /// Its names, labels and annotations.
    pub metadata: Metadata,
    /// Such as `kubernetes.io/tls`; empty where a manifest leaves it out.
    #[serde(rename = "type")]
    pub kind: String,
    /// `***` by key.
    pub data: BTreeMap<String, String>,
    /// `***` by key: what a manifest that was not yet sent has in clear.
    pub string_data: BTreeMap<String, String>,
    /// Whether it may be changed no more.
    pub immutable: Option<bool>,
}
