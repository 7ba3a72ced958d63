//! No expression, however long or deep, ends the process: it compiles or is refused, is evaluated and dropped,
//! all on the 2 MiB that an ordinary thread has.
#![cfg(test)]

use std::thread;

use portcullis_cel::{
    Bindings, Environment, FailureKind, Meter, Program, Tree, Type, Value, with_large_stack,
};
use serde_json::{Value as Json, json};

/// What became of an expression.
#[derive(Debug, PartialEq)]
enum Outcome {
    Refused(String),
    Failed(String),
    Gave(Json),
}

fn on_ordinary_stack<T: Send>(work: impl FnOnce() -> T + Send) -> T {
    thread::scope(|scope| {
        let thread = thread::Builder::new().stack_size(2 << 20).spawn_scoped(scope, work).unwrap();
        thread.join().unwrap()
    })
}

fn run(source: &str) -> Outcome {
    on_ordinary_stack(|| {
        let environment = Environment::new().with_variable("x", Type::Dyn);
        let program = match Program::compile(&environment, source) {
            Ok(program) => program,
            Err(errors) => return Outcome::Refused(errors[0].message.clone()),
        };
        let x = Tree::from(json!([[1]]));
        let mut bindings = Bindings::new(&environment);
        bindings.set("x", Value::from_json(x.root()));
        match program.evaluate(&bindings, &Meter::new(100_000)) {
            Ok(value) => Outcome::Gave(value.to_json()),
            Err(error) => Outcome::Failed(error.message.to_string()),
        }
    })
}

fn repeat(before: &str, inner: &str, after: &str, times: usize) -> String {
    format!("{}{inner}{}", before.repeat(times), after.repeat(times))
}

#[track_caller]
fn check_refused(source: &str) {
    match run(source) {
        Outcome::Refused(message) => {
            assert!(!message.contains('\n') && message.len() < 600, "{message}");
        }
        other => panic!("{}…: {other:?}", &source[..source.len().min(60)]),
    }
}

#[track_caller]
fn check_too_deep(source: &str) {
    let expected = Outcome::Refused("the expression is nested too deeply here".to_owned());
    assert_eq!(run(source), expected, "{}…", &source[..source.len().min(60)]);
}

#[track_caller]
fn check_gives(source: &str, expected: Json) {
    assert_eq!(run(source), Outcome::Gave(expected), "{}…", &source[..source.len().min(60)]);
}

#[test]
fn long_chains_are_refused() {
    for terms in [1_500, 50_000] {
        for operator in ["+", "-", "*", "/", "%", "==", "<", " in "] {
            if terms * (operator.len() + 1) < 100_000 {
                check_too_deep(&vec!["1"; terms].join(operator));
            }
        }
    }
    check_too_deep(&format!("'a'{}", ".size()".repeat(1_500)));
    check_too_deep(&format!("x{}", "[0]".repeat(1_500)));
    check_too_deep(&format!("x{}", ".a".repeat(5_000)));
    check_too_deep(&format!("x{}", ".a".repeat(49_000)));
    check_too_deep(&format!("x{}", ".?a".repeat(5_000)));
    check_too_deep(&format!("{}x", "!".repeat(50_000)));
    check_too_deep(&format!("{}x", "- ".repeat(5_000)));
    check_too_deep(&format!("{}x", "true?1:".repeat(5_000)));
    check_too_deep(&format!("x{}", ".map(a,a)".repeat(5_000)));
    check_too_deep(&vec!["x.a.b.c.d"; 300].join("+"));
}

#[test]
fn deep_nesting_is_refused() {
    for times in [400, 1_500, 15_000] {
        check_too_deep(&repeat("(", "1", ")", times));
        check_too_deep(&repeat("[", "", "]", times));
        check_too_deep(&repeat("!(", "true", ")", times));
        check_too_deep(&repeat("[", "x", "][0]", times));
    }
    for times in [400, 1_500, 10_000] {
        check_too_deep(&repeat("{1:", "1", "}", times));
        check_too_deep(&repeat("size(", "x", ")", times));
        check_too_deep(&repeat("true?(", "1", "):1", times));
        check_too_deep(&repeat("1+(", "1", ")", times));
        check_too_deep(&repeat("x[", "0", "]", times));
    }
    check_too_deep(&repeat("[1].all(y,", "true", ")", 1_500));
    check_too_deep(&repeat("x.map(y,", "1", ")", 1_500));
}

#[test]
fn unbalanced_and_senseless_text_is_refused() {
    for times in [200, 20_000] {
        for text in
            ["(", ")", "[", "]", "{", "}", "?", ":", ",", "!", "-", ".", "$", "'", "\\", "\0", "&", "=", "@"]
        {
            check_refused(&text.repeat(times));
        }
    }
    check_refused(&"é".repeat(5_000));
    check_refused(&"\n".repeat(100_000));
    check_refused(&"a".repeat(100_000));
    check_refused(&"1".repeat(100_000));
    check_refused(&"a b ".repeat(25_000));
    check_refused(&"// comment\n".repeat(9_000));
    check_refused(&format!("'{}'", "\\q".repeat(40_000)));
    check_refused(&format!("'{}", "a".repeat(99_000)));
    check_refused(&format!("'''{}", "'' ".repeat(30_000)));
    check_refused(&"q && ".repeat(19_000));
    check_refused(&format!("size({}1)", "1,".repeat(40_000)));
    check_refused(&repeat("has(", "x", ")", 200));
}

#[test]
fn sources_are_limited_in_code_points() {
    // In bytes these are more than the limit.
    let longest = "é".repeat(1_000) + &"a".repeat(98_991);
    check_gives(&format!("'{longest}'.size()"), json!(99_991));
    let expected = Outcome::Refused("the expression is longer than 100000 characters".to_owned());
    assert_eq!(run(&format!("'{longest}a'.size()")), expected);
}

#[test]
fn what_is_wide_but_not_deep_works() {
    check_gives(&format!("{}true", "true&&".repeat(5_900)), json!(true));
    check_gives(&format!("{}true", "false||".repeat(5_900)), json!(true));
    check_gives(&format!("[{}1].size()", "1,".repeat(5_900)), json!(5_901));
    check_gives(&format!("{}true", "(true||false)&&".repeat(1_900)), json!(true));
    check_gives(&format!("'{}'.size()", "(".repeat(90_000)), json!(90_000));
    check_gives(&format!("r\"\"\"{}\"\"\".size()", "[\\".repeat(40_000)), json!(80_000));
    check_gives(&format!("true //{}", "(".repeat(90_000)), json!(true));
}

/// The deepest expressions of each shape that are accepted, found by trying.
#[test]
fn the_deepest_accepted_expressions_work() {
    let shapes: [(&str, &dyn Fn(usize) -> String); 12] = [
        ("sums", &|n| vec!["1"; n].join("+")),
        ("nested sums", &|n| repeat("1+(", "1", ")", n)),
        ("lists", &|n| repeat("[", "", "]", n)),
        ("maps", &|n| repeat("{1:", "1", "}", n)),
        ("calls", &|n| repeat("string(", "'a'", ")", n)),
        ("methods", &|n| format!("[1]{}", ".map(y, y)".repeat(n))),
        ("indices", &|n| repeat("[", "1", "][0]", n)),
        ("conditionals", &|n| repeat("true?(", "1", "):1", n)),
        ("equalities", &|n| repeat("true==(", "true", ")", n)),
        ("memberships", &|n| repeat("true in [", "true", "]", n)),
        ("macros", &|n| repeat("[1].all(y,", "true", ")", n)),
        ("mappings", &|n| repeat("[1].map(y,", "y", ")", n)),
    ];
    for (name, shape) in shapes {
        let accepted = |n: &usize| !matches!(run(&shape(*n)), Outcome::Refused(_));
        let deepest = (1..400).take_while(|n| n % 10 != 0 || accepted(n)).last().unwrap();
        assert!((60..320).contains(&deepest), "{name}: {deepest}");
        let outcome = run(&shape(deepest / 10 * 10));
        assert!(matches!(outcome, Outcome::Gave(_)), "{name}: {outcome:?}");
    }
}

#[test]
fn many_are_compiled_on_one_large_stack() {
    let environment = Environment::new();
    let compiled = on_ordinary_stack(|| {
        with_large_stack(|| {
            ["1 + 1", &repeat("(", "1", ")", 20_000), &vec!["1"; 240].join("+")]
                .map(|source| Program::compile(&environment, source).is_ok())
        })
    });
    assert_eq!(compiled, [true, false, true]);
}

/// Each program may nest what another computed; the depth of values is limited, not only that of programs.
#[test]
fn values_cannot_be_nested_without_end() {
    on_ordinary_stack(|| {
        let environment = Environment::new().with_variable("x", Type::Dyn);
        let program = Program::compile(&environment, &repeat("[", "x", "]", 200)).unwrap();
        let same = Program::compile(&environment, "x == x && x in [x]").unwrap();
        let mut value = Value::owned(Tree::from(json!(1)).root());
        for _ in 0..100 {
            let mut bindings = Bindings::new(&environment);
            bindings.set("x", value.clone());
            let equal = same.evaluate(&bindings, &Meter::new(1_000_000)).unwrap();
            assert_eq!(equal.as_bool(), Some(true));
            match program.evaluate(&bindings, &Meter::new(1_000_000)) {
                Ok(deeper) => value = deeper,
                Err(error) => {
                    assert_eq!(error.kind, FailureKind::Evaluation);
                    assert_eq!(error.message, "the result is nested too deeply");
                    return;
                }
            }
        }
        panic!("nested without end");
    });
}

/// The webhook accepts bodies nested 1,000 deep.
#[test]
fn deep_json_is_read_compared_and_returned() {
    on_ordinary_stack(|| {
        let mut deep = json!(1);
        for level in 0..1_000 {
            deep = if level % 2 == 0 { json!([deep]) } else { json!({"a": deep}) };
        }
        let tree = Tree::from(&deep);
        let environment = Environment::new().with_variable("x", Type::Dyn).with_variable("y", Type::Dyn);
        let source = "x == y && y == x && [x] == [y] && x in [y]";
        let equal = Program::compile(&environment, source).unwrap();
        let whole = Program::compile(&environment, "y").unwrap();
        let mut bindings = Bindings::new(&environment);
        bindings.set("x", Value::from_json(tree.root()));
        bindings.set("y", Value::owned(tree.root()));
        let budget = Meter::new(1_000_000);
        assert_eq!(equal.evaluate(&bindings, &budget).unwrap().as_bool(), Some(true));
        assert_eq!(whole.evaluate(&bindings, &budget).unwrap().to_json(), deep);
    });
}
