//! What expressions are made of: for each kind of value the forms that yield it, with holes for their parts.

use super::libraries;

/// A kind of value, finer than types where that makes better expressions.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Kind {
    Bool,
    Int,
    Uint,
    Double,
    Text,
    Bytes,
    Time,
    Length,
    Type,
    /// `list(int)`
    Ints,
    /// `list(string)`
    Texts,
    /// `map(string, int)`
    Table,
    /// An optional `int`
    Option,
    /// A list of objects of a manifest
    Objects,
    /// An object of a manifest
    Object,
    /// A map from strings to strings of a manifest
    Labels,
    /// `net.IP`
    Address,
    /// `net.CIDR`
    Prefix,
    /// `kubernetes.Quantity`
    Quantity,
    /// `kubernetes.Semver`
    Version,
    /// `kubernetes.URL`
    Link,
    /// `kubernetes.NamedFormat`
    Format,
    /// Anything
    Any,
}

/// All of them.
pub(crate) const KINDS: [Kind; 23] = [
    Kind::Bool,
    Kind::Int,
    Kind::Uint,
    Kind::Double,
    Kind::Text,
    Kind::Bytes,
    Kind::Time,
    Kind::Length,
    Kind::Type,
    Kind::Ints,
    Kind::Texts,
    Kind::Table,
    Kind::Option,
    Kind::Objects,
    Kind::Object,
    Kind::Labels,
    Kind::Address,
    Kind::Prefix,
    Kind::Quantity,
    Kind::Version,
    Kind::Link,
    Kind::Format,
    Kind::Any,
];

impl Kind {
    /// The kind that a hole names.
    pub(crate) fn named(name: &str) -> Option<Self> {
        KINDS.into_iter().find(|kind| format!("{kind:?}") == name)
    }

    /// Whether a leaf is statically of its kind.
    pub(crate) fn is_plain(self, leaf: &str) -> bool {
        let dynamic = ["dyn(", "null", "object", "params", "oldObject"];
        self == Self::Any || leaf != "x" && !dynamic.iter().any(|start| leaf.starts_with(start))
    }

    /// Values that need no parts: literals and variables.
    pub(crate) fn leaves(self) -> &'static [&'static str] {
        match self {
            Self::Bool => &["true", "false", "bo", "dyn(true)"],
            Self::Int => {
                &["0", "1", "-1", "2", "7", "100", "i", "x", "dyn(3)", "9223372036854775807", "null"]
            }
            Self::Uint => &["0u", "1u", "8u", "u", "dyn(1u)", "18446744073709551615u"],
            Self::Double => &["0.0", "-0.0", "1.5", "d", "-2.25", "1e300", "dyn(1.0)", "0.1", "1e-7", "1e21"],
            Self::Text => &[
                "''",
                "'a'",
                "s",
                "'hello'",
                "'é😀'",
                "'42'",
                "'-1.5'",
                "'true'",
                "'1h30m'",
                "'x/y:z'",
                "'10.0.0.1'",
                "'10.0.0.0/8'",
                "'1.2.3'",
                "'1500m'",
                "'https://x.io/a?b=c'",
                "'2024-01-31'",
            ],
            Self::Bytes => &["b''", "b'abc'", "b", "b'\\xff'", "b'é'"],
            Self::Time => &[
                "t",
                "timestamp('2024-02-29T12:30:45.5Z')",
                "timestamp('1969-12-31T23:59:59Z')",
                "timestamp(0)",
                "timestamp('9999-12-31T23:59:59.999999999Z')",
                "timestamp('2024-06-01T00:00:00+05:30')",
            ],
            Self::Length => &[
                "dur",
                "duration('0s')",
                "duration('1h')",
                "duration('-1.5s')",
                "duration('1ns')",
                "duration('2562047h')",
            ],
            Self::Type => &["int", "string", "list", "map", "null_type", "type", "google.protobuf.Duration"],
            Self::Ints => &["l", "[]", "[1]", "[3, 2, 1]", "[0, -1, i]", "dyn([1, 2])", "params.list"],
            Self::Texts => {
                &["ls", "['a']", "['a', 'b', 'hello']", "[s]", "['x', 'x']", "request.userInfo.groups"]
            }
            Self::Table => &["m", "{}", "{'a': 1}", "{s: i, 'b': 2}", "dyn({'a': 2})"],
            Self::Option => {
                &["o", "optional.none()", "optional.of(1)", "optional.of(i)", "optional.ofNonZeroValue(0)"]
            }
            Self::Objects => {
                &["object.spec.containers", "object.spec.template.spec.containers", "[object]", "[]"]
            }
            Self::Object => {
                &["object", "object.metadata", "object.spec", "oldObject", "params", "dyn(request)"]
            }
            Self::Labels => &["object.metadata.labels", "{'a': 'b'}", "namespaceObject.metadata.labels"],
            Self::Address => &["ip('192.168.0.1')", "ip('::1')", "ip('2001:db8::68')", "ip('0.0.0.0')"],
            Self::Prefix => &["cidr('192.168.0.0/16')", "cidr('2001:db8::/32')", "cidr('10.1.2.3/8')"],
            Self::Quantity => &["quantity('1.5Gi')", "quantity('100m')", "quantity('2')", "quantity('-1e3')"],
            Self::Version => &["semver('1.2.3')", "semver('1.0.0-rc.1+build')", "semver('10.0.0')"],
            Self::Link => &[
                "url('https://user:p@example.com:8443/a%20b?x=1&x=2&y=z#f')",
                "url('/path?a=%41')",
                "url('http://[::1]:80/')",
            ],
            Self::Format => &["format.uri()", "format.uuid()", "format.labelValue()"],
            Self::Any => &[
                "null",
                "x",
                "dyn(1.5)",
                "dyn('a')",
                "object.absent",
                "params.mixed",
                "params.b.d",
                "params.huge",
                "dyn(o)",
                "dyn(t)",
                "dyn(dur)",
                "dyn(b)",
                "[null]",
                "{1: 2}",
                "mi",
            ],
        }
    }
}

/// A form with its result. `$Int` is a hole of a kind; `$e:Int` names a variable for the holes after it.
#[derive(Debug, Clone)]
pub(crate) struct Template {
    pub(crate) yields: Kind,
    pub(crate) form: String,
}

impl Template {
    /// Whether it brings in variables.
    pub(crate) fn binds(&self) -> bool {
        self.form.contains(':')
            && self.form.split('$').any(|hole| {
                hole.split_once(':').is_some_and(|(name, _)| name.chars().all(|c| c.is_ascii_lowercase()))
            })
    }
}

/// Forms by what they yield, one a line.
const FORMS: &[(Kind, &str)] = &[
    (
        Kind::Bool,
        "$Bool && $Bool | $Bool || $Bool | !$Bool | $Bool ? $Bool : $Bool | bool($Text) | bool($Bool) | bool(dyn($Text))
         | $Text.contains($Text) | $Text.startsWith($Text) | $Text.endsWith($Text)
         | $Text.matches('^[a-z]+') | $Text.matches($Text) | matches($Text, '\\\\d+')
         | $Int in $Ints | $Text in $Texts | $Text in $Table | $Text in $Labels | $Text in $Object | $Any in $Any
         | $Any == $Any | $Any != $Any | $Type == $Type | $Ints == $Ints | $Table != $Table | $Option == $Option
         | $Object == $Object | $Labels == $Labels | $Objects == $Objects
         | has($Object.name) | has($Object.metadata) | has($Labels.app) | has($Any.a) | !has($Object.a.b)
         | $Option.hasValue() | $Object.?spec.hasValue() | $Any == null | type($Any) == $Type
         | $Ints.all($e:Int, $Bool) | $Ints.exists($e:Int, $Bool) | $Ints.exists_one($e:Int, $Bool)
         | $Texts.all($e:Text, $Bool) | $Texts.exists($e:Text, $Bool) | $Texts.exists_one($e:Text, $Bool)
         | $Objects.all($c:Object, $Bool) | $Objects.exists($c:Object, $Bool)
         | $Objects.exists_one($c:Object, $Bool) | $Labels.all($k:Text, $Bool) | $Table.exists($k:Text, $Bool)
         | $Ints.all($i:Int, $e:Int, $Bool) | $Objects.all($i:Int, $c:Object, $Bool)
         | $Table.all($k:Text, $v:Int, $Bool) | $Ints.exists($i:Int, $e:Int, $Bool)
         | $Labels.exists($k:Text, $v:Text, $Bool) | $Texts.existsOne($i:Int, $e:Text, $Bool)
         | $Texts.exists_one($i:Int, $e:Text, $Bool) | $Any.all($e:Any, $Bool) | $Any.exists($e:Any, $Bool)",
    ),
    (
        Kind::Int,
        "$Int + $Int | $Int - $Int | $Int * $Int | $Int / $Int | $Int % $Int | -$Int | $Bool ? $Int : $Int
         | int($Int) | int($Uint) | int($Double) | int($Text) | int($Time) | int($Length) | int($Any)
         | size($Text) | size($Bytes) | size($Ints) | size($Table) | size($Objects) | size($Any)
         | $Text.size() | $Bytes.size() | $Texts.size() | $Labels.size() | $Table.size()
         | $Ints[$Int] | $Table[$Text] | $Table.a | $Ints[0] | $Option.value() | $Option.orValue($Int)
         | $Ints[?$Int].orValue($Int) | $Table[?$Text].orValue(0)
         | $Time.getFullYear() | $Time.getMonth() | $Time.getDate() | $Time.getDayOfMonth() | $Time.getDayOfWeek()
         | $Time.getDayOfYear() | $Time.getHours() | $Time.getMinutes() | $Time.getSeconds()
         | $Time.getMilliseconds() | $Length.getHours() | $Length.getMinutes() | $Length.getSeconds()
         | $Length.getMilliseconds() | $Time.getFullYear('Asia/Tokyo') | $Time.getMonth('America/New_York')
         | $Time.getDate('+05:30') | $Time.getDayOfMonth('-11:00') | $Time.getDayOfWeek('Europe/Paris')
         | $Time.getDayOfYear('UTC') | $Time.getHours('Australia/Sydney') | $Time.getMinutes('Asia/Kathmandu')
         | $Time.getSeconds('02:00') | $Time.getMilliseconds('Africa/Cairo') | $Time.getHours($Text)
         | $Any.getHours() | $Any.getMinutes() | $Any.getSeconds() | $Any.getMilliseconds() | $Any.getFullYear()
         | dyn($Time).getHours() | dyn($Length).getHours() | dyn($Time).getMinutes() | dyn($Time).getSeconds()
         | dyn($Length).getMilliseconds() | dyn($Int) | $Ints.map($e:Int, $Int)[0] | $Any.orValue($Int)",
    ),
    (
        Kind::Uint,
        "$Uint + $Uint | $Uint - $Uint | $Uint * $Uint | $Uint / $Uint | $Uint % $Uint | $Bool ? $Uint : $Uint
         | uint($Int) | uint($Uint) | uint($Double) | uint($Text) | uint($Any)",
    ),
    (
        Kind::Double,
        "$Double + $Double | $Double - $Double | $Double * $Double | $Double / $Double | -$Double
         | $Bool ? $Double : $Double | double($Int) | double($Uint) | double($Double) | double($Text)
         | double($Any) | -$Any",
    ),
    (
        Kind::Text,
        "$Text + $Text | $Bool ? $Text : $Text | string($Int) | string($Uint) | string($Double) | string($Text)
         | string($Bool) | string($Bytes) | string($Time) | string($Length) | string($Any) | $Texts[$Int]
         | $Labels[$Text] | $Labels.app | $Object.name | $Object.metadata.name | $Object.?name.orValue($Text)
         | $Labels[?$Text].orValue($Text) | $Object.?metadata.?namespace.orValue('none') | $Object.kind
         | string(type($Any) == $Type) | $Texts.filter($e:Text, $Bool)[0]",
    ),
    (Kind::Bytes, "$Bytes + $Bytes | bytes($Text) | bytes($Bytes) | bytes($Any) | $Bool ? $Bytes : $Bytes"),
    (
        Kind::Time,
        "$Time + $Length | $Length + $Time | $Time - $Length | timestamp($Int) | timestamp($Text)
         | timestamp($Time) | timestamp($Any) | $Bool ? $Time : $Time
         | timestamp(object.metadata.creationTimestamp) | timestamp(string($Time))",
    ),
    (
        Kind::Length,
        "$Time - $Time | $Length + $Length | $Length - $Length | duration($Text) | duration($Length)
         | duration($Any) | duration(string($Length)) | $Bool ? $Length : $Length",
    ),
    (Kind::Type, "type($Any) | type($Int) | type($Type) | type($Option) | type($Object) | type($Texts)"),
    (
        Kind::Ints,
        "$Ints + $Ints | [$Int, $Int] | [$Int] | [?$Option, $Int] | $Ints.map($e:Int, $Int)
         | $Ints.map($e:Int, $Bool, $Int) | $Ints.filter($e:Int, $Bool) | $Texts.map($e:Text, $Int)
         | $Objects.map($c:Object, $Int) | $Ints.transformList($i:Int, $e:Int, $Int)
         | $Table.transformList($k:Text, $v:Int, $Int) | $Ints.transformList($i:Int, $e:Int, $Bool, $Int)
         | [$Option, $Option].unwrapOpt() | optional.unwrap([$Option, $Option]) | $Bool ? $Ints : $Ints
         | $Ints.map($e:Int, $Ints.map($f:Int, $Int).size()) | $Any.map($e:Any, $Int) | $Any.filter($e:Any, $Bool)",
    ),
    (
        Kind::Texts,
        "$Texts + $Texts | [$Text, $Text] | $Texts.map($e:Text, $Text) | $Texts.filter($e:Text, $Bool)
         | $Objects.map($c:Object, $Text) | $Objects.map($c:Object, $Bool, $Text) | $Labels.map($k:Text, $Text)
         | $Labels.transformList($k:Text, $v:Text, $Text) | $Ints.transformList($i:Int, $e:Int, $Bool, $Text)
         | $Ints.map($e:Int, string($Int))",
    ),
    (
        Kind::Table,
        "{$Text: $Int} | {$Text: $Int, 'z': $Int} | {?$Text: $Option} | $Bool ? $Table : $Table
         | $Table.transformMap($k:Text, $v:Int, $Int) | $Table.transformMap($k:Text, $v:Int, $Bool, $Int)
         | $Texts.transformMapEntry($i:Int, $e:Text, {$Text: $Int})
         | $Texts.transformMapEntry($i:Int, $e:Text, $Bool, {$Text: $Int})
         | $Table.transformMapEntry($k:Text, $v:Int, {$Text: $Int})
         | $Objects.transformMap($i:Int, $c:Object, $Int) | $Labels.transformMap($k:Text, $v:Text, $Int)",
    ),
    (
        Kind::Option,
        "optional.of($Int) | optional.none() | optional.ofNonZeroValue($Int) | $Option.or($Option)
         | $Option.optMap($v:Int, $Int) | $Option.optFlatMap($v:Int, $Option) | $Ints[?$Int] | $Table[?$Text]
         | $Table.?a | $Ints.first() | $Ints.last() | $Bool ? $Option : $Option | optional.of($Ints)[?$Int]
         | optional.of($Ints)[$Int] | optional.of($Table)[?$Text] | optional.of($Table)[$Text]
         | optional.of($Table).a | optional.of($Table).?a | $Object.?spec.?replicas | $Any[?$Any]
         | optional.of($Any) | optional.ofNonZeroValue($Any)",
    ),
    (
        Kind::Objects,
        "$Objects + $Objects | $Objects.filter($c:Object, $Bool) | [$Object] | $Bool ? $Objects : $Objects
         | $Object.?spec.?initContainers.orValue([]) | $Object.containers",
    ),
    (Kind::Object, "$Objects[$Int] | $Objects[0] | $Object.spec | $Object.metadata | $Bool ? $Object : $Object"),
    (Kind::Labels, "$Object.labels | $Object.metadata.labels | {$Text: $Text} | {$Text: $Text, ?'b': $Object.?name}"),
    (
        Kind::Any,
        "dyn($Int) | dyn($Text) | dyn($Ints) | $Any[$Any] | $Any.a | $Any[$Int] | $Any + $Any | $Any - $Any
         | $Any * $Any | $Any / $Any | dyn($Any) / $Any | $Any % $Any | $Bool ? $Int : $Any | $Bool ? $Any : $Text
         | $Objects[$Int] | $Object.spec.replicas | $Ints | $Option | $Time | $Type | $Table | $Objects | $Bytes | -$Any | {$Any: $Any}
         | [$Any] | $Any.map($e:Any, $Any) | $Any.?a | $Any[?0] | $Any.transformList($i:Any, $e:Any, $Any)
         | $Any.transformMap($i:Any, $e:Any, $Any) | $Any.transformMapEntry($i:Any, $e:Any, {$Any: $Any})
         | $Any.or($Option) | $Any.value() | $Any.optMap($v:Any, $Any) | $Any.first() | dyn($Any) | $Uint | $Double",
    ),
];

/// Kinds with an order, also across types.
const ORDERED: &[(&str, &str)] = &[
    ("Bool", "Bool"),
    ("Int", "Int"),
    ("Uint", "Uint"),
    ("Double", "Double"),
    ("Text", "Text"),
    ("Bytes", "Bytes"),
    ("Time", "Time"),
    ("Length", "Length"),
    ("Int", "Uint"),
    ("Int", "Double"),
    ("Uint", "Int"),
    ("Uint", "Double"),
    ("Double", "Int"),
    ("Double", "Uint"),
    ("Any", "Any"),
];

/// All templates.
pub(crate) fn all() -> Vec<Template> {
    let listed = FORMS.iter().chain(libraries::FORMS).flat_map(|(yields, forms)| {
        // A form may hold `||`, so that only a lone bar ends it.
        forms.split(" | ").map(|form| Template { yields: *yields, form: form.trim().to_owned() })
    });
    let mut templates: Vec<Template> = listed.collect();
    for (left, right) in ORDERED {
        for operator in ["<", "<=", ">", ">="] {
            templates.push(Template { yields: Kind::Bool, form: format!("${left} {operator} ${right}") });
        }
    }
    templates
}
