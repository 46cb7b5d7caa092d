//! Conversations over several shards and a bad network: every participant's mailbox gets the turns in
//! one causal order.

use proptest::collection::vec;
use proptest::prelude::*;
use troupe_contract::ingress::shard_of_agent;
use troupe_domain::{Code, VectorClock};

use super::talks::{opening, turn};
use super::*;
use crate::rules::request::execute;

const SHARDS: u16 = 3;
const AGENTS: [&str; 4] = ["ann", "bob", "cat", "dan"];

/// Turns as agents say them that hear each other: each step, one has heard some earlier turn.
fn spoken(steps: &[(u8, u8)]) -> Vec<(usize, VectorClock)> {
    let mut said: Vec<(usize, VectorClock)> = Vec::new();
    let mut own = vec![VectorClock::default(); AGENTS.len()];
    for (who, hears) in steps {
        let who = usize::from(*who);
        let mut clock = own[who].clone();
        if !said.is_empty() {
            clock = clock.merge(&said[usize::from(*hears) % said.len()].1).unwrap();
        }
        clock.increment(&name(AGENTS[who])).unwrap();
        own[who] = clock.clone();
        said.push((who, clock));
    }
    said
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn every_mailbox_gets_what_others_said_in_one_causal_order(
        steps in vec((0_u8..4, any::<u8>()), 1..25),
        delays in vec(vec(0_i64..20_000, 1..3), 25),
        luck in vec(any::<u8>(), 60),
    ) {
        let mut shards: Vec<RoutingState> =
            (0..SHARDS).map(|shard| RoutingState::new(Settings::new(shard, SHARDS))).collect();
        let home = usize::from(shard_of_agent(&name("talk"), SHARDS));
        shards[home].open_session(opening("talk", &AGENTS, 0), at(0)).unwrap();
        let said = spoken(&steps);
        let mut arrivals: Vec<(i64, usize)> = Vec::new();
        for (index, delays) in delays.iter().take(said.len()).enumerate() {
            arrivals.extend(delays.iter().map(|delay| (index as i64 * 10 + delay, index)));
        }
        arrivals.sort_unstable();
        let mut luck = luck.into_iter().cycle();
        let mut post = |shards: &mut Vec<RoutingState>, sure: bool, now: i64| {
            for letter in shards[home].letters(10) {
                let luck = luck.next().unwrap_or(1);
                if sure || luck % 3 != 0 {
                    let to = &mut shards[usize::from(letter.to)];
                    execute(to, letter.request, at(now), 0.0).unwrap();
                    if sure || luck % 5 != 0 {
                        shards[home].delivered(vec![letter.number]);
                    }
                }
            }
        };
        for (now, index) in arrivals {
            let (who, clock) = &said[index];
            let mut turn = turn(AGENTS[*who], &format!("t{index}"), &[], now);
            turn.clock = clock.clone();
            match shards[home].say(&name("talk"), turn, at(now)) {
                Ok(_) => {}
                Err(fault) => prop_assert_eq!(fault.code, Code::AlreadyExists),
            }
            post(&mut shards, false, now);
        }
        post(&mut shards, true, 50_000);
        let talk = shards[home].conversation(&name("talk")).unwrap();
        prop_assert_eq!((talk.turns(), talk.held().count()), (said.len() as u64, 0));
        for who in AGENTS {
            let mine = usize::from(shard_of_agent(&name(who), SHARDS));
            let got = pull(&mut shards[mine], who, 256, 50_001);
            let turns: Vec<&DeliveredMessage> =
                got.iter().filter(|d| d.message.vector_clock.is_some()).collect();
            let others = said.iter().filter(|(by, _)| AGENTS[*by] != who).count();
            prop_assert_eq!(turns.len(), others);
            for (place, later) in turns.iter().enumerate() {
                for earlier in &turns[..place] {
                    let (earlier, later) = (&earlier.message, &later.message);
                    let (a, b) = (&earlier.vector_clock, &later.vector_clock);
                    let (Some(a), Some(b)) = (a, b) else { continue };
                    prop_assert!(!b.happened_before(a), "{} after {}", earlier.id, later.id);
                    prop_assert!(earlier.id != later.id);
                }
            }
            let numbers: Vec<_> =
                turns.iter().filter_map(|d| d.message.session.as_ref()?.turn).collect();
            prop_assert!(numbers.is_sorted(), "{numbers:?}");
        }
    }
}
