//! A request that is being decided, for as many rounds as it takes to find out what it needs.

use super::review::Review;
use crate::cluster::{Looked, Outside, Question};
use crate::live::Generation;
use portcullis_core::authorization::{Answers, Authorizer, MAX_ROUNDS};
use portcullis_core::decision::Verdict;
use portcullis_core::set::Pairs;
use portcullis_core::{Decision, Facts};
use std::sync::Arc;
use tokio::time::Instant;

/// A request with what is known for it.
pub(super) struct Pending {
    pairs: Pairs,
    /// Into which the API server converted the object, for those that it did so for.
    versions: Option<Box<str>>,
    pub(super) review: Review,
    pub(super) generation: Arc<Generation>,
    /// Those of the generation, and what was not among them.
    facts: Option<Facts>,
    answers: Answers,
    rounds: usize,
    asking: Option<(Arc<Outside>, Question)>,
}

impl Pending {
    pub(super) fn new(
        pairs: Pairs,
        versions: Option<&str>,
        review: Review,
        generation: Arc<Generation>,
    ) -> Self {
        let (answers, versions) = (Answers::default(), versions.map(Box::from));
        Self { pairs, versions, review, generation, facts: None, answers, rounds: 1, asking: None }
    }

    /// Decides by what is known.
    pub(super) fn decide(&self) -> Decision {
        let facts = self.facts.as_ref().unwrap_or(&self.generation.facts);
        let (set, request, now) = (&self.generation.set, &self.review.request, jiff::Timestamp::now());
        let asked = self.pairs.converted_to(self.versions.as_deref());
        if self.rounds == 1 {
            return set.decide(asked, request, facts, now);
        }
        let answers: Arc<dyn Authorizer> = Arc::new(self.answers.clone());
        set.decide_by_answers(asked, request, facts, Some(&answers), now)
    }

    /// Whether deciding may run a module.
    pub(super) fn calls_modules(&self) -> bool {
        let asked = self.pairs.converted_to(self.versions.as_deref());
        self.generation.set.calls_modules(asked, &self.review.request)
    }

    /// What a decision has to know and does not, if it may be asked for.
    pub(super) fn question(&self, decision: &Decision) -> Option<Question> {
        let request = &self.review.request;
        let is_open = |verdict: &Verdict| matches!(verdict, Verdict::Error | Verdict::Undecidable(_));
        let namespace = self.rounds == 1
            && !request.namespace.is_empty()
            && !request.kind.is_namespace()
            && decision.outcomes.iter().any(|outcome| is_open(&outcome.verdict))
            && self.generation.facts.namespace(&request.namespace).is_none();
        let namespace = namespace.then(|| request.namespace.clone());
        let Generation { set, facts, .. } = &*self.generation;
        let objects: Vec<Looked> =
            decision.sought.iter().filter_map(|sought| Looked::of(sought, set, facts)).collect();
        let is_any = !decision.unanswered.is_empty() || namespace.is_some() || !objects.is_empty();
        (is_any && self.rounds < MAX_ROUNDS).then(|| Question {
            reviews: decision.unanswered.clone(),
            namespace,
            objects,
        })
    }

    /// The same, about to ask.
    pub(super) fn asking(self, outside: &Arc<Outside>, question: Question) -> Self {
        Self { asking: Some((Arc::clone(outside), question)), ..self }
    }

    /// Asks, and waits for the answers: four fifths of the time that is left, so that what fails without them does so
    /// in time.
    pub(super) async fn learn(mut self, deadline: Instant) -> Self {
        if let Some((outside, question)) = self.asking.take() {
            let left = deadline.saturating_duration_since(Instant::now());
            let until = Instant::now() + left.mul_f64(0.8);
            let learned = outside.find(question, until, &mut self.answers).await;
            let facts = self.facts.get_or_insert_with(|| (*self.generation.facts).clone());
            learned.namespace.into_iter().for_each(|namespace| facts.learn_namespace(namespace));
            learned.objects.into_iter().for_each(|(sought, found)| facts.learn(sought, found));
        }
        self.rounds += 1;
        self
    }
}
