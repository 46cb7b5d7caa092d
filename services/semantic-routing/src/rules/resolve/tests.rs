//! The laws of decisions.

use proptest::prelude::*;

use super::*;
use crate::rules::balance::Strategy as Balancing;
use crate::rules::breaker;
use crate::rules::filter::tests::{agent, at, name};
use crate::rules::performance::{Config, Outcome};

struct Stage {
    roster: Roster,
    performance: Performance,
    breakers: Breakers,
    policy: Policy,
    balancer: Balancer,
    needs: IntentFilters,
}

const GOOD: Outcome = Outcome { success: true, latency_us: 1_000 };
const BAD: Outcome = Outcome { success: false, latency_us: 1_000 };

impl Stage {
    fn new(agents: &[(&str, &str, &[&str])]) -> Self {
        let mut roster = Roster::default();
        for (id, role, capabilities) in agents {
            roster.put(&agent(id, role, capabilities)).unwrap();
        }
        Self {
            roster,
            performance: Performance::new(Config::default()),
            breakers: Breakers::new(breaker::Config::default(), name("r1")),
            policy: Policy::default(),
            balancer: Balancer::new(Balancing::PowerOfTwo),
            needs: IntentFilters::default(),
        }
    }

    fn ask(&mut self, meaning: &Meaning, text: &str, millis: i64, chance: u64) -> Resolution {
        let known = Known {
            roster: &self.roster,
            performance: &self.performance,
            breakers: &self.breakers,
            policy: &self.policy,
        };
        let question = Question { needs: &self.needs, meaning, text, fallback: None };
        resolve(&known, &mut self.balancer, &question, at(millis), chance)
    }

    fn ends(&mut self, id: &str, key: &str, outcome: Outcome, times: usize, millis: i64) {
        for _ in 0..times {
            self.performance.finished(&name(id), Some(&name(key)), outcome, at(millis));
            self.breakers.record(&name(id), &name(key), outcome, None, at(millis));
        }
    }
}

fn meant(capability: &str, probability: f64) -> Match {
    Match {
        route: name(&format!("about-{capability}")),
        target: RouteTarget::Capability(capability.parse().unwrap()),
        probability,
    }
}

fn ids(resolution: &Resolution) -> String {
    resolution.ranked.iter().map(|one| one.agent.as_str()).collect::<Vec<_>>().join(" ")
}

#[test]
fn who_is_meant_comes_first_and_the_explanation_adds_up() {
    let mut stage = Stage::new(&[
        ("expert", "implementer", &["rust:0.9"]),
        ("novice", "implementer", &["rust:0.3"]),
        ("gopher", "implementer", &["go:1.0"]),
        ("writer", "cleaner", &["prose"]),
    ]);
    let meaning = Meaning::Understood(vec![meant("go", 0.1), meant("rust", 0.9)]);
    let answer = stage.ask(&meaning, "fix the borrow checker error", 0, 0);
    assert_eq!(ids(&answer), "expert novice gopher");
    assert_eq!((answer.via, answer.refusal, answer.passed), (Via::Intent, None, 3));
    assert_eq!((answer.removals.by(Filter::Intent), answer.equals), (1, 1));
    let first = &answer.ranked[0];
    assert_eq!(first.route, Some(name("about-rust")));
    assert_eq!(first.key, name("rust"));
    assert!((first.parts.semantic - 0.9).abs() < 1e-9);
    assert!((first.parts.total(&stage.policy.weights) - first.score).abs() < 1e-12);
}

#[test]
fn constraints_are_hard_whatever_is_meant() {
    let mut stage = Stage::new(&[("a", "planner", &["rust:0.9"]), ("b", "auditor", &["rust:0.2"])]);
    let meaning = Meaning::Understood(vec![meant("rust", 1.0)]);
    stage.needs.role = Some(name("auditor"));
    assert_eq!(ids(&stage.ask(&meaning, "", 0, 0)), "b");
    stage.needs.capabilities = vec!["rust:0.5".parse().unwrap()];
    let nobody = stage.ask(&meaning, "", 0, 0);
    assert_eq!((nobody.refusal, nobody.ranked.len()), (Some(Refusal::Nobody), 0));
    assert_eq!((nobody.removals.by(Filter::Role), nobody.removals.by(Filter::Capability)), (1, 1));
}

#[test]
fn what_is_not_understood_goes_where_the_fallback_says() {
    let mut stage = Stage::new(&[
        ("a", "planner", &["rust"]),
        ("b", "auditor", &["unit-tests:0.4"]),
        ("c", "auditor", &["unit-tests:0.9"]),
    ]);
    let mut ask = |fallback: Fallback, needs: IntentFilters, text: &str| {
        stage.policy.fallback = fallback;
        stage.needs = needs;
        let answer = stage.ask(&Meaning::Abstained, text, 0, 0);
        assert_eq!(answer.via, Via::Fallback);
        (ids(&answer), answer.refusal)
    };
    let none = IntentFilters::default;
    let refused = (String::new(), Some(Refusal::NotUnderstood));
    assert_eq!(ask(Fallback::Refuse, none(), "unit tests"), refused);
    assert_eq!(ask(Fallback::Agent(name("a")), none(), "?"), ("a".to_owned(), None));
    let away = (String::new(), Some(Refusal::Nobody));
    assert_eq!(ask(Fallback::Agent(name("gone")), none(), "?"), away);
    assert_eq!(ask(Fallback::Role(name("auditor")), none(), "?").0.len(), 3);
    let matching = Fallback::Capability;
    assert_eq!(ask(matching.clone(), none(), "more unit tests"), ("c b".to_owned(), None));
    assert_eq!(ask(matching.clone(), none(), "sing me a song"), refused);
    let needs = IntentFilters { capabilities: vec!["rust".parse().unwrap()], ..none() };
    assert_eq!(ask(matching.clone(), needs, "sing me a song"), ("a".to_owned(), None));
    let needs = IntentFilters { role: Some(name("planner")), ..none() };
    assert_eq!(ask(matching, needs, "sing me a song"), ("a".to_owned(), None));
    let needs = IntentFilters { exclude_agent_ids: vec![name("a")], ..none() };
    assert_eq!(ask(Fallback::Agent(name("a")), needs, "?"), away, "constraints stay hard");
}

#[test]
fn constraints_alone_find_somebody() {
    let mut stage = Stage::new(&[("a", "planner", &["rust:0.2"]), ("b", "auditor", &["rust:0.9"])]);
    stage.needs.capabilities = vec!["rust".parse().unwrap()];
    let answer = stage.ask(&Meaning::NotAsked, "", 0, 0);
    assert_eq!((ids(&answer).as_str(), answer.via), ("b a", Via::Constraints));
    assert_eq!(answer.ranked[0].key, name("rust"));
    stage.needs = IntentFilters { role: Some(name("planner")), ..IntentFilters::default() };
    let answer = stage.ask(&Meaning::NotAsked, "", 0, 0);
    assert_eq!((ids(&answer).as_str(), &answer.ranked[0].key), ("a", &name("planner")));
}

#[test]
fn an_agent_that_fails_gives_way_to_the_next_best_and_gets_its_trial_when_it_is_due() {
    let mut stage = Stage::new(&[("a", "r", &["rust:0.9"]), ("b", "r", &["rust:0.7"])]);
    let meaning = Meaning::Understood(vec![meant("rust", 0.9)]);
    stage.ends("b", "rust", GOOD, 30, 0);
    assert_eq!(ids(&stage.ask(&meaning, "", 0, 0)), "b a", "success is measured");
    stage.ends("a", "rust", BAD, 5, 0);
    let without = stage.ask(&meaning, "", 1, 0);
    assert_eq!(ids(&without), "b");
    assert_eq!(without.removals.0.last().unwrap().agents, [name("a")]);
    let due = stage.ask(&meaning, "", 60_000, 0);
    assert_eq!(ids(&due), "a b", "the trial, and who is tried after it");
    assert_eq!((due.ranked[0].gate, due.ranked[0].breaker), (Gate::Trial, State::Open));
    let (trial, _) = stage.breakers.take_trial(&name("a"), &name("rust"), at(60_000)).unwrap();
    let meanwhile = stage.ask(&meaning, "", 60_001, 0);
    assert_eq!(ids(&meanwhile), "b", "one trial at a time");
    stage.breakers.record(&name("a"), &name("rust"), GOOD, Some(&trial), at(60_002));
    assert_eq!(stage.ask(&meaning, "", 60_003, 0).passed, 2);
}

#[test]
fn a_trial_is_not_forced_on_a_message_that_others_suit_better() {
    let mut stage = Stage::new(&[("a", "r", &["rust:0.1"]), ("b", "r", &["rust:0.9"])]);
    stage.ends("a", "rust", BAD, 5, 0);
    let meaning = Meaning::Understood(vec![meant("rust", 0.9)]);
    let answer = stage.ask(&meaning, "", 60_000, 0);
    assert_eq!(ids(&answer), "b a");
    stage.needs.exclude_agent_ids = vec![name("b")];
    assert_eq!(ids(&stage.ask(&meaning, "", 60_000, 0)), "a", "unless there is nobody else");
}

#[test]
fn a_shared_fault_does_not_empty_the_fleet() {
    let names: Vec<String> = (0..10).map(|n| format!("a{n}")).collect();
    let rows: Vec<(&str, &str, &[&str])> =
        names.iter().map(|id| (id.as_str(), "r", &["rust"] as &[&str])).collect();
    let mut stage = Stage::new(&rows);
    for id in &names {
        stage.ends(id, "rust", BAD, 5, 0);
    }
    let answer = stage.ask(&Meaning::Understood(vec![meant("rust", 0.9)]), "", 1, 0);
    assert_eq!((answer.passed, answer.removals.by(Filter::Breaker)), (5, 5));
    assert!(answer.ranked.iter().all(|one| one.gate == Gate::Spared));
}

proptest! {
    #[test]
    fn the_chosen_one_is_an_equal_of_the_best_and_the_rest_follow_by_score(
        rows in prop::collection::vec((0_u8..=10, 0_u32..10, 0_u8..2), 1..40),
        chance in any::<u64>(),
    ) {
        let mut stage = Stage::new(&[]);
        for (number, (proficiency, running, role)) in rows.iter().enumerate() {
            let id = format!("a{number}");
            let capability = format!("rust:{}", f64::from(*proficiency) / 10.0);
            stage.roster.put(&agent(&id, &format!("r{role}"), &[&capability])).unwrap();
            stage.roster.set_running(&name(&id), *running);
        }
        stage.needs.role = Some(name("r0"));
        let meaning = Meaning::Understood(vec![meant("rust", 0.8)]);
        let answer = stage.ask(&meaning, "", 0, chance);
        let able = rows.iter().filter(|(_, _, role)| *role == 0).count();
        prop_assert_eq!(answer.passed, able);
        prop_assert_eq!(answer.ranked.len(), able.min(MAX_RANKED));
        prop_assert_eq!(answer.passed + answer.removals.count(), rows.len());
        prop_assert_eq!(answer.refusal.is_some(), able == 0);
        if let Some(first) = answer.ranked.first() {
            let best = answer.ranked.iter().map(|one| one.score).fold(0.0, f64::max);
            prop_assert!(first.score >= best - stage.policy.equals_margin - 1e-12);
            let rest = &answer.ranked[1..];
            prop_assert!(rest.windows(2).all(|pair| pair[0].score >= pair[1].score));
            let row = stage.roster.get(&first.agent).unwrap();
            prop_assert_eq!(&row.role, &name("r0"));
        }
        let mut again = Stage::new(&[]);
        std::mem::swap(&mut again.roster, &mut stage.roster);
        again.needs = stage.needs.clone();
        prop_assert_eq!(again.ask(&meaning, "", 0, chance), answer);
    }
}

#[test]
fn a_wrong_policy_is_named() {
    assert_eq!(Policy::default().check(), Ok(()));
    let wrong = Policy { equals_margin: f64::NAN, ..Policy::default() };
    assert_eq!(wrong.check().unwrap_err().details["field"], "equals_margin");
}
