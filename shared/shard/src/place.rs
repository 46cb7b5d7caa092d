//! Where a thing lives: its id alone tells its shard.

use troupe_domain::Name;
use ulid::Ulid;

/// Draws before giving up on an id in a given shard; the chance to need this many is nil.
const MAX_DRAWS: usize = 10_000;

/// The shard of a thing (a digest of its id).
pub fn shard_of(id: &str, shards: u16) -> u16 {
    (digest(id.as_bytes()) % u64::from(shards.max(1))) as u16
}

/// FNV-1a, 64 bits, with the finaliser of splitmix64: similar texts get unrelated numbers.
pub fn digest(bytes: &[u8]) -> u64 {
    let mut hash = 0xcbf2_9ce4_8422_2325;
    for byte in bytes {
        hash = (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3);
    }
    hash = (hash ^ (hash >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    hash = (hash ^ (hash >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    hash ^ (hash >> 31)
}

/// A new id that lives in `shard`; `draw` gives a new ULID each time.
pub fn mint(shard: u16, shards: u16, mut draw: impl FnMut() -> Ulid) -> Option<Name> {
    (0..MAX_DRAWS)
        .map(|_| draw().to_string())
        .find(|text| shard_of(text, shards) == shard)
        .and_then(|text| Name::parse(&text).ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_land_where_they_were_minted_for() {
        let mut random = 0_u128;
        for shard in 0..8 {
            for _ in 0..100 {
                let id = mint(shard, 8, || {
                    random += 0x9e37_79b9_7f4a_7c15;
                    Ulid::from_parts(1, random)
                });
                assert_eq!(shard_of(id.unwrap().as_str(), 8), shard);
            }
        }
    }
}
