//! Libraries beside the standard one, each a table that an environment can take in.

mod images;
mod strings;

use super::environment::Environment;
use super::types::Type;

impl Environment {
    /// Adds `image()`, `isImage()` and the methods of images, see [`crate::image`].
    #[must_use]
    pub fn with_images(self) -> Self {
        let image = Type::Opaque(images::IMAGE, [].into());
        self.with_library(images::FUNCTIONS).with_type(images::IMAGE, image)
    }

    /// Adds the functions on strings that Kubernetes has, but for `format`.
    #[must_use]
    pub fn with_strings(self) -> Self {
        self.with_library(strings::FUNCTIONS)
    }
}
