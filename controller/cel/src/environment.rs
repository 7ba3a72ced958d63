//! What an expression may name: its variables, and the functions of its libraries.

use std::collections::BTreeSet;
use std::sync::{Arc, LazyLock};

use cel::{DeclarationError, Env, extensions};

use crate::{image_functions, rewrite};

static PLAIN: LazyLock<Arc<Env>> = LazyLock::new(|| build(false));
static WITH_IMAGES: LazyLock<Arc<Env>> = LazyLock::new(|| build(true));

/// The variables and functions that a program is compiled with. Cloning is cheap.
#[derive(Clone)]
pub struct Environment {
    pub(crate) variables: Arc<BTreeSet<String>>,
    pub(crate) images: bool,
}

impl std::fmt::Debug for Environment {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Environment")
            .field("variables", &self.variables)
            .field("images", &self.images)
            .finish()
    }
}

impl Default for Environment {
    fn default() -> Self {
        Self::new()
    }
}

impl Environment {
    /// CEL's standard library with optionals, and the strings and lists extensions.
    #[must_use]
    pub fn new() -> Self {
        Self { variables: Arc::default(), images: false }
    }

    /// Declares a variable of any type.
    #[must_use]
    pub fn with_variable(mut self, name: &str) -> Self {
        Arc::make_mut(&mut self.variables).insert(name.to_owned());
        self
    }

    /// Adds `image()`, `isImage()` and the methods of images, see [`crate::image`].
    #[must_use]
    pub fn with_images(mut self) -> Self {
        self.images = true;
        self
    }

    pub(crate) fn env(&self) -> &'static Arc<Env> {
        if self.images { &WITH_IMAGES } else { &PLAIN }
    }
}

fn build(images: bool) -> Arc<Env> {
    let mut env = Env::stdlib();
    #[expect(clippy::expect_used, reason = "the same declarations each time: a test builds both")]
    declare(&mut env, images).expect("the libraries do not clash");
    Arc::new(env)
}

fn declare(env: &mut Env, images: bool) -> Result<(), DeclarationError> {
    extensions::strings(env)?;
    extensions::lists(env)?;
    rewrite::declare(env)?;
    if images {
        image_functions::declare(env)?;
    }
    Ok(())
}
