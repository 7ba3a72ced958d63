//! Footprints, put to the test: whatever changes outside of what a program reads, its result stays.

use super::fixture::Fixture;
use super::generate::Tree;
use super::random::Random;
use crate::celgo::ours::Engine;
use portcullis_cel::tree;
use serde_json::{Value as Json, json};
use std::sync::Arc;

/// How often the object of an expression is changed.
const CHANGES: usize = 2;

/// Changes objects at random. Returns how many changes were outside of what the expression reads, and a line for
/// each that changed its result all the same.
pub(crate) fn contest(fixture: &Fixture, seed: u64, made: &[(Tree, Arc<str>)]) -> (usize, Vec<String>) {
    let mut random = Random::new(seed);
    let mut engine = Engine::new(&fixture.trees);
    let (mut outside, mut wrong) = (0, Vec::new());
    for (tree, object) in made {
        let question = fixture.question(&tree.to_string(), Some(object));
        let Some(before) = fixture.documents.get(&**object) else { continue };
        for _ in 0..CHANGES {
            let mut after = before.clone();
            change(&mut after, &mut random);
            let Some(same) = engine.same_outside_footprint(
                &question,
                &tree::Tree::from(before),
                &tree::Tree::from(&after),
            ) else {
                continue;
            };
            outside += 1;
            if !same {
                wrong.push(format!(
                    "footprint: `{}` changes with {object}, which becomes {after}",
                    question.expression
                ));
            }
        }
    }
    (outside, wrong)
}

/// Changes one place of a document.
fn change(value: &mut Json, random: &mut Random) {
    let descend = random.percent(85);
    match value {
        Json::Object(fields) if descend && !fields.is_empty() => {
            let index = random.below(fields.len());
            let name = fields.keys().nth(index).cloned().unwrap_or_default();
            if random.percent(10) {
                fields.remove(&name);
            } else if let Some(field) = fields.get_mut(&name) {
                change(field, random);
            }
        }
        Json::Array(items) if descend && !items.is_empty() => {
            let index = random.below(items.len());
            if random.percent(10) {
                items.remove(index);
            } else if let Some(item) = items.get_mut(index) {
                change(item, random);
            }
        }
        value => {
            let replacements = [
                json!(null),
                json!("changed"),
                json!(-7),
                json!(true),
                json!(["changed"]),
                json!({"name": "new"}),
            ];
            *value = random.pick(&replacements).cloned().unwrap_or_default();
        }
    }
}
