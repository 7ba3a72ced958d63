//! What only the API server can tell while a request waits: what its authorizer says, and a Namespace that is younger
//! than the watch.

use super::connect::Cluster;
use super::{describe, whole};
use k8s_openapi::api::authorization::v1::SubjectAccessReview;
use k8s_openapi::api::core::v1::Namespace;
use kube::api::{ListParams, PostParams};
use kube::{Api, Client};
use portcullis_core::authorization::{AccessAnswer, AccessReview, Answers, subject_access_review};
use portcullis_core::tree::Tree;
use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::sync::Semaphore;
use tokio::time::{Instant, timeout_at};

/// How long an answer of the authorizer holds: a right that is taken away counts for so long at most.
const HOLDS: Duration = Duration::from_secs(5);
/// How many answers are kept.
const MAX_KEPT: usize = 4_096;
/// How many questions may be under way; others wait, as long as their requests may.
const MAX_UNDER_WAY: usize = 64;

/// What a request needs.
#[derive(Debug, Clone, Default)]
pub(crate) struct Question {
    pub(crate) reviews: Vec<AccessReview>,
    pub(crate) namespace: Option<String>,
}

/// Asks the API server.
#[derive(Debug)]
pub(crate) struct Outside {
    cluster: Arc<Cluster>,
    kept: Mutex<HashMap<AccessReview, (AccessAnswer, Instant)>>,
    places: Arc<Semaphore>,
}

impl Outside {
    pub(crate) fn new(cluster: Arc<Cluster>) -> Self {
        Self { cluster, kept: Mutex::default(), places: Arc::new(Semaphore::new(MAX_UNDER_WAY)) }
    }

    /// Finds out what can be found out until then, and adds the answers of the authorizer to those that are known.
    pub(crate) async fn find(&self, asked: Question, until: Instant, answers: &mut Answers) -> Option<Tree> {
        let namespace = asked.namespace.map(|name| self.ask(until, |client| namespace(client, name)));
        let now = Instant::now();
        let mut under_way = Vec::new();
        for review in asked.reviews {
            let kept =
                self.lock().get(&review).filter(|(_, end)| *end > now).map(|(answer, _)| answer.clone());
            match kept {
                Some(answer) => answers.insert(review, answer),
                None => {
                    let question = review.clone();
                    under_way.push((review, self.ask(until, |client| answer(client, question))));
                }
            }
        }
        for (review, answer) in under_way {
            if let Ok(Some(answer)) = answer.await {
                self.keep(review.clone(), answer.clone());
                answers.insert(review, answer);
            }
        }
        namespace?.await.ok().flatten()
    }

    /// Asks on the cluster's thread; nothing comes back if that takes too long.
    fn ask<T: Send + 'static, F: Future<Output = Option<T>> + Send + 'static>(
        &self,
        until: Instant,
        question: impl FnOnce(Client) -> F,
    ) -> tokio::task::JoinHandle<Option<T>> {
        let (places, question) = (Arc::clone(&self.places), question(self.cluster.client.clone()));
        self.cluster.worker.call(async move {
            let asked = async {
                let _place = places.acquire().await.ok()?;
                question.await
            };
            timeout_at(until, asked).await.ok().flatten()
        })
    }

    fn keep(&self, review: AccessReview, answer: AccessAnswer) {
        let mut kept = self.lock();
        let now = Instant::now();
        if kept.len() >= MAX_KEPT {
            kept.retain(|_, (_, end)| *end > now);
        }
        // All of them are fresh: they are asked for again soon enough.
        if kept.len() >= MAX_KEPT {
            kept.clear();
        }
        kept.insert(review, (answer, now + HOLDS));
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<AccessReview, (AccessAnswer, Instant)>> {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

async fn answer(client: Client, asked: AccessReview) -> Option<AccessAnswer> {
    let review: SubjectAccessReview = serde_json::from_value(subject_access_review(&asked)?).ok()?;
    let reviews: Api<SubjectAccessReview> = Api::all(client);
    match reviews.create(&PostParams::default(), &review).await {
        Ok(answered) => {
            let status = answered.status.unwrap_or_default();
            let (allowed, reason) = (status.allowed, status.reason.unwrap_or_default());
            Some(AccessAnswer { allowed, reason, error: status.evaluation_error })
        }
        Err(error) => {
            tracing::warn!("the authorizer cannot be asked: {}", describe(&error));
            None
        }
    }
}

/// A Namespace by its name. It is listed, so that no right is needed but that of the watch.
async fn namespace(client: Client, name: String) -> Option<Tree> {
    let only = ListParams::default().fields(&format!("metadata.name={name}"));
    match Api::<Namespace>::all(client).list(&only).await {
        Ok(found) => found.items.into_iter().next().map(whole),
        Err(error) => {
            tracing::warn!("namespace `{name}` cannot be looked up: {}", describe(&error));
            None
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cluster::Options;
    use portcullis_core::authorization::{AccessAttributes, AccessUser, Authorizer};
    use std::io::{Read, Write};
    use std::net::TcpListener;

    fn outside(port: u16) -> (Outside, tempfile::NamedTempFile) {
        let file = tempfile::NamedTempFile::new().unwrap();
        let kubeconfig = format!(
            "apiVersion: v1\nkind: Config\ncurrent-context: c\ncontexts: [{{name: c, context: {{cluster: c, user: u}}}}]\n\
             users: [{{name: u, user: {{}}}}]\nclusters: [{{name: c, cluster: {{server: 'http://127.0.0.1:{port}'}}}}]\n"
        );
        std::fs::write(file.path(), kubeconfig).unwrap();
        let options = Options { kubeconfig: Some(file.path().to_owned()), context: None };
        (Outside::new(Cluster::find(&options, "portcullis").unwrap()), file)
    }

    fn review(verb: &str) -> AccessReview {
        let user = AccessUser { username: "jane".to_owned(), ..AccessUser::default() };
        AccessReview {
            user: Some(Arc::new(user)),
            verb: verb.into(),
            attributes: AccessAttributes::Path("/healthz".into()),
        }
    }

    fn find(outside: &Outside, reviews: Vec<AccessReview>, patience: Duration) -> (Answers, Option<Tree>) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let mut answers = Answers::default();
        let asked = Question { reviews, namespace: Some("shop".to_owned()) };
        let until = Instant::now() + patience;
        let namespace = runtime.block_on(outside.find(asked, until, &mut answers));
        (answers, namespace)
    }

    #[test]
    fn an_api_server_that_does_not_answer_costs_no_more_than_the_time_there_is() {
        // It accepts connections and says nothing.
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let (silent, _file) = outside(listener.local_addr().unwrap().port());
        let (answers, namespace) = find(&silent, vec![review("get")], Duration::from_millis(100));
        assert_eq!((answers.answer(&review("get")), namespace), (None, None));
        let (away, _file) = outside(1);
        let (answers, namespace) = find(&away, vec![review("get")], Duration::from_secs(60));
        assert_eq!((answers.answer(&review("get")), namespace), (None, None));
    }

    #[test]
    fn answers_are_kept() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let (outside, _file) = outside(listener.local_addr().unwrap().port());
        outside.keep(review("get"), AccessAnswer { allowed: true, ..AccessAnswer::default() });
        let (answers, _) = find(&outside, vec![review("get"), review("put")], Duration::from_millis(100));
        assert!(answers.answer(&review("get")).unwrap().allowed);
        assert_eq!(answers.answer(&review("put")), None);
        (0..2 * MAX_KEPT)
            .for_each(|number| outside.keep(review(&number.to_string()), AccessAnswer::default()));
        assert!(outside.lock().len() <= MAX_KEPT);
    }

    #[test]
    fn the_authorizer_answers() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let (outside, _file) = outside(listener.local_addr().unwrap().port());
        let server = std::thread::spawn(move || {
            let (mut stream, _) = listener.accept().unwrap();
            let mut head = [0; 4096];
            let read = stream.read(&mut head).unwrap();
            let body = r#"{"apiVersion":"authorization.k8s.io/v1","kind":"SubjectAccessReview","metadata":{},"spec":{},"status":{"allowed":true,"reason":"may"}}"#;
            let head = String::from_utf8_lossy(&head[..read]).into_owned();
            write!(
                stream,
                "HTTP/1.1 201 Created\r\ncontent-type: application/json\r\ncontent-length: {}\r\n\r\n{body}",
                body.len()
            )
            .unwrap();
            head
        });
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let mut answers = Answers::default();
        let asked = Question { reviews: vec![review("get")], namespace: None };
        let until = Instant::now() + Duration::from_secs(60);
        assert_eq!(runtime.block_on(outside.find(asked, until, &mut answers)), None);
        let answer = answers.answer(&review("get")).unwrap();
        assert_eq!((answer.allowed, answer.reason.as_str()), (true, "may"));
        assert!(
            server.join().unwrap().starts_with("POST /apis/authorization.k8s.io/v1/subjectaccessreviews")
        );
    }
}
