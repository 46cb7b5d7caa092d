//! Sending again what is safe to send again: with growing waits, for a bounded time.

use std::time::Duration;

use tokio::time::Instant;
use troupe_bus::CallOptions;
use troupe_contract::Endpoint;
use troupe_domain::Fault;

use crate::Troupe;

/// The first wait between two attempts.
const FIRST_WAIT_MS: u64 = 50;
/// The longest wait between two attempts.
const LONGEST_WAIT_MS: u64 = 2_000;
/// How long one attempt waits for its answer.
const ATTEMPT_TIMEOUT_MS: u64 = 5_000;
/// How long an idempotent write is tried, where nobody said.
const WRITE_PATIENCE_MS: u64 = 120_000;

/// How long and how densely to try.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Patience {
    /// From the first attempt to giving up.
    pub total: Duration,
    /// For one attempt.
    pub attempt: Duration,
}

impl Default for Patience {
    fn default() -> Self {
        Self {
            total: Duration::from_millis(WRITE_PATIENCE_MS),
            attempt: Duration::from_millis(ATTEMPT_TIMEOUT_MS),
        }
    }
}

impl Patience {
    /// The default attempts, for `total`.
    pub fn within(total: Duration) -> Self {
        Self { total, attempt: Self::default().attempt.min(total) }
    }
}

/// The waits between attempts: doubling, with a cap.
#[derive(Debug)]
pub(crate) struct Waits {
    next_ms: u64,
}

impl Waits {
    pub(crate) fn new() -> Self {
        Self { next_ms: FIRST_WAIT_MS }
    }

    pub(crate) fn next(&mut self) -> Duration {
        let wait = Duration::from_millis(self.next_ms);
        self.next_ms = (self.next_ms * 2).min(LONGEST_WAIT_MS);
        wait
    }
}

/// Calls an endpoint again and again while nobody hears or the outcome is unknown.
///
/// Only for requests that are idempotent, by their content or by the command id in `command_id`.
/// The fault of the last attempt comes back when `patience` is at its end.
pub async fn insist<E: Endpoint>(
    troupe: &Troupe,
    request: &E::Request,
    command_id: Option<String>,
    patience: Patience,
) -> Result<E::Reply, Fault> {
    let end = Instant::now() + patience.total;
    let options = CallOptions { timeout: patience.attempt, command_id, ..CallOptions::default() };
    let mut waits = Waits::new();
    loop {
        let fault = match troupe.call_with::<E>(request, &options).await {
            Ok(reply) => return Ok(reply),
            Err(fault) if !fault.code.is_transient() => return Err(fault),
            Err(fault) => fault,
        };
        let wait = waits.next();
        if Instant::now() + wait >= end {
            return Err(fault);
        }
        tracing::debug!(%fault, operation = E::OPERATION, "sending it again");
        tokio::time::sleep(wait).await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_grow_and_stop_growing() {
        let mut waits = Waits::new();
        let seen: Vec<u64> =
            (0..9).map(|_| u64::try_from(waits.next().as_millis()).unwrap()).collect();
        assert_eq!(seen, [50, 100, 200, 400, 800, 1_600, 2_000, 2_000, 2_000]);
    }

    #[test]
    fn an_attempt_is_never_longer_than_the_whole() {
        let short = Patience::within(Duration::from_millis(10));
        assert_eq!(short.attempt, short.total);
    }
}
