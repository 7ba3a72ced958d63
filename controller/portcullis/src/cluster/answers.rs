//! What only the API server can tell while a request waits: what its authorizer says, and a Namespace or an object that
//! is younger than the watch.

use super::asked::Asked;
use super::connect::Cluster;
use super::references::{of_metadata, of_type};
use super::referred::kept as kept_of;
use super::{describe, whole};
use k8s_openapi::api::authorization::v1::SubjectAccessReview;
use k8s_openapi::api::core::v1::Namespace;
use kube::api::{DynamicObject, ListParams, PartialObjectMeta, PostParams};
use kube::core::GroupVersionKind;
use kube::discovery::ApiResource;
use kube::{Api, Client};
use portcullis_core::authorization::{AccessAnswer, AccessReview, Answers, subject_access_review};
use portcullis_core::facts::is_secret;
use portcullis_core::tree::{Selection, Tree};
use portcullis_core::{Facts, PolicySet, Projection, Sought};
use std::sync::Arc;
use std::time::Duration;
use tokio::time::{Instant, timeout_at};

/// How long an answer of the authorizer holds: a right that is taken away counts for so long at most.
const HOLDS: Duration = Duration::from_secs(5);
/// How long an object holds that was found: by then the watch shows it.
const FOUND_HOLDS: Duration = Duration::from_secs(1);
/// How long it holds that there is none. Whoever makes it, and what needs it at once, waits for the reply first: an
/// object that is asked for again later than that is seen however young it is.
const MISSED_HOLDS: Duration = Duration::from_millis(100);

/// What a request needs.
#[derive(Debug, Clone, Default)]
pub(crate) struct Question {
    pub(crate) reviews: Vec<AccessReview>,
    pub(crate) namespace: Option<String>,
    pub(crate) objects: Vec<Looked>,
}

/// What is looked up by its name.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) struct Looked {
    sought: Sought,
    resource: ApiResource,
    namespaced: bool,
    /// What of it is read.
    kept: Projection,
}

impl Looked {
    /// None if its kind is not known, or nobody looks it up.
    pub(crate) fn of(sought: &Sought, set: &PolicySet, facts: &Facts) -> Option<Self> {
        let resource = facts.resource(&sought.api_version, &sought.kind)?;
        let kept = set.referred(&sought.api_version, &sought.kind)?;
        let (group, version) = sought.api_version.split_once('/').unwrap_or(("", &sought.api_version));
        let kind = GroupVersionKind::gvk(group, version, &sought.kind);
        let namespaced = resource.namespaced;
        let resource = ApiResource::from_gvk_with_plural(&kind, resource.plural);
        Some(Self { sought: sought.clone(), resource, namespaced, kept })
    }
}

/// What was found out, but for the authorizer's answers.
#[derive(Debug, Default)]
pub(crate) struct Learned {
    pub(crate) namespace: Option<Tree>,
    pub(crate) objects: Vec<(Sought, Result<Vec<Tree>, String>)>,
}

/// What an object is found to be: several where any namespace will do.
type Objects = Result<Vec<Tree>, String>;

/// Asks the API server.
#[derive(Debug)]
pub(crate) struct Outside {
    cluster: Arc<Cluster>,
    answers: Arc<Asked<AccessReview, AccessAnswer>>,
    objects: Arc<Asked<Looked, Objects>>,
    namespaces: Arc<Asked<String, Option<Tree>>>,
}

impl Outside {
    pub(crate) fn new(cluster: Arc<Cluster>) -> Self {
        let bytes = |objects: &Objects| objects.iter().flatten().map(Tree::memory).sum();
        let objects = Asked::new(
            |found: &Objects| match found {
                Ok(objects) if objects.is_empty() => MISSED_HOLDS,
                Ok(_) => FOUND_HOLDS,
                Err(_) => Duration::ZERO,
            },
            bytes,
        );
        let namespaces = Asked::new(
            |found: &Option<Tree>| if found.is_some() { FOUND_HOLDS } else { MISSED_HOLDS },
            |found| found.as_ref().map_or(0, Tree::memory),
        );
        Self { cluster, answers: Asked::new(|_| HOLDS, |_| 0), objects, namespaces }
    }

    /// Finds out what can be found out until then, and adds the answers of the authorizer to those that are known.
    pub(crate) async fn find(&self, asked: Question, until: Instant, answers: &mut Answers) -> Learned {
        let cluster = &self.cluster;
        let namespace = asked.namespace.map(|name| self.namespaces.ask(cluster, name, namespace));
        let objects: Vec<_> = asked
            .objects
            .into_iter()
            .map(|looked| {
                let sought = looked.sought.clone();
                (sought, self.objects.ask(cluster, looked, object))
            })
            .collect();
        let reviews: Vec<_> = asked
            .reviews
            .into_iter()
            .map(|review| (review.clone(), self.answers.ask(cluster, review, answer)))
            .collect();
        for (review, answer) in reviews {
            if let Ok(Some(answer)) = timeout_at(until, answer).await {
                answers.insert(review, answer);
            }
        }
        let mut learned = Learned::default();
        for (sought, found) in objects {
            let found = timeout_at(until, found).await.ok().flatten();
            let late = || Err(format!("nobody tells in time whether there is {sought}"));
            let found = found.unwrap_or_else(late);
            learned.objects.push((sought, found));
        }
        if let Some(namespace) = namespace {
            learned.namespace = timeout_at(until, namespace).await.ok().flatten().flatten();
        }
        learned
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
async fn namespace(client: Client, name: String) -> Option<Option<Tree>> {
    let only = ListParams::default().fields(&format!("metadata.name={name}"));
    match Api::<Namespace>::all(client).list(&only).await {
        Ok(found) => Some(found.items.into_iter().next().map(whole)),
        Err(error) => {
            tracing::warn!("namespace `{name}` cannot be looked up: {}", describe(&error));
            None
        }
    }
}

/// The objects of a name: several where any namespace will do. They are listed, so that no right is needed but that of
/// the watch.
async fn object(client: Client, looked: Looked) -> Option<Objects> {
    let Looked { sought, resource, namespaced, kept } = looked;
    let selection = Selection::of(&kept);
    let kept = |object| kept_of(object, &selection);
    let only = ListParams::default().fields(&format!("metadata.name={}", sought.name));
    let namespace = sought.namespace.as_deref().filter(|_| namespaced);
    let found = if is_secret(&sought.api_version, &sought.kind) {
        let api: Api<PartialObjectMeta<DynamicObject>> = match namespace {
            Some(namespace) => Api::namespaced_with(client, namespace, &resource),
            None => Api::all_with(client, &resource),
        };
        let list = api.list(&only).await;
        list.map(|list| list.items.into_iter().map(|part| kept(of_metadata(part, &resource))).collect())
    } else {
        let api: Api<DynamicObject> = match namespace {
            Some(namespace) => Api::namespaced_with(client, namespace, &resource),
            None => Api::all_with(client, &resource),
        };
        let list = api.list(&only).await;
        list.map(|list| list.items.into_iter().map(|object| kept(of_type(object, &resource))).collect())
    };
    Some(found.map_err(|error| {
        let message = format!("nobody tells whether there is {sought}: {}", describe(&error));
        tracing::warn!("{message}");
        message
    }))
}

#[cfg(test)]
mod tests {
    use super::super::worker::Worker;
    use super::*;
    use portcullis_core::Extent;
    use portcullis_core::authorization::{AccessAttributes, AccessUser, Authorizer};
    use serde_json::{Value as Json, json};
    use std::sync::atomic::{AtomicUsize, Ordering};
    use tokio::sync::Semaphore;

    /// An API server whose replies, or that it gives none, are told by the path. How often it was asked what, in order.
    fn outside<F>(reply: impl Fn(String) -> F + Send + Sync + 'static) -> Outside
    where
        F: Future<Output = Json> + Send + 'static,
    {
        let service = tower::service_fn(move |request: hyper::Request<kube::client::Body>| {
            let reply = reply(request.uri().path().to_owned());
            async {
                let body = kube::client::Body::from(reply.await.to_string().into_bytes());
                Ok::<_, std::convert::Infallible>(hyper::Response::new(body))
            }
        });
        let worker = Worker::start().unwrap();
        let client = worker.run(async move { Client::new(service, "default") }).unwrap();
        let (namespace, url) = ("portcullis".to_owned(), "http://nowhere".to_owned());
        Outside::new(Arc::new(Cluster { client, namespace, worker, url }))
    }

    fn reply_to(path: &str) -> Json {
        let metadata = json!({"name": "web", "namespace": "shop", "annotations": {"big": "x"}});
        match path {
            "/apis/authorization.k8s.io/v1/subjectaccessreviews" => json!({
                "apiVersion": "authorization.k8s.io/v1", "kind": "SubjectAccessReview", "metadata": {}, "spec": {},
                "status": {"allowed": true, "reason": "may"},
            }),
            "/api/v1/namespaces" => json!({"metadata": {}, "items": [{"metadata": {"name": "shop"}}]}),
            _ => json!({"metadata": {}, "items": [{"metadata": metadata, "spec": {"clusterIP": "None"}}]}),
        }
    }

    fn review(verb: &str) -> AccessReview {
        let user = AccessUser { username: "jane".to_owned(), ..AccessUser::default() };
        AccessReview {
            user: Some(Arc::new(user)),
            verb: verb.into(),
            attributes: AccessAttributes::Path("/healthz".into()),
        }
    }

    fn service() -> Looked {
        let sought = Sought {
            api_version: "v1".to_owned(),
            kind: "Service".to_owned(),
            namespace: Some("shop".to_owned()),
            name: "web".to_owned(),
        };
        let kind = GroupVersionKind::gvk("", "v1", "Service");
        let mut kept = Projection::new(Extent::Whole).below(&["metadata", "name"]);
        kept.merge(&Projection::new(Extent::Whole).below(&["spec"]));
        Looked {
            sought,
            resource: ApiResource::from_gvk_with_plural(&kind, "services"),
            namespaced: true,
            kept,
        }
    }

    fn question(reviews: Vec<AccessReview>) -> Question {
        Question { reviews, namespace: Some("shop".to_owned()), objects: vec![service()] }
    }

    async fn find(outside: &Outside, reviews: Vec<AccessReview>, patience: Duration) -> (Answers, Learned) {
        let mut answers = Answers::default();
        let learned = outside.find(question(reviews), Instant::now() + patience, &mut answers).await;
        (answers, learned)
    }

    const PATIENCE: Duration = Duration::from_secs(60);

    #[tokio::test]
    async fn what_is_asked_for_is_found_out() {
        let outside = outside(|path| async move { reply_to(&path) });
        let (answers, learned) = find(&outside, vec![review("get")], PATIENCE).await;
        let answer = answers.answer(&review("get")).unwrap();
        assert_eq!((answer.allowed, answer.reason.as_str()), (true, "may"));
        assert_eq!(learned.namespace.unwrap().to_json()["metadata"]["name"], "shop");
        let [(_, Ok(found))] = &learned.objects[..] else { panic!("{:?}", learned.objects) };
        // No more of it than is read.
        let kept = json!({"metadata": {"name": "web"}, "spec": {"clusterIP": "None"}});
        assert_eq!(found.iter().map(Tree::to_json).collect::<Vec<_>>(), [kept]);
    }

    #[tokio::test]
    async fn an_api_server_that_does_not_answer_costs_no_more_than_the_time_there_is() {
        let silent = outside(|_| std::future::pending());
        let (answers, learned) = find(&silent, vec![review("get")], Duration::from_millis(100)).await;
        assert_eq!((answers.answer(&review("get")), learned.namespace), (None, None));
        let [(_, Err(told))] = &learned.objects[..] else { panic!("{:?}", learned.objects) };
        let what = "Service `web` of v1 in namespace `shop`";
        assert_eq!(*told, format!("nobody tells in time whether there is {what}"));
        let away = outside(|_| async { Json::Null });
        let (_, learned) = find(&away, vec![review("get")], PATIENCE).await;
        let [(_, Err(told))] = &learned.objects[..] else { panic!("{:?}", learned.objects) };
        assert!(told.starts_with(&format!("nobody tells whether there is {what}: ")), "{told}");
    }

    #[tokio::test]
    async fn many_that_want_to_know_the_same_ask_once() {
        let (asked, open) = (Arc::new(AtomicUsize::new(0)), Arc::new(Semaphore::new(0)));
        let (counted, gate) = (Arc::clone(&asked), Arc::clone(&open));
        let outside = outside(move |path| {
            counted.fetch_add(1, Ordering::Relaxed);
            let gate = Arc::clone(&gate);
            async move {
                let _open = gate.acquire().await.unwrap();
                reply_to(&path)
            }
        });
        let all = (0..100).map(|_| find(&outside, vec![review("get")], PATIENCE));
        let then_open = async { open.add_permits(1) };
        // Each of them asks before the first has its answer.
        let (found, ()) = tokio::join!(futures_util::future::join_all(all), then_open);
        assert!(found.iter().all(|(answers, _)| answers.answer(&review("get")).is_some()));
        assert!(
            found
                .iter()
                .all(|(_, learned)| matches!(&learned.objects[..], [(_, Ok(found))] if found.len() == 1))
        );
        assert_eq!(asked.load(Ordering::Relaxed), 3, "a review, a Namespace and an object");
    }

    #[tokio::test]
    async fn objects_do_not_wait_for_the_authorizer() {
        let outside = outside(|path| async move {
            match reply_to(&path) {
                review if review["kind"] == "SubjectAccessReview" => std::future::pending().await,
                found => found,
            }
        });
        let reviews = (0..1_000).map(|number| review(&number.to_string())).collect();
        let mut answers = Answers::default();
        let asking = outside.find(
            Question { reviews, ..Question::default() },
            Instant::now() + PATIENCE,
            &mut answers,
        );
        let asking = std::pin::pin!(asking);
        let finding = std::pin::pin!(find(&outside, Vec::new(), PATIENCE));
        let first = futures_util::future::select(asking, finding).await;
        let futures_util::future::Either::Right(((_, learned), _)) = first else { panic!("asked in vain") };
        assert!(matches!(&learned.objects[..], [(_, Ok(found))] if found.len() == 1));
    }
}
