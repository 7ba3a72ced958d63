//! Which requests may run modules.

use super::*;
use crate::module::{Loading, Module, Run, Source};
use crate::testing::{config_map, create, policy};
use serde_json::json;

#[derive(Debug)]
struct Silent;

impl Modules for Silent {
    fn load(&self, _: &Source<'_>) -> Loading {
        Loading::Ready(Arc::new(Self))
    }

    fn settle(&self) {}
}

impl Module for Silent {
    fn validate(&self, _: &str, _: u64) -> Run {
        Run { result: Err("nobody asks".to_owned()), cost: 0 }
    }
}

#[test]
fn a_request_runs_the_modules_of_the_pairs_that_it_is_decided_by() {
    let spec = "matchConstraints:\n  resourceRules:\n  - {apiGroups: [''], apiVersions: [v1], operations: [CREATE], \
                resources: [pods]}\nwasm: {module: m.wasm}";
    let set = |actions: &str, modules: Option<Arc<dyn Modules>>| {
        let documents = policy("p", &format!("validationActions: [{actions}]\n{spec}"));
        let with_module = ConfigMap {
            modules: vec![("m.wasm".to_owned(), Arc::from(*b"module"))],
            ..config_map("policies", &documents)
        };
        PolicySet::compile(&Sources { config_maps: vec![with_module], modules, ..Sources::default() }, None)
    };
    let object = |kind: &str, namespace: &str| {
        create(json!({"apiVersion": "v1", "kind": kind, "metadata": {"name": "p", "namespace": namespace}}))
    };
    let check = |set: &PolicySet, request: &Request, all: bool, fail: bool, ignore: bool| {
        let runs = [Pairs::All, Pairs::Of(Class::Fail), Pairs::Of(Class::Ignore)]
            .map(|pairs| set.calls_modules(pairs, request));
        assert_eq!(runs, [all, fail, ignore], "{} in {}", request.kind.kind, request.namespace);
    };
    let (deny, audit) = (set("Deny", Some(Arc::new(Silent))), set("Audit", Some(Arc::new(Silent))));
    check(&deny, &object("Pod", "shop"), true, true, false);
    check(&audit, &object("Pod", "shop"), true, false, true);
    check(&deny, &object("ConfigMap", "shop"), false, false, false);
    check(&deny, &object("Pod", DEFAULT_NAMESPACE), false, false, false);
    check(&set("Deny", None), &object("Pod", "shop"), false, false, false);
}
