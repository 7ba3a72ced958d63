//! What the checker says of an expression: its type, or everything that is wrong with it.

use super::super::{Environment, KubernetesVersion, ObjectType, Program, Type};

fn environment() -> Environment {
    let user =
        ObjectType::new("UserInfo", [("username", Type::String), ("groups", Type::list(Type::String))]);
    let request = ObjectType::new(
        "AdmissionRequest",
        [("name", Type::String), ("dryRun", Type::Bool), ("userInfo", Type::Object(user))],
    );
    Environment::new()
        .with_variable("object", Type::Dyn)
        .with_variable("request", Type::Object(request))
        .with_variable("names", Type::list(Type::String))
}

#[track_caller]
fn check_type(source: &str, expected: &str) {
    match Program::compile(&environment(), source) {
        Ok(program) => assert_eq!(program.result_type().to_string(), expected, "{source}"),
        Err(errors) => panic!("{source}: {errors:?}"),
    }
}

/// Compares the errors with `line:column: message [hint]`, one a line.
#[track_caller]
fn check_errors(source: &str, expected: &[&str]) {
    let found = Program::compile_expecting(&environment(), source, &Type::Bool);
    let errors = found.expect_err(source);
    let shown: Vec<String> = errors
        .iter()
        .map(|error| match &error.hint {
            Some(hint) => format!("{}:{}: {} [{hint}]", error.line, error.column, error.message),
            None => format!("{}:{}: {}", error.line, error.column, error.message),
        })
        .collect();
    assert_eq!(shown, expected, "{source}");
}

#[test]
fn types() {
    check_type("1", "int");
    check_type("[1, 2]", "list(int)");
    check_type("[]", "list(dyn)");
    check_type("{'a': [1u]}", "map(string, list(uint))");
    check_type("object.spec", "dyn");
    check_type("object.spec.x == 1", "bool");
    check_type("true ? 1 : object.x", "dyn");
    check_type("request.userInfo.groups", "list(string)");
    check_type("request.?name", "optional_type(string)");
    check_type("request.userInfo.groups.map(g, size(g))", "list(int)");
    check_type("names.filter(n, n != '')", "list(string)");
    check_type("names.transformMap(i, n, n)", "map(int, string)");
    check_type("names.exists_one(n, n == 'x')", "bool");
    check_type("optional.of(1).optMap(x, string(x))", "optional_type(string)");
    check_type("type(1)", "type(int)");
    check_type("object.a + object.b", "dyn");
    check_type("size(object.a)", "int");
    check_type("timestamp('2026-01-01T00:00:00Z') - duration('1h')", "timestamp");
    check_type("[object.x, dyn(1)][0]", "dyn");
    check_type("has(object.x) || object.y", "bool");
}

#[test]
fn every_error_is_reported_with_its_place() {
    check_errors(
        "objekt.spec == 1 &&\n  names.startswith('a') && request.nmae == 'x'",
        &[
            "1:1: undeclared reference to 'objekt' (in container '') [did you mean `object`?]",
            "2:9: undeclared reference to 'startswith' (in container '') [did you mean `startsWith`?]",
            "2:35: undefined field 'nmae' [did you mean `name`?]",
        ],
    );
    check_errors(
        "names.startsWith('a')",
        &["1:7: found no matching overload for 'startsWith' applied to 'list(string).(string)' \
           [it is called as `string.startsWith(string)`]"],
    );
    check_errors("1 + 'a' == 2", &["1:3: found no matching overload for '_+_' applied to '(int, string)'"]);
    check_errors("1 && true", &["1:1: expected type 'bool' but found 'int'"]);
    check_errors("names.all(n, size(n))", &["1:14: expected type 'bool' but found 'int'"]);
    check_errors(
        "(1).all(x, true)",
        &["1:2: expression of type 'int' cannot be range of a comprehension (must be list, map, or dynamic)"],
    );
    check_errors("request.name.x == 1", &["1:13: type 'string' does not support field selection"]);
    check_errors(
        "has(object)",
        &[
            "1:5: invalid argument to has() macro [has() takes a selection, such as `has(object.spec.replicas)`]",
        ],
    );
    check_errors("names.all(n.x, true)", &["1:12: argument must be a simple name"]);
    check_errors("names.all('é', 'ü' == 1)", &["1:11: argument must be a simple name"]);
    check_errors("'é' + 1 == ''", &["1:5: found no matching overload for '_+_' applied to '(string, int)'"]);
    check_errors("Pod{name: 'x'}", &["1:4: undeclared reference to 'Pod' (in container '')"]);
    check_errors(
        "all(names)",
        &[
            "1:1: undeclared reference to 'all' (in container '') [`all` is a macro: call it on a list or map, as in `list.all(x, …)`]",
        ],
    );
}

#[test]
fn the_result_has_to_be_of_the_expected_type() {
    check_errors(
        "object.spec.hostNetwork",
        &["1:12: must evaluate to bool but got dyn [compare it, as in `… == true`, to give it a type]"],
    );
    check_errors("names", &["1:1: must evaluate to bool but got list(string)"]);
}

#[test]
fn literals_are_validated() {
    let duration = "write hours, minutes and seconds, such as '1h30m' or '90s'; there is no unit for days";
    check_errors(
        "duration('1d') == duration('1h')",
        &[&format!("1:10: invalid duration argument [{duration}]")],
    );
    check_errors(
        "timestamp('2026') != timestamp(1)",
        &["1:11: invalid timestamp argument [write RFC 3339, such as '2026-01-31T12:00:00Z']"],
    );
    check_errors(
        "'x'.matches('a**')",
        &["1:13: invalid matches argument [error parsing regexp: invalid nested repetition operator: `a**`]"],
    );
    let mixed = "wrap the elements in dyn() to mix types";
    check_errors("1 in [1, 'a']", &[&format!("1:10: expected type 'int' but found 'string' [{mixed}]")]);
    check_errors(
        "[1, 1.0].size() == 2",
        &[&format!("1:5: expected type 'int' but found 'double' [{mixed}]")],
    );
    check_errors(
        "{'a': 1, 'b': ''}.a == 1",
        &[&format!("1:15: expected type 'int' but found 'string' [{mixed}]")],
    );
    check_type("[dyn(1), dyn('a')]", "list(dyn)");
}

#[test]
fn constants_are_evaluated_ahead_with_their_failures() {
    check_errors("true || int('x') == 1", &["1:9: type conversion error from 'string' to 'int'"]);
    check_errors("true || matches('x', '(a')", &["1:9: error parsing regexp: missing closing ): `(a`"]);
    check_errors("object[null] == 1", &["1:8: invalid qualifier type: types.Null"]);
    check_type("true || 1 / 0 == 1", "bool");
    check_type("{'a': 1, 'a': 2}.a == 2", "bool");
}

#[test]
fn each_version_of_kubernetes_has_its_own() {
    let check = |source: &str, since: &str| {
        let minor = |text: &str| text.strip_prefix("1.").unwrap().parse::<u8>().unwrap();
        for version in 26..=37 {
            let known: KubernetesVersion = format!("1.{version}").parse().unwrap();
            let environment = Environment::kubernetes(known).with_variable("object", Type::Dyn);
            let compiled = Program::compile(&environment, source);
            assert_eq!(compiled.is_ok(), version >= minor(since), "{source} in {known}: {compiled:?}");
        }
    };
    check("'a,b'.split(',').join('').trim().charAt(0) == 'a'", "1.26");
    check("1 < 2.0 || 1u < 2", "1.28");
    check("object.?a == optional.none()", "1.28");
    check("object[?'a'].hasValue()", "1.28");
    check("[?object] == [] || {?'a': object} == {}", "1.28");
    check("optional.of(1).optMap(x, x) == optional.of(1)", "1.28");
    check("type(dyn(1)) == optional_type", "1.28");
    check("strings.quote('a') == '' && '%d'.format([1]) == '1'", "1.29");
    check("sets.contains([1], [1])", "1.29");
    check("[1].all(i, x, i < x) && [1].transformMap(i, x, x) == {}", "1.32");
    check("'a'.find('a') == 'a' && [1].sum() == 1", "1.26");
    check("[1].slice(0, 1).sortBy(x, x).reverse() == [1]", "1.34");
    check("format.named('date').hasValue() && !format.uri().validate('').hasValue()", "1.31");
    check("[1].includes(1)", "1.37");
    // Before its validators, Kubernetes refused a duration that cannot be read as what it is folded to.
    let message = |version: &str| {
        let environment = Environment::kubernetes(version.parse().unwrap());
        Program::compile(&environment, "duration('1d')").unwrap_err().remove(0).message
    };
    assert_eq!(message("1.28"), "type conversion error from 'string' to 'google.protobuf.Duration'");
    assert_eq!(message("1.29"), "invalid duration argument");
}

#[test]
fn versions_of_kubernetes() {
    let check = |text: &str, expected: Result<&str, &str>| {
        let found = text.parse::<KubernetesVersion>();
        let shown = found.map(|version| version.to_string()).map_err(|error| error.to_string());
        assert_eq!(shown, expected.map(str::to_owned).map_err(str::to_owned), "{text}");
    };
    check("1.37", Ok("1.37"));
    check("v1.30.4-gke.1", Ok("1.30"));
    for text in ["1.38", "1.25", "1", "2.30", "", "1.x"] {
        let expected =
            format!("`{text}` is not a version of Kubernetes that is known: write one from 1.26 to 1.37");
        check(text, Err(&expected));
    }
}
