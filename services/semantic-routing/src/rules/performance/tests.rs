//! The laws of what is measured.

use proptest::prelude::*;

use super::*;

fn name(text: &str) -> Name {
    Name::parse(text).unwrap()
}

fn at(millis: i64) -> Timestamp {
    Timestamp::from_millis(millis)
}

fn call(performance: &mut Performance, agent: &str, latency_us: u64, success: bool, now: i64) {
    let agent = name(agent);
    performance.started(&agent, at(now));
    performance.finished(&agent, None, Outcome { success, latency_us }, at(now));
}

#[test]
fn the_defaults_pass_and_a_wrong_value_is_named() {
    assert_eq!(Config::default().check(), Ok(()));
    let wrong = [
        (Config { latency_decay_ms: 0, ..Config::default() }, "latency_decay_ms"),
        (Config { prior_success: 1.0, ..Config::default() }, "prior_success"),
        (Config { prior_calls: f64::NAN, ..Config::default() }, "prior_calls"),
        (Config { max_agents: 0, ..Config::default() }, "max_agents"),
    ];
    for (config, field) in wrong {
        let fault = config.check().unwrap_err();
        assert_eq!(fault.details["field"], format!("performance.{field}"));
    }
}

#[test]
fn a_new_agent_reads_as_the_median_of_those_that_are_measured() {
    let mut performance = Performance::new(Config::default());
    assert!((performance.reading(&name("new"), at(0)).latency_us - 1_000_000.0).abs() < 1e-6);
    for call_number in 0..30 {
        for (agent, latency_us) in [("a", 1_000), ("b", 2_000), ("c", 50_000)] {
            call(&mut performance, agent, latency_us, true, call_number * 100);
        }
    }
    let stranger = performance.reading(&name("new"), at(3_000));
    assert!((1_800.0..2_200.0).contains(&stranger.latency_us), "{stranger:?}");
    call(&mut performance, "new", 9_000, true, 3_000);
    let new = performance.reading(&name("new"), at(3_000));
    assert_eq!(new.calls, 1);
    assert!((new.latency_us - 9_000.0).abs() < 1e-6, "its own latency counts at once");
    assert!((1_800.0..2_200.0).contains(&new.quantiles.p99_us), "its quantiles warm up: {new:?}");
    for _ in 0..20 {
        call(&mut performance, "new", 9_000, true, 3_000);
    }
    assert!(performance.reading(&name("new"), at(3_000)).quantiles.p50_us > 8_000.0);
}

#[test]
fn an_agent_that_fails_at_once_does_not_look_fast() {
    let mut performance = Performance::new(Config::default());
    for call_number in 0..50 {
        call(&mut performance, "good", 10_000, true, call_number * 100);
        call(&mut performance, "bad", 10, false, call_number * 100);
    }
    let (good, bad) = (
        performance.reading(&name("good"), at(5_000)),
        performance.reading(&name("bad"), at(5_000)),
    );
    assert!(bad.latency_us >= good.latency_us, "{bad:?} {good:?}");
    assert!(bad.success < 0.15 && good.success > 0.95);
    call(&mut performance, "bad", 30_000_000, false, 5_000);
    let slow = performance.reading(&name("bad"), at(5_000)).latency_us;
    assert!(slow > 29_000_000.0, "a timeout does tell of slowness: {slow}");
}

#[test]
fn success_at_a_capability_rests_on_success_at_anything() {
    let mut performance = Performance::new(Config::default());
    let (agent, rust, go) = (name("a"), name("rust"), name("go"));
    let outcome = |success| Outcome { success, latency_us: 1_000 };
    for _ in 0..20 {
        performance.finished(&agent, Some(&rust), outcome(true), at(0));
        performance.finished(&agent, Some(&go), outcome(false), at(0));
    }
    let overall = performance.reading(&agent, at(0)).success;
    let rates = [&go, &name("never"), &rust].map(|c| performance.reading_at(&agent, c, at(0)).1);
    assert!(rates[0] < rates[1] && rates[1] < rates[2], "{rates:?}");
    assert!((rates[1] - overall).abs() < 1e-9);
    assert!((performance.reading_at(&name("b"), &rust, at(0)).1 - 0.9).abs() < 1e-9);
}

#[test]
fn capabilities_of_one_agent_are_bounded_and_the_last_used_stay() {
    let mut performance = Performance::new(Config::default());
    let agent = name("a");
    let failed = Outcome { success: false, latency_us: 1 };
    let nth = |n: usize| name(&format!("c{n}"));
    for n in 0..MAX_TRACKED_CAPABILITIES {
        performance.finished(&agent, Some(&nth(n)), failed, at(0));
    }
    performance.finished(&agent, Some(&nth(0)), failed, at(0));
    performance.finished(&agent, Some(&nth(999)), failed, at(0));
    let known = &performance.tracks.get(&agent).unwrap().by_capability;
    assert_eq!(known.len(), MAX_TRACKED_CAPABILITIES);
    assert!(known.iter().any(|(c, _)| *c == nth(0)) && !known.iter().any(|(c, _)| *c == nth(1)));
}

#[test]
fn those_used_longest_ago_go_first() {
    let mut performance = Performance::new(Config { max_agents: 2, ..Config::default() });
    for agent in ["a", "b", "a", "c"] {
        performance.started(&name(agent), at(0));
    }
    let outstanding = ["a", "b", "c"].map(|a| performance.reading(&name(a), at(0)).outstanding);
    assert_eq!((performance.len(), outstanding), (2, [2, 0, 1]));
}

proptest! {
    #[test]
    fn outstanding_work_is_what_started_and_did_not_end(
        steps in prop::collection::vec((0_usize..6, 0_u8..4), 0..200),
    ) {
        let mut performance = Performance::new(Config::default());
        let mut model = [0_u32; 6];
        for (agent, what) in steps {
            let id = name(&format!("a{agent}"));
            match what {
                0 => {
                    performance.started(&id, at(0));
                    model[agent] += 1;
                }
                1 => {
                    let outcome = Outcome { success: true, latency_us: 5 };
                    performance.finished(&id, None, outcome, at(0));
                    model[agent] = model[agent].saturating_sub(1);
                }
                2 => {
                    performance.withdrawn(&id);
                    model[agent] = model[agent].saturating_sub(1);
                }
                _ => {
                    performance.forget(&id);
                    model[agent] = 0;
                }
            }
        }
        for (agent, outstanding) in model.into_iter().enumerate() {
            let reading = performance.reading(&name(&format!("a{agent}")), at(0));
            prop_assert_eq!(reading.outstanding, outstanding);
            prop_assert!(reading.latency_us >= 1.0 && reading.success > 0.0 && reading.success < 1.0);
        }
    }
}

#[test]
fn what_was_achieved_before_is_expected_until_calls_say_more() {
    let mut performance = Performance::new(Config::default());
    let success =
        |performance: &Performance, agent: &str| performance.reading(&name(agent), at(0)).success;
    performance.achieved(&name("good"), 95, 5);
    performance.achieved(&name("bad"), 5, 95);
    let (good, bad) = (success(&performance, "good"), success(&performance, "bad"));
    assert!(good > success(&performance, "new") && bad < 0.15, "{good} {bad}");
    assert!((performance.reading_at(&name("bad"), &name("x"), at(0)).1 - bad).abs() < 1e-9);
    // One that was repaired is believed again; one that is forgotten is new.
    for _ in 0..40 {
        call(&mut performance, "bad", 1_000, true, 0);
    }
    assert!(success(&performance, "bad") > 0.85);
    performance.forget(&name("good"));
    assert!((success(&performance, "good") - success(&performance, "new")).abs() < 1e-9);
}
