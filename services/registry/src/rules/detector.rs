//! Who has been silent for too long, by timers instead of scans.
//!
//! Invariant: silence counts only time in which this detector could have heard. Its clock advances
//! with each pulse that it hears of itself over the very connection on which heartbeats come, and by
//! at most [`Detector::longest_step_ms`] each: a paused process, a lost connection or a stopped server
//! makes no agent older. A heartbeat costs one look-up; an agent has one place in the queue, which is
//! corrected when it comes up.

use std::collections::{BTreeSet, HashMap};

use troupe_contract::registry::Life;
use troupe_domain::agent::{Silence, Timing};
use troupe_domain::{Agent, AgentId, AgentStatus};

/// Agents that are judged at one pulse; the rest follow at the next.
pub const MAX_VERDICTS_PER_PULSE: usize = 1_024;
/// Pulses in one heartbeat interval.
const PULSES_PER_INTERVAL: u64 = 10;
/// Shortest and longest time between two pulses.
const PULSE_BOUNDS_MS: (u64, u64) = (20, 1_000);
/// Pulses that the clock advances at most at once.
const PULSES_PER_STEP: u64 = 3;
/// The part of an interval by which a heartbeat may be late before it counts as missed.
const LATE_DIVISOR: u64 = 5;
/// Pulses after which a verdict that did not change the agent's status is given again.
const PULSES_TO_VERDICT_RETRY: u64 = 10;

#[derive(Debug)]
struct Track {
    /// Since when it is silent, on the listening clock.
    silent_from_ms: u64,
    /// When it was really heard here.
    heard_at_ms: Option<u64>,
    status: AgentStatus,
    said_goodbye: bool,
    /// Its place in the queue.
    look_at_ms: u64,
    /// The misses that were told since it was last heard.
    told_misses: u32,
}

/// The timers of every agent.
#[derive(Debug)]
pub struct Detector {
    timing: Timing,
    /// Time spent listening, up to the last pulse.
    listened_ms: u64,
    /// When the last pulse was heard, on the caller's clock.
    pulse_at_ms: u64,
    /// Since when it has been listening without a gap, on the listening clock.
    since_ms: u64,
    tracks: HashMap<AgentId, Track>,
    queue: BTreeSet<(u64, AgentId)>,
}

impl Detector {
    /// A detector that begins to listen at `now_ms` of a clock that never goes back.
    pub fn new(timing: Timing, now_ms: u64) -> Self {
        Self {
            timing,
            listened_ms: 0,
            pulse_at_ms: now_ms,
            since_ms: 0,
            tracks: HashMap::new(),
            queue: BTreeSet::new(),
        }
    }

    /// How often a pulse is to be sent.
    pub fn pulse_interval_ms(&self) -> u64 {
        let (least, most) = PULSE_BOUNDS_MS;
        (self.timing.heartbeat_interval_ms / PULSES_PER_INTERVAL).clamp(least, most)
    }

    /// What one pulse adds to the clock at most.
    pub fn longest_step_ms(&self) -> u64 {
        self.pulse_interval_ms() * PULSES_PER_STEP
    }

    /// Silence after which an agent is offline.
    pub fn offline_window_ms(&self) -> u64 {
        self.timing.heartbeat_interval_ms * u64::from(self.timing.offline_after_misses)
            + self.late_ms()
    }

    fn late_ms(&self) -> u64 {
        self.timing.heartbeat_interval_ms / LATE_DIVISOR
    }

    fn clock(&self, now_ms: u64) -> u64 {
        self.listened_ms + now_ms.saturating_sub(self.pulse_at_ms).min(self.longest_step_ms())
    }

    /// A pulse came back at `now_ms`: everything that was sent before it has been heard. Says whether
    /// it ends a gap in which heartbeats may have been lost.
    pub fn pulse(&mut self, now_ms: u64) -> bool {
        let passed = now_ms.saturating_sub(self.pulse_at_ms);
        self.listened_ms = self.clock(now_ms);
        self.pulse_at_ms = self.pulse_at_ms.max(now_ms);
        let gap = passed > self.timing.heartbeat_interval_ms.max(self.longest_step_ms());
        if gap {
            self.since_ms = self.listened_ms;
        }
        gap
    }

    /// Watches `agent` in its status. One that is new here gets a fresh window from now.
    pub fn watch(&mut self, agent: &Agent, now_ms: u64) {
        let clock = self.clock(now_ms);
        let track = self.tracks.entry(agent.id.clone()).or_insert_with(|| Track {
            silent_from_ms: clock,
            heard_at_ms: None,
            status: agent.status,
            said_goodbye: false,
            look_at_ms: u64::MAX,
            told_misses: 0,
        });
        track.status = agent.status;
        track.said_goodbye = agent.said_goodbye;
        let silent = clock.saturating_sub(track.silent_from_ms);
        let late = self.timing.heartbeat_interval_ms / LATE_DIVISOR;
        let (verdict, again) =
            self.timing.judge(track.status, track.said_goodbye, silent.saturating_sub(late));
        let look_at = match verdict {
            Some(_) => clock,
            None => track.silent_from_ms.saturating_add(again).saturating_add(late),
        };
        self.queue.remove(&(track.look_at_ms, agent.id.clone()));
        track.look_at_ms = look_at;
        self.queue.insert((look_at, agent.id.clone()));
    }

    /// `agent` gave a sign of life. The queue is left alone: a timer that comes up too early looks
    /// again.
    pub fn heard(&mut self, agent: &AgentId, now_ms: u64) {
        let clock = self.clock(now_ms);
        if let Some(track) = self.tracks.get_mut(agent) {
            track.silent_from_ms = clock;
            track.heard_at_ms = Some(clock);
            track.told_misses = 0;
        }
    }

    /// No longer watches `agent`.
    pub fn forget(&mut self, agent: &AgentId) {
        if let Some(track) = self.tracks.remove(agent) {
            self.queue.remove(&(track.look_at_ms, agent.clone()));
        }
    }

    /// Whose silence asks for something, as of the last pulse. A verdict that is not carried out (see
    /// [`Self::watch`], [`Self::forget`]) is given again later.
    pub fn due(&mut self) -> Vec<(AgentId, Silence)> {
        let clock = self.listened_ms;
        let late = self.late_ms();
        let retry = self.pulse_interval_ms() * PULSES_TO_VERDICT_RETRY;
        let mut verdicts = Vec::new();
        while verdicts.len() < MAX_VERDICTS_PER_PULSE {
            if self.queue.first().is_none_or(|(at, _)| *at > clock) {
                break;
            }
            let Some((_, id)) = self.queue.pop_first() else { break };
            let Some(track) = self.tracks.get_mut(&id) else { continue };
            let silent = clock.saturating_sub(track.silent_from_ms).saturating_sub(late);
            let (verdict, again) = self.timing.judge(track.status, track.said_goodbye, silent);
            let again_at = track.silent_from_ms.saturating_add(again).saturating_add(late);
            track.look_at_ms = match verdict {
                None | Some(Silence::Missed(_)) => again_at.max(clock + 1),
                Some(_) => clock + retry,
            };
            self.queue.insert((track.look_at_ms, id.clone()));
            match verdict {
                Some(Silence::Missed(misses)) if misses <= track.told_misses => {}
                Some(Silence::Missed(misses)) => {
                    track.told_misses = misses;
                    verdicts.push((id, Silence::Missed(misses)));
                }
                Some(verdict) => verdicts.push((id, verdict)),
                None => {}
            }
        }
        verdicts
    }

    /// When, on the listening clock, the next agent is looked at.
    pub fn next_deadline(&self) -> Option<u64> {
        self.queue.first().map(|(at, _)| *at)
    }

    /// What `agent`'s silence asks for right now; asked again before a verdict is written.
    pub fn verdict(&self, agent: &AgentId, now_ms: u64) -> Option<Silence> {
        let track = self.tracks.get(agent)?;
        let silent = self.clock(now_ms).saturating_sub(track.silent_from_ms);
        let silent = silent.saturating_sub(self.late_ms());
        self.timing.judge(track.status, track.said_goodbye, silent).0
    }

    /// What is known of `agent`'s life. Never `Gone` for a live status unless this detector has
    /// listened for a whole window without hearing it.
    pub fn life(&self, agent: &AgentId, now_ms: u64) -> Life {
        let Some(track) = self.tracks.get(agent) else { return Life::Gone };
        if !track.status.is_live() {
            return Life::Gone;
        }
        let clock = self.clock(now_ms);
        if clock.saturating_sub(track.silent_from_ms) >= self.offline_window_ms() {
            return Life::Gone;
        }
        match track.heard_at_ms {
            Some(at) if at >= self.since_ms => Life::Alive,
            _ if clock.saturating_sub(self.since_ms) >= self.offline_window_ms() => Life::Alive,
            _ => Life::Unknown,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rules::fleet::tests::agent;
    use Silence::{Crashed, Forget, Missed, Offline};

    const SECOND: u64 = 1_000;

    struct Driver {
        detector: Detector,
        now_ms: u64,
        status: HashMap<AgentId, AgentStatus>,
        log: Vec<(u64, String, Silence)>,
    }

    impl Driver {
        fn new(ids: &[&str]) -> Self {
            let mut driver = Self {
                detector: Detector::new(Timing::default(), 0),
                now_ms: 0,
                status: HashMap::new(),
                log: Vec::new(),
            };
            for id in ids {
                driver.set(id, AgentStatus::Active);
            }
            driver
        }

        fn set(&mut self, id: &str, status: AgentStatus) {
            let mut agent = agent(id);
            agent.status = status;
            self.detector.watch(&agent, self.now_ms);
            self.status.insert(agent.id, status);
        }

        fn heard(&mut self, id: &str) {
            self.detector.heard(&agent(id).id, self.now_ms);
        }

        /// Lets time pass with a pulse each second; carries out every verdict.
        fn run(&mut self, seconds: u64) {
            for _ in 0..seconds {
                self.now_ms += SECOND;
                self.detector.pulse(self.now_ms);
                for (id, silence) in self.detector.due() {
                    self.log.push((self.now_ms / SECOND, id.to_string(), silence));
                    match silence {
                        Silence::Missed(_) => {}
                        Silence::Offline(_) => self.set(id.as_str(), AgentStatus::Offline),
                        Silence::Crashed(_) => self.set(id.as_str(), AgentStatus::Crashed),
                        Silence::Forget => self.detector.forget(&id),
                    }
                }
            }
        }

        fn kinds(&self) -> Vec<Silence> {
            self.log.iter().map(|(_, _, silence)| *silence).collect()
        }
    }

    #[test]
    fn a_silent_agent_goes_all_the_way_and_each_step_is_told_once() {
        let mut driver = Driver::new(&["a"]);
        driver.run(2 * 3_600);
        assert_eq!(driver.kinds(), [Missed(1), Missed(2), Offline(3), Crashed(6), Forget]);
        let at: Vec<u64> = driver.log.iter().map(|(at, _, _)| *at).collect();
        assert_eq!(at, [36, 66, 96, 186, 3_786]);
        assert_eq!(driver.detector.next_deadline(), None, "nothing is left behind");
    }

    #[test]
    fn whoever_is_heard_in_time_is_left_alone_though_a_little_late() {
        let mut driver = Driver::new(&["a", "b"]);
        for _ in 0..10 {
            driver.run(35);
            driver.heard("a");
        }
        assert!(driver.log.iter().all(|(_, id, _)| id == "b"), "{:?}", driver.log);
        assert!(driver.kinds().contains(&Silence::Crashed(6)));
    }

    #[test]
    fn a_pause_makes_no_agent_older() {
        let mut driver = Driver::new(&["a", "b"]);
        driver.run(20);
        driver.now_ms += 3_600 * SECOND;
        // What waited in the socket is taken in first; the pulse comes after it.
        driver.heard("a");
        assert!(driver.detector.pulse(driver.now_ms), "the gap is seen");
        assert_eq!(driver.detector.due(), []);
        driver.run(10);
        assert_eq!(driver.kinds(), [], "30 s were listened to, not an hour");
        driver.run(10);
        assert_eq!(driver.log, [(3_633, "b".to_owned(), Silence::Missed(1))]);
    }

    #[test]
    fn while_no_pulse_comes_back_nobody_is_judged() {
        let mut driver = Driver::new(&["a"]);
        driver.now_ms = 10 * 3_600 * SECOND;
        assert_eq!(driver.detector.due(), []);
        assert_eq!(driver.detector.verdict(&agent("a").id, driver.now_ms), None);
    }

    #[test]
    fn life_is_unknown_until_heard_or_until_a_whole_window_was_listened_to() {
        let mut driver = Driver::new(&["a", "b"]);
        let (a, b) = (agent("a").id, agent("b").id);
        assert_eq!(driver.detector.life(&a, 0), Life::Unknown);
        driver.heard("a");
        assert_eq!(driver.detector.life(&a, 0), Life::Alive);
        assert_eq!(driver.detector.life(&b, 0), Life::Unknown);
        assert_eq!(driver.detector.life(&agent("nobody").id, 0), Life::Gone);
        for _ in 0..5 {
            driver.run(20);
            driver.heard("a");
        }
        assert_eq!(driver.detector.life(&a, driver.now_ms), Life::Alive);
        assert_eq!(driver.detector.life(&b, driver.now_ms), Life::Gone);
        driver.now_ms += 600 * SECOND;
        driver.detector.pulse(driver.now_ms);
        assert_eq!(driver.detector.life(&a, driver.now_ms), Life::Unknown, "after a gap");
    }

    #[test]
    fn coming_back_starts_a_whole_new_window() {
        let mut driver = Driver::new(&["a"]);
        driver.run(100);
        assert_eq!(driver.status[&agent("a").id], AgentStatus::Offline);
        driver.heard("a");
        driver.set("a", AgentStatus::Active);
        driver.log.clear();
        driver.run(35);
        assert_eq!(driver.kinds(), []);
        driver.run(1);
        assert_eq!(driver.kinds(), [Silence::Missed(1)], "and is told anew");
    }

    #[test]
    fn a_verdict_that_was_not_carried_out_is_given_again() {
        let mut driver = Driver::new(&["a"]);
        let mut given = 0;
        for second in 1..=150 {
            driver.detector.pulse(second * SECOND);
            given += driver
                .detector
                .due()
                .iter()
                .filter(|(_, s)| matches!(s, Silence::Offline(_)))
                .count();
        }
        assert_eq!(given, 6, "every ten seconds from 96 on");
    }

    #[test]
    fn many_silent_agents_are_judged_in_bounded_steps() {
        let names: Vec<String> = (0..3_000).map(|n| format!("a{n}")).collect();
        let mut driver = Driver::new(&names.iter().map(String::as_str).collect::<Vec<_>>());
        driver.now_ms = 36 * SECOND;
        for second in 1..=36 {
            driver.detector.pulse(second * SECOND);
        }
        assert_eq!(driver.detector.due().len(), MAX_VERDICTS_PER_PULSE);
        assert_eq!(driver.detector.due().len(), MAX_VERDICTS_PER_PULSE);
        assert_eq!(driver.detector.due().len(), 3_000 - 2 * MAX_VERDICTS_PER_PULSE);
        assert_eq!(driver.detector.due(), []);
    }
}
