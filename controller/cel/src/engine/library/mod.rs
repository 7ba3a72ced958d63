//! Libraries beside the standard one, each a table that an environment can take in, and which of them each
//! version of Kubernetes has.

mod access;
mod addr;
mod amount;
mod args;
mod authorizer;
mod cidr;
mod decimal;
mod features;
mod formats;
pub(crate) mod formatting;
mod go_url;
mod images;
mod ip;
mod kubernetes;
mod list_extension;
mod lists;
mod names;
mod quantity;
mod regex;
mod semver;
mod sets;
mod strings;
mod url;

pub use access::{AccessAnswer, AccessAttributes, AccessReview, AccessUser, Authorizer, ResourceAttributes};
pub(crate) use features::{Feature, Features};
pub use kubernetes::{KubernetesVersion, UnknownVersion};
pub(crate) use list_extension::{SORT_BY_KEYS, cost_of_sort, sort_by_keys};

use super::environment::Environment;
use super::registry::Function;

/// Functions that come together, with the types they bring.
#[derive(Debug)]
pub struct Library {
    /// Its functions. A later version of a library is a library with the functions that it adds.
    pub functions: &'static [Function],
    /// The names of its own types, as an expression names them.
    pub types: &'static [&'static str],
}

impl Library {
    /// A library without types of its own.
    pub const fn of(functions: &'static [Function]) -> Self {
        Self { functions, types: &[] }
    }
}

/// What `Policy` documents have beside Kubernetes' libraries.
static EXTENSIONS: &[&Library] = &[&images::LIBRARY];

impl Environment {
    /// Adds what Kubernetes does not have: `image()`, `isImage()` and the methods of images, see
    /// [`crate::image`].
    #[must_use]
    pub fn with_extensions(self) -> Self {
        EXTENSIONS.iter().copied().fold(self, Self::with_library)
    }
}
