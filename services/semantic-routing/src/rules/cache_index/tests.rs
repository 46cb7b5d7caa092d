//! The laws of the cache.

use std::collections::BTreeMap;

use proptest::prelude::*;

use super::*;

const TAU: f32 = 0.85;

fn generation(fleet: u64) -> Generation {
    Generation { fleet, routes: 7, model: "m".into() }
}

fn entry(text: &str) -> Entry<u32> {
    Entry { text: text.to_owned(), value: 1 }
}

fn cache(max_entries: usize) -> CacheIndex<u32> {
    CacheIndex::new(max_entries, 2, generation(1))
}

fn put(cache: &mut CacheIndex<u32>, text: &str, vector: [f32; 2]) {
    let current = cache.generation().clone();
    assert!(cache.insert(&current, text.to_owned(), Some(&vector), entry(text)).unwrap());
}

fn near(cache: &mut CacheIndex<u32>, vector: [f32; 2], allowed: &[&str]) -> Option<String> {
    let gate = |entry: &Entry<u32>, _| allowed.contains(&entry.text.as_str());
    cache.near(&vector, TAU, gate).unwrap().map(|near| near.entry.text.clone())
}

#[test]
fn exact_then_near_then_nothing_and_each_is_counted() {
    let mut cache = cache(10);
    put(&mut cache, "east", [1.0, 0.0]);
    put(&mut cache, "north", [0.0, 1.0]);
    assert_eq!(cache.exact("east"), Some(&entry("east")));
    assert_eq!(cache.exact("eastward"), None);
    let all = ["east", "north"];
    assert_eq!(near(&mut cache, [1.0, 0.2], &all).as_deref(), Some("east"));
    assert_eq!(near(&mut cache, [1.0, 0.2], &[]), None, "the gate is closed");
    assert_eq!(near(&mut cache, [1.0, 1.0], &all), None, "too far from both");
    let counters = cache.counters();
    let counted = (counters.exact_hits, counters.near_hits, counters.gated, counters.misses);
    assert_eq!(counted, (1, 1, 1, 2));
    assert!((counters.hit_ratio() - 0.5).abs() < 1e-12);
}

#[test]
fn the_gate_is_asked_in_the_order_of_nearness() {
    let mut cache = cache(10);
    put(&mut cache, "nearest", [1.0, 0.0]);
    put(&mut cache, "near", [1.0, 0.3]);
    assert_eq!(near(&mut cache, [1.0, 0.0], &["near", "nearest"]).as_deref(), Some("nearest"));
    assert_eq!(near(&mut cache, [1.0, 0.0], &["near"]).as_deref(), Some("near"));
}

#[test]
fn a_change_of_agents_routes_or_model_leaves_nothing_behind() {
    let changes = [
        generation(2),
        Generation { routes: 8, ..generation(1) },
        Generation { model: "other".into(), ..generation(1) },
    ];
    for changed in changes {
        let mut cache = cache(10);
        put(&mut cache, "east", [1.0, 0.0]);
        cache.advance(generation(1), 2);
        assert_eq!(cache.len(), 1, "the same generation changes nothing");
        cache.advance(changed, 3);
        assert_eq!((cache.len(), cache.exact("east")), (0, None));
        assert_eq!(cache.near(&[1.0, 0.0, 0.0], TAU, |_, _| true).unwrap(), None);
        assert_eq!(cache.counters().invalidated, 1);
        let late = cache.insert(&generation(1), "east".into(), None, entry("east"));
        assert_eq!(late, Ok(false), "what was found before the change is not taken in after it");
    }
}

#[test]
fn a_wrong_hit_is_counted_and_forgotten() {
    let mut cache = cache(10);
    put(&mut cache, "east", [1.0, 0.0]);
    cache.exact("east");
    cache.wrong("east");
    assert_eq!(cache.exact("east"), None);
    assert_eq!(near(&mut cache, [1.0, 0.0], &["east"]), None);
    assert!((cache.counters().wrong_hit_ratio() - 1.0).abs() < 1e-12);
}

#[test]
fn an_entry_without_a_vector_serves_exact_hits_only() {
    let mut cache = cache(1);
    put(&mut cache, "east", [1.0, 0.0]);
    let current = generation(1);
    cache.insert(&current, "words".into(), None, entry("words")).unwrap();
    assert_eq!(cache.counters().evicted, 1);
    assert!(cache.exact("words").is_some());
    assert_eq!(near(&mut cache, [1.0, 0.0], &["east", "words"]), None, "no vector is left over");
}

#[test]
fn what_cannot_be_cached_is_refused_and_changes_nothing() {
    let mut cache = cache(10);
    let current = generation(1);
    let wrong = cache.insert(&current, "k".into(), Some(&[0.0, 0.0]), entry("k")).unwrap_err();
    assert_eq!(wrong.details["field"], "vector");
    let long = "x".repeat(MAX_CACHED_TEXT_BYTES + 1);
    assert_eq!(cache.insert(&current, "k".into(), None, entry(&long)), Ok(false));
    assert!(cache.is_empty());
    assert!(cache.near(&[f32::NAN, 0.0], TAU, |_, _| true).is_err());
}

proptest! {
    #[test]
    fn it_holds_the_last_used_and_nothing_of_another_generation(
        steps in prop::collection::vec((0_u8..12, 0_u8..8, 0_u64..3), 0..200),
    ) {
        let mut cache = cache(5);
        let mut model: Vec<String> = Vec::new();
        let mut fleet = 1;
        for (key, what, next) in steps {
            let key = format!("k{key}");
            match what {
                0 => {
                    if next != fleet {
                        model.clear();
                        fleet = next;
                    }
                    cache.advance(generation(fleet), 2);
                }
                1 => {
                    cache.remove(&key);
                    model.retain(|known| *known != key);
                }
                2..=4 => {
                    let taken = cache.insert(&generation(next), key.clone(), None, entry(&key)).unwrap();
                    prop_assert_eq!(taken, next == fleet);
                    if taken {
                        model.retain(|known| *known != key);
                        model.push(key);
                    }
                }
                _ => {
                    let found = cache.exact(&key).is_some();
                    prop_assert_eq!(found, model.contains(&key));
                    if found {
                        model.retain(|known| *known != key);
                        model.push(key);
                    }
                }
            }
            if model.len() > 5 {
                model.remove(0);
            }
            prop_assert_eq!(cache.len(), model.len());
        }
    }

    #[test]
    fn a_near_hit_is_the_nearest_that_the_gate_lets_through(
        angles in prop::collection::btree_map(0_u8..20, 0_u16..360, 1..8),
        allowed in prop::collection::vec(any::<bool>(), 20),
        asked in 0_u16..360,
    ) {
        let unit = |degrees: u16| {
            let radians = f32::from(degrees).to_radians();
            [radians.cos(), radians.sin()]
        };
        let mut cache = cache(20);
        let mut cosines = BTreeMap::new();
        for (key, degrees) in &angles {
            put(&mut cache, &key.to_string(), unit(*degrees));
            cosines.insert(*key, (f32::from(*degrees) - f32::from(asked)).to_radians().cos());
        }
        let lets = |key: u8| allowed[usize::from(key)];
        let gate = |entry: &Entry<u32>, _| lets(entry.text.parse().unwrap());
        let found = cache.near(&unit(asked), TAU, gate).unwrap();
        let best = cosines.iter().filter(|(key, _)| lets(**key)).map(|(_, cosine)| *cosine);
        let best = best.fold(-1.0, f32::max);
        match found {
            Some(Near { key, cosine, entry }) => {
                prop_assert_eq!(key, &entry.text);
                prop_assert!(lets(entry.text.parse().unwrap()));
                prop_assert!(cosine >= TAU && (cosine - best).abs() < 0.01);
            }
            None => prop_assert!(best < TAU + 0.01),
        }
    }
}
