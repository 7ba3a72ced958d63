//! The types of Kubernetes' libraries. Results, messages and costs are those of apiserver 0.37.2.

use serde_json::{Value as Json, json};

use super::{check_compiles_not, run};

#[track_caller]
fn check(source: &str, expected: Json, cost: u64) {
    assert_eq!(run(source), (Ok(expected), cost), "{source}");
}

#[track_caller]
fn check_failure(source: &str, expected: &str, cost: u64) {
    let (result, found) = run(source);
    assert_eq!((result.map_err(|failure| failure.to_string()), found), (Err(expected.to_owned()), cost));
}

#[test]
fn addresses() {
    check("ip('1.2.3.4').family() + ip('::1').family()", json!(10), 5);
    check("string(ip('2001:DB8::0:1'))", json!("2001:db8::1"), 3);
    check("ip.isCanonical('2001:db8::1') && !ip.isCanonical('2001:DB8::1')", json!(true), 7);
    check("isIP('01.2.3.4') || isIP('::ffff:1.2.3.4') || isIP('fe80::1%eth0')", json!(false), 5);
    check("ip('0.0.0.0').isUnspecified() && ip('127.9.9.9').isLoopback()", json!(true), 4);
    check("ip('ff12::1').isLinkLocalMulticast() && ip('febf::1').isLinkLocalUnicast()", json!(true), 4);
    check("ip('10.0.0.1').isGlobalUnicast() && !ip('255.255.255.255').isGlobalUnicast()", json!(true), 6);
    check("type(ip('::')) == net.IP && type(cidr('::/0')) == net.CIDR", json!(true), 6);
    check("ip('2001:db8::1') == ip('2001:db8::1')", json!(true), 5);
    check("ip('2001:db8::1') != ip('2001:db8::1')", json!(false), 6);
    for (text, message) in [
        ("1.2.3", "IPv4 address too short"),
        ("01.2.3.4", "IPv4 field has octet with leading zero"),
        ("1.2.3.256", "IPv4 field has value >255"),
        ("1..2.3", "IPv4 field must have at least one digit (at \".2.3\")"),
        ("1.2.3.4%eth0", "unexpected character (at \"%eth0\")"),
        ("12345::", "each group must have 4 or less digits (at \"12345::\")"),
        ("1:2:3:4:5:6:7:8:9", "trailing garbage after address (at \"9\")"),
        ("1::2::3", "multiple :: in address (at \":3\")"),
        ("::1:2:3:4:5:6:7:8", "the :: must expand to at least one field of zeros"),
        ("é", "unable to parse IP"),
    ] {
        let message = format!(
            "IP Address \"{text}\" parse error during conversion from string: ParseAddr(\"{text}\"): {message}"
        );
        check_failure(&format!("ip('{text}')"), &message, text.chars().count().div_ceil(10) as u64);
    }
    check_failure("ip('fe80::1%eth0')", "IP address \"fe80::1%eth0\" with zone value is not allowed", 2);
    check_failure("ip('::ffff:1.2.3.4')", "IPv4-mapped IPv6 address \"::ffff:1.2.3.4\" is not allowed", 2);
}

#[test]
fn prefixes() {
    check(
        "string(cidr('10.1.2.3/8').masked()) + string(cidr('10.1.2.3/8').ip())",
        json!("10.0.0.0/810.1.2.3"),
        8,
    );
    check("cidr('10.0.0.0/8').containsIP('10.1.2.3')", json!(true), 3);
    check("cidr('::/0').containsIP(ip('10.1.2.3'))", json!(false), 2);
    check("cidr('10.0.0.0/8').containsIP(dyn(ip('10.1.2.3')))", json!(true), 4);
    check("cidr('10.0.0.0/8').containsCIDR('10.1.0.0/16')", json!(true), 6);
    check("cidr('10.1.0.0/16').containsCIDR(cidr('10.0.0.0/8'))", json!(false), 6);
    check("cidr('2001:db8::/32').prefixLength()", json!(32), 3);
    check("isCIDR('10.0.0.0/08') || isCIDR('10.0.0.0/33') || isCIDR('fe80::%e/64')", json!(false), 6);
    check("cidr('10.1.2.3/8') == cidr('10.1.2.3/8').masked()", json!(false), 4);
    check_failure("cidr('10.0.0.0/8').containsIP('x')", "no such overload", 3);
    check_failure(
        "cidr('10.0.0.0')",
        "network address parse error during conversion from string: network address parse error during \
         conversion from string: netip.ParsePrefix(\"10.0.0.0\"): no '/'",
        1,
    );
}

#[test]
fn quantities() {
    check("quantity('1.5Gi').compareTo(quantity('1536Mi'))", json!(0), 3);
    check(
        "quantity('1k').isGreaterThan(quantity('999')) && quantity('1m').isLessThan(quantity('1'))",
        json!(true),
        6,
    );
    check("sign(quantity('-3m'))", json!(-1), 2);
    check("quantity('5k').asInteger()", json!(5000), 2);
    check(
        "quantity('1500m').isInteger() || quantity('1.5Gi').isInteger() || quantity('1Ei').isInteger()",
        json!(false),
        6,
    );
    check("quantity('1.5Gi').asApproximateFloat()", json!(1_610_612_736.0), 2);
    check("quantity('0.1n') == quantity('1n')", json!(true), 3);
    check("quantity('8Ei') == quantity('9223372036854775807')", json!(true), 4);
    check("quantity('1e3').sub(quantity('1k')).add(5).asInteger()", json!(5), 5);
    check("['1.0', '.', '+', '1e+3', '1E', '0Ki'].all(q, isQuantity(q))", json!(true), 31);
    check("['', '1i', '1KiB', '1e1.5', '1ee3', '1.2.3', '1 '].exists(q, isQuantity(q))", json!(false), 42);
    check_failure("quantity('1.5Gi').asInteger()", "cannot convert value to integer", 2);
    check_failure(
        "quantity('1Kb')",
        "quantities must match the regular expression \
         '^([+-]?[0-9.]+)([eEinumkKMGTP]*[-+]?[0-9]*)$'",
        1,
    );
    check_failure("quantity('1KiKi')", "unable to parse quantity's suffix", 1);
    check_failure("quantity('.e-20')", "unable to parse numeric part of quantity", 1);
    // A few bytes of text that would take any program long to write out.
    check("quantity('1e2147483647').isGreaterThan(quantity('1'))", json!(true), 4);
    check_failure("quantity('1e2147483647').add(1)", "the quantity has too many digits", 3);
}

/// What Go's pointers and copies make of quantities.
#[test]
fn computed_quantities() {
    check("quantity('1').add(1) == quantity('2')", json!(true), 4);
    check_failure("quantity('2') == quantity('1').add(1)", "no such overload", 4);
    check("quantity('2') != quantity('1').add(1)", json!(true), 4);
    check("quantity('2') in [quantity('1').add(1)]", json!(false), 14);
    check(
        "[quantity('5')].all(q, q.isInteger() && q.isLessThan(quantity('1.5Gi')) && q.isInteger())",
        json!(false),
        22,
    );
}

#[test]
fn versions() {
    check("semver('1.10.0').isGreaterThan(semver('1.9.0'))", json!(true), 3);
    check("semver('1.0.0-alpha.2').compareTo(semver('1.0.0-alpha.10'))", json!(-1), 5);
    check("semver('1.0.0-alpha').isLessThan(semver('1.0.0'))", json!(true), 4);
    check("semver('1.0.0+a') == semver('1.0.0+b')", json!(true), 3);
    check("semver('v01.2', true).minor() + semver('1.2.3').patch()", json!(5), 5);
    check("isSemver('v1.2') || isSemver('1.02.3') || isSemver('1.2.3-01')", json!(false), 3);
    check("semver('9223372036854775808.0.0').major()", json!(i64::MIN), 4);
    check_failure("semver('1.2')", "No Major.Minor.Patch elements found", 1);
    check_failure("semver('1.é.3')", "Invalid character(s) found in minor number \"é\"", 1);
    check_failure("semver('1.2.')", "strconv.ParseUint: parsing \"\": invalid syntax", 1);
    check_failure("semver('1-a', true)", "short version cannot contain PreRelease/Build meta data", 1);
}

#[test]
fn urls() {
    check("url('HTTPS://u:p@example.com:80/a%20b?c=d&c=e#f').getScheme()", json!("https"), 6);
    check(
        "url('https://[::1]:80/').getHost() + url('https://[::1]:80/').getHostname()",
        json!("[::1]:80::1"),
        8,
    );
    check("url('https://example.com:80/').getPort() + url('/').getPort()", json!("80"), 7);
    check("url('http://h/a%2fb c').getEscapedPath()", json!("/a/b%20c"), 3);
    check("url('http://h/?a=1&a=+%20&b&c;d=2&%zz=1').getQuery()", json!({"a": ["1", "  "], "b": [""]}), 5);
    check(
        "url('HTTP://h/') == url('http://h/') && url('http://h/a b') == url('http://h/a%20b')",
        json!(true),
        8,
    );
    check("['/', '*', 'a:b', 'http://h:1:2'].map(u, isURL(u))", json!([true, true, true, false]), 57);
    let prefix = "URL parse error during conversion from string: parse";
    for (url, message) in [
        ("a/b", "invalid URI for request"),
        ("http://h:x", "invalid port \":x\" after host"),
        ("http://h%41/", "invalid URL escape \"%41\""),
        ("http://[1.2.3.4]/", "invalid IP-literal"),
        ("http://[x]/", "invalid host: ParseAddr(\"x\"): unable to parse IP"),
        ("http://h b/", "invalid character \" \" in host name"),
        ("://h", "missing protocol scheme"),
    ] {
        let message = format!("{prefix} \"{url}\": {message}");
        check_failure(&format!("url('{url}')"), &message, url.len().div_ceil(10) as u64);
    }
    check_failure("url('\\n')", &format!("{prefix} \"\\n\": net/url: invalid control character in URL"), 1);
}

#[test]
fn across_types() {
    check_failure("ip('1.2.3.4') == dyn('1.2.3.4')", "no such overload", 2);
    check("dyn('1.2.3.4') == ip('1.2.3.4')", json!(false), 2);
    check("ip('1.2.3.4') != dyn('1.2.3.4') && ip('1.2.3.4') != null", json!(true), 4);
    check("[dyn(ip('1.2.3.4'))] == [dyn(3)]", json!(true), 13);
    check_failure("object.spec.replicas.isLoopback()", "no such overload: isLoopback(int)", 4);
    check("dyn(semver('1.0.1')).compareTo(dyn(semver('1.0.0')))", json!(1), 5);
    check_compiles_not("kubernetes.Quantity", "undeclared reference to 'kubernetes' (in container '')");
    check_compiles_not("quantity('1') < quantity('2')", "found no matching overload");
    check_compiles_not("quantity('1').sign()", "found no matching overload");
}
