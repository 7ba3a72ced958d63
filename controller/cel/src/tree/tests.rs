//! Trees against `serde_json`, which they must agree with.

use super::{Builder, Selection, Tree};
use crate::engine::{Environment, Extent, Program, Projection, Type};
use serde::de::DeserializeSeed;
use serde_json::{Value as Json, json};
use std::sync::Arc;

/// Parsed and converted alike, read back the same, whatever the text is like.
fn check(text: &str) {
    let json: Json = serde_json::from_str(text).unwrap();
    let (parsed, converted) = (Tree::parse(text).unwrap(), Tree::from(&json));
    assert_eq!(parsed, converted, "{text}");
    assert_eq!(parsed.to_json(), json, "{text}");
    assert_eq!(parsed.to_string(), json.to_string(), "{text}");
    assert_eq!(parsed, json, "{text}");
}

#[test]
fn every_kind_of_value() {
    for text in [
        "null",
        "true",
        "0",
        "-0",
        "-1",
        "1.0",
        "1e3",
        "9223372036854775807",
        "9223372036854775808",
        "-9223372036854775808",
        "-9223372036854775809",
        "18446744073709551615",
        "18446744073709551616",
        "1e308",
        "\"\"",
        "\"plain\"",
        r#""\u00e9 \n \"\\ 😀""#,
        "[]",
        "{}",
        "[1, [2, [], {}], {\"a\": [3]}]",
        r#"{"b": 1, "a": {"d": [true, false], "c": null}, "": ""}"#,
        r#"{"k\n": 1, "k": {"\"": "\t"}}"#,
        r#"{"a": 1, "b": 2, "a": 3, "a": {"a": 4}}"#,
    ] {
        check(text);
    }
}

#[test]
fn what_is_no_json_is_refused() {
    for text in ["", "{", "[1,]", "{\"a\" 1}", "nul", "1 2", "\"\u{1}\"", "{1: 2}"] {
        let expect = serde_json::from_str::<Json>(text).unwrap_err().to_string();
        assert_eq!(Tree::parse(text).unwrap_err().to_string(), expect, "{text}");
    }
}

#[test]
fn maps_of_any_size_are_searched() {
    for count in [0, 1, 11, 12, 13, 14, 100, 1_000] {
        let entries: Vec<String> =
            (0..count).rev().chain(0..count).map(|number| format!("\"k{number}\": {number}")).collect();
        let text = format!("{{{}}}", entries.join(","));
        check(&text);
        let tree = Tree::parse(text).unwrap();
        for number in 0..count {
            assert_eq!(tree.get(&format!("k{number}")).unwrap().as_i64(), Some(number), "{count}");
        }
        assert_eq!(tree.get("k"), None);
        assert_eq!(tree.get(&format!("k{count}")), None);
        assert_eq!(tree.root().as_object().unwrap().len(), usize::try_from(count).unwrap());
    }
}

#[test]
fn nodes_are_selected_as_in_serde_json() {
    let json = json!({"a": {"b": [10, {"c": "x"}]}, "n": 1.5});
    let tree = Tree::from(&json);
    for pointer in ["", "/a", "/a/b", "/a/b/0", "/a/b/1/c", "/a/b/2", "/a/x", "/n/x", "/a/b/x", "a"] {
        assert_eq!(
            tree.pointer(pointer).map(|node| node.to_json()),
            json.pointer(pointer).cloned(),
            "{pointer}"
        );
    }
    assert_eq!(tree.pointer("/a/b/1/c").unwrap().as_str(), Some("x"));
    assert_eq!(tree.get("n").unwrap().as_f64(), Some(1.5));
    assert!(tree.get("a").unwrap().is_object() && !tree.get("n").unwrap().is_object());
}

#[test]
fn numbers_of_different_types_differ() {
    for (one, other, same) in [
        ("1", "1.0", false),
        ("1", "1", true),
        ("1.0", "1e0", true),
        ("[1]", "[1, 1]", false),
        ("\"1\"", "1", false),
    ] {
        assert_eq!(Tree::parse(one).unwrap() == Tree::parse(other).unwrap(), same, "{one} {other}");
    }
}

#[test]
fn trees_are_put_together_from_parts_of_another() {
    let tree =
        Tree::parse(r#"{"list": [{"name": "a"}, {"name": "b", "kind": ""}, {"name": "c"}, {}]}"#).unwrap();
    let mut builder = Builder::beside(&tree);
    let list = builder.open_list();
    let elements = tree.get("list").unwrap().as_array().unwrap();
    for (name, element) in ["a", "kind", "name", "z"].into_iter().zip(elements.iter()) {
        let (name, value) = (builder.key(name), builder.text("made"));
        let element = builder.with_entry(element, name, value);
        builder.item(element);
    }
    let list = builder.close_list(list);
    let [made] = builder.finish([list]);
    assert_eq!(
        made,
        json!([
            {"a": "made", "name": "a"},
            {"kind": "made", "name": "b"},
            {"name": "made"},
            {"z": "made"},
        ])
    );
}

#[test]
fn several_trees_share_one_text() {
    let body = Arc::new(r#"{"x": ["one", {"two": 2}]} "three\n""#.to_owned());
    let mut builder = Builder::over(Arc::clone(&body));
    let mut values = serde_json::Deserializer::from_str(&body);
    let one = builder.read(&mut values).unwrap();
    let two = builder.read(&mut values).unwrap();
    let [one, two, null] = builder.finish([one, two, Default::default()]);
    assert_eq!((one.to_json(), two.to_json()), (json!({"x": ["one", {"two": 2}]}), json!("three\n")));
    assert!(null.is_null() && null == Tree::default() && null.memory() == 0);
    assert_eq!(one.memory(), two.memory());
}

#[test]
fn depth_needs_no_stack_to_be_dropped() {
    let depth = 1_000_000;
    let mut builder = Builder::new();
    let mut inner = builder.text("");
    for _ in 0..depth {
        let list = builder.open_list();
        builder.item(inner);
        inner = builder.close_list(list);
    }
    let [tree] = builder.finish([inner]);
    drop(tree);
}

/// What is kept of a document by those who read so much of it.
fn check_selected(document: &str, reads: &[&str], expected: Json) {
    let environment = Environment::new().with_variable("object", Type::Dyn);
    let mut all = Projection::new(Extent::Type);
    for source in reads {
        let program = Program::compile(&environment, source).unwrap();
        program.footprint().of("object").into_iter().for_each(|read| all.merge(read));
    }
    let selection = Selection::of(&all);
    let body = Arc::new(document.to_owned());
    let mut builder = Builder::over(Arc::clone(&body));
    let mut deserializer = serde_json::Deserializer::from_str(&body);
    let root = builder.seed_of(&selection).deserialize(&mut deserializer).unwrap();
    deserializer.end().unwrap();
    let [tree] = builder.finish([root]);
    assert_eq!(tree, expected, "{reads:?}");
}

#[test]
fn only_what_is_read_is_kept() {
    let document =
        r#"{"a": {"b": [1, {"c": 2, "d": 3}], "e": "x", "f": {"g": 1, "h": {}}}, "i": [[], 4], "j": null}"#;
    let whole: Json = serde_json::from_str(document).unwrap();
    check_selected(document, &[], json!({}));
    check_selected(document, &["object"], whole.clone());
    check_selected(document, &["object == {}"], whole.clone());
    check_selected(document, &["type(object)"], json!({"a": null, "i": null, "j": null}));
    check_selected(document, &["has(object.a)", "has(object.nothing)"], json!({"a": null}));
    check_selected(document, &["size(object)"], json!({"a": null, "i": null, "j": null}));
    // It might be a list, whose elements would be compared.
    check_selected(document, &["object.exists(key, key == 'a')"], whole.clone());
    check_selected(document, &["has(object.a.e)"], json!({"a": {"e": null}}));
    check_selected(document, &["object.a.e == 'x'", "object.j"], json!({"a": {"e": "x"}, "j": null}));
    check_selected(document, &["object.a.b.all(x, x.c == 2)"], json!({"a": {"b": [1, {"c": 2}]}}));
    check_selected(document, &["size(object.i)"], json!({"i": [null, null]}));
    check_selected(document, &["object.a.f == {}"], json!({"a": {"f": {"g": 1, "h": {}}}}));
    check_selected(document, &["object.a.f.all(k, v, v != 1)"], json!({"a": {"f": {"g": 1, "h": {}}}}));
    check_selected(document, &["dyn(object).a.e", "object.i"], json!({"a": {"e": "x"}, "i": [[], 4]}));
}

#[test]
fn what_is_skipped_has_to_be_what_could_be_read() {
    for text in [
        r#"{"a": [1,]}"#,
        r#"{"a": nul}"#,
        r#"{"a": "\x"}"#,
        r#"{"a": {"b": 1}"#,
        r#"{"a": 1} 2"#,
        r#"{"a": "\ud800"}"#,
        r#"{"a": {"\udc00": 1}}"#,
        r#"{"a": {"\ud800\u0041": 1}}"#,
        r#"{"\ud800": 1}"#,
        r#"{"a": [[1e999]]}"#,
        r#"{"a": -}"#,
        "{\"a\": \"\u{1}\"}",
    ] {
        let mut deserializer = serde_json::Deserializer::from_str(text);
        let selection = Selection::of(&Projection::new(Extent::Type));
        let read = Builder::new().seed_of(&selection).deserialize(&mut deserializer);
        let skipped = read.map(drop).and_then(|()| deserializer.end()).map_err(|error| error.to_string());
        assert_eq!(skipped, Tree::parse(text).map(drop).map_err(|error| error.to_string()), "{text}");
        assert!(skipped.is_err(), "{text}");
    }
}
