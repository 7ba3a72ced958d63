//! Makes expressions over a Kubernetes object, and changes to that object.

use serde_json::{Value as Json, json};

/// Makes expressions, most of them well typed.
pub(super) struct Generator {
    state: u64,
    locals: Vec<String>,
}

impl Generator {
    pub(super) fn new(seed: u64) -> Self {
        Self { state: seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1, locals: Vec::new() }
    }

    fn next(&mut self, below: usize) -> usize {
        self.state ^= self.state << 13;
        self.state ^= self.state >> 7;
        self.state ^= self.state << 17;
        (self.state >> 11) as usize % below.max(1)
    }

    fn pick<'o>(&mut self, options: &[&'o str]) -> &'o str {
        let index = self.next(options.len());
        options.get(index).copied().unwrap_or_default()
    }

    /// Changes one place of a value.
    pub(super) fn mutate(&mut self, value: &mut Json) {
        let stop = self.next(4) == 0;
        match value {
            Json::Object(fields) if !stop && !fields.is_empty() => {
                let index = self.next(fields.len());
                let Some(name) = fields.keys().nth(index).cloned() else { return };
                match self.next(8) {
                    0 => {
                        fields.remove(&name);
                    }
                    1 => {
                        fields.insert("added".to_owned(), json!(1));
                    }
                    _ => {
                        if let Some(field) = fields.get_mut(&name) {
                            self.mutate(field);
                        }
                    }
                }
            }
            Json::Array(items) if !stop && !items.is_empty() => {
                let index = self.next(items.len());
                match self.next(8) {
                    0 => {
                        items.remove(index);
                    }
                    1 => items.push(json!("added")),
                    _ => {
                        if let Some(item) = items.get_mut(index) {
                            self.mutate(item);
                        }
                    }
                }
            }
            scalar => {
                let others = [
                    json!(null),
                    json!("other"),
                    json!(7),
                    json!(0.5),
                    json!([]),
                    json!({"name": "x"}),
                    json!(true),
                ];
                let index = self.next(others.len());
                *scalar = others.get(index).cloned().unwrap_or_default();
            }
        }
    }

    pub(super) fn any(&mut self, depth: usize) -> String {
        match self.next(10) {
            0..=4 => self.bool(depth),
            5 => self.int(depth),
            6 => self.string(depth),
            7 => self.list(depth),
            8 => self.dynamic(depth),
            _ => self.odd(depth),
        }
    }

    fn path(&mut self) -> String {
        let paths = [
            "object.metadata.name",
            "object.metadata.labels",
            "object.metadata.labels.app",
            "object.spec.containers",
            "object.spec.priority",
            "object.spec.weight",
            "object.spec.nothing",
            "object.spec.hostNetwork",
            "object.spec.containers[0].image",
            "object.spec.containers[1].securityContext.privileged",
            "object.metadata.labels['tier']",
            "object.metadata['labels'].missing",
            "object.spec.volumes[7]",
            "object.metadata.generation",
            "object.spec",
            "object.nothing",
            "object.metadata.creationTimestamp",
            "object.spec.containers[0].ports[0].containerPort",
            "object.metadata.name.x",
            "object.spec.containers.x",
        ];
        self.pick(&paths).to_owned()
    }

    fn dynamic(&mut self, depth: usize) -> String {
        if depth == 0 || self.next(3) == 0 {
            if !self.locals.is_empty() && self.next(2) == 0 {
                let index = self.next(self.locals.len());
                return self.locals.get(index).cloned().unwrap_or_default();
            }
            return self.path();
        }
        let d = depth - 1;
        match self.next(8) {
            0 => format!("dyn({})", self.any(d)),
            1 => format!("({} ? {} : {})", self.bool(d), self.dynamic(d), self.dynamic(d)),
            2 => format!("{}[{}]", self.dynamic(d), self.int(d)),
            3 => format!("{}[{}]", self.dynamic(d), self.string(d)),
            4 => format!("({} + {})", self.dynamic(d), self.dynamic(d)),
            5 => format!("{}.{}", self.dynamic(d), self.pick(&["name", "image", "labels", "spec"])),
            6 => {
                let field = self.pick(&["name", "spec", "missing"]);
                format!("{}.?{field}.orValue({})", self.dynamic(d), self.dynamic(d))
            }
            _ => format!("{}[?{}].orValue({})", self.dynamic(d), self.string(d), self.dynamic(d)),
        }
    }

    fn bool(&mut self, depth: usize) -> String {
        if depth == 0 {
            return self
                .pick(&["true", "false", "object.spec.hostNetwork == true", "has(object.spec.nothing)"])
                .to_owned();
        }
        let d = depth - 1;
        match self.next(22) {
            0 | 1 => format!("({} && {})", self.bool(d), self.bool(d)),
            2 | 3 => format!("({} || {})", self.bool(d), self.bool(d)),
            4 => format!("!{}", self.bool(d)),
            5 => format!("({} == {})", self.dynamic(d), self.any(d)),
            6 => format!("({} != {})", self.dynamic(d), self.dynamic(d)),
            7 => {
                let operator = self.pick(&["<", "<=", ">", ">=", "==", "!="]);
                format!("({} {operator} {})", self.int(d), self.int(d))
            }
            8 => {
                let operator = self.pick(&["<", "<=", ">", ">="]);
                format!("({} {operator} {})", self.dynamic(d), self.dynamic(d))
            }
            9 => {
                let function = self.pick(&["startsWith", "endsWith", "contains"]);
                format!("{}.{function}({})", self.string(d), self.string(d))
            }
            10 => {
                let function = self.pick(&["startsWith", "endsWith", "contains"]);
                format!("{}.{function}({})", self.dynamic(d), self.string(d))
            }
            11 => {
                let pattern =
                    self.pick(&["'^[a-z]+$'", "'\\\\d+'", "'web|x'", "'(a)(b)?'", "object.metadata.name"]);
                format!("{}.matches({pattern})", self.string(d))
            }
            12 => format!("({} in {})", self.any(d), self.list(d)),
            13 => format!("({} in {})", self.dynamic(d), self.dynamic(d)),
            14 => format!("({} in ['web', 'shop', 'x'])", self.string(d)),
            15 => {
                let field = self.pick(&["name", "image", "missing", "securityContext"]);
                format!("has({}.{field})", self.dynamic(d))
            }
            16..=18 => {
                let quantifier = self.pick(&["all", "exists", "exists_one"]).to_owned();
                let range = if self.next(2) == 0 { self.list(d) } else { self.dynamic(d) };
                let var = self.bring_in();
                let body = self.bool(d);
                self.locals.pop();
                format!("{range}.{quantifier}({var}, {body})")
            }
            19 => {
                let quantifier = self.pick(&["all", "exists", "exists_one"]).to_owned();
                let range = self.dynamic(d);
                let (one, two) = (self.bring_in(), self.bring_in());
                let body = self.bool(d);
                self.locals.truncate(self.locals.len() - 2);
                format!("{range}.{quantifier}({one}, {two}, {body})")
            }
            20 => format!("({} ? {} : {})", self.bool(d), self.bool(d), self.bool(d)),
            _ => format!("{}.hasValue()", self.optional(d)),
        }
    }

    fn bring_in(&mut self) -> String {
        let name = format!("v{}", self.locals.len());
        self.locals.push(name.clone());
        name
    }

    fn optional(&mut self, depth: usize) -> String {
        let d = depth.saturating_sub(1);
        match self.next(8) {
            0 => "optional.none()".to_owned(),
            1 => format!("optional.of({})", self.any(d)),
            2 => format!("optional.ofNonZeroValue({})", self.dynamic(d)),
            3 => format!("{}.?{}", self.dynamic(d), self.pick(&["name", "missing"])),
            4 => format!("{}[?{}]", self.list(d), self.int(d)),
            5 => {
                let target = self.optional(d);
                let var = self.bring_in();
                let body = self.dynamic(d);
                self.locals.pop();
                format!("{target}.optMap({var}, {body})")
            }
            6 => {
                let target = self.optional(d);
                let var = self.bring_in();
                let body = self.optional(d);
                self.locals.pop();
                format!("{target}.optFlatMap({var}, {body})")
            }
            _ => format!("{}.?spec.{}", self.dynamic(d), self.pick(&["?name", "containers", "missing"])),
        }
    }

    fn int(&mut self, depth: usize) -> String {
        if depth == 0 {
            return self.pick(&["0", "1", "2", "-7", "9223372036854775807"]).to_owned();
        }
        let d = depth - 1;
        match self.next(9) {
            0..=2 => {
                let operator = self.pick(&["+", "-", "*", "/", "%"]);
                format!("({} {operator} {})", self.int(d), self.int(d))
            }
            3 => format!("size({})", self.string(d)),
            4 => format!("{}.size()", self.list(d)),
            5 => format!("size({})", self.dynamic(d)),
            6 => format!("int({})", self.dynamic(d)),
            7 => format!("-{}", self.int(d)),
            _ => self.int(0),
        }
    }

    fn string(&mut self, depth: usize) -> String {
        if depth == 0 {
            return self
                .pick(&["'web'", "''", "'shop'", "'registry.example.com/web:1.2'", "'héllo'"])
                .to_owned();
        }
        let d = depth - 1;
        match self.next(6) {
            0 => format!("({} + {})", self.string(d), self.string(d)),
            1 => format!("string({})", self.dynamic(d)),
            2 => format!("string({})", self.int(d)),
            3 => format!("({} ? {} : {})", self.bool(d), self.string(d), self.string(d)),
            _ => self.string(0),
        }
    }

    fn list(&mut self, depth: usize) -> String {
        if depth == 0 {
            return self.pick(&["[1, 2, 3]", "['web', 'x']", "[]", "object.spec.containers"]).to_owned();
        }
        let d = depth - 1;
        match self.next(8) {
            0 => format!("[{}, {}]", self.int(d), self.int(d)),
            1 => format!("[{}, {}]", self.dynamic(d), self.dynamic(d)),
            2 => format!("[{}]", self.string(d)),
            3 | 4 => {
                let range = if self.next(2) == 0 { self.list(d) } else { self.dynamic(d) };
                let var = self.bring_in();
                let text = match self.next(3) {
                    0 => format!("{range}.map({var}, {})", self.any(d)),
                    1 => format!("{range}.filter({var}, {})", self.bool(d)),
                    _ => format!("{range}.map({var}, {}, {})", self.bool(d), self.any(d)),
                };
                self.locals.pop();
                text
            }
            5 => {
                let range = self.dynamic(d);
                let (one, two) = (self.bring_in(), self.bring_in());
                let text = match self.next(2) {
                    0 => format!("{range}.transformList({one}, {two}, {})", self.any(d)),
                    _ => format!("{range}.transformList({one}, {two}, {}, {})", self.bool(d), self.any(d)),
                };
                self.locals.truncate(self.locals.len() - 2);
                text
            }
            6 => format!("({} + {})", self.list(d), self.list(d)),
            _ => self.list(0),
        }
    }

    fn odd(&mut self, depth: usize) -> String {
        let d = depth.saturating_sub(1);
        match self.next(14) {
            0 => format!("{{'a': {}, 'b': {}}}", self.dynamic(d), self.dynamic(d)),
            1 => format!("{{{}: {}}}", self.string(d), self.any(d)),
            2 => format!("type({})", self.any(d)),
            3 => format!("double({})", self.dynamic(d)),
            4 => format!("uint({})", self.dynamic(d)),
            5 => format!(
                "timestamp(object.metadata.creationTimestamp){}",
                self.pick(&["", ".getHours()", " + duration('1h')", ".getDayOfWeek('Europe/Berlin')"])
            ),
            6 => format!(
                "duration({})",
                self.pick(&["'1h'", "'90s'", "'1.5m'", "object.metadata.name", "'-0.001s'"])
            ),
            7 => format!("bytes({})", self.string(d)),
            8 => self.optional(d),
            9 => {
                let range = self.dynamic(d);
                let (one, two) = (self.bring_in(), self.bring_in());
                let text = match self.next(4) {
                    0 => format!("{range}.transformMap({one}, {two}, {})", self.any(d)),
                    1 => format!("{range}.transformMap({one}, {two}, {}, {})", self.bool(d), self.any(d)),
                    2 => format!("{range}.transformMapEntry({one}, {two}, {{{two}: {one}}})"),
                    _ => {
                        format!("{range}.transformMapEntry({one}, {two}, {}, {{{one}: {two}}})", self.bool(d))
                    }
                };
                self.locals.truncate(self.locals.len() - 2);
                text
            }
            10 => format!("[?{}, {}]", self.optional(d), self.dynamic(d)),
            11 => format!("{{?'k': {}}}", self.optional(d)),
            12 => format!(
                "({} {} {})",
                self.pick(&["1.5", "2u", "double(object.spec.priority)", "1e6"]),
                self.pick(&["+", "<", "=="]),
                self.pick(&["1.5", "2u", "3", "object.spec.weight"])
            ),
            _ => format!("{}.{}({})", self.optional(d), self.pick(&["or", "orValue"]), self.any(d)),
        }
    }
}
