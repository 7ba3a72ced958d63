//! Which libraries and features a version of Kubernetes has: apiserver's `pkg/cel/environment/base.go`.

use std::fmt;
use std::str::FromStr;
use std::sync::OnceLock;

use thiserror::Error;

use super::super::environment::Environment;
use super::{
    Feature, Library, authorizer, cidr, formats, ip, list_extension, lists, quantity, regex, semver, sets,
    strings, url,
};

/// A minor version of Kubernetes, of those whose expressions are known.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct KubernetesVersion(u8);

/// Not a version of Kubernetes whose expressions are known.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error(
    "`{0}` is not a version of Kubernetes that is known: write one from {oldest} to {newest}",
    oldest = KubernetesVersion::OLDEST,
    newest = KubernetesVersion::NEWEST
)]
pub struct UnknownVersion(String);

enum Addition {
    Library(&'static Library),
    Feature(Feature),
}

use Addition::{Feature as Language, Library as Functions};

/// What each minor version adds. Nothing is ever taken away: a library that base.go replaces by its next
/// version is here with what that adds.
static ADDITIONS: &[(u8, Addition)] = &[
    (0, Functions(&regex::LIBRARY)),
    (0, Functions(&lists::VERSION_0)),
    (0, Functions(&strings::VERSION_0)),
    (0, Functions(&url::LIBRARY)),
    (27, Functions(&authorizer::LIBRARY)),
    (28, Language(Feature::CrossTypeComparison)),
    (28, Language(Feature::Optionals)),
    (28, Functions(&quantity::LIBRARY)),
    (29, Language(Feature::LiteralValidation)),
    (29, Functions(&strings::VERSION_2)),
    (29, Functions(&sets::LIBRARY)),
    (30, Functions(&ip::LIBRARY)),
    (30, Functions(&cidr::LIBRARY)),
    (31, Functions(&authorizer::SELECTORS)),
    (31, Functions(&formats::LIBRARY)),
    (32, Language(Feature::TwoVariableMacros)),
    (33, Functions(&semver::LIBRARY)),
    (34, Functions(&list_extension::LIBRARY)),
    (34, Language(Feature::SortBy)),
    (37, Functions(&lists::VERSION_1)),
];

impl KubernetesVersion {
    /// The first with ValidatingAdmissionPolicy.
    pub const OLDEST: Self = Self(26);
    /// The newest that is known.
    pub const NEWEST: Self = Self(37);

    /// The number behind `1.`.
    #[must_use]
    pub fn minor(self) -> u8 {
        self.0
    }
}

impl Default for KubernetesVersion {
    fn default() -> Self {
        Self::NEWEST
    }
}

impl fmt::Display for KubernetesVersion {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "1.{}", self.0)
    }
}

impl FromStr for KubernetesVersion {
    type Err = UnknownVersion;

    /// Reads `1.37`, and what `kubectl version` prints: `v1.37.2`.
    fn from_str(text: &str) -> Result<Self, UnknownVersion> {
        let minor = text.trim_start_matches('v').strip_prefix("1.").unwrap_or_default();
        let minor = minor.split_once('.').map_or(minor, |(minor, _)| minor);
        let version = minor.parse().ok().map(Self);
        version
            .filter(|version| (Self::OLDEST..=Self::NEWEST).contains(version))
            .ok_or_else(|| UnknownVersion(text.to_owned()))
    }
}

impl Environment {
    /// What a version of Kubernetes gives ValidatingAdmissionPolicies, without any variables.
    #[must_use]
    pub fn kubernetes(version: KubernetesVersion) -> Self {
        const KNOWN: usize = KubernetesVersion::NEWEST.0 as usize + 1;
        static ENVIRONMENTS: [OnceLock<Environment>; KNOWN] = [const { OnceLock::new() }; KNOWN];
        match ENVIRONMENTS.get(usize::from(version.0)) {
            Some(made) => made.get_or_init(|| version.environment()).clone(),
            None => version.environment(),
        }
    }
}

impl KubernetesVersion {
    fn environment(self) -> Environment {
        ADDITIONS.iter().filter(|(since, _)| *since <= self.0).fold(
            Environment::bare(),
            |environment, (_, addition)| match addition {
                Functions(library) => environment.with_library(library),
                Language(feature) => environment.with_feature(*feature),
            },
        )
    }
}
