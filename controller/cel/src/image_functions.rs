//! `image()` and its methods in CEL.

use std::any::Any;
use std::sync::Arc;

use cel::common::types::{CelBool, CelString, Type};
use cel::common::value::{StaticVal, Val};
use cel::{DeclarationError, Env, ExecutionError};

use crate::error::EvaluationError;
use crate::image::{ImageError, ImageReference};

static IMAGE_TYPE: Type = Type::new_unspecified_type("image");

/// An [`ImageReference`] as the evaluator's value, of type `image`.
#[derive(Clone, Debug)]
pub(crate) struct ImageVal(pub(crate) Arc<ImageReference>);

impl Val for ImageVal {
    fn get_type(&self) -> &Type {
        &IMAGE_TYPE
    }

    fn cel_type() -> &'static Type {
        &IMAGE_TYPE
    }

    /// Two references are equal when their normalised forms are.
    fn equals(&self, other: &dyn Val) -> bool {
        other.downcast_ref::<ImageVal>().is_some_and(|other| {
            let (left, right) = (&self.0, &other.0);
            left.host() == right.host()
                && left.repository() == right.repository()
                && left.tag() == right.tag()
                && left.digest() == right.digest()
        })
    }

    fn clone_as_boxed<'v>(&self) -> Box<dyn Val + 'v> {
        Box::new(self.clone())
    }

    fn as_any(&self) -> Option<&dyn Any> {
        Some(self)
    }
}

impl StaticVal for ImageVal {}

/// Declares the functions on `env`.
pub(crate) fn declare(env: &mut Env) -> Result<(), DeclarationError> {
    env.add_type(IMAGE_TYPE.to_owned())?;
    cel::add_overload!(env, fn image: (CelString) -> Result<ImageVal>)?;
    cel::add_overload!(env, fn is_image: (CelString) -> CelBool, name = "isImage")?;
    cel::add_overload!(env, fn text: (ImageVal) -> CelString, name = "string", id = "image_to_string")?;
    cel::add_member_overload!(env, fn host: (ImageVal) -> CelString)?;
    cel::add_member_overload!(env, fn repository: (ImageVal) -> CelString)?;
    cel::add_member_overload!(env, fn tag: (ImageVal) -> CelString)?;
    cel::add_member_overload!(env, fn digest: (ImageVal) -> CelString)?;
    cel::add_member_overload!(env, fn is_qualified: (ImageVal) -> CelBool, name = "isQualified")?;
    cel::add_member_overload!(env, fn is_under: (ImageVal, CelString) -> Result<CelBool>, name = "isUnder")?;
    Ok(())
}

fn image(text: &CelString<'_>) -> Result<ImageVal, ExecutionError> {
    ImageReference::parse(text.inner()).map(|image| ImageVal(Arc::new(image))).map_err(failure)
}

fn is_image(text: &CelString<'_>) -> CelBool {
    CelBool::from(ImageReference::parse(text.inner()).is_ok())
}

fn text(image: &ImageVal) -> CelString<'static> {
    CelString::from(image.0.to_string())
}

fn host(image: &ImageVal) -> CelString<'static> {
    CelString::from(image.0.host().to_owned())
}

fn repository(image: &ImageVal) -> CelString<'static> {
    CelString::from(image.0.repository().to_owned())
}

/// The tag, empty if there is none.
fn tag(image: &ImageVal) -> CelString<'static> {
    CelString::from(image.0.tag().unwrap_or_default().to_owned())
}

/// The digest, empty if there is none.
fn digest(image: &ImageVal) -> CelString<'static> {
    CelString::from(image.0.digest().unwrap_or_default().to_owned())
}

fn is_qualified(image: &ImageVal) -> CelBool {
    CelBool::from(image.0.is_qualified())
}

fn is_under(image: &ImageVal, prefix: &CelString<'_>) -> Result<CelBool, ExecutionError> {
    image.0.is_under(prefix.inner()).map(CelBool::from).map_err(failure)
}

fn failure(error: ImageError) -> ExecutionError {
    EvaluationError::new(error.to_string()).pass_through()
}
