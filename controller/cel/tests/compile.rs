//! What is refused when a policy is read, and where the error points.
#![cfg(test)]

use portcullis_cel::{Environment, Program};

#[track_caller]
fn check(source: &str, place: (u32, u32), message: &str, hint: Option<&str>) {
    let environment = Environment::new().with_variable("object").with_variable("params").with_images();
    let errors = Program::compile(&environment, source).unwrap_err();
    let [error] = errors.as_slice() else { panic!("{source}: {errors:?}") };
    assert_eq!(error.message, message, "{source}");
    assert_eq!((error.line, error.column), place, "{source}: {message}");
    assert_eq!(error.hint.as_deref(), hint, "{source}");
}

#[test]
fn unknown_names() {
    check("objct.spec", (1, 1), "undeclared variable `objct`", Some("did you mean `object`?"));
    check("object.spec == q", (1, 16), "undeclared variable `q`", None);
    check("'é' ==\n 'ü' + zz", (2, 8), "undeclared variable `zz`", None);
    check("object.exists(c, d.x)", (1, 18), "undeclared variable `d`", None);
    check(
        "object.all(container, conainer.x)",
        (1, 23),
        "undeclared variable `conainer`",
        Some("did you mean `container`?"),
    );
    check("[1].all(c, true) && c", (1, 21), "undeclared variable `c`", None);
    check("authorizer.path('/x').allowed()", (1, 1), "`authorizer` is not supported yet", None);
    check("authorizer", (1, 1), "`authorizer` is not supported yet", None);
}

#[test]
fn unknown_functions() {
    check(
        "object.x.startswith('a')",
        (1, 10),
        "unknown method `startswith`",
        Some("did you mean `startsWith`?"),
    );
    check("image('x').isunder('y')", (1, 12), "unknown method `isunder`", Some("did you mean `isUnder`?"));
    check("foo(1)", (1, 1), "unknown function `foo`", None);
    check("cel.bind(x, 1, x)", (1, 1), "unknown function `cel.bind`", None);
    check(
        "startsWith(object, 'a')",
        (1, 1),
        "unknown function `startsWith`",
        Some("it is a method: `x.startsWith(…)`"),
    );
    check("object.duration()", (1, 8), "unknown method `duration`", Some("it is a function: `duration(x)`"));
    check("object.x\n  .transformList(k, v, v)", (2, 4), "unknown method `transformList`", None);
    check("object.startsWith('a', 'b')", (1, 8), "`startsWith` takes 1 argument, not 2", None);
    check("object.all(x)", (1, 8), "`all` takes 2 arguments, not 1", None);
    check("object.all(k, v, true)", (1, 8), "`all` takes 2 arguments, not 3", None);
    check("object.split()", (1, 8), "`split` takes 1 to 2 arguments, not 0", None);
    check("object.size(1)", (1, 8), "`size` takes no arguments, not 1", None);
    check("base64.encode(b'x')", (1, 1), "unknown function `base64.encode`", None);
}

#[test]
fn image_functions_exist_only_where_they_are_asked_for() {
    let errors = Program::compile(&Environment::new(), "image('nginx').host() == 'docker.io'").unwrap_err();
    assert_eq!(errors[0].message, "unknown function `image`");
}

#[test]
fn syntax() {
    check("", (1, 1), "syntax error: the expression ends too early", None);
    check("1 +", (1, 4), "syntax error: the expression ends too early", None);
    check("object ? 1", (1, 11), "syntax error: the expression ends too early", None);
    check("true && (false", (1, 15), "syntax error: the expression ends too early, `)` is missing", None);
    check("a) && b", (1, 2), "syntax error: unexpected `)`", None);
    check("a b", (1, 3), "syntax error: unexpected `b`", None);
    check("1 = 2", (1, 3), "syntax error: unexpected `=`", Some("did you mean `==`?"));
    check("true and true", (1, 6), "syntax error: unexpected `and`", Some("did you mean `&&`?"));
    let unclosed = "syntax error: the string is not closed, or has an escape that does not exist";
    check("'abc", (1, 1), unclosed, None);
    check("x ==\n 'a\\q'", (2, 2), unclosed, None);
    check("@patterns", (1, 1), "syntax error: unexpected `@`", None);
    check("object.@matches('x')", (1, 8), "syntax error: unexpected `@`", None);
    let hint = Some("write a map: `{'field': value}`");
    check("Foo{a: 1}", (1, 1), "`Foo` cannot be constructed: there are no message types", hint);
}

#[test]
fn constant_patterns() {
    check("'a'.matches('(')", (1, 13), "`(` is not a valid regular expression: unclosed group", None);
    check(
        "matches('a', 'b[')",
        (1, 14),
        "`b[` is not a valid regular expression: unclosed character class",
        None,
    );
    check(
        "'a'.matches('a{99999}')",
        (1, 13),
        "`a{99999}` is not a valid regular expression: it is too large",
        None,
    );
}

#[test]
fn all_unknown_names_are_told_in_order() {
    let errors = Program::compile(&Environment::new(), "a == b &&\nc.foo() || d").unwrap_err();
    let told: Vec<String> = errors.iter().map(ToString::to_string).collect();
    assert_eq!(
        told,
        [
            "1:1: undeclared variable `a`",
            "1:6: undeclared variable `b`",
            "2:1: unknown function `c.foo`",
            "2:12: undeclared variable `d`"
        ]
    );
    let many = vec!["q"; 10_000].join("&&");
    assert_eq!(Program::compile(&Environment::new(), &many).unwrap_err().len(), 20);
}
