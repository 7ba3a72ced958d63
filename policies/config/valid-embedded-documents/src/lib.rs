//! `valid-embedded-documents`: the JSON and YAML files in a ConfigMap can be parsed. Otherwise whoever mounts them fails at
//! the next start, long after whoever broke them has gone home.

mod json;
mod yaml;

use portcullis_sdk::{Error, Request, Settings, SettingsError, Verdict, policy};
use serde::Deserialize;
use std::fmt;

/// What can be set under `wasm.settings`.
#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "camelCase")]
struct Rules {
    /// Ends of keys that are not looked at, such as `.tmpl.yaml`.
    except: Vec<String>,
    /// Whether a key may be there twice, of which parsers take the last or refuse both.
    allow_duplicate_keys: bool,
}

impl Settings for Rules {
    fn validate(&self) -> Vec<SettingsError> {
        let empty = self.except.iter().enumerate().filter(|(_, end)| end.is_empty());
        empty
            .map(|(index, _)| SettingsError::new(format!("except[{index}]"), "would except every key"))
            .collect()
    }
}

/// What keeps a document from being read.
#[derive(Debug, PartialEq, Eq)]
struct Broken {
    /// Both from 1.
    line: usize,
    column: usize,
    message: String,
}

impl fmt::Display for Broken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "line {}, column {}: {}", self.line, self.column, self.message)
    }
}

#[policy]
fn validate(request: Request<Rules>) -> Result<Verdict, Error> {
    let mut verdict = Verdict::allowed();
    let Rules { except, allow_duplicate_keys } = &request.settings;
    for (key, text) in request.config_map()?.unwrap_or_default().data {
        if except.iter().any(|end| key.ends_with(end)) {
            continue;
        }
        let read = match key.rsplit_once('.').map(|(_, extension)| extension) {
            Some("json") => json::read(&text, *allow_duplicate_keys).map_err(|broken| ("JSON", broken)),
            Some("yaml" | "yml") => {
                yaml::read(&text, *allow_duplicate_keys).map_err(|broken| ("YAML", broken))
            }
            _ => Ok(()),
        };
        if let Err((format, broken)) = read {
            verdict
                .violation(format!("key `{key}` holds broken {format}: {broken}"))
                .at(format!("data['{key}']"));
        }
    }
    Ok(verdict)
}

#[cfg(test)]
mod tests {
    use super::*;
    use portcullis_sdk::testing::{config_map, pod, settings_errors};
    use portcullis_sdk::{assert_allowed, assert_denied_at};
    use serde_json::json;

    #[test]
    fn what_can_be_read_is_let_through() {
        let check = |key: &str, text: &str| assert_allowed!(validate(config_map().data(key, text).request()));
        check("a.json", "{\"a\": [1, 2.5e3, null, {\"b\": \"\\u00e9\"}]}\n");
        check("a.json", "{\"a\": {\"x\": 1}, \"b\": {\"x\": 1}}");
        check("a.yaml", "");
        check("a.yaml", "# nothing\n");
        check("a.yml", "a: &x {b: 1}\nc: *x\n---\na: 2\n");
        check("a.yaml", "base: &base {k: 1}\nall:\n  <<: *base\n  <<: *base\n");
        check("a.yaml", "[{a: 1}, {a: 2}]");
        check("a.yaml", "{{ template }}: x");
        check("a.conf", "{ not json");
        check("json", "{ not json");
        assert_allowed!(validate(pod().request()));
    }

    #[test]
    fn what_cannot_is_told_with_its_place() {
        let check = |key: &str, text: &str, message: &str| {
            let path = format!("data['{key}']");
            let message = format!("key `{key}` holds broken {message}");
            assert_denied_at!(validate(config_map().data(key, text).request()), path, message);
        };
        check("a.json", "{\"a\": 1,\n \"b\": 2,}", "JSON: line 2, column 9: trailing comma");
        check("a.json", "", "JSON: line 1, column 0: EOF while parsing a value");
        check("a.json", "{} {}", "JSON: line 1, column 4: trailing characters");
        check("a.json", "{\"a\": 1, \"b\": 2, \"a\": 3}", "JSON: line 1, column 20: key `a` is there twice");
        check("a.yaml", "a: 1\n\tb: 2\n", "YAML: line");
        check("a.yaml", "a: [1, 2\nb: 3\n", "YAML: line");
        check("a.yml", "a: 1\nb:\n  c: 1\n  c: 2\n", "YAML: line 4, column 3: key `c` is there twice");
        check("a.yaml", "a: *nowhere", "YAML: line 1");
        check("a.yaml", "a: 'open\n", "YAML: line");
        check("deep.json", &"[".repeat(100_000), "JSON: line 1, column 128: recursion limit exceeded");
        check("deep.yaml", &"[".repeat(100_000), "YAML: line 1, column 256: recursion limit exceeded");
        check("deep.yaml", &"- ".repeat(600), "YAML: line 1, column 1001: nested deeper than 500 levels");
    }

    #[test]
    fn settings_except_keys_and_allow_duplicates() {
        let request = |key: &str, text: &str| {
            let settings = json!({"except": [".tmpl.json"], "allowDuplicateKeys": true});
            config_map().data(key, text).settings(settings).request()
        };
        assert_allowed!(validate(request("a.tmpl.json", "{{ x }}")));
        assert_allowed!(validate(request("a.json", "{\"a\": 1, \"a\": 2}")));
        assert_allowed!(validate(request("a.yaml", "a: 1\na: 2")));
        assert_denied_at!(validate(request("a.json", "{")), "data['a.json']", "EOF");
        assert_eq!(settings_errors::<Rules>(&json!({"except": ["a", ""]})).len(), 1);
    }
}
