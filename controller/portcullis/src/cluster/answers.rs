//! What only the API server can tell while a request waits: what its authorizer says, and a Namespace or an object that
//! is younger than the watch.

use super::connect::Cluster;
use super::references::{of_metadata, of_type};
use super::{describe, whole};
use k8s_openapi::api::authorization::v1::SubjectAccessReview;
use k8s_openapi::api::core::v1::Namespace;
use kube::api::{DynamicObject, ListParams, PartialObjectMeta, PostParams};
use kube::core::GroupVersionKind;
use kube::discovery::ApiResource;
use kube::{Api, Client};
use portcullis_core::authorization::{AccessAnswer, AccessReview, Answers, subject_access_review};
use portcullis_core::facts::is_secret;
use portcullis_core::tree::Tree;
use portcullis_core::{Facts, Sought};
use std::collections::HashMap;
use std::hash::Hash;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tokio::sync::Semaphore;
use tokio::time::{Instant, timeout_at};

/// How long an answer of the authorizer holds: a right that is taken away counts for so long at most.
const HOLDS: Duration = Duration::from_secs(5);
/// How long an object holds that was found: by then the watch shows it.
const FOUND_HOLDS: Duration = Duration::from_secs(1);
/// How long it holds that there is none. Whoever makes it, and what needs it at once, waits for the reply first: an
/// object that is asked for again later than that is seen however young it is.
const MISSED_HOLDS: Duration = Duration::from_millis(100);
/// How many answers are kept, and how many objects.
const MAX_KEPT: usize = 4_096;
/// How many questions of a sort may be under way; others wait, as long as their requests may.
const MAX_UNDER_WAY: usize = 64;

/// What a request needs.
#[derive(Debug, Clone, Default)]
pub(crate) struct Question {
    pub(crate) reviews: Vec<AccessReview>,
    pub(crate) namespace: Option<String>,
    pub(crate) objects: Vec<Looked>,
}

/// What is looked up by its name.
#[derive(Debug, Clone)]
pub(crate) struct Looked {
    sought: Sought,
    resource: ApiResource,
    namespaced: bool,
}

impl Looked {
    /// None if its kind is not known.
    pub(crate) fn of(sought: &Sought, facts: &Facts) -> Option<Self> {
        let resource = facts.resource(&sought.api_version, &sought.kind)?;
        let (group, version) = sought.api_version.split_once('/').unwrap_or(("", &sought.api_version));
        let kind = GroupVersionKind::gvk(group, version, &sought.kind);
        let namespaced = resource.namespaced;
        let resource = ApiResource::from_gvk_with_plural(&kind, resource.plural);
        Some(Self { sought: sought.clone(), resource, namespaced })
    }
}

/// What was found out, but for the authorizer's answers.
#[derive(Debug, Default)]
pub(crate) struct Learned {
    pub(crate) namespace: Option<Tree>,
    pub(crate) objects: Vec<(Sought, Result<Vec<Tree>, String>)>,
}

/// What is kept for a while, each with its end.
type Kept<K, V> = Mutex<HashMap<K, (V, Instant)>>;

/// Asks the API server.
#[derive(Debug)]
pub(crate) struct Outside {
    cluster: Arc<Cluster>,
    answers: Kept<AccessReview, AccessAnswer>,
    objects: Kept<Sought, Vec<Tree>>,
    places: Arc<Semaphore>,
}

impl Outside {
    pub(crate) fn new(cluster: Arc<Cluster>) -> Self {
        let places = Arc::new(Semaphore::new(MAX_UNDER_WAY));
        Self { cluster, answers: Mutex::default(), objects: Mutex::default(), places }
    }

    /// Finds out what can be found out until then, and adds the answers of the authorizer to those that are known.
    pub(crate) async fn find(&self, asked: Question, until: Instant, answers: &mut Answers) -> Learned {
        let namespace = asked.namespace.map(|name| self.ask(until, |client| namespace(client, name)));
        let mut learned = Learned::default();
        let mut objects = Vec::new();
        for looked in asked.objects {
            match recall(&self.objects, &looked.sought) {
                Some(found) => learned.objects.push((looked.sought, Ok(found))),
                None => {
                    let sought = looked.sought.clone();
                    objects.push((sought, self.ask(until, |client| object(client, looked))));
                }
            }
        }
        let mut reviews = Vec::new();
        for review in asked.reviews {
            match recall(&self.answers, &review) {
                Some(answer) => answers.insert(review, answer),
                None => {
                    let question = review.clone();
                    reviews.push((review, self.ask(until, |client| answer(client, question))));
                }
            }
        }
        for (review, answer) in reviews {
            if let Ok(Some(answer)) = answer.await {
                keep(&self.answers, review.clone(), answer.clone(), HOLDS);
                answers.insert(review, answer);
            }
        }
        for (sought, found) in objects {
            let found = found.await.ok().flatten();
            let found =
                found.unwrap_or_else(|| Err(format!("nobody tells in time whether there is {sought}")));
            if let Ok(found) = &found
                && !found.is_empty()
            {
                keep(&self.objects, sought.clone(), found.clone(), FOUND_HOLDS);
            }
            learned.objects.push((sought, found));
        }
        if let Some(namespace) = namespace {
            learned.namespace = namespace.await.ok().flatten();
        }
        learned
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
}

/// What is kept of an earlier answer, if it still holds.
fn recall<K: Eq + Hash, V: Clone>(kept: &Kept<K, V>, key: &K) -> Option<V> {
    let kept = kept.lock().unwrap_or_else(PoisonError::into_inner);
    kept.get(key).filter(|(_, end)| *end > Instant::now()).map(|(value, _)| value.clone())
}

fn keep<K: Eq + Hash, V>(kept: &Kept<K, V>, key: K, value: V, holds: Duration) {
    let mut kept = kept.lock().unwrap_or_else(PoisonError::into_inner);
    let now = Instant::now();
    if kept.len() >= MAX_KEPT {
        kept.retain(|_, (_, end)| *end > now);
    }
    // All of them are fresh: they are asked for again soon enough.
    if kept.len() >= MAX_KEPT {
        kept.clear();
    }
    kept.insert(key, (value, now + holds));
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

/// The objects of a name: several where any namespace will do. They are listed, so that no right is needed but that of
/// the watch.
async fn object(client: Client, looked: Looked) -> Option<Result<Vec<Tree>, String>> {
    let Looked { sought, resource, namespaced } = looked;
    let only = ListParams::default().fields(&format!("metadata.name={}", sought.name));
    let namespace = sought.namespace.as_deref().filter(|_| namespaced);
    let found = if is_secret(&sought.api_version, &sought.kind) {
        let api: Api<PartialObjectMeta<DynamicObject>> = match namespace {
            Some(namespace) => Api::namespaced_with(client, namespace, &resource),
            None => Api::all_with(client, &resource),
        };
        let list = api.list(&only).await;
        list.map(|list| list.items.into_iter().map(|part| whole(of_metadata(part, &resource))).collect())
    } else {
        let api: Api<DynamicObject> = match namespace {
            Some(namespace) => Api::namespaced_with(client, namespace, &resource),
            None => Api::all_with(client, &resource),
        };
        let list = api.list(&only).await;
        list.map(|list| list.items.into_iter().map(|object| whole(of_type(object, &resource))).collect())
    };
    Some(found.map_err(|error| {
        let message = format!("nobody tells whether there is {sought}: {}", describe(&error));
        tracing::warn!("{message}");
        message
    }))
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

    fn find(outside: &Outside, reviews: Vec<AccessReview>, patience: Duration) -> (Answers, Learned) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let mut answers = Answers::default();
        let sought = Sought {
            api_version: "v1".to_owned(),
            kind: "Service".to_owned(),
            namespace: Some("shop".to_owned()),
            name: "web".to_owned(),
        };
        let objects = Looked::of(&sought, &Facts::new(true)).into_iter().collect();
        let asked = Question { reviews, namespace: Some("shop".to_owned()), objects };
        let until = Instant::now() + patience;
        let learned = runtime.block_on(outside.find(asked, until, &mut answers));
        (answers, learned)
    }

    #[test]
    fn an_api_server_that_does_not_answer_costs_no_more_than_the_time_there_is() {
        // It accepts connections and says nothing.
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let (silent, _file) = outside(listener.local_addr().unwrap().port());
        let what = "Service `web` of v1 in namespace `shop`";
        let check = |outside: &Outside, patience: Duration, reason: &str| {
            let (answers, learned) = find(outside, vec![review("get")], patience);
            assert_eq!((answers.answer(&review("get")), learned.namespace), (None, None));
            let [(_, Err(told))] = &learned.objects[..] else { panic!("{:?}", learned.objects) };
            assert!(told.starts_with(reason), "{told}");
        };
        let late = format!("nobody tells in time whether there is {what}");
        check(&silent, Duration::from_millis(100), &late);
        let (away, _file) = outside(1);
        check(&away, Duration::from_secs(60), &format!("nobody tells whether there is {what}: "));
    }

    #[test]
    fn answers_are_kept() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let (outside, _file) = outside(listener.local_addr().unwrap().port());
        keep(
            &outside.answers,
            review("get"),
            AccessAnswer { allowed: true, ..AccessAnswer::default() },
            HOLDS,
        );
        let (answers, _) = find(&outside, vec![review("get"), review("put")], Duration::from_millis(100));
        assert!(answers.answer(&review("get")).unwrap().allowed);
        assert_eq!(answers.answer(&review("put")), None);
        (0..2 * MAX_KEPT).for_each(|number| {
            keep(&outside.answers, review(&number.to_string()), AccessAnswer::default(), HOLDS);
        });
        assert!(outside.answers.lock().unwrap().len() <= MAX_KEPT);
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
        let asked = Question { reviews: vec![review("get")], ..Question::default() };
        let until = Instant::now() + Duration::from_secs(60);
        assert_eq!(runtime.block_on(outside.find(asked, until, &mut answers)).namespace, None);
        let answer = answers.answer(&review("get")).unwrap();
        assert_eq!((answer.allowed, answer.reason.as_str()), (true, "may"));
        assert!(
            server.join().unwrap().starts_with("POST /apis/authorization.k8s.io/v1/subjectaccessreviews")
        );
    }
}
