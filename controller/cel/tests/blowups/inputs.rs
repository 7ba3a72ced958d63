//! Expressions that exhausted the stack, the memory or the time of some evaluator, and more of their kind. Used
//! by the test beside it and by `cargo xtask bench blowups`.

use portcullis_cel::Tree;
use serde_json::json;

/// An expression and how it has to end.
pub(crate) struct BlowUp {
    /// What it tries.
    pub(crate) name: &'static str,
    /// The expression; `object` is [`object`].
    pub(crate) source: String,
    /// How it has to end.
    pub(crate) end: End,
}

/// How an expression ends.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum End {
    /// It does not compile, for a reason that contains this.
    Refused(&'static str),
    /// It fails with a message that contains this.
    Fails(&'static str),
    /// It has a value.
    Gives,
}

use End::{Fails, Gives, Refused};

const DEEP: &str = "nested too deeply";
const COST: &str = "actual cost limit exceeded";
const MEMORY: &str = "memory limit exceeded";
const WORK: &str = "too much";
const LONG: &str = "more than 12000";

/// What the expressions read.
pub(crate) fn object() -> Tree {
    let patterns: Vec<String> = (0..3_000).map(|n| format!("(\\pL{{3}}){{9}}{n}")).collect();
    Tree::from(json!({
        "list": vec![0; 3_000],
        "names": (0..3_000).map(|n| format!("name-{n}")).collect::<Vec<_>>(),
        "text": "x".repeat(1_000),
        "long": "a".repeat(300_000),
        "pattern": "(\\pL{3}){9}",
        "patterns": patterns,
    }))
}

/// All of them.
pub(crate) fn all() -> Vec<BlowUp> {
    let mut all = nested();
    all.extend(wide());
    all.extend(growing());
    all.extend(working());
    all
}

fn one(name: &'static str, source: impl Into<String>, end: End) -> BlowUp {
    BlowUp { name, source: source.into(), end }
}

fn around(before: &str, inner: &str, after: &str, times: usize) -> String {
    format!("{}{inner}{}", before.repeat(times), after.repeat(times))
}

/// What one step after the other makes of a beginning.
fn steps(beginning: &str, step: &str, times: usize) -> String {
    format!("{beginning}{}", step.repeat(times))
}

/// Against the stack.
fn nested() -> Vec<BlowUp> {
    vec![
        one("1+1+… of 1,500 terms", steps("1", "+1", 1_500), Refused(DEEP)),
        one(".size() × 1,500", steps("'a'", ".size()", 1_500), Refused(DEEP)),
        one("[0] × 1,500", steps("object", "[0]", 1_500), Refused(DEEP)),
        one(".a × 5,000", steps("object", ".a", 5_000), Refused(DEEP)),
        one(".?a × 5,000", steps("object", ".?a", 5_000), Refused(DEEP)),
        one("brackets × 50,000", around("(", "1", ")", 49_000), Refused(DEEP)),
        one("lists × 50,000", around("[", "", "]", 49_000), Refused(DEEP)),
        one("! × 50,000", steps("", "!", 50_000) + "true", Refused(DEEP)),
        one("conditionals × 5,000", steps("", "true ? 1 : ", 5_000) + "1", Refused(DEEP)),
        one("conditionals in brackets × 5,000", around("true ? (", "1", ") : 1", 5_000), Refused(DEEP)),
        one("macros in macros × 1,500", around("[1].all(x, ", "true", ")", 1_500), Refused(DEEP)),
        one("sums of 240 terms", steps("1", "+1", 240), Gives),
        one("lists in lists × 100", around("[", "1", "]", 100), Gives),
        one("optionals in optionals × 100", around("optional.of(", "1", ")", 100), Gives),
        one("conditionals in brackets × 60", around("(true ? ", "1", " : 1)", 60), Gives),
    ]
}

/// Against the memory and time of the compiler.
fn wide() -> Vec<BlowUp> {
    let entries: Vec<String> = (0..2_900).map(|n| format!("{n}: 'v{n}'")).collect();
    let texts: Vec<String> = (0..5_900).map(|n| format!("'{n:06}'")).collect();
    let undeclared: Vec<String> = (0..5_900).map(|n| format!("v{n:06}")).collect();
    vec![
        one("100,001 characters", "x".repeat(100_001), Refused("longer than 100000 characters")),
        one("a list of 49,000 numbers", format!("[{}1].size() > 0", "1,".repeat(49_000)), Refused(LONG)),
        one("a list of 5,900 strings", format!("object.text in [{}]", texts.join(",")), Gives),
        one("a map of 2,900 entries", format!("{{{}}}.size() > 0", entries.join(",")), Gives),
        one("lists of mixed types", format!("[{}1]", "1,'',".repeat(2_900)), Refused("expected type")),
        one("true && × 5,900", steps("", "true&&", 5_900) + "true", Gives),
        one("5,900 undeclared names", undeclared.join("||"), Refused("undeclared reference")),
        one("a string of 99,000 characters", format!("'{}'.size() > 0", "a".repeat(99_000)), Gives),
        one("a string that does not end", format!("'{}", "a".repeat(99_000)), Refused("syntax error")),
        one("100,000 brackets that open", "(".repeat(100_000), Refused(DEEP)),
        one("100,000 dots", ".".repeat(100_000), Refused(DEEP)),
        one("10,000 dollars", "$".repeat(10_000), Refused("syntax error")),
        one("names beside each other", "a b ".repeat(5_000), Refused("syntax error")),
        one("comments", "// comment\n".repeat(9_000), Refused("syntax error")),
        one("a pattern of nested repetitions", "'a'.matches('((a{100}){100}){100}')", Refused("matches")),
        one("a pattern of large classes", "'a'.matches('(\\\\pL{1000}){1000}')", Refused("matches")),
        one(
            "a pattern of 30,000 groups",
            format!("'a'.matches('{}')", around("(", "a", ")", 30_000)),
            Refused("matches"),
        ),
        one(
            "a pattern of 99,000 characters",
            format!("'a'.matches('{}')", "a".repeat(90_000)),
            Refused("matches"),
        ),
        one("alternatives × 20,000", format!("'a'.matches('{}b')", "a|".repeat(20_000)), Gives),
        one(
            "60 large patterns",
            (0..60)
                .map(|n| format!("object.text.matches('[\\\\pL\\\\d_.-]{{1,{}}}')", 20 + n))
                .collect::<Vec<_>>()
                .join(" && "),
            Refused("matches"),
        ),
    ]
}

/// Against the memory of the evaluator.
fn growing() -> Vec<BlowUp> {
    let spaces = " ".repeat(8);
    vec![
        one("a string doubled × 25", steps("['0123456789']", ".map(x, x + x)", 25), Fails(COST)),
        one(
            "a string of the object doubled × 25",
            steps("[dyn(object.text)]", ".map(x, x + x)", 25),
            Fails(MEMORY),
        ),
        one("a list doubled × 25", steps("[object.list]", ".map(x, x + x)", 25), Fails(MEMORY)),
        one("bytes doubled × 25", steps("[b'0123456789']", ".map(x, x + x)", 25), Fails(COST)),
        one("a list in itself × 25", steps("[[1]]", ".map(x, [x, x])", 25), Fails(WORK)),
        one(
            "a list in itself × 25, compared",
            steps("[[1]]", ".map(x, [x, x])", 25) + ".all(x, x == x)",
            Fails(WORK),
        ),
        one("a map in itself × 25", steps("[{'a': dyn(1)}]", ".map(x, {'a': x, 'b': x})", 25), Fails(WORK)),
        one(
            "an optional in itself × 25",
            steps("[optional.of([1])]", ".map(x, optional.of([x, x]))", 25),
            Fails(WORK),
        ),
        one(
            "replace × 9",
            format!("'{spaces}'{}", format!(".replace('', '{spaces}')").repeat(9)),
            Fails(COST),
        ),
        one(
            "replace × 9 in a long text",
            steps("object.long", ".replace('a', 'aaaaaaaaaa')", 9),
            Fails("limit exceeded"),
        ),
        one("split into characters", "object.long.split('').size() > 0", Fails(MEMORY)),
        one(
            "split and joined × 20",
            steps("object.text", ".split('').join('xx')", 20),
            Fails("limit exceeded"),
        ),
        one("split of split", "object.long.split('').map(x, object.long.split(''))", Fails("limit exceeded")),
        one(
            "a list of lists of the object",
            "object.list.map(x, object.list.map(y, [x, y]))",
            Fails("limit exceeded"),
        ),
        one(
            "maps of two variables",
            "object.list.map(x, object.names.transformMap(i, n, n))",
            Fails("limit exceeded"),
        ),
        one(
            "entries of two variables",
            "object.list.map(x, object.names.transformMapEntry(i, n, {n: i}))",
            Fails("limit exceeded"),
        ),
        one(
            "strings of numbers",
            "object.list.map(x, object.list.map(y, string(x) + string(y)))",
            Fails("limit exceeded"),
        ),
        one(
            "a quoted text × 20",
            steps("object.long", "+strings.quote(object.long)", 20),
            Fails("limit exceeded"),
        ),
        one(
            "a text as bytes and back",
            "object.list.map(x, string(bytes(object.long)))",
            Fails("limit exceeded"),
        ),
        one(
            "upper case of a long text",
            "object.list.map(x, object.long.upperAscii())",
            Fails("limit exceeded"),
        ),
        one("characters of a long text", "object.list.map(x, object.long.charAt(299999))", Fails(WORK)),
        one("parts of a long text", "object.list.map(x, object.long.substring(1))", Fails("limit exceeded")),
    ]
}

/// Against the time of the evaluator.
fn working() -> Vec<BlowUp> {
    let flags = steps("optional.of(1)", ".optMap(x, x)", 60);
    let due = around("optional.of(1).optMap(x, ", "x", ").optMap(y, y)", 1);
    vec![
        one("all in all, 3,000 × 3,000", "object.list.all(x, object.list.all(y, x == y))", Fails(COST)),
        one(
            "exists in exists of two variables",
            "object.list.exists(i, x, object.list.exists(j, y, i + j < 0))",
            Fails(COST),
        ),
        one(
            "all of four",
            "object.list.all(a, object.list.all(b, object.list.all(c, object.list.all(d, true))))",
            Fails(COST),
        ),
        one("lists compared", "object.list.all(x, object.list == object.list)", Fails(WORK)),
        one("objects compared", "object.list.all(x, object == object)", Fails(WORK)),
        one("membership of lists", "object.list.all(x, !('a' in object.names))", Fails(WORK)),
        one("a long text searched", "object.list.all(x, !object.long.contains('b'))", Fails(COST)),
        one(
            "a text searched for a long one",
            "object.list.all(x, object.text.contains(object.text))",
            Fails(COST),
        ),
        one(
            "a long text searched from the end",
            "object.list.all(x, object.long.lastIndexOf('b') < 0)",
            Fails(COST),
        ),
        one("the length of a long text", "object.list.all(x, size(object.long) > 0)", Fails(WORK)),
        one(
            "a pattern that backtracks",
            "object.long.matches('^(a+)+$') && object.long.matches('(a*)*b')",
            Gives,
        ),
        one(
            "a pattern that backtracks, on 30,000",
            "object.long.substring(0, 30000).matches('(a|aa)+$')",
            Gives,
        ),
        one("a large pattern of the object", "object.list.all(x, !'1'.matches(object.pattern))", Gives),
        one("large patterns of the object", "object.patterns.all(p, !'1'.matches(p))", Fails(WORK)),
        one(
            "times",
            "object.list.all(x, timestamp('9999-12-31T23:59:59.999999999Z').getDayOfYear('America/New_York') > 0)",
            Gives,
        ),
        one(
            "times of many zones",
            "object.names.all(x, timestamp('0001-01-01T00:00:00Z').getHours('+14:00') > 0)",
            Gives,
        ),
        one(
            "times beyond the last",
            "timestamp('9999-12-31T23:59:59Z') + duration('1s') > timestamp(0)",
            Fails("overflow"),
        ),
        one(
            "times before the first",
            "timestamp('0001-01-01T00:00:00Z') - duration('9223372036s') > timestamp(0)",
            Fails("overflow"),
        ),
        one(
            "the longest duration",
            "duration('9223372036s') + duration('9223372036s') > duration('1s')",
            Fails("overflow"),
        ),
        // Each evaluates the one before it twice, as in cel-go.
        one("optMap × 60", format!("{flags}.hasValue()"), Fails(COST)),
        one("optMap in optMap", due, Gives),
    ]
}
