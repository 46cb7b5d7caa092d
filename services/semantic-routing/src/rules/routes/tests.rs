//! The laws of the route table.

use proptest::prelude::*;

use super::*;

fn name(text: &str) -> Name {
    Name::parse(text).unwrap()
}

fn at(millis: i64) -> Timestamp {
    Timestamp::from_millis(millis)
}

fn spec(id: &str, utterances: &[&str]) -> Route {
    Route {
        id: name(id),
        target: RouteTarget::Role(name("auditor")),
        description: format!("about {id}"),
        utterances: utterances.iter().map(|&text| text.to_owned()).collect(),
        threshold: None,
    }
}

fn said(route: &str, text: &str, accepted: bool) -> Feedback {
    Feedback { route: name(route), text: text.to_owned(), accepted, source: name("agent-7") }
}

#[test]
fn versions_guard_against_lost_changes() {
    let mut table = RouteTable::default();
    assert_eq!(table.put(spec("a", &["x"]), Some(0), at(1)).unwrap().version, 1);
    assert_eq!(table.put(spec("a", &["y"]), Some(1), at(2)).unwrap().version, 2);
    let fault = table.put(spec("a", &["z"]), Some(1), at(3)).unwrap_err();
    assert_eq!((fault.code, &fault.details["version"]), (Code::Conflict, &2.into()));
    assert_eq!(table.put(spec("a", &["z"]), None, at(3)).unwrap().version, 3);
    assert_eq!(table.delete(&name("a"), Some(2)).unwrap_err().code, Code::Conflict);
    assert!(table.delete(&name("a"), Some(3)).unwrap());
    assert!(!table.delete(&name("a"), None).unwrap());
    assert_eq!(table, RouteTable::default(), "nothing is left, neither size nor fingerprint");
}

#[test]
fn pages_follow_each_other() {
    let mut table = RouteTable::default();
    for id in ["c", "a", "b"] {
        table.put(spec(id, &["x"]), None, at(0)).unwrap();
    }
    let page = |after: Option<&str>, rows| {
        let after = after.map(name);
        let ids = table.page(after.as_ref(), rows).into_iter().map(|r| r.declared.id.to_string());
        ids.collect::<String>()
    };
    assert_eq!([page(None, 2), page(Some("b"), 2), page(Some("c"), 2)], ["ab", "c", ""]);
}

#[test]
fn feedback_teaches_and_never_changes_what_is_declared() {
    let mut table = RouteTable::default();
    table.put(spec("a", &["Fix the build"]), None, at(0)).unwrap();
    let before = table.fingerprint();
    let mut learn = |text: &str, accepted, millis| {
        let lesson = table.learn(said("a", text, accepted), at(millis)).unwrap();
        (lesson, table.get(&name("a")).unwrap().version, table.fingerprint())
    };
    assert_eq!(learn("fix  THE build", false, 1), (Lesson::Declared, 1, before));
    let (lesson, version, added) = learn("repair it", true, 2);
    assert_eq!((lesson, version), (Lesson::Added, 2));
    assert_ne!(added, before);
    assert_eq!(learn("Repair it", true, 3).0, Lesson::Confirmed);
    let (lesson, version, changed) = learn("repair it", false, 4);
    assert_eq!((lesson, version), (Lesson::Changed, 3));
    assert_ne!(changed, added);
    let route = table.get(&name("a")).unwrap();
    assert_eq!(route.examples().collect::<Vec<_>>(), ["Fix the build"]);
    assert_eq!(route.counterexamples().collect::<Vec<_>>(), ["repair it"]);
    let declared = table.put(spec("a", &["repair it"]), None, at(5)).unwrap();
    assert!(declared.learned.is_empty(), "what is declared need not be learned");
    assert_eq!(table.learn(said("b", "x", true), at(6)).unwrap_err().code, Code::NotFound);
    assert_eq!(table.learn(said("a", " ", true), at(6)).unwrap_err().details["field"], "text");
}

#[test]
fn the_oldest_learned_go_first_and_the_confirmed_stay() {
    let mut table = RouteTable::default();
    table.put(spec("a", &["declared"]), None, at(0)).unwrap();
    for number in 0..MAX_LEARNED_UTTERANCES {
        table.learn(said("a", &format!("t{number}"), true), at(number as i64)).unwrap();
    }
    table.learn(said("a", "t0", true), at(999)).unwrap();
    table.learn(said("a", "new", true), at(1_000)).unwrap();
    let route = table.get(&name("a")).unwrap();
    assert_eq!(route.learned.len(), MAX_LEARNED_UTTERANCES);
    let examples: Vec<&str> = route.examples().collect();
    assert!(examples.contains(&"t0") && !examples.contains(&"t1"));
    assert!(examples.contains(&"declared") && examples.contains(&"new"));
}

#[test]
fn a_full_table_refuses_declarations_and_makes_room_for_feedback() {
    let mut table = RouteTable::default();
    let texts: Vec<String> = (0..MAX_DECLARED_UTTERANCES)
        .map(|n| format!("{n:0width$}", width = utterance::MAX_UTTERANCE_BYTES))
        .collect();
    let full = |id: usize| Route { utterances: texts.clone(), ..spec(&format!("r{id}"), &[]) };
    let fit = MAX_TABLE_BYTES / (MAX_DECLARED_UTTERANCES * utterance::MAX_UTTERANCE_BYTES);
    for id in 0..fit - 1 {
        table.put(full(id), None, at(0)).unwrap();
    }
    let most = Route { utterances: texts[16..].to_vec(), ..spec("most", &[]) };
    table.put(most, None, at(0)).unwrap();
    table.put(spec("small", &["x"]), None, at(0)).unwrap();
    let before = table.clone();
    let fault = table.put(full(fit), None, at(0)).unwrap_err();
    assert_eq!(fault.details["limit"], "MAX_TABLE_BYTES");
    assert_eq!(table, before, "a refusal changes nothing");
    for number in 0..20 {
        let text = format!("{number:x>width$}", width = utterance::MAX_UTTERANCE_BYTES);
        table.learn(said("small", &text, true), at(1)).unwrap();
    }
    let learned = &table.get(&name("small")).unwrap().learned;
    assert!(learned.len() < 20 && learned.len() > 10);
    assert!(table.size.bytes <= MAX_TABLE_BYTES);
}

#[test]
fn there_are_at_most_so_many_routes() {
    let mut table = RouteTable::default();
    for id in 0..MAX_ROUTES {
        table.put(spec(&format!("r{id}"), &["x"]), None, at(0)).unwrap();
    }
    let fault = table.put(spec("one-more", &["x"]), None, at(0)).unwrap_err();
    assert_eq!(fault.details["limit"], "MAX_ROUTES");
    assert!(table.put(spec("r0", &["y"]), None, at(0)).is_ok(), "an old one may change");
}

#[test]
fn a_route_survives_its_store() {
    let mut table = RouteTable::default();
    table.put(spec("a", &["x"]), None, at(0)).unwrap();
    table.learn(said("a", "y", false), at(1)).unwrap();
    let text = serde_json::to_string(table.get(&name("a")).unwrap()).unwrap();
    let mut other = RouteTable::default();
    other.load(serde_json::from_str(&text).unwrap()).unwrap();
    assert_eq!(other, table);
}

proptest! {
    #[test]
    fn size_and_fingerprint_are_those_of_the_content(
        steps in prop::collection::vec((0_u8..4, 0_u8..3, 0_u8..6, any::<bool>()), 0..80),
    ) {
        let mut table = RouteTable::default();
        for (id, what, text, accepted) in steps {
            let (id, text) = (format!("r{id}"), format!("t{text}"));
            match what {
                0 => {
                    table.put(spec(&id, &[&text]), None, at(0)).unwrap();
                }
                1 => {
                    table.delete(&name(&id), None).unwrap();
                }
                _ => {
                    let _ = table.learn(said(&id, &text, accepted), at(1));
                }
            }
        }
        let mut anew = RouteTable::default();
        for route in table.iter().collect::<Vec<_>>().into_iter().rev() {
            anew.load(route.clone()).unwrap();
        }
        prop_assert_eq!(&anew, &table);
        for route in table.iter() {
            let examples: Vec<&str> = route.examples().chain(route.counterexamples()).collect();
            let distinct: BTreeSet<&str> = examples.iter().copied().collect();
            prop_assert_eq!(distinct.len(), examples.len(), "a text stands in a route once");
        }
    }
}
