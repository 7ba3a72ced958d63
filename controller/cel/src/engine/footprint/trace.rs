//! Follows values through a plan without evaluating it: where in the variables a value may come from, and
//! what is read of it there.

use super::super::ast::FoldKind;
use super::super::environment::Environment;
use super::super::plan::{Attribute, Call, Fold, Node, Observed, OptMap, QualifierKey, Root};
use super::origin::{Origin, Shadow};
use super::part::Part;
use super::{Extent, Footprint, plain_selection};
use std::collections::BTreeMap;

impl Origin {
    /// Where the result of a plan comes from, and what is known of its parts if they are observed.
    pub(crate) fn of(environment: &Environment, root: &Node, locals: u32) -> (Self, BTreeMap<usize, Part>) {
        let locals = vec![Shadow::default(); locals as usize];
        let reads = Footprint::default();
        let mut trace =
            Trace { environment, locals, reads, parts: BTreeMap::new(), parent: None, within: None };
        let result = trace.follow(root);
        (Self::new(trace.reads, result), trace.parts)
    }
}

struct Trace<'e> {
    environment: &'e Environment,
    /// What local variables may be.
    locals: Vec<Shadow>,
    reads: Footprint,
    parts: BTreeMap<usize, Part>,
    /// The part that is being followed.
    parent: Option<usize>,
    /// The macro whose body is being followed.
    within: Option<usize>,
}

impl Trace<'_> {
    fn read(&mut self, shadow: &Shadow, extent: Extent) {
        shadow.read(extent, &mut self.reads);
    }

    /// All of a node's value is used.
    fn whole(&mut self, node: &Node) {
        let shadow = self.follow(node);
        self.read(&shadow, Extent::Whole);
    }

    /// A node's value is a list or a map whose elements may be used.
    fn container(&mut self, node: &Node) -> Shadow {
        let shadow = self.follow(node);
        self.read(&shadow, Extent::Shape);
        shadow
    }

    /// What is used as an optional. Were it none, the failure would say of what type it is.
    fn optional(&mut self, node: &Node) -> Shadow {
        let is_optional = match node {
            Node::Attribute(attribute) => attribute.qualifiers.iter().any(|qualifier| qualifier.optional),
            Node::Call(call) => call.function.starts_with("optional."),
            Node::OptMap(_) => true,
            Node::Observed(observed) => {
                return self.observed(observed, |this| this.optional(&observed.node));
            }
            _ => false,
        };
        if is_optional { self.follow(node) } else { self.container(node) }
    }

    /// Notes what a part reads, all of its value included.
    fn observed(&mut self, observed: &Observed, follow: impl FnOnce(&mut Self) -> Shadow) -> Shadow {
        let id = observed.part as usize;
        let before = std::mem::take(&mut self.reads);
        let parent = self.parent.replace(id);
        let shadow = follow(self);
        self.parent = parent;
        let mut footprint = self.reads.clone();
        shadow.read(Extent::Whole, &mut footprint);
        let part = Part {
            at: observed.at as usize,
            parent,
            within: self.within,
            over_elements: matches!(&observed.node, Node::Fold(_)),
            quantifier: match &observed.node {
                Node::Fold(fold) => fold.kind.decisive(),
                _ => None,
            },
            footprint,
            selection: plain_selection(self.environment, &observed.node),
        };
        self.parts.insert(id, part);
        let reads = std::mem::replace(&mut self.reads, before);
        self.reads.merge(&reads);
        shadow
    }

    /// Follows what a macro evaluates for each element, or for what an optional holds.
    fn inside<T>(&mut self, follow: impl FnOnce(&mut Self) -> T) -> T {
        let within = std::mem::replace(&mut self.within, self.parent);
        let result = follow(self);
        self.within = within;
        result
    }

    /// What a node's value may be. What has to be read to find that is recorded.
    fn follow(&mut self, node: &Node) -> Shadow {
        let shadow = self.follow_on(node);
        shadow.bounded(&mut self.reads)
    }

    fn follow_on(&mut self, node: &Node) -> Shadow {
        match node {
            Node::Constant(_) | Node::Failing(_) => Shadow::default(),
            Node::Attribute(attribute) => self.attribute(attribute),
            Node::Observed(observed) => self.observed(observed, |this| this.follow_on(&observed.node)),
            Node::Call(call) => self.call(call),
            Node::Equal(equal) => {
                self.whole(&equal.left);
                self.whole(&equal.right);
                Shadow::default()
            }
            Node::Not(term) => {
                self.whole(term);
                Shadow::default()
            }
            Node::And(terms) | Node::Or(terms) => {
                terms.iter().for_each(|term| self.whole(term));
                Shadow::default()
            }
            Node::Conditional(conditional) => {
                self.whole(&conditional.condition);
                let mut shadow = self.follow(&conditional.truthy);
                shadow.merge(self.follow(&conditional.falsy));
                shadow
            }
            Node::List(elements) => {
                let values = elements.iter().map(|element| self.follow(&element.value));
                built(values)
            }
            Node::Map(entries) => {
                entries.iter().for_each(|entry| self.whole(&entry.key));
                built(entries.iter().map(|entry| self.follow(&entry.value)))
            }
            Node::Fold(fold) => self.fold(fold),
            Node::OptMap(map) => self.opt_map(map),
            Node::Otherwise(otherwise) => {
                let mut shadow = self.follow(&otherwise.optional);
                shadow.merge(self.follow(&otherwise.otherwise));
                shadow
            }
            Node::Membership(membership) => {
                self.whole(&membership.element);
                Shadow::default()
            }
        }
    }

    fn attribute(&mut self, attribute: &Attribute) -> Shadow {
        let mut shadow = match &attribute.root {
            Root::Local(slot) => self.locals.get(*slot as usize).cloned().unwrap_or_default(),
            Root::Node(node) => self.follow(node),
            Root::Variable(index) => {
                let variable = self.environment.variable(*index);
                variable.map(|variable| Shadow::variable(&variable.name)).unwrap_or_default()
            }
        };
        for qualifier in &attribute.qualifiers {
            shadow = match &qualifier.key {
                QualifierKey::Field(name) => shadow.field(name),
                QualifierKey::Constant(value) => match value.as_str() {
                    Some(name) => shadow.field(name),
                    None => shadow.any(&mut self.reads),
                },
                QualifierKey::Computed(node) => {
                    self.whole(node);
                    shadow.any(&mut self.reads)
                }
            };
        }
        self.read(&shadow, Extent::Presence);
        if attribute.test { Shadow::default() } else { shadow }
    }

    fn call(&mut self, call: &Call) -> Shadow {
        match (&*call.function, &*call.args) {
            ("dyn" | "optional.of" | "value", [only]) => self.follow(only),
            ("hasValue", [only]) => {
                self.optional(only);
                Shadow::default()
            }
            ("size" | "type", [only]) => {
                self.container(only);
                Shadow::default()
            }
            ("first" | "last", [only]) => {
                let shadow = self.follow(only);
                shadow.any(&mut self.reads)
            }
            // Lists are joined, and elements stay what they are; scalars are read with the shape.
            ("_+_", [left, right]) => {
                let mut shadow = self.container(left);
                shadow.merge(self.container(right));
                shadow
            }
            (_, args) => {
                args.iter().for_each(|arg| self.whole(arg));
                Shadow::default()
            }
        }
    }

    fn fold(&mut self, fold: &Fold) -> Shadow {
        let range = self.follow(&fold.range);
        let element = range.any(&mut self.reads);
        // The only variable is an element or a key, the first of two an index or a key; keys are in the shape.
        match fold.var2 {
            Some(var2) => self.bring_in(var2, element),
            None => self.bring_in(fold.var, element),
        }
        if fold.kind == FoldKind::SortBy {
            self.whole(&fold.range);
        }
        self.inside(|this| this.fold_body(fold))
    }

    fn fold_body(&mut self, fold: &Fold) -> Shadow {
        if let Some(filter) = &fold.filter {
            self.whole(filter);
        }
        match fold.kind {
            FoldKind::All | FoldKind::Exists | FoldKind::ExistsOne => {
                self.whole(&fold.body);
                Shadow::default()
            }
            FoldKind::List | FoldKind::Map => {
                let body = self.follow(&fold.body);
                Shadow::built(body)
            }
            FoldKind::MapEntry | FoldKind::SortBy => {
                self.whole(&fold.body);
                Shadow::default()
            }
        }
    }

    fn bring_in(&mut self, slot: u32, shadow: Shadow) {
        if let Some(local) = self.locals.get_mut(slot as usize) {
            *local = shadow;
        }
    }

    fn opt_map(&mut self, map: &OptMap) -> Shadow {
        let target = self.optional(&map.target);
        self.bring_in(map.var, target);
        self.inside(|this| this.follow(&map.body))
    }
}

/// A container that holds these values.
fn built(values: impl Iterator<Item = Shadow>) -> Shadow {
    let mut elements = Shadow::default();
    values.for_each(|value| elements.merge(value));
    Shadow::built(elements)
}
