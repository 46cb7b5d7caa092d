//! Time and chance of one process in a simulation.

use tokio::time::Instant;
use troupe_domain::Timestamp;

use super::chance::Chance;
use crate::port::World;

/// The first moment of a simulation, in milliseconds since 1970.
const BEGINNING_MS: i64 = 1_800_000_000_000;

/// A world made of tokio's clock and a seed.
#[derive(Debug, Clone)]
pub struct ModelWorld {
    began: Instant,
    chance: Chance,
    skew_ms: i64,
}

impl ModelWorld {
    /// A world that begins now. To be made inside a runtime.
    pub fn new(chance: Chance) -> Self {
        Self { began: Instant::now(), chance, skew_ms: 0 }
    }

    /// The same world as another process sees it, whose clock is ahead by `skew_ms`.
    pub fn seen_by(&self, skew_ms: i64) -> Self {
        Self { began: self.began, chance: self.chance.fork(), skew_ms }
    }

    /// Milliseconds since the beginning, by the true clock.
    pub fn elapsed_ms(&self) -> u64 {
        u64::try_from(self.began.elapsed().as_millis()).unwrap_or(u64::MAX)
    }
}

impl World for ModelWorld {
    fn now(&self) -> Timestamp {
        Timestamp::from_millis(BEGINNING_MS + self.elapsed_ms() as i64 + self.skew_ms)
    }

    fn random(&self) -> u128 {
        (u128::from(self.chance.bits()) << 64) | u128::from(self.chance.bits())
    }
}
