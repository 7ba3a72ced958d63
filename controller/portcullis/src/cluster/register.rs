//! What is known of all that policies refer to, by kind: of every object of a kind the same is kept.
//!
//! Where policies read more of a kind than before, or less, it is listed anew by other watches. The old ones go on
//! until the new ones are complete, and are then replaced by them at once: what the two keep of an object is never
//! mixed.

use super::references::Found;
use super::referred::{Limits, Referred};
use portcullis_core::facts::Objects;
use portcullis_core::tree::{Selection, Tree};
use portcullis_core::{Facts, Projection, Reference};
use std::collections::{BTreeMap, BTreeSet};
use std::ops::ControlFlow;
use std::sync::Arc;

/// How much is kept. The chart's limit of memory counts on it.
const LIMITS: Limits = Limits { each: 128 << 20, together: 192 << 20 };

/// `apiVersion` and kind.
pub(super) type KindName = (String, String);
/// The number of a watch. None is used twice, so that nothing is taken from one that was given up.
pub(super) type Number = u64;

/// Everything that policies refer to.
#[derive(Debug)]
pub(super) struct Register {
    kinds: BTreeMap<KindName, Kind>,
    limits: Limits,
    /// The last watch that was begun.
    last: Number,
    /// Changes with everything that facts are made of.
    version: u64,
}

/// What is to be begun and given up.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Orders {
    pub(super) begin: Vec<(Number, Reference)>,
    pub(super) end: Vec<Number>,
}

#[derive(Debug)]
struct Kind {
    current: Group,
    /// What takes its place once it is complete.
    next: Option<Group>,
    /// Changes with the objects of `current`.
    version: u64,
}

/// Watches of one kind that keep the same of each object.
#[derive(Debug)]
struct Group {
    kept: Projection,
    selection: Arc<Selection>,
    watches: BTreeMap<Reference, (Number, Referred)>,
}

/// What facts are made of, of one kind.
#[derive(Debug)]
pub(super) struct View {
    pub(super) name: KindName,
    resource: Option<(String, bool)>,
    version: u64,
    /// None if they are known already. With those of which only a part is known.
    objects: Option<(Vec<Tree>, Vec<Tree>)>,
    withheld: Vec<(Reference, String)>,
    /// Of what no more is known than this, and why.
    partial: Vec<(Reference, Projection, String)>,
}

/// The objects of kinds as they were last made facts of, each with its version.
pub(super) type Known = BTreeMap<KindName, (u64, Arc<Objects>)>;

impl Default for Register {
    fn default() -> Self {
        Self { kinds: BTreeMap::new(), limits: LIMITS, last: 0, version: 0 }
    }
}

impl Group {
    fn new(kept: &Projection) -> Self {
        Self { kept: kept.clone(), selection: Arc::new(Selection::of(kept)), watches: BTreeMap::new() }
    }

    /// Has it watch these and no others.
    fn watch(&mut self, wanted: &BTreeSet<&Reference>, last: &mut u64, orders: &mut Orders) -> bool {
        let before = orders.begin.len() + orders.end.len();
        self.watches.retain(|reference, (number, _)| {
            let stays = wanted.contains(reference);
            orders.end.extend((!stays).then_some(*number));
            stays
        });
        for reference in wanted {
            if !self.watches.contains_key(*reference) {
                *last += 1;
                let referred = Referred::new((*reference).clone(), &self.selection);
                self.watches.insert((*reference).clone(), (*last, referred));
                orders.begin.push((*last, (*reference).clone()));
            }
        }
        orders.begin.len() + orders.end.len() > before
    }

    fn end(self, orders: &mut Orders) {
        orders.end.extend(self.watches.into_values().map(|(number, _)| number));
    }

    fn all(&self) -> impl Iterator<Item = &Referred> {
        self.watches.values().map(|(_, referred)| referred)
    }

    /// What it holds, in bytes.
    fn bytes(&self) -> usize {
        self.all().map(Referred::bytes).sum()
    }

    fn get(&self, reference: &Reference) -> Option<&Referred> {
        self.watches.get(reference).map(|(_, referred)| referred)
    }

    /// Whether it may take the place of another: it is told whatever the other tells.
    fn may_replace(&self, other: &Self) -> bool {
        let is_no_worse = |referred: &Referred, reference: &Reference| {
            referred.is_told()
                || referred.is_settled() && !other.get(reference).is_some_and(Referred::is_told)
        };
        self.watches.iter().all(|(reference, (_, referred))| is_no_worse(referred, reference))
    }
}

impl Register {
    /// Takes note of everything that is referred to from now on, and of what is to be kept of it.
    pub(super) fn want(&mut self, wanted: &BTreeMap<Reference, Projection>) -> Orders {
        let mut by_kind: BTreeMap<KindName, (&Projection, BTreeSet<&Reference>)> = BTreeMap::new();
        for (reference, kept) in wanted {
            let name = (reference.api_version.clone(), reference.kind.clone());
            by_kind.entry(name).or_insert_with(|| (kept, BTreeSet::new())).1.insert(reference);
        }
        let mut orders = Orders::default();
        let gone: Vec<KindName> =
            self.kinds.keys().filter(|name| !by_kind.contains_key(*name)).cloned().collect();
        for kind in gone.iter().filter_map(|name| self.kinds.remove(name)) {
            self.version += 1;
            kind.current.end(&mut orders);
            kind.next.into_iter().for_each(|next| next.end(&mut orders));
        }
        for (name, (kept, references)) in by_kind {
            let new = || Kind { current: Group::new(kept), next: None, version: 0 };
            let kind = self.kinds.entry(name).or_insert_with(new);
            if kind.want(kept, &references, &mut self.last, &mut orders) {
                self.version += 1;
                kind.version = self.version;
            }
        }
        orders
    }

    /// Takes in what a watch found. Breaks where more of it is of no use; and which watches to give up.
    pub(super) fn take(&mut self, number: Number, found: Found) -> (ControlFlow<()>, Vec<Number>) {
        let bytes = self.groups().map(Group::bytes).sum::<usize>();
        for kind in self.kinds.values_mut() {
            let is_current = kind.current.watches.values().any(|(own, _)| *own == number);
            let goes = if is_current { 0 } else { kind.current.bytes() };
            let group = if is_current { Some(&mut kind.current) } else { kind.next.as_mut() };
            let watches = group.into_iter().flat_map(|group| group.watches.values_mut());
            let Some((_, referred)) = watches.into_iter().find(|(own, _)| *own == number) else { continue };
            // What goes once this is complete does not keep it from that.
            let others = bytes.saturating_sub(referred.bytes()).saturating_sub(goes);
            let changed = referred.take(found, self.limits, others);
            let flow =
                if referred.is_overfull() { ControlFlow::Break(()) } else { ControlFlow::Continue(()) };
            let replaced = kind.advance();
            if changed || replaced.is_some() {
                self.version += 1;
                kind.version = self.version;
            }
            let mut orders = Orders::default();
            replaced.into_iter().for_each(|old| old.end(&mut orders));
            return (flow, orders.end);
        }
        (ControlFlow::Break(()), Vec::new())
    }

    /// Changes with everything that facts are made of.
    pub(super) fn version(&self) -> u64 {
        self.version
    }

    /// Whether of everything it is known what it means, or that this cannot be known.
    pub(super) fn is_settled(&self) -> bool {
        self.groups().flat_map(Group::all).all(Referred::is_settled)
    }

    /// What facts are made of; of objects only those that changed.
    pub(super) fn views(&self, known: &Known) -> Vec<View> {
        self.kinds.iter().map(|(name, kind)| kind.view(name, known)).collect()
    }

    fn groups(&self) -> impl Iterator<Item = &Group> {
        self.kinds.values().flat_map(|kind| [Some(&kind.current), kind.next.as_ref()]).flatten()
    }
}

impl Kind {
    /// True if that changed what it tells.
    fn want(
        &mut self,
        kept: &Projection,
        references: &BTreeSet<&Reference>,
        last: &mut u64,
        orders: &mut Orders,
    ) -> bool {
        if self.current.kept == *kept {
            let next = self.next.take();
            let changed = next.is_some();
            next.into_iter().for_each(|next| next.end(orders));
            return self.current.watch(references, last, orders) || changed;
        }
        if self.next.as_ref().is_some_and(|next| next.kept != *kept) {
            self.next.take().into_iter().for_each(|next| next.end(orders));
        }
        let next = self.next.get_or_insert_with(|| Group::new(kept));
        let begun = next.watch(references, last, orders);
        let both = references.iter().copied().filter(|reference| self.current.get(reference).is_some());
        let ended = self.current.watch(&both.collect(), last, orders);
        // Nothing is lost where nothing was known, or where the next is complete without what was given up.
        let knows = self.current.all().any(Referred::is_told);
        let replaced = self.next.take_if(|next| !knows || next.may_replace(&self.current));
        let replaced = replaced.map(|next| std::mem::replace(&mut self.current, next));
        let is_replaced = replaced.is_some();
        replaced.into_iter().for_each(|old| old.end(orders));
        begun || ended || is_replaced
    }

    /// Has the next group take the place of the current one, if it may: the old one.
    fn advance(&mut self) -> Option<Group> {
        let next = self.next.take_if(|next| next.may_replace(&self.current))?;
        Some(std::mem::replace(&mut self.current, next))
    }

    fn view(&self, name: &KindName, known: &Known) -> View {
        let is_known = known.get(name).is_some_and(|(version, _)| *version == self.version);
        let objects = (!is_known).then(|| {
            let mut objects = (Vec::new(), Vec::new());
            for (reference, (_, referred)) in &self.current.watches {
                let part = if reference.is_metadata_only() { &mut objects.1 } else { &mut objects.0 };
                part.extend(referred.objects().cloned());
            }
            objects
        });
        let mut view = View {
            name: name.clone(),
            resource: self
                .groups()
                .flat_map(Group::all)
                .find_map(Referred::resource)
                .map(|(plural, namespaced)| (plural.to_owned(), namespaced)),
            version: self.version,
            objects,
            withheld: Vec::new(),
            partial: Vec::new(),
        };
        for (reference, (_, referred)) in &self.current.watches {
            view.withheld.extend(referred.trouble().map(|reason| (reference.clone(), reason)));
        }
        for (reference, (_, referred)) in self.next.iter().flat_map(|next| &next.watches) {
            // As long as others of the kind are not complete, it is as if it were not, either.
            let waits = || format!("`{}` of `{}` is not read yet", reference.kind, reference.api_version);
            let reason = referred.trouble().unwrap_or_else(waits);
            match self.current.get(reference) {
                Some(_) => view.partial.push((reference.clone(), self.current.kept.clone(), reason)),
                None => view.withheld.push((reference.clone(), reason)),
            }
        }
        view
    }

    fn groups(&self) -> impl Iterator<Item = &Group> {
        [Some(&self.current), self.next.as_ref()].into_iter().flatten()
    }
}

/// Adds what views show to facts, and to what is known for the next time. What is wrong, in words.
pub(super) fn tell(views: Vec<View>, known: &mut Known, facts: &mut Facts) -> BTreeSet<String> {
    known.retain(|name, _| views.iter().any(|view| view.name == *name));
    let mut problems = BTreeSet::new();
    for View { name, resource, version, objects, withheld, partial } in views {
        let (api_version, kind) = &name;
        if let Some((plural, namespaced)) = resource {
            facts.define(api_version, kind, &plural, namespaced);
        }
        if let Some((whole, parts)) = objects {
            let mut objects = Objects::default();
            whole.into_iter().for_each(|object| objects.add(object, true));
            // Of Secrets that are looked up only a part is known.
            parts.into_iter().for_each(|object| objects.add(object, false));
            known.insert(name.clone(), (version, Arc::new(objects)));
        }
        if let Some((_, objects)) = known.get(&name).filter(|(_, objects)| !objects.is_empty()) {
            facts.put(api_version, kind, Arc::clone(objects));
        }
        problems.extend(withheld.iter().map(|(_, reason)| reason.clone()));
        withheld.into_iter().for_each(|(reference, reason)| facts.withhold(reference, reason));
        for (reference, known, reason) in partial {
            problems.insert(reason.clone());
            facts.withhold_beyond(reference, known, reason);
        }
    }
    problems
}

#[cfg(test)]
mod tests {
    use super::super::references::{map, of_type};
    use super::*;
    use kube::core::GroupVersionKind;
    use kube::discovery::ApiResource;
    use kube::runtime::watcher::Event;
    use portcullis_core::Extent;
    use portcullis_core::Purpose;
    use serde_json::{Value as Json, json};

    /// Of the namespace.
    fn reference(namespace: &str) -> Reference {
        Reference {
            purpose: Purpose::Lookup,
            api_version: "example.com/v1".to_owned(),
            kind: "Limit".to_owned(),
            namespace: Some(namespace.to_owned()).filter(|namespace| !namespace.is_empty()),
            name: None,
            selector: String::new(),
            optional: false,
        }
    }

    /// The type, the name and these fields.
    fn reading(fields: &[&str]) -> Projection {
        let whole = |path: &[&str]| Projection::new(Extent::Whole).below(path);
        let mut all = whole(&["metadata", "name"]);
        for path in [&["apiVersion"][..], &["kind"], &["metadata", "namespace"]] {
            all.merge(&whole(path));
        }
        fields.iter().for_each(|field| all.merge(&whole(&[field])));
        all
    }

    fn resource() -> ApiResource {
        ApiResource::from_gvk_with_plural(&GroupVersionKind::gvk("example.com", "v1", "Limit"), "limits")
    }

    fn event(event: Event<Json>) -> Found {
        let object = |json: Json| serde_json::from_value(json).unwrap();
        Found::Event(Box::new(map(event, |json| of_type(object(json), &resource()))))
    }

    /// An object of which two fields may be read.
    fn limit(name: &str, n: u8) -> Json {
        let metadata = json!({"name": name, "namespace": "shop", "managedFields": [{"manager": "m"}]});
        json!({"metadata": metadata, "one": n, "two": n})
    }

    /// A register with what its watches are called, and the facts that were made of it.
    #[derive(Default)]
    struct World {
        register: Register,
        known: Known,
    }

    impl World {
        /// The numbers of the watches that begin and end.
        fn want(&mut self, wanted: &[(&str, &[&str])]) -> (Vec<Number>, Vec<Number>) {
            let wanted = wanted.iter().map(|(name, fields)| (reference(name), reading(fields))).collect();
            let Orders { begin, end } = self.register.want(&wanted);
            (begin.into_iter().map(|(number, _)| number).collect(), end)
        }

        fn take(&mut self, number: Number, found: Found) {
            let _ = self.register.take(number, found);
        }

        /// A list, as far as it is taken. The watches that end.
        fn list(&mut self, number: Number, objects: &[Json]) -> Vec<Number> {
            let all = objects.iter().cloned().map(Event::InitApply);
            let events = [Event::Init].into_iter().chain(all).chain([Event::InitDone]);
            let mut ended = Vec::new();
            for one in events {
                let (flow, more) = self.register.take(number, event(one));
                ended.extend(more);
                if flow.is_break() {
                    break;
                }
            }
            ended
        }

        fn apply(&mut self, number: Number, object: Json) {
            assert_eq!(self.register.take(number, event(Event::Apply(object))).1, [] as [Number; 0]);
        }

        fn trouble(&mut self, number: Number, reason: &str) {
            self.take(number, Found::Trouble(reason.to_owned()));
        }

        /// The objects as facts have them, and what is wrong.
        fn facts(&mut self) -> (Vec<String>, Vec<String>) {
            let mut facts = Facts::new(true);
            let views = self.register.views(&self.known);
            let problems = tell(views, &mut self.known, &mut facts);
            let objects = facts.objects("example.com/v1", "Limit").iter();
            let words = objects.map(|object| {
                let json = object.to_json();
                let fields = ["one", "two"].map(|field| json[field].to_string().replace("null", "-"));
                format!("{}:{}", json["metadata"]["name"].as_str().unwrap(), fields.join(","))
            });
            (words.collect(), problems.into_iter().collect())
        }

        #[track_caller]
        fn shows(&mut self, objects: &[&str], problems: &[&str]) {
            let (shown, wrong) = self.facts();
            assert_eq!((shown, wrong), (strings(objects), strings(problems)));
        }
    }

    fn strings(words: &[&str]) -> Vec<String> {
        words.iter().map(|word| (*word).to_owned()).collect()
    }

    const UNREAD: &str = "`Limit` of `example.com/v1` is not read yet";

    #[test]
    fn objects_are_told_once_they_are_listed_and_as_long_as_they_may_be() {
        let mut world = World::default();
        assert_eq!(world.want(&[("", &["one"])]), (vec![1], vec![]));
        assert!(!world.register.is_settled());
        world.shows(&[], &[UNREAD]);
        world.take(1, Found::Absent);
        assert!(world.register.is_settled());
        world.shows(&[], &[]);
        world.take(1, Found::Kind(resource(), true));
        world.shows(&[], &[UNREAD]);
        world.trouble(1, "forbidden");
        world.shows(&[], &["forbidden"]);
        world.list(1, &[limit("a", 1)]);
        world.shows(&["a:1,-"], &[]);
        let version = world.register.version();
        world.list(1, &[limit("a", 1)]);
        world.apply(1, limit("a", 1));
        assert_eq!(world.register.version(), version, "nothing changed");
        world.trouble(1, "forbidden");
        world.shows(&[], &["forbidden"]);
        // The same list again is no change of the objects, but they may be told again.
        world.list(1, &[limit("a", 1)]);
        world.shows(&["a:1,-"], &[]);
        assert_eq!(world.want(&[]), (vec![], vec![1]));
        world.shows(&[], &[]);
    }

    #[test]
    fn what_is_to_be_kept_otherwise_is_kept_as_it_was_until_it_is_complete() {
        let mut world = World::default();
        world.want(&[("", &["one"])]);
        world.list(1, &[limit("a", 1)]);
        assert_eq!(world.want(&[("", &["one", "two"])]), (vec![2], vec![]));
        world.shows(&["a:1,-"], &[UNREAD]);
        assert!(!world.register.is_settled());
        // Both go on; what the new one tells is not seen before it is complete.
        world.apply(1, limit("b", 2));
        for one in [Event::Init, Event::InitApply(limit("a", 3))] {
            world.take(2, event(one));
        }
        world.trouble(2, "forbidden");
        world.shows(&["a:1,-", "b:2,-"], &["forbidden"]);
        assert_eq!(world.list(2, &[limit("a", 3)]), [1]);
        world.shows(&["a:3,3"], &[]);
        // What comes late of the old one is not taken.
        let (flow, _) = world.register.take(1, event(Event::Apply(limit("c", 1))));
        assert!(flow.is_break());
        world.shows(&["a:3,3"], &[]);
        // Back, and back again before that is complete.
        assert_eq!(world.want(&[("", &["one"])]), (vec![3], vec![]));
        assert_eq!(world.want(&[("", &["one", "two"])]), (vec![], vec![3]));
        world.shows(&["a:3,3"], &[]);
    }

    #[test]
    fn all_of_a_kind_are_replaced_at_once() {
        let mut world = World::default();
        world.want(&[("", &["one"]), ("shop", &["one"])]);
        world.list(1, &[limit("a", 1)]);
        world.list(2, &[limit("a", 1)]);
        let (begun, ended) = world.want(&[("", &["two"]), ("new", &["two"]), ("shop", &["two"])]);
        assert_eq!((begun, ended), (vec![3, 4, 5], vec![]));
        world.list(3, &[limit("a", 2)]);
        world.list(4, &[]);
        world.shows(&["a:1,-"], &[UNREAD]);
        assert_eq!(world.list(5, &[limit("a", 2)]), [1, 2]);
        world.shows(&["a:-,2"], &[]);
        // What is no longer referred to is not waited for.
        world.want(&[("", &["one"]), ("shop", &["one"])]);
        assert_eq!(world.want(&[("shop", &["one"])]), (vec![], vec![6, 3]));
        assert_eq!(world.list(7, &[limit("a", 4)]), [5]);
        world.shows(&["a:4,-"], &[]);
    }

    #[test]
    fn what_is_too_much_is_left_out_until_it_is_not() {
        let mut world = World::default();
        let all = |count: u8| (0..count).map(|n| limit(&format!("l{n}"), n)).collect::<Vec<_>>();
        world.want(&[("", &["one"]), ("new", &["one"]), ("shop", &["one"])]);
        world.list(1, &all(10));
        let ten = world.register.groups().flat_map(Group::all).map(Referred::bytes).sum::<usize>();
        let too_much =
            |what: &str| format!("what policies read of {what}: narrow it by a namespace or labels");
        let (one, both) = (
            too_much("`Limit` of `example.com/v1` is more than 0 MiB"),
            too_much("other objects is more than 0 MiB together, with `Limit` of `example.com/v1`"),
        );
        world.register.limits = Limits { each: ten * 2, together: ten * 4 };
        world.list(2, &all(10));
        world.list(3, &all(10));
        assert_eq!(world.facts().1, [] as [&str; 0]);
        let mut events = [Event::Init].into_iter().chain(all(30).into_iter().map(Event::InitApply));
        let broken = events.find(|one| world.register.take(1, event(one.clone())).0.is_break());
        assert!(broken.is_some());
        assert_eq!(world.facts().1, [one]);
        // What is there already goes on, even where it grows a little.
        world.list(1, &all(15));
        world.apply(2, limit("l0", 200));
        assert_eq!(world.facts().1, [] as [&str; 0]);
        world.list(3, &all(18));
        assert_eq!(world.facts().1, [both]);
        world.list(1, &all(5));
        world.list(3, &all(18));
        assert_eq!(world.facts().1, [] as [&str; 0]);
        // Where the kind goes, it is no longer too much.
        let mut events = [Event::Init].into_iter().chain(all(30).into_iter().map(Event::InitApply));
        assert!(events.any(|one| world.register.take(1, event(one)).0.is_break()));
        world.take(1, Found::Absent);
        assert_eq!(world.facts().1, [] as [&str; 0]);
    }

    #[test]
    fn what_goes_keeps_nothing_from_taking_its_place() {
        let mut world = World::default();
        let all: Vec<Json> = (0..10).map(|n| limit(&format!("l{n}"), n)).collect();
        world.want(&[("", &["one"])]);
        world.list(1, &all);
        let ten = world.register.groups().map(Group::bytes).sum::<usize>();
        world.register.limits = Limits { each: ten * 2, together: ten * 3 / 2 };
        world.want(&[("", &["one", "two"])]);
        assert_eq!(world.list(2, &all), [1]);
        assert_eq!(world.facts().1, [] as [&str; 0]);
    }

    #[test]
    fn what_nobody_refers_to_any_more_is_not_waited_for() {
        let mut world = World::default();
        world.want(&[("", &["one"]), ("shop", &["one"])]);
        world.list(1, &[limit("a", 1)]);
        world.list(2, &[limit("a", 1)]);
        world.want(&[("", &["two"]), ("shop", &["two"])]);
        world.list(3, &[limit("a", 2)]);
        world.shows(&["a:1,-"], &[UNREAD]);
        assert_eq!(world.want(&[("", &["two"])]), (vec![], vec![4, 2, 1]));
        world.shows(&["a:-,2"], &[]);
    }
}
