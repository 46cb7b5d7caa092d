//! Whether this process may be given work: named checks, each with its reason.
//!
//! Invariant: ready means that at least one check exists, that every one passes, and that no drain
//! has begun. A drain is never taken back.

use std::{collections::BTreeMap, sync::Arc};

use parking_lot::Mutex;
use serde::Serialize;

/// The reason of a check that nobody has answered yet.
const STARTING: &str = "starting";

/// The checks of a process; cheap to clone.
#[derive(Clone, Debug, Default)]
pub struct Readiness(Arc<Mutex<State>>);

#[derive(Debug, Default)]
struct State {
    draining: bool,
    checks: BTreeMap<String, Result<(), String>>,
}

/// What `/readyz` answers.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Report {
    /// Whether every check passes and no drain has begun.
    pub ready: bool,
    /// `starting`, `serving` or `draining`.
    pub phase: &'static str,
    /// Each check by name: `ok`, or why not.
    pub checks: BTreeMap<String, String>,
}

impl Readiness {
    /// Adds a check, which fails as `starting` until its handle says otherwise.
    pub fn check(&self, name: impl Into<String>) -> Check {
        let name = name.into();
        self.0.lock().checks.insert(name.clone(), Err(STARTING.to_owned()));
        Check { readiness: self.clone(), name }
    }

    /// From now on this process is not ready, whatever the checks say.
    pub fn drain(&self) {
        self.0.lock().draining = true;
    }

    /// The state of every check.
    pub fn report(&self) -> Report {
        let state = self.0.lock();
        let passing = !state.checks.is_empty() && state.checks.values().all(Result::is_ok);
        let ready = passing && !state.draining;
        let phase = match (state.draining, passing) {
            (true, _) => "draining",
            (false, true) => "serving",
            (false, false) => STARTING,
        };
        let shown = |(name, check): (&String, &Result<(), String>)| {
            (name.clone(), check.as_ref().err().cloned().unwrap_or_else(|| "ok".to_owned()))
        };
        Report { ready, phase, checks: state.checks.iter().map(shown).collect() }
    }
}

/// One check. Dropping it leaves the check as it was.
#[derive(Clone, Debug)]
pub struct Check {
    readiness: Readiness,
    name: String,
}

impl Check {
    /// The check passes.
    pub fn pass(&self) {
        self.set(Ok(()));
    }

    /// The check fails, for a reason that a person can act on.
    pub fn fail(&self, reason: impl Into<String>) {
        self.set(Err(reason.into()));
    }

    fn set(&self, state: Result<(), String>) {
        self.readiness.0.lock().checks.insert(self.name.clone(), state);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ready_needs_a_check_and_all_of_them() {
        let readiness = Readiness::default();
        assert!(!readiness.report().ready, "nothing has started");
        let nats = readiness.check("nats");
        let shards = readiness.check("shards");
        nats.pass();
        assert!(!readiness.report().ready);
        shards.pass();
        assert!(readiness.report().ready);
        nats.fail("disconnected");
        assert_eq!(readiness.report().checks["nats"], "disconnected");
        nats.pass();
        readiness.drain();
        assert_eq!(readiness.report().phase, "draining");
        assert!(!readiness.report().ready);
    }
}
