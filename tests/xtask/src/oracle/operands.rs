//! Every operator and function of one or two operands over every one or two of a set of operands.

use super::fixture::Fixture;
use crate::celgo::Question;

/// One of each type and of each edge of it, some as `dyn`.
const OPERANDS: &[&str] = &[
    "null",
    "dyn(null)",
    "true",
    "dyn(false)",
    "i",
    "-1",
    "dyn(0)",
    "9223372036854775807",
    "u",
    "dyn(2u)",
    "18446744073709551615u",
    "d",
    "dyn(2.0)",
    "-1.5",
    "1e300",
    "s",
    "dyn('1')",
    "b",
    "dyn(b'')",
    "t",
    "dyn(t)",
    "dur",
    "dyn(duration('-1ms'))",
    "l",
    "dyn([1])",
    "[]",
    "ls",
    "m",
    "dyn({'a': 1.0})",
    "{}",
    "o",
    "dyn(optional.none())",
    "optional.of('a')",
    "int",
    "type(s)",
    "object.metadata.name",
    "object.spec.containers",
    "object.metadata.labels",
    "object.absent",
    "request.kind",
];

const UNARY: &[&str] = &[
    "$", "!$", "-$", "- -$", "size($)", "$.size()", "int($)", "uint($)", "double($)", "string($)", "bytes($)",
    "bool($)", "type($)", "dyn($)", "duration($)", "timestamp($)", "optional.of($)",
    "optional.ofNonZeroValue($)", "has($.a)", "$.a", "$['a']", "$[0]", "$[1.0]", "$.?a", "$[?'a']", "$[?0]",
    "$.all(e, true)", "$.all(e, e == e)", "$.exists(e, e == 1)", "$.exists_one(e, e == 'a')", "$.map(e, e)",
    "$.filter(e, true)", "$.map(e, true, e)", "$.all(k, v, k == v)", "$.exists(k, v, v == 1)",
    "$.existsOne(k, v, k == 0)", "$.transformList(k, v, v)", "$.transformMap(k, v, k)",
    "$.transformMapEntry(k, v, {v: k})", "$.value()", "$.hasValue()", "$.orValue(1)", "$.or(optional.of(1))",
    "$.optMap(v, v)", "$.optFlatMap(v, optional.of(v))", "$.first()", "$.last()", "$.unwrapOpt()",
    "optional.unwrap($)", "$.getHours()", "$.getMinutes()", "$.getSeconds()", "$.getMilliseconds()",
    "$.getFullYear()", "$.getMonth()", "$.getDate()", "$.getDayOfMonth()", "$.getDayOfWeek()",
    "$.getDayOfYear()", "$.getHours('Asia/Tokyo')", "$.startsWith('1')", "$.contains('e')", "$.endsWith('o')",
    "$.matches('l+')", "'hello'.contains($)", "'hello'.startsWith($)", "'hello'.endsWith($)",
    "'hello'.matches($)", "t.getHours($)", "{$: 1}", "{'a': $}.a", "[$][0]", "[$]", "{?'a': $}", "[?$]",
    "$ ? 1 : 2", "true ? $ : $", "$ || true", "$ || false", "true && $", "false && $", "$ && true",
    "$ == null", "[$] == [$]", "type($) == int", "[1, 2][$]", "{1: 'a', 2: 'b'}[$]", "{'a': 1}[$]", "m[$]",
    "l[$]", "params.mixed[$]", "$ in [1, 'a' == 'b' ? 2 : 3]", "$ in {1: 2}", "$ in l", "$ in params.mixed",
    "params.mixed.exists(e, e == $)", "params.mixed.filter(e, e == $).size()", "optional.none().orValue($)",
];

const BINARY: &[&str] = &["==", "!=", "<", "<=", ">", ">=", "+", "-", "*", "/", "%", "in", "&&", "||"];

/// All of them as questions.
pub(crate) fn all(fixture: &Fixture) -> Vec<Question> {
    let mut expressions = Vec::new();
    for form in UNARY {
        expressions.extend(OPERANDS.iter().map(|operand| form.replace('$', operand)));
    }
    for operator in BINARY {
        for left in OPERANDS {
            expressions.extend(OPERANDS.iter().map(|right| format!("{left} {operator} {right}")));
        }
    }
    expressions.iter().map(|expression| fixture.question(expression, None)).collect()
}
