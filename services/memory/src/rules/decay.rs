//! What importance, age and use do to an entry: its rank, and the tier that it belongs in.
//!
//! Invariant: nothing here removes anything. Decay changes rank only; what is tagged as protected does
//! not decay and stays out of the cold tier.

use troupe_domain::Timestamp;
use troupe_domain::memory::{Memory, MemoryTier, TrustLevel};

use super::entry::{Entry, MAX_COPIES};
use super::state::Settings;

/// What age leaves of a rank at the least.
const RECENCY_FLOOR: f32 = 0.6;
/// What no importance leaves of a rank.
const IMPORTANCE_FLOOR: f32 = 0.7;
/// Reads that count in full.
const MANY_READS: f32 = 16.0;
/// What no use leaves of a rank.
const USE_FLOOR: f32 = 0.95;
/// What is less important has decayed when it is old and nobody reads it.
const DECAYED_IMPORTANCE: f64 = 0.3;

/// How long ago it last mattered to somebody.
fn idle_ms(memory: &Memory, now: Timestamp) -> u64 {
    let last = memory.last_accessed.unwrap_or(memory.created_at).max(memory.updated_at);
    now.millis_since(last)
}

/// The factor on what an entry has in common with what is asked, 0 to 1.
pub fn prior(memory: &Memory, now: Timestamp, settings: &Settings) -> f32 {
    let half_life = settings.tiers.half_life_ms.max(1) as f32;
    let recency = if memory.is_protected() {
        1.0
    } else {
        let halves = idle_ms(memory, now) as f32 / half_life;
        RECENCY_FLOOR + (1.0 - RECENCY_FLOOR) * (-halves).exp2()
    };
    let importance = IMPORTANCE_FLOOR + (1.0 - IMPORTANCE_FLOOR) * memory.importance as f32;
    let reads = (memory.access_count as f32).min(MANY_READS) / MANY_READS;
    let used = USE_FLOOR + (1.0 - USE_FLOOR) * reads;
    let trust = match memory.trust_level {
        TrustLevel::Verified => 1.0,
        TrustLevel::Trusted => 0.97,
        TrustLevel::Untrusted => 0.85,
        TrustLevel::Quarantined => 0.5,
    };
    (recency * importance * used * trust).clamp(0.0, 1.0)
}

/// Whether an entry counts little by now.
pub fn has_decayed(memory: &Memory, now: Timestamp, settings: &Settings) -> bool {
    !memory.is_protected()
        && memory.importance < DECAYED_IMPORTANCE
        && idle_ms(memory, now) >= settings.tiers.half_life_ms.saturating_mul(2)
}

/// Whether an entry of the cold tier was kept for as long as it is to be.
pub fn has_outlived(memory: &Memory, now: Timestamp, settings: &Settings) -> bool {
    let keep_ms = settings.tiers.keep_cold_ms;
    memory.tier == MemoryTier::Cold
        && !memory.is_protected()
        && keep_ms.is_some_and(|keep_ms| idle_ms(memory, now) >= keep_ms)
}

/// The tier that an entry belongs in, where it is not the one it is in.
pub fn wanted_tier(entry: &Entry, now: Timestamp, settings: &Settings) -> Option<MemoryTier> {
    let (memory, rules) = (&entry.memory, &settings.tiers);
    let since =
        Timestamp::from_millis(now.as_millis().saturating_sub_unsigned(rules.hot_window_ms));
    let is_read = entry.reads_since(since) >= rules.hot_reads;
    let is_idle = idle_ms(memory, now) >= rules.hot_idle_ms;
    match memory.tier {
        MemoryTier::Hot if is_idle => Some(MemoryTier::Warm),
        MemoryTier::Warm if is_read && !is_idle && memory.status.is_searched() => {
            Some(MemoryTier::Hot)
        }
        MemoryTier::Warm if is_cold(entry, now, settings) && !is_read => Some(MemoryTier::Cold),
        // It was archived, and many read it again.
        MemoryTier::Cold if is_read && !is_idle && !entry.damaged => Some(MemoryTier::Warm),
        _ => None,
    }
}

/// Old and of little importance, and nothing says that it must stay.
fn is_cold(entry: &Entry, now: Timestamp, settings: &Settings) -> bool {
    let (memory, rules) = (&entry.memory, &settings.tiers);
    settings.has_cold
        && now.millis_since(memory.created_at) >= rules.cold_after_ms
        && memory.importance < rules.cold_below_importance
        && memory.expires_at.is_none()
        && !memory.is_protected()
        && entry.copies.len() < MAX_COPIES
}
