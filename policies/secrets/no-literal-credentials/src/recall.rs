//! What must be found: a credential of each format, made up from what its issuer says of it. They are put together here,
//! so that nobody who looks for such texts finds them in this file.

use crate::formats::{base62, crc32};
use crate::{Rules, validate};
use portcullis_sdk::testing::{config_map, cron_job, deployment, pod, settings_errors};
use portcullis_sdk::{Verdict, assert_allowed, assert_denied_at};
use serde_json::{Value, json};

/// Texts that look as if they were drawn by lot, and are the same every time.
struct Dice(u64);

impl Dice {
    fn draw(&mut self, alphabet: &str, length: usize) -> String {
        let characters: Vec<char> = alphabet.chars().collect();
        let mut next = || {
            self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            characters[(self.0 >> 33) as usize % characters.len()]
        };
        (0..length).map(|_| next()).collect()
    }
}

const DIGITS: &str = "0123456789";
const HEX: &str = "0123456789abcdef";
const LOWER: &str = "abcdefghijklmnopqrstuvwxyz0123456789";
const UPPER: &str = "ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789";
const BASE32: &str = "ABCDEFGHIJKLMNOPQRSTUVWXYZ234567";
const ANY: &str = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789";
const URL: &str = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
const BASE64: &str = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

/// Prefix, and what follows: an alphabet and a length, or a text as it is, one after the other.
const SHAPES: &[(&str, &[(&str, usize)])] = &[
    ("AKIA", &[(BASE32, 16)]),
    ("ASIA", &[(BASE32, 16)]),
    ("ABSK", &[(ANY, 128)]),
    ("LTAI", &[(ANY, 20)]),
    ("AKID", &[(ANY, 32)]),
    ("AIza", &[(URL, 35)]),
    ("GOCSPX-", &[(URL, 28)]),
    ("ya29.", &[(URL, 120)]),
    ("AQVN", &[(URL, 36)]),
    ("github_pat_", &[(ANY, 22), ("_", 1), (ANY, 59)]),
    ("glpat-", &[(URL, 20)]),
    ("gldt-", &[(URL, 20)]),
    ("glrt-", &[(URL, 20)]),
    ("glptt-", &[(HEX, 40)]),
    ("glcbt-", &[(HEX, 2), ("_", 1), (URL, 20)]),
    ("glsoat-", &[(URL, 20)]),
    ("GR1348941", &[(URL, 20)]),
    ("ATBB", &[(ANY, 32)]),
    ("ATATT3xFfGF0", &[(URL, 170)]),
    ("xoxb-", &[(DIGITS, 12), ("-", 1), (DIGITS, 13), ("-", 1), (ANY, 24)]),
    ("xoxp-", &[(DIGITS, 12), ("-", 1), (DIGITS, 12), ("-", 1), (DIGITS, 12), ("-", 1), (HEX, 32)]),
    ("xapp-1-", &[(UPPER, 11), ("-", 1), (DIGITS, 13), ("-", 1), (HEX, 64)]),
    ("https://hooks.slack.com/services/T", &[(UPPER, 10), ("/B", 1), (UPPER, 10), ("/", 1), (ANY, 24)]),
    ("https://discord.com/api/webhooks/", &[(DIGITS, 18), ("/", 1), (URL, 68)]),
    ("sk_live_", &[(ANY, 24)]),
    ("sk_test_", &[(ANY, 99)]),
    ("rk_live_", &[(ANY, 24)]),
    ("whsec_", &[(ANY, 32)]),
    ("sq0atp-", &[(URL, 22)]),
    ("sq0csp-", &[(URL, 43)]),
    ("shpat_", &[(HEX, 32)]),
    ("shpss_", &[(HEX, 32)]),
    ("SG.", &[(URL, 22), (".", 1), (URL, 43)]),
    ("key-", &[(HEX, 32)]),
    ("xkeysib-", &[(HEX, 64), ("-", 1), (ANY, 16)]),
    ("SK", &[(HEX, 32)]),
    ("pypi-AgEIcHlwaS5vcmc", &[(URL, 150)]),
    ("rubygems_", &[(HEX, 48)]),
    ("cio", &[(ANY, 32)]),
    ("oy2", &[(LOWER, 43)]),
    ("dckr_pat_", &[(URL, 27)]),
    ("hvs.", &[(URL, 90)]),
    ("hvb.", &[(URL, 120)]),
    ("s.", &[(ANY, 24)]),
    ("dop_v1_", &[(HEX, 64)]),
    ("dapi", &[(HEX, 32)]),
    ("HRKU-AA", &[(URL, 58)]),
    ("NRAK-", &[(UPPER, 27)]),
    ("glsa_", &[(ANY, 32), ("_", 1), (HEX, 8)]),
    ("glc_eyJ", &[(ANY, 100)]),
    ("sntryu_", &[(HEX, 64)]),
    ("dt0c01.", &[(UPPER, 24), (".", 1), (UPPER, 64)]),
    ("squ_", &[(HEX, 40)]),
    ("AKCp", &[(ANY, 69)]),
    ("bkua_", &[(HEX, 40)]),
    ("pul-", &[(HEX, 40)]),
    ("dp.pt.", &[(ANY, 43)]),
    ("ops_eyJ", &[(ANY, 400)]),
    ("AGE-SECRET-KEY-1", &[("QPZRY9X8GF2TVDW0S3JN54KHCE6MUA7L", 58)]),
    ("pscale_tkn_", &[(URL, 43)]),
    ("sbp_", &[(HEX, 40)]),
    ("lin_api_", &[(ANY, 40)]),
    ("figd_", &[(URL, 43)]),
    ("PMAK-", &[(HEX, 24), ("-", 1), (HEX, 34)]),
    ("pat", &[(ANY, 14), (".", 1), (HEX, 64)]),
    ("sk-ant-api03-", &[(URL, 93), ("AA", 1)]),
    ("sk-proj-", &[(URL, 74)]),
    ("sk-", &[(ANY, 20), ("T3BlbkFJ", 1), (ANY, 20)]),
    ("hf_", &[(ANY, 34)]),
    ("gsk_", &[(ANY, 52)]),
    ("r8_", &[(ANY, 37)]),
    ("sk.eyJ", &[(URL, 60), (".", 1), (URL, 22)]),
    ("", &[(ANY, 3), ("8Q~", 1), (ANY, 34)]),
    ("", &[(ANY, 14), (".atlasv1.", 1), (ANY, 67)]),
    ("", &[(DIGITS, 10), (":AA", 1), (URL, 33)]),
    ("eyJ", &[(ANY, 30), (".eyJ", 1), (URL, 80), (".", 1), (URL, 43)]),
    (
        "-----BEGIN RSA PRIVATE ",
        &[("KEY-----\n", 1), (BASE64, 64), ("\n", 1), (BASE64, 64), ("\n-----END", 1)],
    ),
    ("-----BEGIN ", &[("PRIVATE KEY-----\\n", 1), (BASE64, 64), ("\\n-----END", 1)]),
    ("LS0tLS1CRUdJTiBFQyBQ", &[("UklWQVRFIEtFWS0tLS0t", 1), (BASE64, 200)]),
    ("postgres://orders:", &[(ANY, 12), ("@db.shop.svc:5432/orders", 1)]),
    ("amqps://svc:p%40", &[(ANY, 6), ("@mq/vhost", 1)]),
    ("https://", &[(HEX, 40), ("@git.example.com/team/app.git", 1)]),
    ("Server=db,1433;User Id=sa;Password=", &[(ANY, 9), (";Encrypt=true", 1)]),
    ("host=db user=app password=", &[(ANY, 9), (" sslmode=require", 1)]),
    ("jdbc:mysql://db/shop?user=app&password=", &[(ANY, 9)]),
    ("DefaultEndpointsProtocol=https;AccountName=acme;AccountKey=", &[(BASE64, 86), ("==", 1)]),
    (
        "Endpoint=sb://acme.servicebus.windows.net/;SharedAccessKeyName=Root;SharedAccessKey=",
        &[(BASE64, 43), ("=", 1)],
    ),
    ("Authorization: Bearer ", &[(ANY, 40)]),
    ("Authorization: Basic ", &[("YWRtaW46c3dvcmRmaXNo", 1)]),
];

/// Values that only their names give away.
const NAMED: &[(&str, &[(&str, usize)])] = &[
    ("AWS_SECRET_ACCESS_KEY", &[(BASE64, 40)]),
    ("DB_PASSWORD", &[("hunter2", 1)]),
    ("PGPASSWORD", &[("postgres", 1)]),
    ("spring.datasource.password", &[("changeme", 1)]),
    ("REDIS_PASS", &[("12345678", 1)]),
    ("KEYSTORE_PASSPHRASE", &[(LOWER, 10)]),
    ("VAULT_DEV_ROOT_TOKEN_ID", &[("root", 1)]),
    ("DATADOG_API_KEY", &[(HEX, 32)]),
    ("TWILIO_AUTH_TOKEN", &[(HEX, 32)]),
    (
        "HEROKU_API_KEY",
        &[(HEX, 8), ("-", 1), (HEX, 4), ("-4", 1), (HEX, 3), ("-a", 1), (HEX, 3), ("-", 1), (HEX, 12)],
    ),
    ("clientSecret", &[(URL, 32)]),
    ("SECRET_KEY_BASE", &[(HEX, 128)]),
    ("encryption-key", &[(BASE64, 44)]),
    ("CLOUDFLARE_API_TOKEN", &[(URL, 40)]),
    ("auth", &[("cm9ib3Q6c3dvcmRmaXNo", 1)]),
];

fn made(parts: &[(&str, usize)], dice: &mut Dice) -> String {
    parts
        .iter()
        .map(|(part, length)| if *length == 1 { (*part).to_owned() } else { dice.draw(part, *length) })
        .collect()
}

/// All credentials, each with a name.
fn credentials() -> Vec<(String, String)> {
    let mut dice = Dice(7);
    let mut all: Vec<(String, String)> = Vec::new();
    for (prefix, parts) in SHAPES {
        all.push(("VALUE".to_owned(), (*prefix).to_owned() + &made(parts, &mut dice)));
    }
    for prefix in ["ghp_", "gho_", "ghu_", "ghs_", "ghr_", "npm_"] {
        let entropy = dice.draw(ANY, 30);
        let checksum = base62(crc32(entropy.as_bytes()));
        all.push(("VALUE".to_owned(), format!("{prefix}{entropy}{}", String::from_utf8_lossy(&checksum))));
    }
    for (name, parts) in NAMED {
        all.push(((*name).to_owned(), made(parts, &mut dice)));
    }
    all
}

fn in_env(name: &str, value: &str) -> Result<Verdict, portcullis_sdk::Error> {
    validate(pod().set("/spec/containers", json!([container(name, value)])).request())
}

fn container(name: &str, value: &str) -> Value {
    json!({"name": "web", "image": "web", "env": [{"name": name, "value": value}]})
}

#[test]
fn every_shape_is_found_wherever_it_is_written() {
    let all = credentials();
    assert!(all.len() >= 110, "{}", all.len());
    let mut missed = Vec::new();
    for (name, value) in &all {
        let spec = json!({"name": "web", "image": "web", "args": [format!("--{name}={value}")]});
        let in_file = format!("# settings\nmode = fast\n{name} = {value}\n");
        let places = [
            ("env", in_env(name, value)),
            ("args", validate(deployment().set("/spec/template/spec/containers", json!([spec])).request())),
            ("annotation", validate(pod().annotation(&format!("example.com/{name}"), value).request())),
            ("key", validate(config_map().data(name, value).request())),
            ("file", validate(config_map().data("app.properties", &in_file).request())),
        ];
        for (place, verdict) in places {
            let verdict = verdict.unwrap();
            if verdict.is_allowed() {
                missed.push(format!("{place}: {name}={value}"));
            }
            for violation in verdict.violations() {
                assert!(!violation.message.contains(value.as_str()), "{}", violation.message);
            }
        }
    }
    assert_eq!(missed, [""; 0]);
}

#[test]
fn what_is_no_credential_is_left_alone() {
    let check = |name: &str, value: &str| assert_allowed!(in_env(name, value));
    for value in [
        "",
        "$(DB_PASSWORD)",
        "vault:secret/data/db#password",
        "/run/secrets/db",
        "{{ .Values.p }}",
        "<none>",
    ] {
        check("DB_PASSWORD", value);
    }
    for (name, value) in [
        ("PASSWORD_FILE", "/run/secrets/password"),
        ("SECRET_NAME", "orders-db-credentials"),
        ("TOKEN_URL", "https://login.example.com/oauth2/token"),
        ("AUTH_TOKEN", "default-token-name"),
        ("ALLOW_EMPTY_PASSWORD", "1"),
        ("PWD", "app"),
        (
            "IMAGE",
            "registry.example.com/app@sha256:9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08",
        ),
        ("URL", "https://user:pass@example.com/"),
        ("DATABASE_URL", "postgres://app:$(DB_PASSWORD)@db/app"),
        ("COMMIT", "da39a3ee5e6b4b0d3255bfef95601890afd80709"),
        ("REGION", "eu-central-1"),
    ] {
        check(name, value);
    }
    let placeholder = ["ghp_", "xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx"].concat();
    check("GITHUB", &placeholder);
    check("AWS", &["AKIA", "IOSFODNN7EXAMPLE"].concat());
    assert_allowed!(validate(config_map().set("/data/PASSWORD", Value::Null).request()));
    let last_applied = ["{\"password\": ", "\"hunter2\"}"].concat();
    assert_allowed!(validate(
        pod().annotation("kubectl.kubernetes.io/last-applied-configuration", &last_applied).request()
    ));
    let script =
        "#!/bin/sh\nPASSWORD=$(cat /run/p)\nif [ -z \"$PASSWORD\" ]; then exit 1; fi\ntoken=\"${TOKEN}\"\n";
    assert_allowed!(validate(config_map().data("run.sh", script).request()));
}

#[test]
fn each_is_told_with_its_place_and_without_its_value() {
    let aws = ["AKIA", "Q3EGRIXK7LZP2MNB"].concat();
    let verdict = in_env("KEY", &aws).unwrap();
    let [violation] = verdict.violations() else { panic!("{verdict:?}") };
    assert_eq!(
        violation.message,
        "variable `KEY` of container `web` holds an AWS access key (`AKIA…`, 20 characters)"
    );
    assert_eq!(violation.field_path, "spec.containers[0].env[0].value");

    let check = |container: Value, path: &str, kind: &str| {
        let place = "/spec/jobTemplate/spec/template/spec/initContainers";
        let path = format!("spec.jobTemplate.spec.template.spec.initContainers[0].{path}");
        assert_denied_at!(validate(cron_job().set(place, json!([container])).request()), path, kind);
    };
    check(
        json!({"command": ["sh", "-c", "mysql --password=swordfish shop"]}),
        "command[2]",
        "a password (9 characters)",
    );
    check(json!({"args": ["--user", "root", "--db-password", "swordfish"]}), "args[3]", "a password");
    check(json!({"command": ["curl", "-u", "admin:swordfish", "http://x"]}), "command[2]", "a password");
    let exec = json!({"exec": {"command": ["redis-cli", "--pass=x", "--password", "swordfish"]}});
    check(json!({"livenessProbe": exec}), "livenessProbe.exec.command[3]", "a password");
    let headers = json!({"httpGet": {"httpHeaders": [{"name": "X-Api-Key", "value": "9f86d081884c7d659a2feaa0c55ad015"}]}});
    check(
        json!({"lifecycle": {"preStop": headers}}),
        "lifecycle.preStop.httpGet.httpHeaders[0].value",
        "a secret",
    );
    let file = "[db]\nuser = app\npassword = \"swordfish\"\n";
    assert_denied_at!(
        validate(config_map().data("app.ini", file).request()),
        "data['app.ini']",
        "a password"
    );
}

#[test]
fn settings_say_where_to_look_and_what_may_stand_there() {
    let request = |settings: Value| {
        pod()
            .set("/spec/containers", json!([container("DB_PASSWORD", "swordfish")]))
            .settings(settings)
            .request()
    };
    assert_allowed!(validate(request(json!({"places": ["configMaps"]}))));
    assert_allowed!(validate(request(json!({"allowedNames": ["DB_*"]}))));
    assert_allowed!(validate(request(json!({"allowedValues": ["sword*"]}))));
    portcullis_sdk::assert_denied!(
        validate(request(json!({"allowedNames": ["DB_*_X", "PASSWORD"]}))),
        "a password"
    );
    let token = |settings: Value| {
        let value = "4b4b4c4c4b4b4c4c4d4e4f4a4b4b4c4c";
        pod().set("/spec/containers", json!([container("TOKEN", value)])).settings(settings).request()
    };
    assert_allowed!(validate(token(json!({}))));
    portcullis_sdk::assert_denied!(validate(token(json!({"minimumEntropy": 2}))), "a secret");
    let errors = |settings: Value| {
        settings_errors::<Rules>(&settings).into_iter().map(|error| error.path).collect::<Vec<_>>()
    };
    assert_eq!(errors(json!({})), [""; 0]);
    assert_eq!(
        errors(json!({"minimumEntropy": 9, "allowedValues": ["a", "*"]})),
        ["minimumEntropy", "allowedValues[1]"]
    );
    assert_eq!(errors(json!({"places": ["everywhere"]})), ["places[0]"]);
    assert_eq!(errors(json!({"minEntropy": 3})).len(), 1);
}
