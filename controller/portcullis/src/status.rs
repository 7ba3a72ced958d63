//! What became of each policy and each policy ConfigMap, as the leader writes it down in the cluster and
//! `portcullis status` reads it.

use crate::live::Generation;
use crate::source::Version;
use portcullis_core::document::{Code, DocumentError, Origin};
use portcullis_core::set;
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet, HashMap};

/// Messages are cut to so many characters: an Event takes 1,024 bytes.
const MESSAGE: usize = 400;
/// What is said of a policy that waits for its module.
const PENDING: &str = "its module is being compiled";
/// A list takes at most so many bytes; a ConfigMap takes 1 MiB.
const LIST: usize = 400_000;

/// What is in force of a policy, or of what a ConfigMap holds; of several the gravest, which is the last.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum State {
    /// It is, as it was written.
    Loaded,
    /// It is not: another one has its name.
    Shadowed,
    /// Its module is still being compiled; until then the version before is, if there is one.
    Pending,
    /// What was written is broken; the version before is.
    KeptOld,
    /// What was written is broken, and there is no version before.
    Broken,
}

impl State {
    /// As it is shown and written.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Loaded => "loaded",
            Self::Shadowed => "shadowed",
            Self::Pending => "pending",
            Self::KeptOld => "kept-old",
            Self::Broken => "broken",
        }
    }
}

impl From<set::State> for State {
    fn from(state: set::State) -> Self {
        match state {
            set::State::Loaded => Self::Loaded,
            set::State::KeptOld => Self::KeptOld,
            set::State::Broken => Self::Broken,
            set::State::Pending => Self::Pending,
        }
    }
}

/// A policy.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct PolicyStatus {
    /// Its name.
    pub name: String,
    /// What is in force of it.
    pub state: State,
    /// Where it stands: namespace and name of the ConfigMap, with a slash.
    pub config_map: String,
    /// Why it is not in force as it was written.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub message: String,
}

/// A policy ConfigMap.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ConfigMapStatus {
    /// Its namespace.
    pub namespace: String,
    /// Its name.
    pub name: String,
    /// Which one of that name.
    pub uid: String,
    /// Which version of it was taken in.
    pub resource_version: String,
    /// What is in force of it.
    pub state: State,
    /// What there is to say.
    pub message: String,
}

/// Some of a list, the gravest first, and how many more there are.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Told<T> {
    /// Those that are told.
    pub items: Vec<T>,
    /// How many are not.
    pub more: usize,
}

/// All of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Standing {
    /// Every policy, by name.
    pub policies: Vec<PolicyStatus>,
    /// Every ConfigMap, by namespace and name.
    pub config_maps: Vec<ConfigMapStatus>,
}

impl Standing {
    /// What there is to say of a generation.
    pub fn of(generation: &Generation) -> Self {
        let set = &generation.set;
        let waiting: BTreeSet<&Origin> = set.shadowed().iter().map(|shadowed| &shadowed.origin).collect();
        let mut of_names: HashMap<&str, Vec<&DocumentError>> = HashMap::new();
        let mut of_places: HashMap<(&str, &str), Vec<&DocumentError>> = HashMap::new();
        for problem in set.problems() {
            of_places.entry(place(&problem.origin)).or_default().push(problem);
            if let Some(name) = problem.name.as_deref().filter(|_| !waiting.contains(&problem.origin)) {
                of_names.entry(name).or_default().push(problem);
            }
        }
        let mut held: HashMap<(&str, &str), Held<'_>> = HashMap::new();
        let mut policies = Vec::new();
        for entry in set.entries() {
            let (name, origin) = (entry.info.name.as_str(), &entry.info.origin);
            let state = State::from(entry.state);
            held.entry(place(origin)).or_default().add(name, state);
            let problems = of_names.get(name).map(Vec::as_slice).unwrap_or_default();
            let message = match state {
                State::Loaded => String::new(),
                State::Pending => PENDING.to_owned(),
                _ => message(problems),
            };
            policies.push(PolicyStatus { name: name.to_owned(), state, config_map: shown(origin), message });
        }
        for shadowed in set.shadowed() {
            held.entry(place(&shadowed.origin)).or_default().add(&shadowed.name, State::Shadowed);
            let message = format!("ConfigMap {} has the name already", shown(&shadowed.by));
            let (name, config_map) = (shadowed.name.clone(), shown(&shadowed.origin));
            policies.push(PolicyStatus { name, state: State::Shadowed, config_map, message });
        }
        policies.sort_by(|a, b| (&a.name, a.state, &a.config_map).cmp(&(&b.name, b.state, &b.config_map)));
        let mut config_maps: Vec<ConfigMapStatus> = generation
            .versions
            .iter()
            .map(|version| {
                let place = (version.namespace.as_str(), version.name.as_str());
                let problems = of_places.get(&place).map(Vec::as_slice).unwrap_or_default();
                let keeps_old = set.keeps_old(place.0, place.1);
                config_map(version, held.get(&place), problems, keeps_old)
            })
            .collect();
        config_maps.sort_by(|a, b| (&a.namespace, &a.name).cmp(&(&b.namespace, &b.name)));
        Self { policies, config_maps }
    }

    /// How many policies are in each state.
    pub fn counts(&self) -> BTreeMap<State, usize> {
        let mut counts = BTreeMap::new();
        self.policies.iter().for_each(|policy| *counts.entry(policy.state).or_default() += 1);
        counts
    }
}

/// What a ConfigMap holds, as far as it has names.
#[derive(Default)]
struct Held<'a> {
    state: Option<State>,
    names: Vec<&'a str>,
}

impl<'a> Held<'a> {
    fn add(&mut self, name: &'a str, state: State) {
        self.state = self.state.max(Some(state));
        self.names.push(name);
    }
}

fn config_map(
    version: &Version,
    held: Option<&Held<'_>>,
    problems: &[&DocumentError],
    keeps_old: bool,
) -> ConfigMapStatus {
    // What names a policy that does not exist is in force all the same, and what is shadowed is broken no more for it.
    let is_grave = |problem: &&&DocumentError| !matches!(problem.code, Code::MissingPolicy | Code::Duplicate);
    let is_broken = problems.iter().any(|problem| is_grave(&problem));
    let by_problems = match (is_broken, keeps_old) {
        (false, _) => State::Loaded,
        (true, true) => State::KeptOld,
        (true, false) => State::Broken,
    };
    let state = held.and_then(|held| held.state).unwrap_or(State::Loaded).max(by_problems);
    let grave: Vec<&DocumentError> = problems.iter().filter(is_grave).copied().collect();
    let message = match (state, held) {
        (State::Loaded, Some(held)) if problems.is_empty() => {
            cut(&format!("in force: {}", held.names.join(", ")))
        }
        (State::Loaded, None) if problems.is_empty() => "in force".to_owned(),
        (State::Pending, _) => PENDING.to_owned(),
        _ if grave.is_empty() => message(problems),
        _ => message(&grave),
    };
    ConfigMapStatus {
        namespace: version.namespace.clone(),
        name: version.name.clone(),
        uid: version.uid.clone(),
        resource_version: version.resource_version.clone(),
        state,
        message,
    }
}

fn place(origin: &Origin) -> (&str, &str) {
    (&origin.namespace, &origin.config_map)
}

fn shown(origin: &Origin) -> String {
    format!("{}/{}", origin.namespace, origin.config_map)
}

/// The first problem with its place in the ConfigMap, and how many more there are.
fn message(problems: &[&DocumentError]) -> String {
    let Some(first) = problems.first() else { return String::new() };
    let mut text = String::new();
    if !first.origin.key.is_empty() {
        text += &format!("{}: ", first.origin.key);
    }
    if let Some(place) = &first.place {
        let position = place.position;
        text += &format!("line {}, column {}: ", position.line, position.column);
        if !place.field.is_empty() {
            text += &format!("{}: ", place.field);
        }
    }
    text += &first.message;
    let text = cut(&text);
    match problems.len() {
        1 => text,
        count => format!("{text} (and {} more)", count - 1),
    }
}

fn cut(text: &str) -> String {
    match text.get(..text.floor_char_boundary(MESSAGE)) {
        Some(begin) if begin.len() < text.len() => format!("{begin}…"),
        _ => text.to_owned(),
    }
}

/// As JSON, an item on each line, as many as fit; what is wrong first.
pub fn list<T: Serialize>(items: &[T], state: impl Fn(&T) -> State) -> String {
    let mut sorted: Vec<&T> = items.iter().collect();
    sorted.sort_by_key(|item| std::cmp::Reverse(state(item)));
    let mut text = "{\"items\":[".to_owned();
    let mut told = 0;
    for item in sorted {
        // It has nothing that JSON could not have.
        let line = serde_json::to_string(item).unwrap_or_default();
        if text.len() + line.len() > LIST {
            break;
        }
        text += if told == 0 { "\n" } else { ",\n" };
        text += &line;
        told += 1;
    }
    text + &format!("\n],\"more\":{}}}\n", items.len() - told)
}

#[cfg(test)]
mod tests {
    use super::*;
    use portcullis_core::PolicySet;
    use portcullis_core::document::read_live_config_map;
    use portcullis_core::set::Sources;
    use std::sync::Arc;

    /// A Policy with this expression.
    fn policy(name: &str, expression: &str) -> String {
        format!(
            "apiVersion: portcullis.dev/v1\nkind: Policy\nmetadata: {{name: {name}}}\nspec:\n  validationActions: [Deny]\n  \
             matchPods: {{}}\n  validations:\n  - expression: '{expression}'\n---\n"
        )
    }

    fn generation(config_maps: &[(&str, String)], previous: Option<&Generation>) -> Generation {
        let (mut sources, mut versions) = (Sources::default(), Vec::new());
        let labels = BTreeMap::from([("portcullis.dev/policy".to_owned(), "true".to_owned())]);
        for (name, text) in config_maps {
            let data = BTreeMap::from([("p.yaml".to_owned(), text.clone())]);
            let manifest = read_live_config_map("portcullis", name, &labels, data, BTreeMap::new());
            sources.config_maps.extend(manifest.config_maps);
            versions.push(Version {
                namespace: "portcullis".to_owned(),
                name: (*name).to_owned(),
                uid: "u".to_owned(),
                resource_version: "1".to_owned(),
            });
        }
        Generation {
            number: 1,
            set: Arc::new(PolicySet::compile(&sources, previous.map(|previous| previous.set.as_ref()))),
            facts: Arc::default(),
            versions: versions.into(),
            resource_problems: Vec::new(),
            since: jiff::Timestamp::now(),
            verdicts: crate::metrics::VerdictCounters::default(),
        }
    }

    #[test]
    fn every_config_map_and_policy_has_a_state_and_a_word() {
        let sound = policy("a", "true");
        let before = generation(&[("one", sound.clone())], None);
        let now = generation(
            &[
                ("one", policy("a", "x.(")),
                ("two", sound),
                ("three", format!("{}{}", policy("b", "true"), policy("c", "fals"))),
                ("four", policy("d", "true")),
                ("five", "a: [".to_owned()),
            ],
            Some(&before),
        );
        let standing = Standing::of(&now);
        let said = standing
            .config_maps
            .iter()
            .map(|it| format!("{} {}: {}", it.name, it.state.as_str(), it.message));
        let said: Vec<String> = said.collect();
        let expect = [
            "five broken: p.yaml: line ",
            "four loaded: in force: d",
            "one kept-old: p.yaml: line 8, column ",
            "three broken: p.yaml: line ",
            "two shadowed: p.yaml: line 3, column ",
        ];
        assert_eq!(said.len(), expect.len());
        for (said, expect) in said.iter().zip(expect) {
            assert!(said.starts_with(expect), "{said}");
        }
        let policies = standing.policies.iter().map(|it| format!("{} {}", it.name, it.state.as_str()));
        assert_eq!(
            policies.collect::<Vec<_>>(),
            ["a shadowed", "a kept-old", "b loaded", "c broken", "d loaded"]
        );
        let told: Told<PolicyStatus> =
            serde_json::from_str(&list(&standing.policies, |policy| policy.state)).unwrap();
        assert_eq!(told.items.first().unwrap().name, "c", "what is wrong comes first");
        assert_eq!((told.items.len(), told.more), (5, 0));
    }

    #[test]
    fn a_list_that_is_too_long_says_how_much_is_missing() {
        let policy = PolicyStatus {
            name: "n".repeat(250),
            state: State::Loaded,
            config_map: "c".repeat(300),
            message: cut(&"m".repeat(1000)),
        };
        let text = list(&vec![policy; 1000], |policy| policy.state);
        assert!(text.len() < LIST + 100);
        let told: Told<PolicyStatus> = serde_json::from_str(&text).unwrap();
        assert!(told.more > 0 && told.items.len() + told.more == 1000);
    }
}
