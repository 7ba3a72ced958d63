//! Our side: policies read from ConfigMaps, the AdmissionReview read and answered as the webhook does it.

use super::answer::Answer;
use super::lots::Lots;
use anyhow::{Context, Result, bail};
use portcullis::webhook::review::{Reply, Review};
use portcullis_core::document::read_manifest;
use portcullis_core::enforcement::{self, Door, enforce};
use portcullis_core::set::{DEFAULT_NAMESPACE, Pairs, Sources};
use portcullis_core::{Facts, PolicySet, Request};
use serde_json::{Value as Json, json};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

/// A cluster as far as policies see it, with the policies in force.
#[derive(Debug)]
pub(crate) struct World {
    pub(crate) set: PolicySet,
    pub(crate) facts: Facts,
}

impl World {
    /// What a case is decided by.
    pub(crate) fn of(case: &Json) -> Self {
        let documents = case["policies"].as_array().into_iter().chain(case["bindings"].as_array()).flatten();
        let config_maps = documents.enumerate().map(|(number, document)| {
            json!({
                "apiVersion": "v1",
                "kind": "ConfigMap",
                "metadata": {
                    "name": format!("policies-{number}"),
                    "namespace": DEFAULT_NAMESPACE,
                    "labels": {"portcullis.dev/policy": "true"},
                },
                "data": {"policy.yaml": document.to_string()},
            })
        });
        let list = json!({"apiVersion": "v1", "kind": "List", "items": config_maps.collect::<Vec<_>>()});
        let manifest = read_manifest(None, &list.to_string(), DEFAULT_NAMESPACE);
        let sources =
            Sources { config_maps: manifest.config_maps, failures: manifest.failures, ..Sources::default() };
        let mut facts = Facts::new(true);
        facts.set_authorizer(Arc::new(Lots));
        for object in case["namespaces"].as_array().into_iter().chain(case["params"].as_array()).flatten() {
            facts.add(object.clone());
        }
        Self { set: PolicySet::compile(&sources, None), facts }
    }

    /// What was wrong with the documents, a line each.
    pub(crate) fn problems(&self) -> Vec<String> {
        self.set.problems().iter().map(|problem| problem.message.clone()).collect()
    }

    /// Answers a review.
    pub(crate) fn judge(&self, review: &Json) -> Answer {
        let broken = |reason: String| Answer { broken: Some(reason), ..Answer::default() };
        catch_unwind(AssertUnwindSafe(|| self.reply(review).and_then(|reply| read(&reply))))
            .unwrap_or_else(|_| Ok(broken("panic".to_owned())))
            .unwrap_or_else(|error| broken(format!("{error:#}")))
    }

    /// Reads a review.
    ///
    /// # Errors
    /// It is none.
    pub(crate) fn read(review: &Json) -> Result<Request> {
        Ok(Review::read_whole(review.to_string())?.request)
    }

    /// Decides, and says what the requester is told.
    pub(crate) fn answer(&self, request: &Request) -> enforcement::Answer {
        let decision = self.set.decide(Pairs::All, request, &self.facts, jiff::Timestamp::UNIX_EPOCH);
        enforce(&decision, Door::Admission, false)
    }

    fn reply(&self, review: &Json) -> Result<Json> {
        let request = Self::read(review)?;
        let answer = self.answer(&request);
        let reply = Reply::Decided { answer: &answer, request: &request };
        Ok(serde_json::from_slice(&reply.to_json("0"))?)
    }
}

fn read(reply: &Json) -> Result<Answer> {
    let response = &reply["response"];
    let status = &response["status"];
    let text = |json: &Json| json.as_str().unwrap_or_default().to_owned();
    let mut answer = Answer {
        allowed: response["allowed"].as_bool().context("the reply does not say whether it is allowed")?,
        code: status["code"].as_u64().unwrap_or_default(),
        reason: text(&status["reason"]),
        message: text(&status["message"]),
        cause: text(&status["details"]["causes"][0]["message"]),
        ..Answer::default()
    };
    if answer.allowed != status.is_null() {
        bail!("the reply has a status where it allows, or none where it denies");
    }
    answer.warn(response["warnings"].as_array().into_iter().flatten().filter_map(Json::as_str));
    let annotations = response["auditAnnotations"].as_object().into_iter().flatten();
    answer.annotate(annotations.filter_map(|(key, value)| Some((key.as_str(), value.as_str()?))));
    Ok(answer)
}
