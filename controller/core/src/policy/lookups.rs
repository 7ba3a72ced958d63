//! `lookups`, compiled: which other objects a policy reads, and what of them.

use super::expression::{Expected, ExpressionCompiler};
use super::{CompiledExpression, Reads, reads_values};
use crate::document::{EVERY_NAMESPACE, Given, LabelSelector, Lookup, PolicyDocument};
use crate::facts::{self, Purpose, Reference, is_secret};
use portcullis_cel::{Extent, Footprint, Projection};
use std::sync::Arc;

/// The variable in which look-ups are found.
pub(super) const LOOKUPS: &str = "lookups";

/// Of a Secret that is looked up nothing else is known.
const OF_SECRETS: [&str; 3] = ["apiVersion", "kind", "metadata"];

/// One look-up.
#[derive(Debug)]
pub(crate) struct CompiledLookup {
    pub(crate) name: Arc<str>,
    pub(crate) namespace: Option<Given<String, CompiledExpression>>,
    pub(crate) object_name: Option<Given<String, CompiledExpression>>,
    pub(crate) selector: Option<Given<LabelSelector, CompiledExpression>>,
    /// Every object that it may find.
    pub(crate) reference: Reference,
    /// What its own expressions read.
    pub(crate) inputs: Footprint,
    /// Whether these read anything that must not be told if it is a Secret's.
    pub(crate) reads_values: bool,
    /// Whether they read values of a param that is a Secret.
    pub(crate) reads_param_values: bool,
    /// What the policy reads of each object that it finds.
    pub(crate) read: Projection,
}

/// Compiles the look-ups of a policy, and declares them to the expressions that follow.
pub(super) fn compile(
    compiler: &mut ExpressionCompiler<'_>,
    policy: &PolicyDocument,
) -> Option<Vec<CompiledLookup>> {
    let compiled: Vec<_> =
        policy.lookups.iter().map(|lookup| compile_one(compiler, policy, lookup)).collect();
    // Those that are broken too, so that only their own errors are told.
    compiler.declare_lookups(policy.lookups.iter().map(|lookup| lookup.name.as_str()));
    compiled.into_iter().collect()
}

fn compile_one(
    compiler: &mut ExpressionCompiler<'_>,
    policy: &PolicyDocument,
    lookup: &Lookup,
) -> Option<CompiledLookup> {
    let mut inputs = Footprint::default();
    let namespace = given(compiler, lookup.namespace.as_ref(), Expected::Text, &mut inputs);
    let object_name = given(compiler, lookup.object_name.as_ref(), Expected::Text, &mut inputs);
    let selector = given(compiler, lookup.selector.as_ref(), Expected::Labels, &mut inputs);
    if lookup.namespace.is_none() {
        inputs.merge(&compiler.namespace_of_request());
    }
    let constant = |text: &Option<Given<String>>| match text {
        Some(Given::Value(text)) if text != EVERY_NAMESPACE => Some(text.clone()),
        _ => None,
    };
    let reference = Reference {
        purpose: Purpose::Lookup,
        api_version: lookup.api_version.clone(),
        kind: lookup.kind.clone(),
        namespace: constant(&lookup.namespace),
        name: constant(&lookup.object_name),
        selector: match &lookup.selector {
            Some(Given::Value(selector)) => selector.to_string(),
            _ => String::new(),
        },
        optional: lookup.optional,
    };
    let reads = |name: &str| inputs.of(name).is_some_and(reads_values);
    let kind = policy.param_kind.as_ref();
    let reads_param_values =
        kind.is_some_and(|kind| is_secret(&kind.api_version, &kind.kind)) && reads("params");
    Some(CompiledLookup {
        name: Arc::from(lookup.name.as_str()),
        namespace: namespace?,
        object_name: object_name?,
        selector: selector?,
        reference,
        reads_values: reads("object") || reads("oldObject"),
        reads_param_values,
        inputs,
        read: Projection::new(Extent::Type),
    })
}

/// The inner `None` stands for "not written", the outer one for "broken".
#[expect(clippy::option_option, reason = "what is not written is no error, and what is broken is one")]
fn given<T: Clone>(
    compiler: &mut ExpressionCompiler<'_>,
    written: Option<&Given<T>>,
    expected: Expected,
    inputs: &mut Footprint,
) -> Option<Option<Given<T, CompiledExpression>>> {
    match written {
        None => Some(None),
        Some(Given::Value(value)) => Some(Some(Given::Value(value.clone()))),
        Some(Given::Expression(expression)) => {
            let compiled = compiler.compile(expression, expected, None)?;
            inputs.merge(compiled.program.footprint());
            Some(Some(Given::Expression(compiled)))
        }
    }
}

/// Notes what all programs of a policy read of what is looked up. Refuses those that want more of Secrets than there
/// is to be had.
pub(super) fn note_reads(
    compiler: &mut ExpressionCompiler<'_>,
    policy: &PolicyDocument,
    lookups: &mut [CompiledLookup],
    reads: &Reads,
) {
    for (lookup, written) in lookups.iter_mut().zip(&policy.lookups) {
        let Some(read) = reads.of_lookup(&lookup.name).and_then(Projection::element) else { continue };
        lookup.read.merge(read);
        if !lookup.reference.is_metadata_only() {
            continue;
        }
        let beyond = read.fields().map(|(name, _)| name).find(|name| !OF_SECRETS.contains(name));
        let what = match beyond {
            Some(name) => format!("`{name}`"),
            None if read.extent() > Extent::Type => "all".to_owned(),
            None => continue,
        };
        let message = format!(
            "`lookups.{}` reads {what} of Secrets, of which only `metadata` is to be had",
            lookup.name
        );
        compiler.refuse_at(written.place.clone(), message);
    }
}

impl CompiledLookup {
    /// Its own expressions.
    pub(super) fn expressions(&self) -> impl Iterator<Item = &CompiledExpression> {
        let of_texts =
            [&self.namespace, &self.object_name].into_iter().flatten().filter_map(Given::expression);
        of_texts.chain(self.selector.iter().filter_map(Given::expression))
    }

    /// What has to be kept of the objects that it may find.
    pub(crate) fn kept(&self) -> Projection {
        let mut kept = self.read.clone();
        kept.merge(&facts::identity(self.selector.is_some()));
        kept
    }
}
