//! The laws of breakers.

use proptest::prelude::*;

use super::fleet::{Change, MAX_BREAKERS_PER_AGENT};
use super::*;

fn name(text: &str) -> Name {
    Name::parse(text).unwrap()
}

fn at(millis: i64) -> Timestamp {
    Timestamp::from_millis(millis)
}

const GOOD: Outcome = Outcome { success: true, latency_us: 1_000 };
const BAD: Outcome = Outcome { success: false, latency_us: 1_000 };
const SLOW: Outcome = Outcome { success: true, latency_us: 301_000_000 };

fn breaker_after(outcomes: &[Outcome]) -> Breaker {
    let mut breaker = Breaker::default();
    for outcome in outcomes {
        breaker.record(*outcome, None, at(0), &name("r1"), &Config::default());
    }
    breaker
}

#[test]
fn five_failures_in_a_row_open_it_and_four_do_not() {
    assert_eq!(breaker_after(&[BAD; 4]).state(), State::Closed);
    assert_eq!(breaker_after(&[BAD, BAD, BAD, BAD, GOOD, BAD]).state(), State::Closed);
    let open = breaker_after(&[BAD; 5]);
    assert_eq!(open.admission(at(59_999), &Config::default()), Admission::No(at(60_000)));
    assert_eq!(open.admission(at(60_000), &Config::default()), Admission::Trial);
}

#[test]
fn rates_open_it_once_there_are_enough_calls() {
    let half_bad = [GOOD, BAD].repeat(5);
    assert_eq!(breaker_after(&half_bad[..9]).state(), State::Closed, "too few calls");
    assert_eq!(breaker_after(&half_bad).state(), State::Open);
    let slow = [SLOW; 10];
    assert_eq!(breaker_after(&slow[..9]).state(), State::Closed);
    assert_eq!(breaker_after(&slow).state(), State::Open);
    assert_eq!(breaker_after(&[GOOD, GOOD, BAD].repeat(40)).state(), State::Closed);
}

#[test]
fn a_trial_closes_it_or_opens_it_for_twice_as_long() {
    let (config, me) = (Config::default(), name("r1"));
    let mut breaker = breaker_after(&[BAD; 5]);
    assert_eq!(breaker.take_trial(at(59_999), &me, &config), None);
    let trial = breaker.take_trial(at(60_000), &me, &config).unwrap();
    assert_eq!(breaker.take_trial(at(60_000), &me, &config), None, "one trial");
    assert!(!breaker.record(GOOD, None, at(60_001), &me, &config), "a late end is no trial");
    assert!(breaker.record(BAD, Some(&trial), at(60_002), &me, &config));
    assert_eq!(breaker.admission(at(60_003), &config), Admission::No(at(180_002)));
    let trial = breaker.take_trial(at(180_002), &me, &config).unwrap();
    assert!(breaker.record(GOOD, Some(&trial), at(180_003), &me, &config));
    assert_eq!(breaker.state(), State::Closed);
    assert!(!breaker.record(BAD, Some(&trial), at(180_004), &me, &config), "a trial ends once");
}

#[test]
fn opening_soon_again_lasts_longer_and_a_long_healthy_time_is_remembered() {
    let (config, me) = (Config::default(), name("r1"));
    let recovered = || {
        let mut breaker = breaker_after(&[BAD; 5]);
        let trial = breaker.take_trial(at(60_000), &me, &config).unwrap();
        breaker.record(GOOD, Some(&trial), at(60_000), &me, &config);
        breaker
    };
    for (again, lasts) in [(61_000, 120_000), (60_000 + 600_000, 60_000)] {
        let mut breaker = recovered();
        for _ in 0..5 {
            breaker.record(BAD, None, at(again), &me, &config);
        }
        let until = at(again + lasts);
        assert_eq!(breaker.admission(at(again), &config), Admission::No(until));
    }
}

#[test]
fn a_trial_that_never_ends_is_given_anew_and_the_old_one_is_void() {
    let (config, me) = (Config::default(), name("r1"));
    let mut breaker = breaker_after(&[BAD; 5]);
    let lost = breaker.take_trial(at(60_000), &me, &config).unwrap();
    assert_eq!(breaker.take_trial(at(119_999), &me, &config), None);
    let second = breaker.take_trial(at(120_000), &me, &config).unwrap();
    assert!(!breaker.record(BAD, Some(&lost), at(120_001), &me, &config));
    assert!(breaker.record(GOOD, Some(&second), at(120_002), &me, &config));
    assert_eq!(breaker.state(), State::Closed);
}

#[test]
fn several_trials_must_all_succeed() {
    let config = Config { half_open_trials: 2, ..Config::default() };
    let me = name("r1");
    let mut breaker = breaker_after(&[BAD; 5]);
    let first = breaker.take_trial(at(60_000), &me, &config).unwrap();
    let second = breaker.take_trial(at(60_000), &me, &config).unwrap();
    assert_eq!(breaker.take_trial(at(60_000), &me, &config), None);
    breaker.record(GOOD, Some(&first), at(60_001), &me, &config);
    assert_eq!(breaker.state(), State::HalfOpen);
    breaker.record(GOOD, Some(&second), at(60_001), &me, &config);
    assert_eq!(breaker.state(), State::Closed);
}

/// The store of shared states: takes a version only on top of the one before it.
fn store(stored: &mut Shared, new: &Shared) -> bool {
    let next = new.version == stored.version + 1;
    if next {
        stored.clone_from(new);
    }
    next
}

#[test]
fn of_two_replicas_that_want_the_trial_one_gets_it_and_the_other_is_void() {
    let config = Config::default();
    let open = breaker_after(&[BAD; 5]);
    let stored = open.shared().clone();
    let (mut one, mut two) = (open.clone(), open);
    let trials = [("r1", &mut one), ("r2", &mut two)]
        .map(|(me, breaker)| (breaker.take_trial(at(60_000), &name(me), &config), me));
    for winner in [0, 1] {
        let mut stored = stored.clone();
        let mut sides = [one.clone(), two.clone()];
        assert!(store(&mut stored, sides[winner].shared()));
        let loser = 1 - winner;
        assert!(!store(&mut stored, sides[loser].shared()));
        sides[loser].adopt(&stored);
        for (side, counts) in [(loser, false), (winner, true)] {
            let (trial, me) = &trials[side];
            let ended = sides[side].record(GOOD, trial.as_ref(), at(60_001), &name(me), &config);
            assert_eq!(ended, counts, "{winner} stored first, {side} ended");
        }
        assert_eq!(sides[winner].state(), State::Closed);
        assert_eq!(sides[loser].state(), State::HalfOpen);
    }
}

fn shared() -> impl Strategy<Value = Shared> {
    let state = prop_oneof![Just(State::Closed), Just(State::HalfOpen), Just(State::Open)];
    let by = prop::option::of("[a-c]".prop_map(|text| name(&text)));
    (0_u64..3, state, 0_i64..3, 0_u32..3, 0_i64..3, 0_u32..2, 0_u32..2, by).prop_map(
        |(version, state, until, openings, since, trials_given, trials_passed, by)| Shared {
            version,
            state,
            until: at(until),
            openings,
            since: at(since),
            round: version,
            trials_given,
            trials_passed,
            by,
        },
    )
}

fn merged(one: &Shared, other: &Shared) -> Shared {
    let mut both = one.clone();
    both.merge(other);
    both
}

proptest! {
    #[test]
    fn merging_is_commutative_associative_and_idempotent(
        a in shared(), b in shared(), c in shared(),
    ) {
        prop_assert_eq!(merged(&a, &b), merged(&b, &a));
        prop_assert_eq!(merged(&merged(&a, &b), &c), merged(&a, &merged(&b, &c)));
        prop_assert_eq!(merged(&a, &a), a);
    }

    #[test]
    fn the_worse_state_wins_at_the_same_version(a in shared(), b in shared()) {
        let b = Shared { version: a.version, ..b };
        prop_assert_eq!(merged(&a, &b).state, a.state.max(b.state));
    }

    #[test]
    fn replicas_agree_whatever_they_hear_in_whatever_order(
        steps in prop::collection::vec((0_usize..3, 0_u8..4, 0_i64..40_000), 0..80),
        order in prop::collection::vec((0_usize..3, 0_usize..80), 0..80),
    ) {
        let config = Config::default();
        let names = ["r1", "r2", "r3"].map(name);
        let mut replicas = [Breaker::default(), Breaker::default(), Breaker::default()];
        let mut said: Vec<Shared> = Vec::new();
        let mut now = 0;
        for (who, what, gap) in steps {
            now += gap;
            let (breaker, me) = (&mut replicas[who], &names[who]);
            let before = breaker.shared().clone();
            match what {
                0 => {
                    breaker.record(GOOD, None, at(now), me, &config);
                }
                1 | 2 => {
                    breaker.record(BAD, None, at(now), me, &config);
                }
                _ => {
                    if let Some(trial) = breaker.take_trial(at(now), me, &config) {
                        prop_assert_eq!(breaker.take_trial(at(now), me, &config), None);
                        said.push(breaker.shared().clone());
                        breaker.record(GOOD, Some(&trial), at(now), me, &config);
                    }
                }
            }
            prop_assert!(*breaker.shared() >= before, "a state never goes back");
            said.push(breaker.shared().clone());
        }
        for (who, which) in order {
            if let Some(told) = said.get(which) {
                replicas[who].merge(told);
            }
        }
        for replica in &mut replicas {
            for told in said.iter().rev() {
                replica.merge(told);
            }
        }
        prop_assert_eq!(replicas[0].shared(), replicas[1].shared());
        prop_assert_eq!(replicas[1].shared(), replicas[2].shared());
    }

    #[test]
    fn nothing_goes_through_an_open_breaker_before_its_time(
        calls in prop::collection::vec((any::<bool>(), 0_i64..20_000), 0..200),
    ) {
        let (config, me) = (Config::default(), name("r1"));
        let mut breaker = Breaker::default();
        let mut now = 0;
        let mut opened_at = None;
        for (success, gap) in calls {
            now += gap;
            let trial = match breaker.admission(at(now), &config) {
                Admission::No(_) => {
                    prop_assert!(opened_at.is_some());
                    continue;
                }
                Admission::Trial => {
                    let waited = now - opened_at.unwrap_or(now);
                    prop_assert!(waited >= config.recovery_ms as i64, "waited {}", waited);
                    breaker.take_trial(at(now), &me, &config)
                }
                Admission::Yes => None,
            };
            breaker.record(if success { GOOD } else { BAD }, trial.as_ref(), at(now), &me, &config);
            match breaker.state() {
                State::Open => opened_at = Some(now),
                _ => opened_at = None,
            }
        }
    }
}

#[test]
fn a_fleet_keeps_breakers_only_for_those_who_failed() {
    let mut breakers = Breakers::new(Config::default(), name("r1"));
    let (agent, rust, go) = (name("a"), name("rust"), name("go"));
    assert_eq!(breakers.record(&agent, &rust, GOOD, None, at(0)), None);
    assert!(breakers.get(&agent, &rust).is_none());
    let changes: Vec<Option<Change>> =
        (0..5).map(|_| breakers.record(&agent, &rust, BAD, None, at(0))).collect();
    assert!(changes[..4].iter().all(Option::is_none));
    let change = changes[4].clone().unwrap();
    assert_eq!((change.shared.state, breakers.opened()), (State::Open, 1));
    assert_eq!(breakers.admission(&agent, &go, at(0)), Admission::Yes, "another capability");

    let mut other = Breakers::new(Config::default(), name("r2"));
    assert!(other.merge(&change) && !other.merge(&change));
    assert_eq!(other.admission(&agent, &rust, at(0)), Admission::No(at(60_000)));
    assert_eq!(other.not_closed().count(), 1);
    let (trial, taken) = other.take_trial(&agent, &rust, at(60_000)).unwrap();
    assert!(breakers.merge(&taken));
    assert_eq!(breakers.take_trial(&agent, &rust, at(60_000)), None, "the trial is out");
    let closed = other.record(&agent, &rust, GOOD, Some(&trial), at(60_001)).unwrap();
    assert!(breakers.merge(&closed));
    assert_eq!(breakers.admission(&agent, &rust, at(60_001)), Admission::Yes);
    breakers.forget(&agent);
    assert!(breakers.get(&agent, &rust).is_none());
}

#[test]
fn breakers_of_one_agent_are_bounded() {
    let mut breakers = Breakers::new(Config::default(), name("r1"));
    let agent = name("a");
    let nth = |n: usize| name(&format!("c{n}"));
    for n in 0..=MAX_BREAKERS_PER_AGENT {
        breakers.record(&agent, &nth(n), BAD, None, at(0));
    }
    assert!(breakers.get(&agent, &nth(0)).is_none());
    assert!(breakers.get(&agent, &nth(1)).is_some());
}
