//! Tables of what kubectl makes of YAML, and the limits.

use super::*;
use serde_json::json;

fn one(text: &str) -> Result<Node, YamlError> {
    let mut documents = read(text);
    assert_eq!(documents.len(), 1, "documents in {text:?}: {documents:?}");
    documents.remove(0)
}

fn error(text: &str) -> String {
    one(text).expect_err(text).to_string()
}

fn at(line: u32, column: u32) -> Position {
    Position { line, column }
}

#[test]
fn plain_scalars_are_resolved_as_yaml_1_1() {
    let table = [
        ("y", json!(true)),
        ("Y", json!(true)),
        ("yes", json!(true)),
        ("Yes", json!(true)),
        ("YES", json!(true)),
        ("on", json!(true)),
        ("On", json!(true)),
        ("ON", json!(true)),
        ("true", json!(true)),
        ("True", json!(true)),
        ("TRUE", json!(true)),
        ("n", json!(false)),
        ("N", json!(false)),
        ("no", json!(false)),
        ("No", json!(false)),
        ("NO", json!(false)),
        ("off", json!(false)),
        ("Off", json!(false)),
        ("OFF", json!(false)),
        ("false", json!(false)),
        ("False", json!(false)),
        ("FALSE", json!(false)),
        ("yEs", json!("yEs")),
        ("tRue", json!("tRue")),
        ("", json!(null)),
        ("~", json!(null)),
        ("null", json!(null)),
        ("Null", json!(null)),
        ("NULL", json!(null)),
        ("nULL", json!("nULL")),
        ("0", json!(0)),
        ("12", json!(12)),
        ("+1", json!(1)),
        ("-7", json!(-7)),
        ("-0", json!(0)),
        ("1_000", json!(1000)),
        ("_1", json!("_1")),
        ("0644", json!(420)),
        ("-0644", json!(-420)),
        ("08", json!(8)),
        ("0o14", json!(12)),
        ("0x1F", json!(31)),
        ("-0x10", json!(-16)),
        ("0b101", json!(5)),
        ("-0b101", json!(-5)),
        ("0b12", json!("0b12")),
        ("0x", json!("0x")),
        ("9223372036854775807", json!(9223372036854775807i64)),
        ("-9223372036854775808", json!(i64::MIN)),
        ("18446744073709551615", json!(18446744073709551615u64)),
        ("18446744073709551616", json!(18446744073709551616f64)),
        ("-9223372036854775809", json!(-9223372036854775809f64)),
        ("+18446744073709551615", json!(18446744073709551615f64)),
        ("0x1FFFFFFFFFFFFFFFF", json!("0x1FFFFFFFFFFFFFFFF")),
        ("017777777777777777777777", json!(17777777777777777777777f64)),
        ("0b-1", json!(-1)),
        ("1.5", json!(1.5)),
        ("-1.5", json!(-1.5)),
        (".5", json!(0.5)),
        ("+.5", json!(0.5)),
        ("1.", json!(1)),
        ("1.0", json!(1)),
        ("1e3", json!(1000)),
        ("1E-3", json!(0.001)),
        ("1_000.5", json!(1000.5)),
        (".5_0", json!(0.5)),
        (".5__0", json!(".5__0")),
        ("._5", json!("._5")),
        (".5_", json!(".5_")),
        ("1e999", json!("1e999")),
        (".", json!(".")),
        ("+", json!("+")),
        ("1.2.3", json!("1.2.3")),
        ("1:30", json!("1:30")),
        ("12h", json!("12h")),
        ("infinity", json!("infinity")),
        ("2001-12-14", json!("2001-12-14")),
        ("2001-12-14T21:59:43Z", json!("2001-12-14T21:59:43Z")),
        ("'yes'", json!("yes")),
        ("\"0644\"", json!("0644")),
        ("'~'", json!("~")),
        ("!!str yes", json!("yes")),
        ("!!str 12", json!("12")),
        ("!!str", json!("")),
        ("!!int '3'", json!(3)),
        ("!!int 0x10", json!(16)),
        ("!!bool 'on'", json!(true)),
        ("!!float 3", json!(3)),
        ("!!null ''", json!(null)),
        ("!!timestamp 2001-12-14", json!("2001-12-14")),
        ("! 12", json!("12")),
        ("!mine 12", json!("12")),
        ("&a yes", json!(true)),
    ];
    for (text, expect) in table {
        assert_eq!(one(&format!("a: {text}\n")).expect(text).to_json(), json!({"a": expect}), "{text:?}");
    }
}

#[test]
fn scalars_that_json_cannot_hold_are_refused() {
    let table = [
        ("a: .inf", "line 1, column 4: `.inf` cannot be written as JSON"),
        ("a: -.INF", "line 1, column 4: `-.INF` cannot be written as JSON"),
        ("a: .NaN", "line 1, column 4: `.NaN` cannot be written as JSON"),
        ("a: !!binary aGk=", "line 1, column 4: `!!binary` is not supported: JSON has no binary values"),
        ("a: !!int x", "line 1, column 4: `!!int` does not fit `x`, which is a string"),
        ("a: !!int 1.5", "line 1, column 4: `!!int` does not fit `1.5`, which is a number"),
        ("a: !!bool 1", "line 1, column 4: `!!bool` does not fit `1`, which is a number"),
        ("a: !!null no", "line 1, column 4: `!!null` does not fit `no`, which is a boolean"),
    ];
    for (text, expect) in table {
        assert_eq!(error(text), expect);
    }
}

#[test]
fn messages_stay_on_one_line() {
    let long = "x".repeat(1_000);
    assert_eq!(
        error("\"a\\nb\": 1\n\"a\\nb\": 2"),
        "line 2, column 1: key `a\\nb` is given twice, first in line 1, column 1"
    );
    assert!(error(&format!("{long}: 1\n{long}: 2")).len() < 600);
}

/// What sigs.k8s.io/yaml 1.6 (goyaml.v2) makes of the same text, or that it refuses it.
#[test]
fn tags_anchors_and_aliases_are_read_as_kubectl_reads_them() {
    let refused = [
        "a: !has(x) && b",
        "a: !has(x) || !b",
        "a: !b && c",
        "a: !(a && b)",
        "a: !m!x 12",
        "a: !é x",
        "a: &é x",
        "a: &a.b x",
        "a: & x",
        "a: && x",
        "a: &a: x",
        "a: &a, x",
        "a: &x* y",
        "a: &x[0] y",
        "a: &x' y",
        "&a.b b: c",
        "a: &a &b x",
        "a: !x !y z",
        "a: &a x\nb: *a.b",
        "a: &a x\nb: *é",
        "a: * x",
        "a: *",
        "- &a\n- *a.b",
        "a: !x # no\n  &b.c d",
        "a: &a.b [x]",
        "a: &a.b {x: y}",
        "a: &a.b\n  x: y",
        "a: &a.b |\n  y",
        "a: &a.b",
        "a: !{}",
        "a: !\"x\"",
        "a: @x",
        "a: %x",
        "a: `x`",
    ];
    for text in refused {
        assert!(one(text).is_err(), "{text:?}: {:?}", one(text));
    }
    let read = [
        ("a: !has(x)", json!({"a": ""})),
        ("a: !b &c d", json!({"a": "d"})),
        ("a: !!has(x)", json!({"a": ""})),
        ("a: !!mine 12", json!({"a": "12"})),
        ("a: !<tag:yaml.org,2002:str> 12", json!({"a": "12"})),
        ("a: !<tag:yaml.org,2002:int> 12", json!({"a": 12})),
        ("a: !<foo> 12", json!({"a": "12"})),
        ("a: &a-b_1 x\nb: *a-b_1", json!({"a": "x", "b": "x"})),
        ("a: &a", json!({"a": null})),
        ("a: [&a, x]", json!({"a": [null, "x"]})),
        ("a: {b: &a , c: *a }", json!({"a": {"b": null, "c": null}})),
        ("a: !x &a z", json!({"a": "z"})),
        ("a: !x # no\n  &b z", json!({"a": "z"})),
        ("a: &a !x z", json!({"a": "z"})),
        ("a: !x [y]", json!({"a": [true]})),
        ("--- !foo &bar\na: b", json!({"a": "b"})),
        ("--- &foo\na: b", json!({"a": "b"})),
    ];
    for (text, expect) in read {
        assert_eq!(one(text).expect(text).to_json(), expect, "{text:?}");
    }
    assert_eq!(
        error("a: !x(b) && c"),
        "line 1, column 4: `&` begins an anchor, whose name is letters, digits, `-` and `_`, found `&`"
    );
}

#[test]
fn what_stands_behind_a_foreign_tag_is_marked() {
    let table = [
        ("! b", true),
        ("!b", true),
        ("!b c", true),
        ("!b [c]", true),
        ("!b {c: d}", true),
        ("!!has(b)", true),
        ("!!set {b}", true),
        ("!<b> c", true),
        ("!b |\n  c", true),
        ("&b !c d", true),
        ("b", false),
        ("'!b'", false),
        ("[!b c]", false),
        ("!!str b", false),
        ("!!seq [b]", false),
        ("!!map {b: c}", false),
        ("!!int '3'", false),
        ("!<tag:yaml.org,2002:str> b", false),
    ];
    for (text, expect) in table {
        let node = one(&format!("a: {text}")).expect(text);
        assert_eq!(node.get("a").map(|value| value.tagged), Some(expect), "{text:?}");
    }
}

#[test]
fn keys_become_strings() {
    let table = [
        ("1: a", json!({"1": "a"})),
        ("0x10: a", json!({"16": "a"})),
        ("yes: a", json!({"true": "a"})),
        ("off: a", json!({"false": "a"})),
        ("1.5: a", json!({"1.5": "a"})),
        ("1e-7: a", json!({"1e-07": "a"})),
        ("84e9: a", json!({"8.4e+10": "a"})),
        ("1e3: a", json!({"1000": "a"})),
        ("4e92: a", json!({".inf": "a"})),
        ("'1': a", json!({"1": "a"})),
        ("? a\n: b", json!({"a": "b"})),
    ];
    for (text, expect) in table {
        assert_eq!(one(text).expect(text).to_json(), expect, "{text:?}");
    }
    for (text, expect) in [
        ("~: a", "line 1, column 1: a key must be a string, found null"),
        ("? [a]\n: b", "line 1, column 3: a key must be a string, found a list or a mapping"),
        ("{{a: b}: c}", "line 1, column 2: a key must be a string, found a list or a mapping"),
        ("k: &k [a]\n? *k\n: b", "line 2, column 3: a key must be a string, found a list or a mapping"),
    ] {
        let found = error(text);
        // An alias is where its anchor is.
        let same = found.split(": ").nth(1) == expect.split(": ").nth(1);
        assert!(found == expect || (text.contains('*') && same), "{text:?}: {found}");
    }
}

#[test]
fn duplicate_keys_are_refused_with_both_places() {
    let table = [
        ("a: 1\nb: 2\na: 3", "line 3, column 1: key `a` is given twice, first in line 1, column 1"),
        ("x:\n  a: 1\n  'a': 3", "line 3, column 3: key `a` is given twice, first in line 2, column 3"),
        ("yes: 1\ntrue: 3", "line 2, column 1: key `true` is given twice, first in line 1, column 1"),
        (r#"{"a": 1, "a": 2}"#, "line 1, column 10: key `a` is given twice, first in line 1, column 2"),
    ];
    for (text, expect) in table {
        assert_eq!(error(text), expect);
    }
}

#[test]
fn anchors_and_merges_are_expanded() {
    let table = [
        ("a: &x [1, 2]\nb: *x", json!({"a": [1, 2], "b": [1, 2]})),
        ("a: &x {p: 1}\nb:\n  <<: *x\n  q: 2", json!({"a": {"p": 1}, "b": {"p": 1, "q": 2}})),
        ("a: &x {p: 1}\nb:\n  <<: *x\n  p: 2", json!({"a": {"p": 1}, "b": {"p": 2}})),
        // goyaml.v2 lets what comes later win, merged or not.
        ("a: &x {p: 1}\nb:\n  p: 2\n  <<: *x", json!({"a": {"p": 1}, "b": {"p": 1}})),
        (
            "a: &x {p: 1}\nc: &y {p: 3, r: 4}\nb:\n  <<: [*x, *y]",
            json!({"a": {"p": 1}, "c": {"p": 3, "r": 4}, "b": {"p": 1, "r": 4}}),
        ),
        ("!!merge <<: {a: 1}", json!({"a": 1})),
        ("'<<': 1", json!({"<<": 1})),
        ("a: <<", json!({"a": "<<"})),
        ("&k key: v\nb: *k", json!({"key": "v", "b": "key"})),
    ];
    for (text, expect) in table {
        assert_eq!(one(text).expect(text).to_json(), expect, "{text:?}");
    }
    assert_eq!(error("a:\n  <<: 3"), "line 2, column 7: `<<` needs a mapping or a list of mappings");
    assert_eq!(error("a: &a [*a]"), "line 1, column 8: an alias stands inside its own anchor");
    assert!(error("a: *b").ends_with("found unknown anchor"), "{}", error("a: *b"));
}

#[test]
fn expansion_is_bounded() {
    let mut laughs = String::from("a0: &a0 [lol, lol, lol, lol, lol, lol, lol, lol, lol, lol]\n");
    for level in 1..20 {
        let previous = vec![format!("*a{}", level - 1); 10].join(", ");
        laughs.push_str(&format!("a{level}: &a{level} [{previous}]\n"));
    }
    assert!(error(&laughs).ends_with("anchors and aliases repeat too much"), "{}", error(&laughs));

    let within = format!("a: &a {}\nb: [{}]\n", "x".repeat(1_000), vec!["*a"; 1_000].join(", "));
    assert!(one(&within).is_ok());
}

#[test]
fn nesting_is_bounded() {
    let deep = |open: &str, close: &str, levels: usize| open.repeat(levels) + "1" + &close.repeat(levels);
    let json = |levels: usize| format!("{{\"a\": {}}}", deep("[", "]", levels - 1));
    assert!(one(&json(MAX_DEPTH)).is_ok());
    assert!(error(&json(MAX_DEPTH + 1)).ends_with("nested deeper than 1000 levels"));
    assert!(error(&deep("{\"a\":", "}", 100_000)).ends_with("nested deeper than 1000 levels"));
    let deepest = one(&deep("- ", "", MAX_DEPTH)).expect("at the limit");
    assert_eq!(deepest.clone().to_json().to_string(), deep("[", "]", MAX_DEPTH));
    assert!(error(&deep("- ", "", 100_000)).ends_with("nested deeper than 1000 levels"));
    for open in ["[", "{a: ", "? ", "a: [", "&a [", "!t ["] {
        assert!(one(&open.repeat(100_000)).is_err(), "{open:?}");
    }
    assert!(one(&"x".repeat(MAX_BYTES + 1)).is_err());
}

#[test]
fn a_stream_is_split_as_kubectl_does() {
    let texts = |text: &str| -> Vec<String> {
        read(text)
            .into_iter()
            .map(|document| {
                document.map_or_else(|error| error.to_string(), |node| node.to_json().to_string())
            })
            .collect()
    };
    let table: [(&str, &[&str]); 14] = [
        ("", &[]),
        ("# nothing\n", &[]),
        ("---\n---\n# x\n---\n", &[]),
        ("a: 1\n---\nb: 2\n", &[r#"{"a":1}"#, r#"{"b":2}"#]),
        ("---\na: 1\n--- # next\nb: 2", &[r#"{"a":1}"#, r#"{"b":2}"#]),
        ("a: 1\r\n---\r\nb: |\r\n  x\r\n  y\r\n", &[r#"{"a":1}"#, r#"{"b":"x\ny\n"}"#]),
        ("\u{feff}a: 1\n", &[r#"{"a":1}"#]),
        ("a: 1\n--- {b: 2}\n", &[r#"{"a":1}"#, r#"{"b":2}"#]),
        ("a: ---\nb: '---x'\n", &[r#"{"a":"---","b":"---x"}"#]),
        ("a: [1\n---\nb: 2\n", &["line 2, column 1: expected `,` or `]`", r#"{"b":2}"#]),
        ("{\"a\": 1}\n{\"b\": 2}", &[r#"{"a":1}"#, r#"{"b":2}"#]),
        ("{\n\t\"a\": [1, true, null, \"\\u00e9\"]\n}\n", &[r#"{"a":[1,true,null,"é"]}"#]),
        ("{\"a\": 1} {\"b\": }", &[r#"{"a":1}"#, "line 1, column 16: expected a value"]),
        ("{a: yes, b: [c]}\n", &[r#"{"a":true,"b":["c"]}"#]),
    ];
    for (text, expect) in table {
        assert_eq!(texts(text), expect, "{text:?}");
    }
}

#[test]
fn json_errors_have_their_place() {
    let table = [
        ("{\n\t\"a\": 1\n\t\"b\": 2\n}", "line 3, column 2: expected `,` or `}`"),
        ("{\"a\" 1}", "line 1, column 6: expected `:` after a key"),
        ("{\"a\": \"x", "line 1, column 7: a string is not closed"),
        ("{\"a\": [1, 2", "line 1, column 12: the text ends within a value"),
        ("{\n\t\"a\": \"\\q\"}", "line 2, column 7: a string with a wrong escape or a control character"),
    ];
    for (text, expect) in table {
        assert_eq!(error(text), expect, "{text:?}");
    }
}

#[test]
fn positions_count_from_the_whole_text() {
    let text = "a: 1\n---\n# c\nspec:\n  é: [x, {b: 'y'}]\n  'a.b/c': z\n";
    let node = read(text).remove(1).expect("the second document");
    for (path, expect) in [
        ("spec", at(4, 1)),
        ("spec.é", at(5, 3)),
        ("spec.é[0]", at(5, 7)),
        ("spec.é[1].b", at(5, 11)),
        ("spec.é[7].b", at(5, 3)),
        ("spec['a.b/c']", at(6, 3)),
        ("spec.missing.deeper", at(4, 1)),
        ("nothing", at(4, 1)),
        ("", at(4, 1)),
    ] {
        assert_eq!(node.position_of(path), expect, "{path:?}");
    }
}

#[test]
fn places_inside_strings_are_found() {
    let table = [
        ("a: |\n  one\n  two\n", (2, 3), at(3, 5)),
        ("a: |2\n    one\n  two\n", (1, 3), at(2, 5)),
        ("a: |-\n\n    one\n    two\n", (3, 1), at(4, 5)),
        ("a: !!str &x |\n  one\n  two\n", (2, 1), at(3, 3)),
        ("a:\n- b: |\n    one\n    two\n", (2, 2), at(4, 6)),
        ("a: one two\n", (1, 5), at(1, 8)),
        ("a: 'one two'\n", (1, 5), at(1, 9)),
        ("a: &x \"one two\"\n", (1, 1), at(1, 8)),
        ("a: one\n\n  two\n", (2, 2), at(3, 4)),
        ("a: one\n  two\n", (1, 6), at(2, 4)),
        ("a: one   \n   two\n  three four", (1, 15), at(3, 9)),
        ("a: 'one\n\n\n   it''s two'", (3, 6), at(4, 10)),
        ("a: 'one ''two'' three'", (1, 11), at(1, 17)),
        ("a: \"one\n  \\\"two\\\" é \\u00e9 x\"", (1, 15), at(2, 20)),
        ("a: \"one\\\n  two\\n three\"", (1, 4), at(2, 3)),
        ("a: \"one\\\n  two\\n three\"", (2, 2), at(2, 9)),
        ("{\"a\": \"one\\ntwo\"}", (2, 2), at(1, 14)),
        ("{\"a\": \"\\ud83d\\ude00 \\\"x\"}", (1, 4), at(1, 23)),
        ("{\"a\":\n \"one\\ttwo\"}", (1, 5), at(2, 8)),
        ("a: >\n  one\n  two\n", (1, 2), at(2, 4)),
        ("a: >\n  one\n  two\n", (1, 6), at(3, 4)),
        ("a: >-\n\n  one\n  two\n\n  three\n", (2, 5), at(4, 3)),
        ("a: >-\n\n  one\n  two\n\n  three\n", (3, 3), at(6, 5)),
        ("a: >-\n  one\n    more\n  two\n", (2, 3), at(3, 5)),
        ("a: >-\n  one\n    more\n  two\n", (3, 2), at(4, 4)),
        ("a: >2\n    one\n  two\n", (2, 1), at(3, 3)),
        ("a: &x >\n  one\n  two\n", (1, 5), at(3, 3)),
        ("é: |\r\n  one\r\n  two\r\n", (2, 1), at(3, 3)),
    ];
    for (text, (line, column), expect) in table {
        let node = one(text).expect(text);
        let Value::Mapping(entries) = &node.value else { panic!("no mapping: {text:?}") };
        let value = match &entries[0].value.value {
            Value::Sequence(items) => items[0].get("b").expect(text),
            _ => &entries[0].value,
        };
        let Value::String(string) = &value.value else { panic!("no string: {text:?}") };
        assert_eq!(string.place.position(line, column), expect, "{text:?}");
    }
}

#[test]
fn no_text_makes_the_reader_panic_or_hang() {
    let seed = "a: &x |2-\n  b\n? [c, 'd', \"e\\n\"]\n: {f: *x, <<: {g: !!int 1}}\n- >+\n h\n%TAG ! x\n...\n---\n\u{feff}\ti\r\nj: - k # l\n";
    let pieces: Vec<char> = seed.chars().collect();
    // A small generator of numbers (xorshift), so that the same texts come every time.
    let mut state = 0x2545_F491_4F6C_DD1Du64;
    let mut next = |below: usize| {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        (state % below as u64) as usize
    };
    for _ in 0..20_000 {
        let length = 1 + next(60);
        let text: String = (0..length).map(|_| pieces[next(pieces.len())]).collect();
        read(&text);
    }
    for piece in [
        "...\n",
        "%TAG ! x\n",
        "- ",
        "a: ",
        "\u{feff}",
        "? ",
        "&a ",
        "!t ",
        "[",
        "[]",
        "{},",
        "'",
        "|\n",
        "a\n",
        "# \n",
        ": ",
    ] {
        read(&piece.repeat(100_000));
    }
    // Places in strings are found without going back to the beginning of the line.
    for piece in ["\"\\n\", ", "'a''b', ", "!t &a b, ", "a b, "] {
        assert!(one(&format!("[{}]", piece.repeat(20_000))).is_ok());
    }
}
