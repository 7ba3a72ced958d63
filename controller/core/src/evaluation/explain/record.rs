//! What a program's sub-expressions evaluated to, as a tree; and which of that tells why.

use super::shown::told;
use portcullis_cel::engine::Part;
use portcullis_cel::{Failure, Observer, Program, Value};
use std::cell::RefCell;
use std::collections::BTreeMap;

/// So many evaluations of a macro's body are kept, half of them the first and half of them the last.
const MAX_KEPT: usize = 50;
/// So many values of a sub-expression are told.
const MAX_VALUES: usize = 20;

/// What one evaluation of a sub-expression came to.
#[derive(Debug, Clone)]
pub(super) struct Told {
    pub(super) text: String,
    pub(super) truth: Option<bool>,
    pub(super) failed: bool,
}

impl Told {
    pub(super) fn of(result: &Result<Value<'_>, Box<Failure>>) -> Self {
        let truth = result.as_ref().ok().and_then(Value::as_bool);
        Self { text: told(result), truth, failed: result.is_err() }
    }
}

/// One evaluation, with those that it was made from.
#[derive(Debug)]
struct Evaluation {
    part: usize,
    told: Told,
    /// The how manieth of its macro this is, from 0.
    number: usize,
    operands: Vec<Evaluation>,
}

/// What is told of a sub-expression, besides what it is.
#[derive(Debug, Default)]
pub(super) struct Seen {
    /// What it came to, each time that counts; empty where that says no more than its operands.
    pub(super) told: Vec<Told>,
    /// How often, without regard to what is left out.
    pub(super) times: usize,
    /// The element that decided it, from 0.
    pub(super) element: Option<usize>,
}

/// Builds the tree. Operands are told of before what they are operands of.
pub(super) struct Recorder<'p> {
    parts: &'p BTreeMap<usize, Part>,
    seen: RefCell<Pending>,
}

#[derive(Default)]
struct Pending {
    /// Those of which what they are operands of was not yet evaluated.
    evaluations: Vec<Evaluation>,
    /// How often each part was evaluated since its macro began.
    numbers: BTreeMap<usize, usize>,
    /// How often each part was evaluated.
    totals: BTreeMap<usize, usize>,
}

impl<'a> Observer<'a> for Recorder<'_> {
    fn observe(&self, id: usize, result: &Result<Value<'a>, Box<Failure>>) {
        let Some(part) = self.parts.get(&id) else { return };
        let is_operand =
            |one: &Evaluation| self.parts.get(&one.part).is_some_and(|operand| operand.parent == Some(id));
        let pending = &mut *self.seen.borrow_mut();
        *pending.totals.entry(id).or_default() += 1;
        let all = &mut pending.evaluations;
        let begin = all.iter().rposition(|one| !is_operand(one)).map_or(0, |last| last + 1);
        let operands = all.split_off(begin);
        for operand in &operands {
            pending.numbers.remove(&operand.part);
        }
        let mut number = 0;
        if part.within.is_some() && part.within == part.parent {
            let next = pending.numbers.entry(id).or_default();
            number = *next;
            *next += 1;
            forget_one(all, |one| self.parts.get(&one.part).is_some_and(|other| other.within == part.within));
        }
        all.push(Evaluation { part: id, told: Told::of(result), number, operands });
    }
}

/// Makes room where a macro's body has been evaluated often: in the middle, and not where it failed.
fn forget_one(all: &mut Vec<Evaluation>, of_macro: impl Fn(&Evaluation) -> bool) {
    let kept = all.iter().rev().take_while(|one| of_macro(one)).count();
    if kept >= MAX_KEPT {
        let middle = all.len() - kept / 2;
        let index = (middle..all.len()).find(|index| all.get(*index).is_some_and(|one| !one.told.failed));
        all.remove(index.unwrap_or(middle));
    }
}

impl<'p> Recorder<'p> {
    pub(super) fn of(program: &'p Program) -> Self {
        Self { parts: program.parts(), seen: RefCell::default() }
    }

    /// What tells why: of macros that one element decided, that element alone.
    pub(super) fn seen(self) -> BTreeMap<usize, Seen> {
        let Pending { evaluations, totals, .. } = self.seen.into_inner();
        let mut seen = BTreeMap::new();
        for root in &evaluations {
            visit(self.parts, root, &mut seen);
        }
        let around = |id: &usize| self.parts.get(id).and_then(|part| part.within);
        let is_decided = |seen: &BTreeMap<usize, Seen>, id: &usize| {
            seen.get(id).is_some_and(|outer| outer.element.is_some())
        };
        for (id, total) in totals {
            let is_whole = !std::iter::successors(around(&id), around).any(|outer| is_decided(&seen, &outer));
            if let Some(told) = seen.get_mut(&id).filter(|_| is_whole) {
                told.times = total;
            }
        }
        seen
    }
}

fn visit(parts: &BTreeMap<usize, Part>, one: &Evaluation, seen: &mut BTreeMap<usize, Seen>) {
    let of_body =
        |operand: &&Evaluation| parts.get(&operand.part).is_some_and(|part| part.within == Some(one.part));
    let (body, operands): (Vec<_>, Vec<_>) = one.operands.iter().partition(of_body);
    let elements = by_element(&body);
    let part = parts.get(&one.part);
    let decisive = deciding(part, &one.told, &elements);
    let number = decisive.and_then(|index| elements.get(index)?.first().map(|first| first.number));
    let chosen: Vec<&Evaluation> = match decisive {
        Some(index) => elements.into_iter().nth(index).unwrap_or_default(),
        None => body,
    };
    let repeats = |operand: &&Evaluation| operand.told.failed && operand.told.text == one.told.text;
    let told = seen.entry(one.part).or_default();
    told.times += 1;
    told.element = number.filter(|_| part.is_some_and(|part| part.over_elements));
    // Where an error arose is told, not how it went on from there.
    if told.told.len() < MAX_VALUES && !(one.told.failed && operands.iter().chain(&chosen).any(repeats)) {
        told.told.push(one.told.clone());
    }
    for operand in operands.into_iter().chain(chosen.iter().copied()) {
        visit(parts, operand, seen);
    }
}

/// The evaluations of a macro's filter and body, by element.
fn by_element<'e>(body: &[&'e Evaluation]) -> Vec<Vec<&'e Evaluation>> {
    let mut elements: Vec<Vec<&Evaluation>> = Vec::new();
    for one in body {
        match elements.last_mut() {
            Some(element) if element.iter().all(|other| other.part != one.part) => element.push(one),
            _ => elements.push(vec![one]),
        }
    }
    elements
}

/// Which element decided a macro alone, if one did.
fn deciding(part: Option<&Part>, told: &Told, elements: &[Vec<&Evaluation>]) -> Option<usize> {
    if told.failed {
        return elements.iter().position(|element| element.iter().any(|one| one.told.failed));
    }
    let decisive = part?.quantifier?;
    let is_decisive = |element: &Vec<&Evaluation>| element.iter().any(|one| one.told.truth == Some(decisive));
    elements.iter().rposition(is_decisive).filter(|_| told.truth == Some(decisive))
}
