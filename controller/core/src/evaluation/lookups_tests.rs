//! What policies look up: found, not found, unknown, forbidden; and what of Secrets can be seen.

use crate::facts::{Facts, Sought};
use crate::set::PolicySet;
use crate::testing::{brief, create, decide_with, policy, set, sources, update};
use serde_json::{Value as Json, json};

/// A policy over ConfigMaps that looks something up.
fn looking_up(lookup: &str, expression: &str) -> String {
    policy(
        "p",
        &format!(
            "validationActions: [Deny]\nmatchConstraints:\n  resourceRules:\n  - {{apiGroups: [''], apiVersions: [v1], \
             operations: ['*'], resources: [configmaps, namespaces]}}\nlookups:\n- {lookup}\nvalidations:\n\
             - expression: {expression}"
        ),
    )
}

fn object(api_version: &str, kind: &str, namespace: &str, name: &str, rest: Json) -> Json {
    let mut object = json!({"apiVersion": api_version, "kind": kind, "metadata": {"name": name}});
    if !namespace.is_empty() {
        object["metadata"]["namespace"] = json!(namespace);
    }
    for (field, value) in rest.as_object().unwrap() {
        match (&mut object[field], value) {
            (Json::Object(known), Json::Object(more)) => known.extend(more.clone()),
            (slot, value) => *slot = value.clone(),
        }
    }
    object
}

fn service(namespace: &str, name: &str, app: &str) -> Json {
    let labels = json!({"metadata": {"labels": {"app": app}}, "spec": {"clusterIP": "10.0.0.1"}});
    object("v1", "Service", namespace, name, labels)
}

fn services(complete: bool) -> Facts {
    let mut facts = Facts::new(complete);
    for (namespace, name, app) in
        [("shop", "b", "web"), ("shop", "a", "job"), ("other", "a", "web"), ("", "c", "web")]
    {
        facts.add(service(namespace, name, app));
    }
    facts
}

fn request(data: Json) -> Json {
    object("v1", "ConfigMap", "shop", "c", json!({"data": data}))
}

/// What a validation says that fails and tells what it found.
fn found(lookup: &str) -> PolicySet {
    let names =
        "lookups.found.map(o, string(o.metadata.?namespace.orValue('')) + '/' + string(o.metadata.name))";
    set(&looking_up(lookup, &format!("size(lookups.found) > 9\n  messageExpression: \"{names}.join(' ')\"")))
}

#[test]
fn a_lookup_is_the_list_of_what_there_is() {
    let check = |rest: &str, data: Json, expected: &str| {
        let set = found(&format!("{{name: found, apiVersion: v1, kind: Service{rest}}}"));
        let decision = decide_with(&set, &create(request(data)), &services(true));
        let [said] = &brief(&decision)[..] else { panic!("{rest}") };
        assert_eq!(said.split_once("] ").unwrap_or_default().1, expected, "{rest}");
    };
    check("", json!({}), "shop/a shop/b");
    check(", namespace: '*'", json!({}), "/c other/a shop/a shop/b");
    check(", namespace: default", json!({}), "/c");
    check(", namespace: other", json!({}), "other/a");
    check(", namespaceExpression: object.data.ns", json!({"ns": "other"}), "other/a");
    check(", namespaceExpression: object.data.ns", json!({"ns": ""}), "shop/a shop/b");
    check(", objectName: a", json!({}), "shop/a");
    check(", objectName: a, namespace: '*'", json!({}), "other/a shop/a");
    check(", objectNameExpression: object.data.name", json!({"name": "b"}), "shop/b");
    check(", selector: {matchLabels: {app: web}}", json!({}), "shop/b");
    check(", selectorExpression: object.data", json!({"app": "job"}), "shop/a");
    check(", selectorExpression: '{}'", json!({}), "shop/a shop/b");
}

#[test]
fn what_is_not_found_is_an_empty_list_and_asked_for_once() {
    let check = |rest: &str, data: Json, expected: &[(&str, Option<&str>)]| {
        let set = set(&looking_up(
            &format!("{{name: found, apiVersion: v1, kind: Service{rest}}}"),
            "size(lookups.found) == 0 && lookups.found.all(s, false)",
        ));
        let mut facts = services(true);
        let decision = decide_with(&set, &create(request(data.clone())), &facts);
        assert_eq!(brief(&decision), ["p: allow"], "{rest}");
        let sought = |&(name, namespace): &(&str, Option<&str>)| Sought {
            api_version: "v1".to_owned(),
            kind: "Service".to_owned(),
            namespace: namespace.map(ToOwned::to_owned),
            name: name.to_owned(),
        };
        let expected: Vec<Sought> = expected.iter().map(sought).collect();
        assert_eq!(decision.sought, expected, "{rest}");
        for sought in &expected {
            facts.learn(sought.clone(), Ok(Vec::new()));
        }
        assert_eq!(decide_with(&set, &create(request(data.clone())), &facts).sought, [], "{rest}");
        for sought in &expected {
            let young = service(sought.namespace.as_deref().unwrap_or("x"), &sought.name, "young");
            facts.learn(sought.clone(), Ok(vec![young.into()]));
        }
        let decision = decide_with(&set, &create(request(data)), &facts);
        let verdict = if expected.is_empty() { "p: allow" } else { "p: deny [" };
        assert!(brief(&decision)[0].starts_with(verdict), "{rest}: {:?}", brief(&decision));
    };
    check(", objectName: x", json!({}), &[("x", Some("shop"))]);
    check(", objectName: x, namespace: '*'", json!({}), &[("x", None)]);
    check(", objectNameExpression: object.data.n", json!({"n": "x"}), &[("x", Some("shop"))]);
    check(", objectNameExpression: object.data.n", json!({"n": null}), &[]);
    check(", objectNameExpression: object.data.n", json!({"n": ""}), &[]);
    // What no object can be called is asked of nobody.
    check(", objectNameExpression: object.data.n", json!({"n": "x,metadata.name=y"}), &[]);
    check(", selector: {matchLabels: {app: x}}", json!({}), &[]);
}

#[test]
fn what_cannot_be_told_is_an_error_and_what_is_not_known_is_undecidable() {
    let check = |lookup: &str, request: Json, facts: &Facts, expected: &str| {
        let set = set(&looking_up(lookup, "size(lookups.found) == 0"));
        let expected =
            expected.replace("ERROR", "p: error [] expression 'size(lookups.found) == 0' resulted in error:");
        assert_eq!(brief(&decide_with(&set, &create(request), facts)), [expected], "{lookup}");
    };
    let (some, none) = (services(false), Facts::new(false));
    let of = |rest: &str| format!("{{name: found, apiVersion: v1, kind: Service{rest}}}");
    let map = || request(json!({"n": 1}));
    check(&of(""), map(), &none, "p: undecidable what there is of Service of v1 (`lookups.found`)");
    check(&of(""), map(), &some, "p: deny [] failed expression: size(lookups.found) == 0");
    check(&of(", objectName: a"), map(), &some, "p: deny [] failed expression: size(lookups.found) == 0");
    let unknown = "p: undecidable Service `x` of v1 in namespace `shop` (`lookups.found`)";
    check(&of(", objectName: x"), map(), &some, unknown);

    let mut withheld = services(true);
    let forbidden =
        set(&looking_up(&of(""), "size(lookups.found) == 0")).references().into_keys().next().unwrap();
    withheld.withhold(forbidden, "forbidden".to_owned());
    check(&of(""), map(), &withheld, "ERROR look-up `found`: forbidden");
    check(
        &of(", namespace: other"),
        map(),
        &withheld,
        "p: deny [] failed expression: size(lookups.found) == 0",
    );

    // Who reads no more than is known is not concerned.
    let mut partial = services(true);
    let narrow = set(&looking_up(&of(""), "size(lookups.found) == 0")).references();
    let (reference, known) = narrow.into_iter().next().unwrap();
    partial.withhold_beyond(reference, known, "not yet".to_owned());
    check(&of(""), map(), &partial, "p: deny [] failed expression: size(lookups.found) == 0");
    let selecting = of(", selectorExpression: \"{'app': 'x'}\"");
    check(&selecting, map(), &partial, "ERROR look-up `found`: not yet");

    let whole = services(true);
    let type_error = "ERROR `objectNameExpression` must be a string, not int";
    check(&of(", objectNameExpression: object.data.n"), map(), &whole, type_error);
    let labels = "ERROR `selectorExpression` must be a map of strings";
    check(&of(", selectorExpression: object.data"), map(), &whole, labels);
    // What looks up nothing needs nobody.
    let nothing = of(", objectNameExpression: object.data.?x.orValue('')");
    let mut untold = services(true);
    let reference =
        set(&looking_up(&nothing, "size(lookups.found) == 0")).references().into_keys().next().unwrap();
    untold.withhold(reference, "forbidden".to_owned());
    check(&nothing, map(), &untold, "p: allow");
    let mut unlearned = services(true);
    let sought = Sought {
        api_version: "v1".to_owned(),
        kind: "Service".to_owned(),
        namespace: Some("shop".to_owned()),
        name: "x".to_owned(),
    };
    unlearned.learn(sought, Err("nobody answers".to_owned()));
    check(&of(", objectName: x"), map(), &unlearned, "ERROR look-up `found`: nobody answers");
    check(&of(", objectNameExpression: object.data.x"), map(), &whole, "ERROR no such key: x");
    let namespace = object("v1", "Namespace", "", "n", json!({}));
    // A Namespace is in itself, as requests for it are.
    check(&of(""), namespace, &whole, "p: allow");
}

#[test]
fn kinds_without_namespaces_and_namespaces_themselves() {
    let mut facts = Facts::new(true);
    for (kind, name) in [("Namespace", "shop"), ("Namespace", "other"), ("Node", "n")] {
        facts.add(object("v1", kind, "", name, json!({"metadata": {"labels": {"of": name}}})));
    }
    facts.define("example.com/v1", "Wide", "wides", false);
    facts.add(object("example.com/v1", "Wide", "", "w", json!({})));
    let check = |lookup: &str, expected: &str| {
        let decision = decide_with(&found(lookup), &create(request(json!({}))), &facts);
        assert_eq!(brief(&decision), [format!("p: {expected}")], "{lookup}");
    };
    check("{name: found, apiVersion: v1, kind: Namespace}", "deny [] /other /shop");
    check("{name: found, apiVersion: v1, kind: Namespace, objectName: shop}", "deny [] /shop");
    check(
        "{name: found, apiVersion: v1, kind: Namespace, selector: {matchLabels: {of: other}}}",
        "deny [] /other",
    );
    check("{name: found, apiVersion: v1, kind: Node}", "deny [] /n");
    check("{name: found, apiVersion: example.com/v1, kind: Wide}", "deny [] /w");
    let error = "error [] expression 'size(lookups.found) > 9' resulted in error: look-up `found`: `namespace` must not \
                 be given: a Wide lives in no namespace";
    check("{name: found, apiVersion: example.com/v1, kind: Wide, namespace: shop}", error);
}

#[test]
fn of_secrets_only_the_metadata_is_seen() {
    let mut facts = Facts::new(true);
    let annotations = json!({"kubectl.kubernetes.io/last-applied-configuration": "hunter2", "note": "kept"});
    facts.add(object(
        "v1",
        "Secret",
        "shop",
        "s",
        json!({
            "metadata": {"annotations": annotations}, "data": {"password": "aHVudGVyMg=="},
        }),
    ));
    let lookup = "{name: found, apiVersion: v1, kind: Secret}";
    let expression = "1 == 2\n  messageExpression: \"lookups.found.map(s, s.metadata.annotations.map(k, \
                      string(s.metadata.annotations[k])).join(' ') + ' ' + string(s.metadata.name)).join(' ')\"";
    let decision = decide_with(&set(&looking_up(lookup, expression)), &create(request(json!({}))), &facts);
    assert_eq!(brief(&decision), ["p: deny [] *** kept s"]);

    let refused = |expression: &str, what: &str| {
        let documents = looking_up(lookup, expression);
        let set = PolicySet::compile(&sources(&[("policies", &documents)]), None);
        let problems: Vec<&str> = set.problems().iter().map(|problem| problem.message.as_str()).collect();
        let refusal =
            format!("`lookups.found` reads {what} of Secrets, of which only `metadata` is to be had");
        assert_eq!(problems, [refusal], "{expression}");
    };
    refused("lookups.found.all(s, s.data.password != '')", "`data`");
    refused("lookups.found.all(s, !has(s.stringData))", "`stringData`");
    refused("lookups.found.all(s, s.metadata.name != '' && s.type == 'Opaque')", "`type`");
    refused("lookups.found.all(s, s != object)", "all");
    refused("\"true\"\n  messageExpression: string(lookups.found[0].data.password)", "`data`");
}

#[test]
fn why_a_lookup_fails_is_told_though_values_of_secrets_are_read() {
    let document = policy(
        "p",
        "validationActions: [Deny]
matchConstraints:
  resourceRules:
  - {apiGroups: [''], apiVersions: [v1], operations: ['*'], resources: [secrets]}
lookups:
- {name: found, apiVersion: v1, kind: Service}
variables:
- {name: found, expression: lookups.found}
validations:
- expression: size(variables.found) == 0 || object.data.a == ''",
    );
    let set = set(&document);
    let mut facts = services(true);
    let secret = || object("v1", "Secret", "shop", "s", json!({}));
    let check = |facts: &Facts, why: &str| {
        let said = brief(&decide_with(&set, &create(secret()), facts));
        assert!(said[0].ends_with(why), "{said:?}");
    };
    check(&facts, "resulted in error: an error that is not shown, because it may quote a Secret");
    facts.withhold(set.references().into_keys().next().unwrap(), "forbidden".to_owned());
    check(&facts, "composited variable \"found\" fails to evaluate: look-up `found`: forbidden");
}

#[test]
fn what_policies_refer_to_is_told_with_what_they_read_of_it() {
    let service = object(
        "v1",
        "Service",
        "shop",
        "s",
        json!({
            "metadata": {"labels": {"l": "1"}, "uid": "u"}, "spec": {"a": 1, "b": [{"c": 1, "d": 2}]}, "status": {"e": 1},
        }),
    );
    let check = |lookups: &[&str], expression: &str, places: &[(Option<&str>, &str)], rest: Json| {
        let references = set(&looking_up(&lookups.join("\n- "), expression)).references();
        let found: Vec<_> =
            references.keys().map(|one| (one.namespace.as_deref(), one.selector.as_str())).collect();
        assert_eq!(found, places, "{lookups:?}");
        for kept in references.values() {
            let kept = crate::facts::keep(service.clone(), &portcullis_cel::tree::Selection::of(kept));
            assert_eq!(kept.to_json(), object("v1", "Service", "shop", "s", rest.clone()), "{lookups:?}");
        }
    };
    let (plain, everywhere) = ("{name: found, apiVersion: v1, kind: Service}", [(None, "")]);
    check(&[plain], "size(lookups.found) == 0", &everywhere, json!({}));
    check(&[plain], "lookups.found.all(s, s.spec.a == 1)", &everywhere, json!({"spec": {"a": 1}}));
    check(
        &[plain],
        "lookups.found.all(s, s.spec.b.all(x, x.c == 1) && has(s.status))",
        &everywhere,
        json!({"spec": {"b": [{"c": 1}]}, "status": null}),
    );
    // All of a kind are kept alike.
    let labelled =
        "{name: other, apiVersion: v1, kind: Service, namespace: shop, selector: {matchLabels: {l: '1'}}}";
    check(
        &[plain, labelled],
        "size(lookups.other) == 0 || lookups.found.exists(s, s.metadata.uid == 'u')",
        &[(None, ""), (Some("shop"), "l in (1)")],
        json!({"metadata": {"labels": {"l": "1"}, "uid": "u"}}),
    );
}

#[test]
fn an_update_that_changes_nothing_that_is_read_is_not_judged_anew() {
    let lookup = "{name: found, apiVersion: v1, kind: Service, objectNameExpression: object.data.service}";
    let set = set(&looking_up(lookup, "size(lookups.found) == 1"));
    let check = |old: Json, new: Json, expected: &str| {
        let decision = decide_with(&set, &update(request(old), request(new)), &services(true));
        assert_eq!(brief(&decision), [expected]);
    };
    let denied = "p: deny [data.service] failed expression: size(lookups.found) == 1";
    check(json!({"service": "x"}), json!({"service": "x", "other": "1"}), "p: skip Unchanged");
    check(json!({"service": "a"}), json!({"service": "x"}), denied);
    check(json!({"service": "x"}), json!({"service": "a"}), "p: allow");
}

#[test]
fn what_a_requester_wrote_reaches_no_further_than_one_namespace() {
    let set = found(
        "{name: found, apiVersion: v1, kind: Service, namespaceExpression: object.data.ns, objectName: x}",
    );
    let judge =
        |namespace: &str| decide_with(&set, &create(request(json!({"ns": namespace}))), &services(true));
    let [said] = &brief(&judge("*"))[..] else { panic!("one verdict") };
    assert!(said.contains("`namespaceExpression` must name one namespace, not `*`"), "{said}");
    for (namespace, asked) in [
        ("other", true),
        ("portcullis/configmaps?x=", false),
        ("a/secrets", false),
        ("..", false),
        ("Other", false),
        (&"n".repeat(64), false),
    ] {
        assert_eq!(!judge(namespace).sought.is_empty(), asked, "{namespace}");
    }
}

#[test]
fn a_name_made_of_a_secrets_values_is_neither_asked_about_nor_told() {
    let set = set(&looking_up(
        "{name: found, apiVersion: v1, kind: Service, objectNameExpression: object.data.owner}",
        "size(lookups.found) > 0",
    ));
    let of = |kind: &str| object("v1", kind, "shop", "s", json!({"data": {"owner": "hunter2"}}));
    for (kind, asked) in [("ConfigMap", 1), ("Secret", 0)] {
        let decision = decide_with(&set, &create(of(kind)), &services(true));
        assert_eq!(decision.sought.len(), asked, "{kind}");
        let offline = format!("{:?}", decide_with(&set, &create(of(kind)), &services(false)).outcomes);
        assert_eq!(offline.contains("hunter2"), asked == 1, "{kind}: {offline}");
    }
}
