//! Our engine, asked the same questions as cel-go.

use super::value::{read_type, read_value, write};
use super::{End, Question, Scope, Verdict};
use anyhow::Result;
use portcullis_cel::Tree;
use portcullis_cel::engine::{Bindings, Environment, KubernetesVersion, Meter, Program, Value};
use std::collections::BTreeMap;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

/// What Kubernetes lets one expression cost: `PerCallLimit` of apiserver's `pkg/apis/cel/config.go`.
const COST_LIMIT: u64 = 1_000_000;

/// Our engine with the documents that variables are bound to.
#[derive(Debug)]
pub(crate) struct Engine<'d> {
    documents: &'d BTreeMap<String, Tree>,
    /// Environments by their scopes, whether literals may be mixed, whether types are left to the evaluation, and
    /// the version of Kubernetes.
    environments: BTreeMap<(*const Scope, bool, bool, Option<KubernetesVersion>), Environment>,
}

impl<'d> Engine<'d> {
    pub(crate) fn new(documents: &'d BTreeMap<String, Tree>) -> Self {
        Self { documents, environments: BTreeMap::new() }
    }

    /// What it makes of a question.
    pub(crate) fn ask(&mut self, question: &Question) -> Verdict {
        let answer = || self.answer(question).unwrap_or_else(|error| Verdict::Crashed(format!("{error:#}")));
        catch_unwind(AssertUnwindSafe(answer)).unwrap_or_else(|_| Verdict::Crashed("panic".to_owned()))
    }

    /// Whether a program ends alike over two objects, its cost aside; none if there is no program, or if the
    /// objects differ in what it reads.
    pub(crate) fn same_outside_footprint(
        &mut self,
        question: &Question,
        one: &Tree,
        two: &Tree,
    ) -> Option<bool> {
        let environment = self.environment(question).ok()?;
        let program = Program::compile(&environment, &question.expression).ok()?;
        if !program.footprint().agrees("object", &Value::from_json(one.root()), &Value::from_json(two.root()))
        {
            return None;
        }
        let result = |object: &Tree| {
            let mut bindings = self.bindings(&environment, question).ok()?;
            bindings.set("object", Value::from_json(object.root()));
            let result = program.evaluate(&bindings, &Meter::new(COST_LIMIT));
            Some(result.map(|value| write(&value)).map_err(|failure| failure.to_string()))
        };
        Some(result(one)? == result(two)?)
    }

    fn answer(&mut self, question: &Question) -> Result<Verdict> {
        let environment = self.environment(question)?;
        let program = match Program::compile(&environment, &question.expression) {
            Ok(program) => program,
            Err(issues) => {
                return Ok(Verdict::Refused(issues.first().map(ToString::to_string).unwrap_or_default()));
            }
        };
        let bindings = self.bindings(&environment, question)?;
        let meter = Meter::new(COST_LIMIT);
        let result = program.evaluate(&bindings, &meter);
        let result = result.map(|value| write(&value)).map_err(|failure| failure.to_string());
        let checked = (!question.unchecked).then(|| program.result_type().to_string());
        Ok(Verdict::Ran { checked, ends: vec![End { result, cost: meter.cost() }] })
    }

    fn bindings<'q>(&self, environment: &Environment, question: &'q Question) -> Result<Bindings<'q>>
    where
        'd: 'q,
    {
        let mut bindings = Bindings::new(environment);
        let object = question.object.as_deref().map(|document| ("object", document));
        let documents = question.scope.documents.iter().map(|name| (name.as_str(), name.as_str()));
        for (name, document) in documents.chain(object) {
            if let Some(document) = self.documents.get(document) {
                bindings.set(name, Value::from_json(document.root()));
            }
        }
        for (name, value) in &question.scope.values {
            bindings.set(name, read_value(value)?);
        }
        Ok(bindings)
    }

    fn environment(&mut self, question: &Question) -> Result<Environment> {
        let key = (Arc::as_ptr(&question.scope), question.mixed, question.unchecked, question.kubernetes);
        if let Some(environment) = self.environments.get(&key) {
            return Ok(environment.clone());
        }
        let mut environment = match question.kubernetes {
            None if question.mixed => Environment::new(),
            version => Environment::kubernetes(version.unwrap_or_default()),
        };
        for (name, described) in &question.scope.declarations {
            environment = environment.with_variable(name, read_type(described, &question.scope.objects)?);
        }
        if question.mixed {
            environment = environment.by_specification();
        }
        if question.unchecked {
            environment = environment.unchecked();
        }
        self.environments.insert(key, environment.clone());
        Ok(environment)
    }
}
