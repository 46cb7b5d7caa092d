//! The laws of filters, against a plain walk over everybody.

use std::collections::{BTreeMap, BTreeSet};

use proptest::prelude::*;
use troupe_domain::capability::covers;
use troupe_domain::{Agent, AgentStatus, Capability, Surface};

use super::*;
use crate::rules::breaker;
use crate::rules::performance::{Config, Outcome};

pub(in crate::rules) fn name(text: &str) -> Name {
    Name::parse(text).unwrap()
}

pub(in crate::rules) fn at(millis: i64) -> Timestamp {
    Timestamp::from_millis(millis)
}

/// An active agent with room for ten, with capabilities such as `rust:0.9`.
pub(in crate::rules) fn agent(id: &str, role: &str, capabilities: &[&str]) -> Agent {
    Agent {
        id: name(id),
        role: name(role),
        persona: None,
        capabilities: capabilities.iter().map(|text| text.parse().unwrap()).collect(),
        status: AgentStatus::Active,
        parent_agent_id: None,
        child_agent_ids: Vec::new(),
        surface: Surface::Cli,
        session_id: name("s"),
        registered_at: at(0),
        last_heartbeat: at(0),
        last_activity: at(0),
        current_task_ids: Vec::new(),
        max_concurrent_tasks: 10,
        said_goodbye: false,
        metadata: None,
    }
}

fn any_agent() -> impl Strategy<Value = Agent> {
    let capabilities = prop::collection::btree_map(0_u8..5, 0_u8..=10, 0..4);
    let surface = prop_oneof![Just(Surface::Cli), Just(Surface::Web), Just(Surface::Api)];
    (0_u8..30, 0_u8..4, capabilities, prop::sample::select(&AgentStatus::ALL[..]), surface)
        .prop_map(|(id, role, capabilities, status, surface)| Agent {
            capabilities: capabilities
                .into_iter()
                .map(|(c, p)| Capability::new(name(&format!("c{c}")), f64::from(p) / 10.0))
                .collect(),
            status,
            surface,
            ..agent(&format!("a{id}"), &format!("r{role}"), &[])
        })
}

fn any_needs() -> impl Strategy<Value = IntentFilters> {
    let role = prop::option::of((0_u8..5).prop_map(|n| name(&format!("r{n}"))));
    let capabilities = prop::collection::btree_map(0_u8..6, 0_u8..=10, 0..3);
    let surfaces = [Surface::Cli, Surface::Web, Surface::Slack];
    let surface = prop::option::of(prop::sample::select(surfaces.to_vec()));
    let exclude = prop::collection::btree_set(0_u8..35, 0..4);
    (role, capabilities, surface, exclude).prop_map(|(role, capabilities, surface, exclude)| {
        let capabilities = capabilities.into_iter().map(|(c, p)| RequiredCapability {
            name: name(&format!("c{c}")),
            min_proficiency: f64::from(p) / 10.0,
        });
        IntentFilters {
            role,
            capabilities: capabilities.collect(),
            surface,
            exclude_agent_ids: exclude.into_iter().map(|n| name(&format!("a{n}"))).collect(),
        }
    })
}

/// The first filter that removes an agent, the slow way.
fn removed_by(agent: &Agent, needs: &IntentFilters) -> Option<Filter> {
    let tests = [
        (Filter::Alive, !agent.status.takes_work()),
        (Filter::Role, needs.role.as_ref().is_some_and(|role| *role != agent.role)),
        (Filter::Capability, !covers(&agent.capabilities, &needs.capabilities)),
        (Filter::Surface, needs.surface.is_some_and(|surface| surface != agent.surface)),
        (Filter::Exclude, needs.exclude_agent_ids.contains(&agent.id)),
    ];
    tests.into_iter().find(|(_, removes)| *removes).map(|(filter, _)| filter)
}

proptest! {
    #[test]
    fn the_indexes_let_through_whom_a_plain_walk_lets_through(
        steps in prop::collection::vec((any_agent(), prop::bool::weighted(0.8)), 0..80),
        needs in any_needs(),
    ) {
        let mut roster = Roster::default();
        let mut model: BTreeMap<AgentId, Agent> = BTreeMap::new();
        for (agent, joins) in steps {
            if joins {
                roster.put(&agent).unwrap();
                model.insert(agent.id.clone(), agent);
            } else {
                prop_assert_eq!(roster.remove(&agent.id), model.remove(&agent.id).is_some());
            }
        }
        let mut removals = Removals::default();
        let passing = pass(&roster, &needs, &mut removals);
        let got: BTreeSet<AgentId> =
            passing.iter().map(|slot| roster.row(slot).unwrap().id.clone()).collect();
        let want: BTreeSet<AgentId> = model
            .values()
            .filter(|agent| removed_by(agent, &needs).is_none())
            .map(|agent| agent.id.clone())
            .collect();
        prop_assert_eq!(&got, &want);
        prop_assert_eq!(removals.count() + got.len(), model.len(), "everybody, nobody twice");
        for filter in Filter::ALL {
            let removed: BTreeSet<AgentId> = model
                .values()
                .filter(|agent| removed_by(agent, &needs) == Some(filter))
                .map(|agent| agent.id.clone())
                .collect();
            prop_assert_eq!(removals.by(filter), removed.len());
            for told in removals.0.iter().filter(|told| told.filter == filter) {
                prop_assert!(told.agents.iter().all(|id| removed.contains(id)));
                prop_assert_eq!(told.agents.len(), removed.len().min(MAX_NAMED_REMOVALS));
            }
        }
    }

    #[test]
    fn the_fingerprint_does_not_depend_on_the_way_there(
        agents in prop::collection::vec(any_agent(), 0..20),
        detour in prop::collection::vec(any_agent(), 0..20),
    ) {
        let last: BTreeMap<AgentId, Agent> =
            agents.into_iter().map(|agent| (agent.id.clone(), agent)).collect();
        let mut straight = Roster::default();
        for agent in last.values() {
            straight.put(agent).unwrap();
        }
        let mut around = Roster::default();
        for agent in &detour {
            around.put(agent).unwrap();
        }
        for agent in detour.iter().filter(|agent| !last.contains_key(&agent.id)) {
            around.remove(&agent.id);
        }
        for agent in last.values().rev() {
            around.put(agent).unwrap();
        }
        prop_assert_eq!(straight.fingerprint(), around.fingerprint());
        prop_assert_eq!(straight.capabilities().count(), around.capabilities().count());
        let text = "c0 c1 c2 c3 c4";
        prop_assert_eq!(straight.named_in(text, 64), around.named_in(text, 64));
    }
}

#[test]
fn the_fingerprint_follows_what_is_declared_and_not_who_is_busy() {
    let mut roster = Roster::default();
    let one = agent("a", "auditor", &["rust:0.9"]);
    assert!(roster.put(&one).unwrap());
    let before = roster.fingerprint();
    let busy = Agent { status: AgentStatus::Busy, max_concurrent_tasks: 3, ..one.clone() };
    assert!(!roster.put(&busy).unwrap());
    roster.set_running(&name("a"), 2);
    assert_eq!(roster.fingerprint(), before);
    let mut described = one.clone();
    described.capabilities[0].description = "writes Rust".into();
    for changed in
        [agent("a", "auditor", &["rust:0.8"]), agent("a", "planner", &["rust:0.9"]), described]
    {
        assert!(roster.put(&changed).unwrap());
        assert_ne!(roster.fingerprint(), before, "{changed:?}");
        assert!(roster.put(&one).unwrap());
        assert_eq!(roster.fingerprint(), before);
    }
}

#[test]
fn a_text_names_a_capability_by_all_its_words() {
    let mut roster = Roster::default();
    roster.put(&agent("a", "r", &["unit-tests", "rust", "Code_Review"])).unwrap();
    roster.put(&agent("b", "r", &["unit"])).unwrap();
    let named = |roster: &Roster, text: &str| {
        let names = roster.named_in(text, 64);
        names.iter().map(ToString::to_string).collect::<Vec<_>>().join(" ")
    };
    assert_eq!(
        named(&roster, "Please write unit tests for the Rust part!"),
        "unit-tests rust unit"
    );
    assert_eq!(named(&roster, "review my code"), "Code_Review");
    assert_eq!(named(&roster, "test the unitary matrix, trust me"), "");
    roster.remove(&name("a"));
    assert_eq!(named(&roster, "unit tests in rust"), "unit");
}

#[test]
fn the_full_are_left_out_and_so_are_those_whose_breaker_is_open() {
    let mut roster = Roster::default();
    for id in ["a", "b", "c", "d"] {
        roster.put(&agent(id, "r", &["rust"])).unwrap();
    }
    roster.set_running(&name("a"), 10);
    let mut performance = Performance::new(Config::default());
    let mut breakers = Breakers::new(breaker::Config::default(), name("r1"));
    let rust = name("rust");
    for _ in 0..10 {
        performance.started(&name("b"), at(0));
    }
    let bad = Outcome { success: false, latency_us: 1 };
    for _ in 0..5 {
        breakers.record(&name("c"), &rust, bad, None, at(0));
    }
    let left = pass(&roster, &IntentFilters::default(), &mut Removals::default());
    let ready_at = |millis, breakers: &Breakers| {
        let mut removals = Removals::default();
        let passed = ready(
            (&roster, &performance, breakers),
            &left,
            |_, _| &rust,
            at(millis),
            &mut removals,
        );
        let told = passed.iter().map(|p| (roster.row(p.slot).unwrap().id.to_string(), p.gate));
        (told.collect::<Vec<_>>(), removals)
    };
    let (passed, removals) = ready_at(0, &breakers);
    assert_eq!(passed, [("d".to_owned(), Gate::Closed)]);
    assert_eq!((removals.by(Filter::Capacity), removals.by(Filter::Breaker)), (2, 1));
    assert_eq!(removals.0[1].agents, [name("c")]);
    let (passed, removals) = ready_at(60_000, &breakers);
    assert_eq!(passed.len(), 2);
    assert_eq!(passed[0], ("c".to_owned(), Gate::Trial));
    assert_eq!(removals.by(Filter::Breaker), 0);
    for _ in 0..5 {
        breakers.record(&name("d"), &rust, bad, None, at(1));
    }
    let (passed, removals) = ready_at(1, &breakers);
    assert_eq!(passed, [("c".to_owned(), Gate::Spared)], "one of two stays, the least bad");
    assert_eq!(removals.0.last().unwrap().agents, [name("d")]);
}
