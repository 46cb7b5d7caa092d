//! What always holds for an index, whatever was put in and removed before.

use std::collections::BTreeMap;

use proptest::prelude::*;
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use troupe_domain::Timestamp;
use troupe_recall::{Found, Index, Query, RESULTS_MAX, Scan, Settings, Vector, Words};

const DAY_MS: i64 = 86_400_000;

/// What one entry is.
#[derive(Debug, Clone)]
struct Entry {
    text: String,
    when: Option<Timestamp>,
    previous: Option<u32>,
    vector: Option<Vector>,
}

#[derive(Debug, Clone)]
enum Change {
    Put(u32, Entry),
    Remove(u32),
}

/// Few words, so that entries share them; names that are one entry's alone.
fn text() -> impl Strategy<Value = String> {
    let words = "deploy failed retry mail worker limit 3 5 not build cache staging Friday task.rs";
    let words: Vec<&'static str> = words.split(' ').collect();
    prop::collection::vec(prop::sample::select(words), 0..12).prop_map(|words| words.join(" "))
}

fn vector() -> impl Strategy<Value = Option<Vector>> {
    let numbers = prop::collection::vec(-3_i8..=3, 8);
    let vector = numbers.prop_map(|numbers| {
        Vector::quantise(&numbers.iter().map(|n| f32::from(*n)).collect::<Vec<_>>())
    });
    prop::option::weighted(0.8, vector).prop_map(Option::flatten)
}

fn entry() -> impl Strategy<Value = Entry> {
    let when = prop::option::of((0_i64..400).prop_map(|day| Timestamp::from_millis(day * DAY_MS)));
    (text(), when, prop::option::of(0_u32..30), vector())
        .prop_map(|(text, when, previous, vector)| Entry { text, when, previous, vector })
}

fn changes() -> impl Strategy<Value = Vec<Change>> {
    let put = (0_u32..30, entry()).prop_map(|(key, entry)| Change::Put(key, entry));
    let change = prop_oneof![3 => put, 1 => (0_u32..30).prop_map(Change::Remove)];
    prop::collection::vec(change, 0..80)
}

fn put(index: &mut Index<u32>, key: u32, entry: &Entry) {
    let Entry { text, when, previous, vector } = entry;
    index.put(key, Words { text, when: *when, previous: *previous });
    match vector {
        Some(vector) => index.set_vector(key, vector).unwrap(),
        None => index.clear_vector(key),
    }
}

fn changed(settings: Settings, changes: &[Change]) -> (Index<u32>, BTreeMap<u32, Entry>) {
    let mut index = Index::new(settings);
    let mut left = BTreeMap::new();
    for change in changes {
        match change {
            Change::Put(key, entry) => {
                put(&mut index, *key, entry);
                left.insert(*key, entry.clone());
            }
            Change::Remove(key) => {
                assert_eq!(index.remove(*key), left.remove(key).is_some());
            }
        }
    }
    (index, left)
}

/// Everything that is said of a question, all pages.
fn all(index: &Index<u32>, query: &Query<'_>, allowed: impl Fn(u32) -> bool) -> Found<u32> {
    index.search(query, |key| allowed(key).then(|| 1.0 / (1.0 + (key % 3) as f32)))
}

fn question<'a>(text: &'a str, vector: Option<&'a Vector>) -> Query<'a> {
    Query { text, vector, limit: 100, offset: 0 }
}

proptest! {
    #[test]
    fn a_changed_index_answers_like_one_made_of_what_is_left(
        changes in changes(), asked in text(), meaning in vector(), sketched in any::<bool>(),
    ) {
        let exact_up_to = if sketched { 0 } else { 20_000 };
        let settings = Settings { exact_up_to, ..Settings::default() };
        let (index, left) = changed(settings, &changes);
        let mut fresh = Index::new(settings);
        for (key, entry) in left.iter().rev() {
            put(&mut fresh, *key, entry);
        }
        let query = question(&asked, meaning.as_ref());
        prop_assert_eq!(all(&index, &query, |_| true), all(&fresh, &query, |_| true));
        let sizes = |index: &Index<u32>| (index.len(), index.worded(), index.vectors(), index.terms());
        prop_assert_eq!(sizes(&index), sizes(&fresh));
    }

    #[test]
    fn every_result_passed_the_filter_and_none_that_fits_is_missing(
        changes in changes(), asked in text(), meaning in vector(), modulus in 1_u32..5,
    ) {
        let (index, left) = changed(Settings::default(), &changes);
        let passes = |key: u32| key.is_multiple_of(modulus);
        let found = all(&index, &question(&asked, meaning.as_ref()), passes);
        prop_assert!(found.hits.iter().all(|hit| passes(hit.key) && left.contains_key(&hit.key)));
        prop_assert!(found.hits.iter().all(|hit| hit.score > 0.0 && hit.score <= 1.0));
        prop_assert!(found.hits.windows(2).all(|two| two[0].score >= two[1].score));
        prop_assert!(!found.more);
        // Whatever says a word of the question is found, because all of them have room.
        let words: Vec<&str> = asked.split(' ').filter(|w| !["", "not"].contains(w)).collect();
        for (key, entry) in left.iter().filter(|(key, _)| passes(**key)) {
            let says = entry.text.split(' ').any(|word| words.contains(&word));
            // With a vector at a right angle or behind, words still count.
            let found = found.hits.iter().any(|hit| hit.key == *key);
            prop_assert!(found || !says, "{key} {entry:?}");
        }
    }

    #[test]
    fn pages_together_are_the_whole(
        changes in changes(), asked in text(), meaning in vector(), limit in 1_usize..7,
    ) {
        let (index, _) = changed(Settings::default(), &changes);
        let query = question(&asked, meaning.as_ref());
        let whole = all(&index, &query, |_| true);
        let mut paged = Vec::new();
        loop {
            let page = all(&index, &Query { limit, offset: paged.len(), ..query }, |_| true);
            prop_assert!(page.hits.len() <= limit);
            paged.extend(page.hits);
            if !page.more {
                break;
            }
        }
        prop_assert_eq!(paged, whole.hits);
    }

    #[test]
    fn what_was_removed_is_nowhere(changes in changes(), secret in "[b-df-hj-np-tv-xz]{12}") {
        let (mut index, left) = changed(Settings::default(), &changes);
        let before = format!("{index:?}");
        let numbers = [37.0, -11.0, 5.0, 77.0, -103.0, 127.0, 1.0, 90.0];
        let vector = Vector::quantise(&numbers).unwrap();
        let entry = Entry {
            text: format!("the password of {secret} is Kx{secret}.txt"),
            when: Some(Timestamp::from_millis(0)),
            previous: left.keys().next().copied(),
            vector: Some(vector),
        };
        put(&mut index, 99, &entry);
        let with = format!("{index:?}");
        let traces = [secret.as_str(), "37, -11, 5, 77, -103, 127, 1, 90", "password"];
        prop_assert!(traces.iter().all(|trace| with.contains(trace)));
        index.remove(99);
        let after = format!("{index:?}");
        prop_assert!(traces.iter().all(|trace| !after.contains(trace)));
        prop_assert!(!index.contains(99) && !index.has_words(99) && !index.has_vector(99));
        prop_assert_eq!(before.matches("Term {").count(), after.matches("Term {").count());
        let found = all(&index, &question(&entry.text, entry.vector.as_ref()), |_| true);
        prop_assert!(found.hits.iter().all(|hit| hit.key != 99));
    }
}

/// Directions around centres, as texts about the same things have.
fn directions(count: usize, seed: u64) -> Vec<Vec<f32>> {
    let mut random = ChaCha8Rng::seed_from_u64(seed);
    let mut direction = |around: Option<&Vec<f32>>| -> Vec<f32> {
        let mut number = |at: usize| {
            let noise: f32 = (0..6).map(|_| random.random_range(-1.0_f32..1.0)).sum();
            around.map_or(noise, |centre| centre[at] + 0.7 * noise)
        };
        (0..384).map(&mut number).collect()
    };
    let centres: Vec<Vec<f32>> = (0..60).map(|_| direction(None)).collect();
    (0..count).map(|n| direction(Some(&centres[n % centres.len()]))).collect()
}

#[test]
fn sketches_find_nearly_all_that_a_full_scan_finds() {
    const ENTRIES: usize = 6_000;
    const QUESTIONS: usize = 40;
    let vectors = directions(ENTRIES + QUESTIONS, 7);
    let vectors: Vec<Vector> = vectors.iter().map(|v| Vector::quantise(v).unwrap()).collect();
    let (entries, questions) = vectors.split_at(ENTRIES);
    // No larger share is looked at in full than of a million entries.
    let sketched = Settings { exact_up_to: 0, rescored: 300, ..Settings::default() };
    let [exact, sketched] = [Settings::default(), sketched].map(|settings| {
        let mut index = Index::new(settings);
        for (key, vector) in (0_u32..).zip(entries) {
            index.set_vector(key, vector).unwrap();
        }
        index
    });
    let mut found = 0;
    for vector in questions {
        let query = Query { text: "", vector: Some(vector), limit: 10, offset: 0 };
        let keys = |index: &Index<u32>, scan| {
            let found = index.search(&query, |key| (key % 7 != 0).then_some(1.0));
            assert_eq!(found.scan, scan);
            found.hits.iter().map(|hit| hit.key).collect::<Vec<_>>()
        };
        let wanted = keys(&exact, Scan::Exact);
        assert_eq!(wanted.len(), 10);
        found += keys(&sketched, Scan::Sketch).iter().filter(|key| wanted.contains(key)).count();
    }
    assert!(found >= QUESTIONS * 10 * 95 / 100, "{found} of {}", QUESTIONS * 10);
}

#[test]
fn the_best_by_words_are_those_of_a_full_scan() {
    let mut random = ChaCha8Rng::seed_from_u64(3);
    let few = Settings { candidates_min: 20, candidates_per_result: 1, ..Settings::default() };
    let every = Settings { candidates_min: 5_000, ..few };
    let mut indexes = [few, every].map(Index::new);
    // Words with rank r are said as often as 1/r, as in any language.
    let mut word = || {
        let rank = 1.0 / random.random_range(0.002_f64..1.0);
        format!("w{}", rank as u32)
    };
    for key in 0..5_000_u32 {
        let text = (0..20).map(|_| word()).collect::<Vec<_>>().join(" ");
        for index in &mut indexes {
            index.put(key, Words { text: &text, when: None, previous: None });
        }
    }
    for _ in 0..50 {
        let text = (0..6).map(|_| word()).collect::<Vec<_>>().join(" ");
        let query = Query { text: &text, vector: None, limit: 20, offset: 0 };
        let [few, every] = indexes
            .each_ref()
            .map(|index| index.search(&query, |key| (key % 4 != 1).then_some(1.0)));
        assert_eq!(few.hits, every.hits, "{text}");
    }
}

#[test]
fn an_entry_between_two_that_fit_is_lifted() {
    let mut index = Index::new(Settings::default());
    let texts = ["hello", "who broke the pipeline?", "it was me", "lunch?"];
    for (key, text) in (0_u32..).zip(texts) {
        let previous = key.checked_sub(1);
        index.put(key, Words { text, when: None, previous });
    }
    let query = question("pipeline broke", None);
    let keys: Vec<u32> = index.search(&query, |_| Some(1.0)).hits.iter().map(|h| h.key).collect();
    assert_eq!(keys, [1, 0, 2], "those around it come with it, and nothing else");
    let neighbour = index.search(&query, |_| Some(1.0)).hits[1].parts.neighbour;
    assert!(neighbour > 0.99);
}

#[test]
fn dates_find_what_happened_then() {
    let mut index = Index::new(Settings::default());
    for (key, day) in (0_u32..).zip([0_i64, 40, 80]) {
        let when = Some(Timestamp::from_millis(day * DAY_MS));
        index.put(key, Words { text: "deployed the gateway", when, previous: None });
    }
    // The 41st day of 1970.
    let query = question("what was deployed on 10 February 1970?", None);
    assert_eq!(index.search(&query, |_| Some(1.0)).hits[0].key, 1);
}

#[test]
fn without_a_question_the_filter_decides() {
    let mut index = Index::new(Settings::default());
    for key in 0_u32..30 {
        index.put(key, Words { text: "the same", when: None, previous: None });
    }
    let query = Query { text: " the ", vector: None, limit: 5, offset: 5 };
    let found = index.search(&query, |key| (key < 20).then(|| key as f32 / 20.0));
    assert_eq!(found.hits.iter().map(|h| h.key).collect::<Vec<_>>(), [14, 13, 12, 11, 10]);
    assert!(found.more);
    let none = Query { limit: usize::MAX, offset: usize::MAX, ..query };
    let found = index.search(&none, |_| Some(1.0));
    assert!(found.hits.is_empty() && !found.more, "at most {RESULTS_MAX}");
}

#[test]
fn another_kind_of_vector_is_refused() {
    let mut index = Index::new(Settings::default());
    let [two, three] = [&[1.0, 2.0][..], &[1.0, 2.0, 3.0]].map(|v| Vector::quantise(v).unwrap());
    index.set_vector(1_u32, &two).unwrap();
    assert_eq!(index.set_vector(2, &three).unwrap_err().details["field"], "vector");
    assert!(!index.contains(2));
    let query = Query { text: "", vector: Some(&three), limit: 5, offset: 0 };
    assert!(index.search(&query, |_| Some(1.0)).hits.is_empty());
    // When the last of the old ones is gone, a new model may come.
    index.clear_vector(1);
    index.set_vector(2, &three).unwrap();
    assert_eq!(index.search(&query, |_| Some(1.0)).hits[0].key, 2);
}
