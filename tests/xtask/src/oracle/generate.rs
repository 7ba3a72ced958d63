//! Expressions made at random: typed on the whole, with wrong types, missing fields and `dyn` strewn in.

use super::fixture::Fixture;
use super::paths::{Paths, select};
use super::random::Random;
use super::templates::{self, KINDS, Kind, Template};
use anyhow::{Context, Result};
use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

/// How often every template is the root of an expression.
const ROOTS: usize = 9;
/// In how many of those all parts are literals and variables of their types, so that the overload is plain.
const PLAIN: usize = 7;
/// How deep templates nest.
const DEPTH: usize = 5;
/// How often, in percent, a template has to be a comprehension, beside those that happen to be one.
const MACROS: usize = 15;
/// How often, in percent, a hole is filled with a value of another kind.
const WRONG: usize = 5;
/// How often, in percent, an expression may go wrong in that way at all.
const UNTIDY: usize = 60;

/// An expression that knows its parts.
#[derive(Debug, Clone)]
pub(crate) struct Tree {
    pieces: Vec<Piece>,
    /// Whether it needs parentheses where it is a part.
    loose: bool,
}

#[derive(Debug, Clone)]
enum Piece {
    Text(String),
    Part(Tree),
}

impl Tree {
    fn leaf(text: &str) -> Self {
        Self { pieces: vec![Piece::Text(text.to_owned())], loose: text.starts_with('-') }
    }

    /// Its parts, and theirs.
    pub(crate) fn parts(&self) -> Vec<&Self> {
        let mut parts = Vec::new();
        for piece in &self.pieces {
            if let Piece::Part(part) = piece {
                parts.push(part);
                parts.extend(part.parts());
            }
        }
        parts
    }
}

impl fmt::Display for Tree {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.pieces.iter().try_for_each(|piece| match piece {
            Piece::Text(text) => f.write_str(text),
            Piece::Part(part) if part.loose => write!(f, "({part})"),
            Piece::Part(part) => part.fmt(f),
        })
    }
}

/// Makes expressions from a seed.
#[derive(Debug)]
pub(crate) struct Generator {
    random: Random,
    templates: Vec<Template>,
    by_kind: BTreeMap<Kind, Vec<Template>>,
    /// Those of them that are comprehensions.
    macros: BTreeMap<Kind, Vec<Template>>,
    /// Objects with their fields.
    objects: Vec<(Arc<str>, Paths)>,
    variables: Vec<Paths>,
}

/// The expression at hand: whose fields it reads, which variables its macros have brought in, and whether
/// kinds may be mixed up in it.
struct Scope<'g> {
    paths: &'g Paths,
    local: Vec<(String, Kind)>,
    untidy: bool,
    plain: bool,
}

impl Generator {
    /// A generator over the objects of a fixture.
    ///
    /// # Errors
    /// There are no objects.
    pub(crate) fn new(seed: u64, fixture: &Fixture) -> Result<Self> {
        let templates = templates::all();
        let mut by_kind: BTreeMap<Kind, Vec<Template>> = BTreeMap::new();
        let mut macros: BTreeMap<Kind, Vec<Template>> = BTreeMap::new();
        for template in &templates {
            if template.binds() {
                macros.entry(template.yields).or_default().push(template.clone());
            }
            by_kind.entry(template.yields).or_default().push(template.clone());
        }
        let objects = fixture.objects.iter().filter_map(|name| {
            let object = fixture.documents.get(&**name)?.as_object()?;
            Some((name.clone(), Paths::of("object", object)))
        });
        let objects: Vec<_> = objects.collect();
        objects.first().context("there are no objects to make expressions over")?;
        let variables = fixture.variables().map(|(name, fields)| Paths::of(name, fields)).collect();
        Ok(Self { random: Random::new(seed), templates, by_kind, macros, objects, variables })
    }

    /// So many expressions at least, each with the name of the object it is made for.
    pub(crate) fn make(&mut self, count: usize) -> Vec<(Tree, Arc<str>)> {
        let mut made = Vec::new();
        let templates = self.templates.clone();
        let objects = std::mem::take(&mut self.objects);
        let mut roots = templates.iter().cycle().take(templates.len() * ROOTS);
        while let Some((object, paths)) = self.random.pick(&objects) {
            let root = roots.next();
            if root.is_none() && made.len() >= count {
                break;
            }
            let plain = made.len() < templates.len() * PLAIN;
            let untidy = !plain && self.random.percent(UNTIDY);
            let mut scope = Scope { paths, local: Vec::new(), untidy, plain };
            let depth = if plain { 1 } else { 1 + self.random.below(DEPTH) };
            let tree = match root {
                Some(template) => self.fill(template, depth, &mut scope),
                None => {
                    let kind = if self.random.percent(60) { Kind::Bool } else { self.any_kind() };
                    self.expression(kind, depth, &mut scope)
                }
            };
            made.push((tree, object.clone()));
        }
        self.objects = objects;
        made
    }

    fn any_kind(&mut self) -> Kind {
        self.random.pick(&KINDS).copied().unwrap_or(Kind::Any)
    }

    fn expression(&mut self, kind: Kind, depth: usize, scope: &mut Scope<'_>) -> Tree {
        let kind = if scope.untidy && self.random.percent(WRONG) { self.any_kind() } else { kind };
        if depth == 0 || self.random.percent(20) {
            return Tree::leaf(&self.leaf(kind, scope));
        }
        let templates = self.by_kind.get(&kind).map_or(&[][..], Vec::as_slice);
        let macros = self.macros.get(&kind).map_or(&[][..], Vec::as_slice);
        let templates = if !macros.is_empty() && self.random.percent(MACROS) { macros } else { templates };
        match self.random.pick(templates).cloned() {
            Some(template) => self.fill(&template, depth, scope),
            None => Tree::leaf(&self.leaf(kind, scope)),
        }
    }

    /// A template with its holes filled.
    fn fill(&mut self, template: &Template, depth: usize, scope: &mut Scope<'_>) -> Tree {
        let outer = scope.local.len();
        let mut pieces = Vec::new();
        let mut rest = template.form.as_str();
        while let Some((before, after)) = rest.split_once('$') {
            pieces.push(Piece::Text(before.to_owned()));
            let end = after.find(|c: char| !c.is_ascii_alphanumeric() && c != ':').unwrap_or(after.len());
            let (hole, after) = after.split_at(end);
            // A colon that ends a hole belongs to a map's entry.
            let (hole, colon) = hole.strip_suffix(':').map_or((hole, ""), |hole| (hole, ":"));
            rest = after;
            match hole.split_once(':') {
                Some((variable, kind)) => {
                    let name = self.variable(variable, scope);
                    scope.local.push((name.clone(), Kind::named(kind).unwrap_or(Kind::Any)));
                    pieces.push(Piece::Text(name));
                }
                None => {
                    let kind = Kind::named(hole).unwrap_or(Kind::Any);
                    // What comes before the macro's variable cannot see it.
                    pieces.push(Piece::Part(self.expression(kind, depth.saturating_sub(1), scope)));
                    pieces.push(Piece::Text(colon.to_owned()));
                }
            }
        }
        pieces.push(Piece::Text(rest.to_owned()));
        scope.local.truncate(outer);
        Tree { pieces, loose: is_loose(&template.form) }
    }

    /// A name for a macro's variable: mostly a new one, sometimes one that hides another.
    fn variable(&mut self, wanted: &str, scope: &Scope<'_>) -> String {
        let taken = scope.local.iter().any(|(name, _)| name == wanted);
        if taken && !self.random.percent(10) {
            format!("{wanted}{}", scope.local.len())
        } else {
            wanted.to_owned()
        }
    }

    fn leaf(&mut self, kind: Kind, scope: &Scope<'_>) -> String {
        if scope.plain {
            let plain: Vec<&str> = kind.leaves().iter().copied().filter(|leaf| kind.is_plain(leaf)).collect();
            return self.random.pick(&plain).copied().unwrap_or("null").to_owned();
        }
        let local: Vec<&String> =
            scope.local.iter().filter(|(_, of)| *of == kind).map(|(name, _)| name).collect();
        if let Some(name) = self.random.pick(&local)
            && self.random.percent(70)
        {
            return (*name).clone();
        }
        // An object that a macro walks over, such as a container, has fields that policies read.
        let objects: Vec<&String> =
            scope.local.iter().filter(|(_, of)| *of == Kind::Object).map(|(name, _)| name).collect();
        if let Some(object) = self.random.pick(&objects)
            && self.random.percent(60)
            && let Some(field) = self.random.pick(fields(kind))
        {
            return select(object, field);
        }
        let variables = std::mem::take(&mut self.variables);
        let chosen = if self.random.percent(80) { Some(scope.paths) } else { self.random.pick(&variables) };
        let paths = chosen.map_or(&[][..], |paths| paths.of_kind(kind));
        let path = if self.random.percent(50) { self.random.pick(paths).cloned() } else { None };
        self.variables = variables;
        match path {
            Some(path) if scope.untidy && self.random.percent(8) => format!("{path}.absent"),
            Some(path) => path,
            None => self.random.pick(kind.leaves()).copied().unwrap_or("null").to_owned(),
        }
    }
}

/// Fields that objects in lists often have.
fn fields(kind: Kind) -> &'static [&'static str] {
    match kind {
        Kind::Text => &["name", "image", "mountPath", "value", "protocol", "kind", "imagePullPolicy"],
        Kind::Int => &["containerPort", "port", "weight", "hostPort"],
        Kind::Bool => &["readOnly", "optional", "tty"],
        Kind::Object => &["securityContext", "resources", "livenessProbe", "valueFrom"],
        Kind::Objects => &["ports", "env", "volumeMounts", "envFrom"],
        Kind::Labels => &["limits", "requests", "labels"],
        Kind::Texts => &["command", "args"],
        Kind::Any => &["name", "ports", "resources", "absent", "env"],
        _ => &[],
    }
}

/// Whether a form has an operator outside all brackets.
fn is_loose(form: &str) -> bool {
    let mut depth = 0i32;
    form.starts_with(['!', '-'])
        || form.chars().any(|c| {
            depth += i32::from("([{".contains(c)) - i32::from(")]}".contains(c));
            c == ' ' && depth == 0
        })
}
