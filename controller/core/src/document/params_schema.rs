//! `paramsSchema`: the part of OpenAPI v3 that a CRD's structural schema is written in, and the check of
//! inline params against it. Properties that the schema does not list are refused, so that a misspelt param
//! is found when the policy is read.

use super::fields::{Field, Fields, Problems, alternatives, near_miss, what};
use crate::yaml::{self, Value};
use portcullis_cel::Tree;
use regex::{Regex, RegexBuilder};
use serde_json::Value as Json;

/// How deep a schema may nest.
const MAX_SCHEMA_DEPTH: usize = 32;

/// The largest compiled pattern, in bytes.
const MAX_PATTERN: usize = 1 << 20;

/// What a value must be.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum SchemaType {
    Object,
    Array,
    String,
    Integer,
    Number,
    Boolean,
}

const TYPES: [(&str, SchemaType); 6] = [
    ("object", SchemaType::Object),
    ("array", SchemaType::Array),
    ("string", SchemaType::String),
    ("integer", SchemaType::Integer),
    ("number", SchemaType::Number),
    ("boolean", SchemaType::Boolean),
];

/// `paramsSchema` or one of its parts.
#[derive(Debug, Clone)]
pub struct ParamsSchema {
    kind: SchemaType,
    properties: Vec<(String, ParamsSchema)>,
    /// What properties beside the listed ones must look like.
    additional: Option<Box<ParamsSchema>>,
    /// Whether other properties may be there, whatever they hold.
    open: bool,
    required: Vec<String>,
    items: Option<Box<ParamsSchema>>,
    allowed: Vec<Json>,
    pattern: Option<Regex>,
    value_range: Range,
    length_range: Range,
    items_range: Range,
    default: Option<Json>,
}

#[derive(Debug, Clone, Copy)]
struct Range {
    least: Option<f64>,
    most: Option<f64>,
}

impl ParamsSchema {
    /// Reads `paramsSchema`, which describes an object.
    pub(super) fn read(field: &Field<'_>) -> Option<Self> {
        let schema = read_schema(field, 0)?;
        if schema.kind != SchemaType::Object {
            field.refuse("must describe an object: `type: object`");
            return None;
        }
        Some(schema)
    }

    pub(crate) fn kind(&self) -> SchemaType {
        self.kind
    }

    /// The listed properties.
    pub(crate) fn properties(&self) -> impl Iterator<Item = (&str, &Self)> {
        self.properties.iter().map(|(name, schema)| (name.as_str(), schema))
    }

    /// What properties beside the listed ones must look like.
    pub(crate) fn additional(&self) -> Option<&Self> {
        self.additional.as_deref()
    }

    /// Whether other properties may be there, whatever they hold.
    pub(crate) fn is_open(&self) -> bool {
        self.open
    }

    /// What the elements of a list must look like.
    pub(crate) fn items(&self) -> Option<&Self> {
        self.items.as_deref()
    }

    /// Reports how the params differ from the schema, and fills in defaults.
    pub(super) fn check(&self, params: &Field<'_>, value: &mut Json) {
        self.check_value(params);
        self.fill(value);
    }

    /// The same where a policy gives no params at all.
    pub(super) fn check_absent(&self, spec: &Fields<'_>, value: &mut Json) {
        self.fill(value);
        for name in self.required.iter().filter(|name| value.get(name.as_str()).is_none()) {
            spec.missing("params", &format!("is required: `paramsSchema` asks for `{name}`"));
        }
    }

    /// Checks an object that a `paramRef` leads to, but for `apiVersion`, `kind` and `metadata`, and fills in
    /// defaults.
    ///
    /// # Errors
    /// What is wrong with it, and where.
    pub(crate) fn apply(&self, object: &Tree) -> Result<Tree, String> {
        let mut params = object.to_json();
        let own = ["apiVersion", "kind", "metadata"];
        let own = own.map(|name| params.as_object_mut().and_then(|fields| fields.remove_entry(name)));
        let problems = Problems::default();
        // Any JSON is YAML.
        for node in yaml::read(&params.to_string()).iter().flatten() {
            self.check_value(&Field::root(node, &problems));
        }
        if let Some(problem) = problems.sorted().first() {
            let field = &problem.place.field;
            let subject = if field.is_empty() { String::new() } else { format!("`{field}` ") };
            return Err(format!("{subject}{}", problem.message));
        }
        self.fill(&mut params);
        if let Some(fields) = params.as_object_mut() {
            fields.extend(own.into_iter().flatten());
        }
        Ok(Tree::from(params))
    }

    fn check_value(&self, field: &Field<'_>) {
        let value = &field.node().value;
        if !self.fits(value) {
            field.refuse(format!("must be {}, found {}", self.type_name(), what(value)));
            return;
        }
        if !self.allowed.is_empty() && !self.allowed.contains(&field.node().to_json()) {
            let allowed: Vec<String> = self.allowed.iter().map(plain).collect();
            let allowed: Vec<&str> = allowed.iter().map(String::as_str).collect();
            let hint = field.node().as_str().and_then(|text| near_miss(text, &allowed));
            field.refuse_hinted(format!("must be {}", alternatives(&allowed)), hint);
        }
        match value {
            Value::Number(number) => self.value_range.check_value(field, number.as_f64().unwrap_or_default()),
            Value::String(text) => {
                self.length_range.check_count(field, text.text.chars().count(), "character", "characters");
                if let Some(pattern) = self.pattern.as_ref().filter(|pattern| !pattern.is_match(&text.text)) {
                    field.refuse(format!("must match `{pattern}`"));
                }
            }
            Value::Sequence(items) => {
                self.items_range.check_count(field, items.len(), "entry", "entries");
                if let Some(schema) = &self.items {
                    field.list().unwrap_or_default().iter().for_each(|item| schema.check_value(item));
                }
            }
            Value::Mapping(_) => self.check_properties(field),
            Value::Null | Value::Bool(_) => {}
        }
    }

    fn check_properties(&self, field: &Field<'_>) {
        let Some(fields) = field.fields() else { return };
        for (key, key_at, value) in fields.all() {
            match self.below(key) {
                Some(schema) => schema.check_value(&value),
                None if self.open => {}
                None => {
                    let known: Vec<&str> = self.properties.iter().map(|(name, _)| name.as_str()).collect();
                    fields.refuse_key(key, key_at, "not in `paramsSchema`", near_miss(key, &known));
                }
            }
        }
        for name in &self.required {
            let has_default = self.property(name).is_some_and(|schema| schema.default.is_some());
            if !has_default && field.node().get(name).is_none() {
                fields.missing(name, "is required");
            }
        }
    }

    fn fill(&self, value: &mut Json) {
        match value {
            Json::Object(object) => {
                for (name, schema) in &self.properties {
                    if let Some(default) = &schema.default
                        && !object.contains_key(name)
                    {
                        object.insert(name.clone(), default.clone());
                    }
                }
                for (name, value) in object {
                    if let Some(schema) = self.below(name) {
                        schema.fill(value);
                    }
                }
            }
            Json::Array(items) => {
                if let Some(schema) = &self.items {
                    items.iter_mut().for_each(|item| schema.fill(item));
                }
            }
            _ => {}
        }
    }

    fn property(&self, name: &str) -> Option<&Self> {
        self.properties.iter().find(|(property, _)| property == name).map(|(_, schema)| schema)
    }

    /// The schema of a property, listed or not.
    fn below(&self, name: &str) -> Option<&Self> {
        self.property(name).or(self.additional.as_deref())
    }

    fn fits(&self, value: &Value) -> bool {
        match (self.kind, value) {
            (SchemaType::Object, Value::Mapping(_))
            | (SchemaType::Array, Value::Sequence(_))
            | (SchemaType::String, Value::String(_))
            | (SchemaType::Boolean, Value::Bool(_))
            | (SchemaType::Number, Value::Number(_)) => true,
            (SchemaType::Integer, Value::Number(number)) => !number.is_f64(),
            _ => false,
        }
    }

    fn type_name(&self) -> &'static str {
        match self.kind {
            SchemaType::Object => "a mapping",
            SchemaType::Array => "a list",
            SchemaType::String => "a string",
            SchemaType::Integer => "an integer",
            SchemaType::Number => "a number",
            SchemaType::Boolean => "a boolean",
        }
    }
}

impl Range {
    fn check_value(self, field: &Field<'_>, found: f64) {
        if let Some(least) = self.least.filter(|least| found < *least) {
            field.refuse(format!("must be at least {least}"));
        }
        if let Some(most) = self.most.filter(|most| found > *most) {
            field.refuse(format!("must be at most {most}"));
        }
    }

    fn check_count(self, field: &Field<'_>, found: usize, one: &str, many: &str) {
        let unit = |count: f64| if count == 1.0 { one } else { many };
        if let Some(least) = self.least.filter(|least| (found as f64) < *least) {
            field.refuse(format!("must have at least {least} {}", unit(least)));
        }
        if let Some(most) = self.most.filter(|most| found as f64 > *most) {
            field.refuse(format!("must have at most {most} {}", unit(most)));
        }
    }
}

fn read_schema(field: &Field<'_>, depth: usize) -> Option<ParamsSchema> {
    if depth >= MAX_SCHEMA_DEPTH {
        field.refuse(format!("a schema must not nest deeper than {MAX_SCHEMA_DEPTH} levels"));
        return None;
    }
    let fields = field.fields()?;
    let kind = fields.required("type").and_then(|field| field.one_of(&TYPES));
    let properties = properties(&fields, depth);
    let (additional, open) = additional(&fields, depth, properties.is_empty());
    let required = fields.optional("required").map(|field| field.strings()).unwrap_or_default();
    let items = fields.optional("items").and_then(|field| read_schema(&field, depth + 1)).map(Box::new);
    let allowed = fields.optional("enum").and_then(|field| field.filled_list()).unwrap_or_default();
    let pattern = fields.optional("pattern").and_then(|field| pattern(&field));
    let range = |least, most| Range { least: number(&fields, least), most: number(&fields, most) };
    let value_range = range("minimum", "maximum");
    let length_range = range("minLength", "maxLength");
    let items_range = range("minItems", "maxItems");
    if let Some(description) = fields.optional("description") {
        description.text();
    }
    let default = fields.optional("default");
    fields.finish();
    let schema = ParamsSchema {
        kind: kind?,
        properties,
        additional,
        open,
        required: required.into_iter().map(|(name, _)| name.to_owned()).collect(),
        items,
        allowed: allowed.iter().map(Field::json).collect(),
        pattern,
        value_range,
        length_range,
        items_range,
        default: default.as_ref().map(Field::json),
    };
    if let Some(default) = default {
        schema.check_value(&default);
    }
    Some(schema)
}

fn properties(fields: &Fields<'_>, depth: usize) -> Vec<(String, ParamsSchema)> {
    let Some(properties) = fields.optional("properties").and_then(|field| field.fields()) else {
        return Vec::new();
    };
    let read =
        |(name, _, field): (&str, _, Field<'_>)| Some((name.to_owned(), read_schema(&field, depth + 1)?));
    properties.all().filter_map(read).collect()
}

/// `additionalProperties`; an object without `properties` may hold anything.
fn additional(fields: &Fields<'_>, depth: usize, free: bool) -> (Option<Box<ParamsSchema>>, bool) {
    match fields.optional("additionalProperties") {
        None => (None, free),
        Some(field) => match field.node().value {
            Value::Bool(open) => (None, open),
            _ => (read_schema(&field, depth + 1).map(Box::new), false),
        },
    }
}

fn pattern(field: &Field<'_>) -> Option<Regex> {
    let regex = RegexBuilder::new(field.string()?).size_limit(MAX_PATTERN).build();
    if regex.is_err() {
        field.refuse("must be a regular expression");
    }
    regex.ok()
}

fn number(fields: &Fields<'_>, name: &'static str) -> Option<f64> {
    let field = fields.optional(name)?;
    match &field.node().value {
        Value::Number(number) => number.as_f64(),
        other => {
            field.refuse(format!("must be a number, found {}", what(other)));
            None
        }
    }
}

/// A value for a message: strings without their quotes.
fn plain(value: &Json) -> String {
    value.as_str().map_or_else(|| value.to_string(), str::to_owned)
}
