//! Waiting for a condition, with a deadline and a message that says what was waited for.

use std::{fmt, panic::Location, time::Duration};

use tokio::time::{Instant, sleep, timeout_at};

const FIRST_PAUSE_MS: u64 = 1;
const LONGEST_PAUSE_MS: u64 = 50;

/// The condition did not come true in time.
#[derive(Debug)]
pub struct TimedOut {
    what: String,
    deadline: Duration,
    attempts: u64,
}

impl fmt::Display for TimedOut {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { what, deadline, attempts } = self;
        write!(f, "waited {deadline:?} in vain for {what} ({attempts} attempts ended)")
    }
}

impl std::error::Error for TimedOut {}

/// Calls `attempt` until it yields a value, and panics with the caller's line when `deadline` has
/// passed without one. `what` completes the sentence "waited in vain for …".
///
/// An attempt that hangs is cut off at the deadline as well.
#[track_caller]
pub fn eventually<T, F, A>(
    what: impl Into<String>,
    deadline: Duration,
    attempt: F,
) -> impl Future<Output = T>
where
    F: FnMut() -> A,
    A: Future<Output = Option<T>>,
{
    let caller = Location::caller();
    let waiting = try_eventually(what, deadline, attempt);
    async move {
        match waiting.await {
            Ok(value) => value,
            Err(error) => panic!("{caller}: {error}"),
        }
    }
}

/// Like [`eventually`], with an error instead of a panic.
pub async fn try_eventually<T, F, A>(
    what: impl Into<String>,
    deadline: Duration,
    mut attempt: F,
) -> Result<T, TimedOut>
where
    F: FnMut() -> A,
    A: Future<Output = Option<T>>,
{
    let end = Instant::now() + deadline;
    let mut pause = Duration::from_millis(FIRST_PAUSE_MS);
    let mut attempts = 0;
    loop {
        let outcome = timeout_at(end, attempt()).await;
        if let Ok(Some(value)) = outcome {
            return Ok(value);
        }
        attempts += u64::from(outcome.is_ok());
        if Instant::now() >= end {
            return Err(TimedOut { what: what.into(), deadline, attempts });
        }
        sleep(pause.min(end.saturating_duration_since(Instant::now()))).await;
        pause = (pause * 2).min(Duration::from_millis(LONGEST_PAUSE_MS));
    }
}
