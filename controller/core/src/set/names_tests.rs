//! Names that several ConfigMaps of a cluster claim, and what is in force over a restart.

use super::tests::{broken, compile, messages, named, says, states};
use super::{PolicySet, State};

/// A set of ConfigMaps with a key each, in the order of their age.
fn set(config_maps: &[(&str, &str)], previous: Option<&PolicySet>) -> PolicySet {
    let keys: Vec<[(&str, &str); 1]> = config_maps.iter().map(|(_, text)| [("p.yaml", *text)]).collect();
    let config_maps: Vec<(&str, &[(&str, &str)])> =
        config_maps.iter().zip(&keys).map(|((name, _), keys)| (*name, keys.as_slice())).collect();
    compile(&config_maps, previous)
}

/// `new is shadowed by old`
fn shadowed(set: &PolicySet) -> Vec<String> {
    let line = |it: &super::Shadowed| format!("{} is shadowed by {}", it.origin.config_map, it.by.config_map);
    set.shadowed().iter().map(line).collect()
}

#[test]
fn the_oldest_has_the_name_until_one_is_in_force_and_then_that_one() {
    let (one, two) = (named("a", "one"), named("a", "two"));
    let cold = set(&[("z-older", &one), ("b-newer", &two)], None);
    assert_eq!(says(&cold), ["a: deny [] one"]);
    assert_eq!(shadowed(&cold), ["b-newer is shadowed by z-older"]);
    assert_eq!(states(&cold), [("a", State::Loaded)]);
    assert_eq!(
        messages(&cold),
        [
            "ConfigMap portcullis/z-older, key p.yaml, document 1 has the name `a` already, so this Policy is not in force"
        ]
    );
    // An older ConfigMap that got the label later does not take the name away.
    let later = set(&[("a-oldest", &named("a", "three")), ("z-older", &one), ("b-newer", &two)], Some(&cold));
    assert_eq!(says(&later), ["a: deny [] one"]);
    assert_eq!(shadowed(&later), ["a-oldest is shadowed by z-older", "b-newer is shadowed by z-older"]);
}

#[test]
fn without_an_incumbent_what_is_sound_comes_before_what_is_older() {
    let (uncompiled, unread) = (broken("a"), named("a", "one").replace("matchPods: {}", "matchPods: 1"));
    for broken in [&uncompiled, &unread] {
        let cold = set(&[("p-1", broken), ("p-2", &named("a", "two")), ("p-3", &named("a", "three"))], None);
        assert_eq!(says(&cold), ["a: deny [] two"]);
        assert_eq!(shadowed(&cold), ["p-1 is shadowed by p-2", "p-3 is shadowed by p-2"]);
    }
    let neither = set(&[("p-1", &uncompiled), ("p-2", &unread)], None);
    assert_eq!(shadowed(&neither), ["p-2 is shadowed by p-1"]);
    assert_eq!(states(&neither), [("a", State::Broken)]);
}

#[test]
fn a_rename_takes_over_in_the_set_in_which_the_incumbent_is_gone() {
    let (old, new) = (named("a", "old"), named("a", "new"));
    let before = set(&[("p-1", &old)], None);
    let both = set(&[("p-1", &old), ("p-2", &new)], Some(&before));
    assert_eq!(
        (says(&both), shadowed(&both)),
        (vec!["a: deny [] old".into()], vec!["p-2 is shadowed by p-1".into()])
    );
    let after = set(&[("p-2", &new)], Some(&both));
    assert_eq!((says(&after), shadowed(&after)), (vec!["a: deny [] new".into()], vec![]));
    assert_eq!(messages(&after), [] as [&str; 0]);
    // The order in which they go does not matter for what is in force before.
    let broken_new = set(&[("p-2", &broken("a"))], Some(&both));
    assert_eq!(says(&broken_new), ["a: deny [] old"], "broken, it is in force as it was");
}

#[test]
fn a_broken_incumbent_keeps_its_name_and_its_version() {
    let (old, new) = (named("a", "old"), named("a", "new"));
    let before = set(&[("p-1", &old)], None);
    for cut in [broken("a"), "a: [".to_owned()] {
        let both = set(&[("p-1", &cut), ("p-2", &new)], Some(&before));
        assert_eq!(says(&both), ["a: deny [] old"], "{cut}");
        assert_eq!(shadowed(&both), ["p-2 is shadowed by p-1"], "{cut}");
        assert_eq!(states(&both), [("a", State::KeptOld)], "{cut}");
        let mended = set(&[("p-1", &named("a", "mended")), ("p-2", &new)], Some(&both));
        assert_eq!(says(&mended), ["a: deny [] mended"]);
    }
    // Nobody has the name who moved to another key or document of the same ConfigMap and left.
    let moved = compile(&[("p-0", &[("p.yaml", &new)]), ("p-1", &[("q.yaml", &old)])], Some(&before));
    assert_eq!(
        (says(&moved), shadowed(&moved)),
        (vec!["a: deny [] old".into()], vec!["p-0 is shadowed by p-1".into()])
    );
}

#[test]
fn what_is_beside_a_shadowed_document_is_no_less_or_more_in_force() {
    let both = format!("{}{}", named("a", "x"), named("b", "one"));
    let before = set(&[("p-1", &named("a", "one")), ("p-2", &both)], None);
    assert_eq!(says(&before), ["a: deny [] one", "b: deny [] one"]);
    let removed = set(&[("p-1", &named("a", "one")), ("p-2", &named("a", "x"))], Some(&before));
    assert_eq!(says(&removed), ["a: deny [] one"], "a removal is a removal");
}

#[test]
fn a_start_from_what_was_accepted_is_as_if_nothing_had_ended() {
    let both = format!("{}{}", named("a", "one"), named("b", "one"));
    let before = set(&[("p", &both), ("q", &named("c", "one"))], None);
    // `a` is kept as it was, from a text that is no longer there.
    let half = format!("{}{}", broken("a"), named("b", "two"));
    let running = set(&[("p", &half), ("q", &named("c", "one"))], Some(&before));
    let accepted = running.accepted();
    let texts: Vec<(&str, &str, &[usize])> =
        accepted.iter().map(|it| (&*it.config_map, &*it.key, it.documents.as_slice())).collect();
    assert_eq!(texts.len(), 3, "{texts:?}");
    let restored = PolicySet::restore(&accepted, "portcullis");
    assert_eq!(says(&restored), [] as [&str; 0], "it decides nothing");
    for (case, now, expect) in [
        ("unchanged", vec![("p", half.as_str()), ("q", &named("c", "one"))], says(&running)),
        ("broken", vec![("p", "a: ["), ("q", &broken("c"))], says(&running)),
        ("edited and deleted", vec![("p", &named("a", "three"))], vec!["a: deny [] three".to_owned()]),
        ("deleted", vec![], vec![]),
    ] {
        assert_eq!(says(&set(&now, Some(&restored))), expect, "{case}");
    }
    let unsound =
        PolicySet::restore(&[super::Accepted { text: "a: [".into(), ..accepted[0].clone() }], "portcullis");
    assert!(unsound.accepted().is_empty());
}
