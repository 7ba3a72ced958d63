//! From a policy document to programs.

use super::expression::{Expected, ExpressionCompiler};
use super::given::{self, Given};
use super::lookups::{self, CompiledLookup};
use super::{Actions, Class, CompiledExpression, FailurePolicy, Origins, Places, PolicyInfo, Reads};
use crate::decision::Reason;
use crate::document::{
    BindingDocument, Dialect, DocumentError, Expression, MatchResources, Matching, NamedExpression, OnUpdate,
    Origin, ParamKind, Params, ParamsSchema, PolicyDocument, Validation,
};
use crate::matching::{Matcher, covers_only_excluded};
use crate::module::Module;
use portcullis_cel::{Environment, Tree, Type};
use std::sync::Arc;

/// A policy with its programs, without its bindings.
#[derive(Debug)]
pub(crate) struct CompiledPolicy {
    pub(crate) info: Arc<PolicyInfo>,
    pub(crate) failure_policy: FailurePolicy,
    pub(crate) matching: Matching,
    pub(crate) matcher: Matcher,
    pub(crate) param_kind: Option<ParamKind>,
    /// What objects that a `paramRef` leads to must look like.
    pub(crate) params_schema: Option<ParamsSchema>,
    pub(crate) on_update: OnUpdate,
    /// The bindings that the document itself brings: a Policy's own, or its implicit one.
    pub(crate) bindings: Vec<Arc<CompiledBinding>>,
    /// What to run, or why it cannot be run.
    pub(crate) body: Result<Programs, String>,
}

impl CompiledPolicy {
    /// The same policy as [`frame`] would give it.
    pub(crate) fn without_programs(&self) -> Self {
        Self {
            info: Arc::clone(&self.info),
            failure_policy: self.failure_policy,
            matching: self.matching.clone(),
            matcher: self.matcher.clone(),
            param_kind: self.param_kind.clone(),
            params_schema: self.params_schema.clone(),
            on_update: self.on_update,
            bindings: self.bindings.clone(),
            body: Err(BROKEN.to_owned()),
        }
    }

    /// Whether judging runs a module.
    pub(crate) fn calls_a_module(&self) -> bool {
        self.body.as_ref().is_ok_and(|programs| programs.module.is_some())
    }

    /// The same, whose module is not there yet.
    pub(crate) fn pending(self) -> Self {
        Self { body: Err(PENDING.to_owned()), ..self }
    }
}

/// Why a request that a broken policy matches cannot be judged.
const BROKEN: &str = "the policy is broken and there is no earlier version of it";
/// Why a request cannot be judged yet.
const PENDING: &str = "the policy's module is still being compiled and there is no earlier version of it";

/// A binding, ready to use.
#[derive(Debug)]
pub(crate) struct CompiledBinding {
    /// `None` for a Policy's implicit binding.
    pub(crate) name: Option<Arc<str>>,
    pub(crate) actions: Actions,
    pub(crate) match_resources: Option<MatchResources>,
    pub(crate) params: Params,
    /// Its inline params; null where they are not.
    pub(crate) inline_params: Tree,
    /// Why what it matches cannot be judged, if it cannot.
    pub(crate) broken: Option<&'static str>,
}

impl CompiledBinding {
    /// The same, but for what it is good for: all it matches is an error.
    pub(crate) fn broken(&self) -> Self {
        Self {
            name: self.name.clone(),
            actions: self.actions,
            match_resources: self.match_resources.clone(),
            params: Params::None,
            inline_params: Tree::default(),
            broken: Some("the binding is broken and there is no earlier version of it"),
        }
    }

    pub(crate) fn class(&self, failure_policy: FailurePolicy) -> Class {
        Class::of(self.actions, failure_policy)
    }
}

/// The programs of a policy.
#[derive(Debug)]
pub(crate) struct Programs {
    /// What the bindings of every program are made for.
    pub(crate) environment: Environment,
    pub(crate) places: Places,
    pub(crate) match_conditions: Vec<(String, CompiledExpression)>,
    pub(crate) lookups: Vec<CompiledLookup>,
    pub(crate) variables: Vec<(Arc<str>, CompiledExpression)>,
    /// Where their values come from.
    pub(crate) origins: Origins,
    pub(crate) validations: Validations,
    /// What judges in place of validations.
    pub(crate) module: Option<Arc<dyn Module>>,
    /// `audit.validations`: used where the full ones are undecidable.
    pub(crate) audit_validations: Option<Validations>,
    pub(crate) audit_annotations: Vec<(String, CompiledExpression)>,
    /// What the matchConditions read.
    pub(crate) condition_reads: Reads,
    /// What the auditAnnotations read.
    pub(crate) annotation_reads: Reads,
    /// What everything but `audit_validations` and messages reads.
    pub(crate) reads: Reads,
}

/// A list of validations that are evaluated together.
#[derive(Debug)]
pub(crate) struct Validations {
    pub(crate) list: Vec<CompiledValidation>,
    /// What deciding them reads.
    pub(crate) reads: Reads,
    /// What wording them reads: messages and field paths, and the lists that these are about.
    pub(crate) wording_reads: Reads,
    /// What a module is given that judges in place of the list, which is empty then; else nothing.
    pub(crate) given: Vec<Given>,
}

/// One validation.
#[derive(Debug)]
pub(crate) struct CompiledValidation {
    pub(crate) expression: CompiledExpression,
    pub(crate) for_each: Option<CompiledExpression>,
    pub(crate) field_path: Option<CompiledExpression>,
    pub(crate) message: Option<String>,
    pub(crate) message_expression: Option<CompiledExpression>,
    pub(crate) reason: Reason,
    /// What deciding (not wording) this validation reads.
    pub(crate) reads: Reads,
}

/// Compiles a policy, or says everything that is wrong with its expressions. One that has `wasm` comes with its module.
///
/// Must run inside [`portcullis_cel::with_large_stack`] where many policies are compiled, for speed alone.
pub(crate) fn compile(
    origin: &Origin,
    policy: &PolicyDocument,
    module: Option<Arc<dyn Module>>,
) -> Result<CompiledPolicy, Vec<DocumentError>> {
    match check(origin, policy) {
        Checked { programs: Some(programs), errors, .. } if errors.is_empty() => {
            Ok(CompiledPolicy { body: Ok(Programs { module, ..programs }), ..frame(origin, policy) })
        }
        Checked { errors, .. } => Err(errors),
    }
}

/// What is found out about a policy when it is compiled.
pub(super) struct Checked {
    /// `None` if an expression does not compile.
    pub(super) programs: Option<Programs>,
    pub(super) errors: Vec<DocumentError>,
    pub(super) warnings: Vec<DocumentError>,
}

/// Compiles the expressions of a policy as far as they can be.
pub(super) fn check(origin: &Origin, policy: &PolicyDocument) -> Checked {
    let mut compiler = ExpressionCompiler::new(origin, policy);
    if covers_only_excluded(Matcher::new(&policy.matching).rules()) {
        let message = "everything it matches is kept out of the webhook";
        let hint = "nodes, leases, events, certificate signing requests and reviews are never judged, \
                    so that no policy can stop a cluster from working";
        let error = DocumentError::at(origin, Some(&policy.name), policy.place.clone(), message);
        compiler.errors.push(error.with_hint(hint));
    }
    let programs = programs(&mut compiler, policy);
    Checked { programs, errors: compiler.errors, warnings: compiler.warnings }
}

/// What is wrong with the expressions of a policy if they may name what `environment` declares.
pub(super) fn probe(
    origin: &Origin,
    policy: &PolicyDocument,
    environment: Environment,
) -> Vec<DocumentError> {
    let mut compiler = ExpressionCompiler::probing(origin, policy, environment);
    programs(&mut compiler, policy);
    compiler.errors
}

/// A policy that cannot be run, but whose match is known: every matching request is an error.
pub(crate) fn frame(origin: &Origin, policy: &PolicyDocument) -> CompiledPolicy {
    let annotation = |key: &str| policy.annotations.get(&format!("portcullis.dev/{key}")).cloned();
    let info = PolicyInfo {
        dialect: policy.dialect,
        name: policy.name.clone(),
        title: annotation("title"),
        severity: annotation("severity"),
        category: annotation("category"),
        remediation: annotation("remediation"),
        origin: origin.clone(),
    };
    CompiledPolicy {
        info: Arc::new(info),
        failure_policy: policy.failure_policy,
        matching: policy.matching.clone(),
        matcher: Matcher::new(&policy.matching),
        param_kind: policy.param_kind.clone(),
        params_schema: policy.params_schema.clone(),
        on_update: policy.on_update,
        bindings: own_bindings(policy),
        body: Err(BROKEN.to_owned()),
    }
}

/// A Policy's bindings, or its implicit one; a ValidatingAdmissionPolicy has none of its own.
fn own_bindings(policy: &PolicyDocument) -> Vec<Arc<CompiledBinding>> {
    if policy.dialect == Dialect::Kubernetes {
        return Vec::new();
    }
    if policy.bindings.is_empty() {
        return vec![Arc::new(CompiledBinding {
            name: None,
            actions: policy.actions.unwrap_or_default(),
            match_resources: None,
            params: policy.params.clone(),
            inline_params: inline(&policy.params),
            broken: None,
        })];
    }
    policy.bindings.iter().map(|binding| Arc::new(compile_binding(binding, Some(policy)))).collect()
}

/// A binding's own actions and params, or those of the policy that it is written in.
pub(crate) fn compile_binding(binding: &BindingDocument, policy: Option<&PolicyDocument>) -> CompiledBinding {
    let inherited = policy.map(|policy| policy.params.clone()).unwrap_or_default();
    let params = match &binding.params {
        Params::None => inherited,
        own => own.clone(),
    };
    CompiledBinding {
        name: Some(Arc::from(binding.name.as_str())),
        actions: binding.actions.or(policy.and_then(|policy| policy.actions)).unwrap_or_default(),
        match_resources: binding.match_resources.clone(),
        inline_params: inline(&params),
        params,
        broken: None,
    }
}

fn inline(params: &Params) -> Tree {
    match params {
        Params::Inline(value) => Tree::from(value),
        Params::None | Params::Ref(_) => Tree::default(),
    }
}

fn programs(compiler: &mut ExpressionCompiler<'_>, policy: &PolicyDocument) -> Option<Programs> {
    // Every part is compiled even if an earlier one is broken, so that all errors are reported at once.
    let lookups = lookups::compile(compiler, policy);
    let match_conditions =
        named(&policy.match_conditions, |expression| compiler.compile_condition(expression));
    let variables: Vec<Option<_>> = policy
        .variables
        .iter()
        .map(|variable| Some((Arc::from(variable.name.as_str()), compiler.compile_variable(variable)?)))
        .collect();
    let variables: Option<Vec<_>> = variables.into_iter().collect();
    let origins =
        Origins::of(variables.as_deref().unwrap_or_default(), lookups.as_deref().unwrap_or_default());
    let known = &origins;
    let validations = validations(compiler, &policy.validations, known);
    let audit_validations =
        policy.audit_validations.as_ref().map(|list| self::validations(compiler, list, known));
    let audit_annotations = named(&policy.audit_annotations, |expression| {
        compiler.compile(expression, Expected::StringOrNull, None)
    });

    let audit_validations = match audit_validations {
        None => None,
        Some(compiled) => Some(compiled?),
    };
    let given = given::compile(compiler, policy, &origins);
    let (match_conditions, mut validations) = (match_conditions?, validations?);
    let (given, given_reads) = given?;
    validations.reads = Reads::union([&validations.reads, &given_reads]);
    validations.given = given;
    let audit_annotations = audit_annotations?;
    let of_each = |list: &[(String, CompiledExpression)]| {
        Reads::union(&list.iter().map(|(_, each)| Reads::of(each, &origins)).collect::<Vec<_>>())
    };
    let condition_reads = of_each(&match_conditions);
    let annotation_reads = of_each(&audit_annotations);
    let reads = Reads::union([&condition_reads, &validations.reads, &annotation_reads]);
    let mut lookups = lookups?;
    let told =
        audit_validations.iter().chain([&validations]).flat_map(|all| [&all.reads, &all.wording_reads]);
    lookups::note_reads(compiler, policy, &mut lookups, &Reads::union(told.chain([&reads])));
    let environment = compiler.widest_environment();
    Some(Programs {
        places: Places::of(&environment),
        environment,
        match_conditions,
        lookups,
        variables: variables?,
        reads,
        validations,
        module: None,
        audit_validations,
        audit_annotations,
        condition_reads,
        annotation_reads,
        origins,
    })
}

fn named(
    list: &[NamedExpression],
    mut compile: impl FnMut(&Expression) -> Option<CompiledExpression>,
) -> Option<Vec<(String, CompiledExpression)>> {
    let compiled: Vec<_> = list
        .iter()
        .map(|named| compile(&named.expression).map(|compiled| (named.name.clone(), compiled)))
        .collect();
    compiled.into_iter().collect()
}

fn validations(
    compiler: &mut ExpressionCompiler<'_>,
    list: &[Validation],
    origins: &Origins,
) -> Option<Validations> {
    let compiled: Vec<_> =
        list.iter().map(|validation| compile_validation(compiler, validation, origins)).collect();
    let list: Vec<CompiledValidation> = compiled.into_iter().collect::<Option<_>>()?;
    let wording = list.iter().flat_map(|validation| {
        let told = [&validation.field_path, &validation.message_expression].into_iter().flatten();
        told.map(|told| Reads::of_each(told, validation.for_each.as_ref(), origins))
    });
    let wording_reads = Reads::union(&wording.collect::<Vec<_>>());
    let reads = Reads::union(list.iter().map(|validation| &validation.reads));
    Some(Validations { list, reads, wording_reads, given: Vec::new() })
}

fn compile_validation(
    compiler: &mut ExpressionCompiler<'_>,
    validation: &Validation,
    origins: &Origins,
) -> Option<CompiledValidation> {
    let list = |list| compiler.compile(list, Expected::List, None);
    let for_each = validation.for_each.as_ref().map(list);
    let each = for_each.as_ref().map(|list| match list.as_ref().map(|list| list.program.result_type()) {
        Some(Type::List(element)) => Type::clone(element),
        _ => Type::Dyn,
    });
    let each = each.as_ref();
    let expression = compiler.compile(&validation.expression, Expected::Bool, each);
    let path = |path| compiler.compile(path, Expected::String, each);
    let field_path = validation.field_path.as_ref().map(path);
    let message = |message| compiler.compile_message(message, each);
    let message_expression = validation.message_expression.as_ref().map(message);

    let expression = expression?;
    let for_each = transpose(for_each)?;
    let reads = Reads::of_each(&expression, for_each.as_ref(), origins);
    Some(CompiledValidation {
        expression,
        for_each,
        field_path: transpose(field_path)?,
        message: validation.message.clone(),
        message_expression: transpose(message_expression)?.flatten(),
        reason: validation.reason,
        reads,
    })
}

/// `None` stands for "not written"; an inner `None` for "broken".
fn transpose<T>(written: Option<Option<T>>) -> Option<Option<T>> {
    match written {
        None => Some(None),
        Some(compiled) => compiled.map(Some),
    }
}
