//! What a segment is read back as, and that no flipped bit passes.

use std::io::Read;

use bytes::Bytes;
use proptest::prelude::*;
use troupe_domain::Timestamp;

use super::*;
use crate::error::SegmentError;
use crate::limits::{FRAME_CLOSED_AT_BYTES, MAX_FRAME_RAW_BYTES, MAX_LINE_BYTES};

const NAMESPACE: &str = "fleet/team";

fn id() -> SegmentId {
    SegmentId::new(Timestamp::from_millis(1_795_659_300_000), 42)
}

fn name() -> Name<'static> {
    Name { namespace: NAMESPACE, segment: id() }
}

fn entry(number: usize, text: &str) -> Entry {
    let line = serde_json::json!({"id": number, "content": text}).to_string();
    let at = Timestamp::from_millis(number as i64);
    Entry { id: format!("m{number}"), at, line: line.into() }
}

fn made(entries: &[Entry]) -> Encoded {
    encode(NAMESPACE, id(), entries, Timestamp::from_millis(99)).expect("a segment")
}

/// Text that hardly compresses.
fn noise(bytes: usize, seed: u64) -> String {
    let mut state = seed | 1;
    let mut next = || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        char::from(b' ' + (state >> 33) as u8 % 94)
    };
    (0..bytes).map(|_| next()).collect()
}

#[test]
fn what_is_read_is_what_was_written() {
    let entries: Vec<Entry> = (0..500).map(|n| entry(n, &noise(n * 7, n as u64))).collect();
    let segment = made(&entries);
    let found = open(name(), &segment.content).expect("whole");
    assert_eq!(found.damaged, []);
    assert_eq!(found.made_at, Timestamp::from_millis(99));
    let (read, placed): (Vec<_>, Vec<_>) = found.entries.into_iter().unzip();
    assert_eq!(read, entries);
    assert_eq!(placed, segment.places);
    for (entry, placed) in entries.iter().zip(&segment.places) {
        let Place { offset, bytes, .. } = placed.place;
        let frame = &segment.content[offset as usize..][..bytes as usize];
        assert_eq!(read_line(frame, placed.place, &placed.digest), Ok(entry.line.clone()));
    }
    let frames: std::collections::BTreeSet<u64> =
        placed.iter().map(|placed| placed.place.offset).collect();
    assert!(frames.len() > 3, "several frames: {}", frames.len());
}

#[test]
fn any_decompressor_yields_the_lines_and_nothing_else() {
    let entries: Vec<Entry> = (0..300).map(|n| entry(n, &noise(n * 5, n as u64))).collect();
    let content = made(&entries).content;
    let mut text = Vec::new();
    zstd::Decoder::new(&content[..]).expect("zstd").read_to_end(&mut text).expect("whole");
    let lines: Vec<&[u8]> = text.split(|byte| *byte == b'\n').collect();
    assert_eq!(lines.len(), 301);
    assert!(entries.iter().zip(lines).all(|(entry, line)| entry.line == line));
}

#[test]
fn the_same_is_made_of_the_same() {
    let entries: Vec<Entry> = (0..50).map(|n| entry(n, "alike")).collect();
    assert_eq!(made(&entries).content, made(&entries).content);
}

#[test]
fn each_flipped_bit_is_seen_or_harmless() {
    // Three frames, so that damage of one leaves two.
    let large = noise(FRAME_CLOSED_AT_BYTES / 2 + 10, 3);
    let small = [entry(0, "first"), entry(1, "second"), entry(2, "third")];
    for entries in [small.to_vec(), (0..3).map(|n| entry(n, &large)).collect()] {
        let content = made(&entries).content;
        // Every byte of the small one; of the large one those at the ends, and samples between.
        let step = if content.len() > 10_000 { 997 } else { 1 };
        let ends = (0..400).chain(content.len().saturating_sub(400)..content.len());
        let places: Vec<usize> = ends.chain((0..content.len()).step_by(step)).collect();
        for at in places.into_iter().filter(|at| *at < content.len()) {
            for bit in [0, 3, 7] {
                let mut flipped = content.to_vec();
                flipped[at] ^= 1 << bit;
                let Ok(found) = open(name(), &Bytes::from(flipped)) else { continue };
                assert!(!found.damaged.is_empty(), "byte {at}, bit {bit} was not seen");
                let hit: Vec<&String> = found.damaged.iter().flat_map(|d| &d.entries).collect();
                for entry in &entries {
                    let read = found.entries.iter().find(|(read, _)| read.id == entry.id);
                    match read {
                        Some((read, _)) => assert_eq!(read, entry, "byte {at}, bit {bit}"),
                        None => assert!(hit.contains(&&entry.id), "byte {at}: {hit:?}"),
                    }
                }
            }
        }
    }
}

#[test]
fn a_flipped_bit_in_a_frame_never_yields_another_line() {
    let entries: Vec<Entry> = (0..5).map(|n| entry(n, &format!("line {n}"))).collect();
    let segment = made(&entries);
    let Place { offset, bytes, .. } = segment.places[0].place;
    let frame = &segment.content[offset as usize..][..bytes as usize];
    for at in 0..frame.len() {
        for bit in 0..8 {
            let mut flipped = frame.to_vec();
            flipped[at] ^= 1 << bit;
            for (entry, placed) in entries.iter().zip(&segment.places) {
                if let Ok(line) = read_line(&flipped, placed.place, &placed.digest) {
                    assert_eq!(line, entry.line, "byte {at}, bit {bit}");
                }
            }
        }
    }
}

#[test]
fn a_segment_under_another_name_is_refused() {
    let content = made(&[entry(0, "x")]).content;
    let other = Name { namespace: "fleet/other", segment: id() };
    assert_eq!(open(other, &content).unwrap_err().why, "it is another segment");
    let other = Name { segment: SegmentId::new(Timestamp::from_millis(0), 0), ..name() };
    assert_eq!(open(other, &content).unwrap_err().why, "it is another segment");
}

#[test]
fn a_frame_that_swells_is_refused() {
    // Zeros compress a thousandfold: what would be 64 MiB is a few KiB.
    let bomb = zstd::bulk::compress(&vec![b'a'; 64 * 1024 * 1024], 3).expect("compressed");
    assert!(bomb.len() < 64 * 1024);
    let place = Place { offset: 0, bytes: bomb.len() as u32, line: 0 };
    assert_eq!(
        read_line(&bomb, place, &Digest::of(b"a")),
        Err("it cannot be decompressed"),
        "more than {MAX_FRAME_RAW_BYTES} bytes"
    );
}

#[test]
fn what_cannot_be_stored_is_refused_by_name() {
    let encode = |entries: &[Entry]| encode(NAMESPACE, id(), entries, Timestamp::from_millis(0));
    let with = |line: &'static [u8]| Entry { line: Bytes::from_static(line), ..entry(0, "") };
    for (entries, text) in [
        (vec![], "at least one entry"),
        (vec![entry(1, "a"), entry(1, "b")], "entry m1 is there twice"),
        (vec![with(b"{}\n{}")], "not one line"),
        (vec![with(b"")], "not one line"),
        (vec![Entry { id: String::new(), ..entry(0, "") }], "an id has 1 to"),
    ] {
        let refused = encode(&entries).unwrap_err();
        assert!(matches!(refused, SegmentError::Refused(_)), "{refused}");
        assert!(refused.to_string().contains(text), "{refused}");
    }
    let longest = Entry { line: vec![b'x'; MAX_LINE_BYTES].into(), ..entry(0, "") };
    assert_eq!(open(name(), &encode(&[longest]).unwrap().content).unwrap().entries.len(), 1);
    let too_long = Entry { line: vec![b'x'; MAX_LINE_BYTES + 1].into(), ..entry(0, "") };
    assert!(matches!(encode(&[too_long]).unwrap_err(), SegmentError::TooLarge { .. }));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn junk_is_damage_and_no_panic(bytes in proptest::collection::vec(any::<u8>(), 0..400)) {
        prop_assert!(open(name(), &Bytes::from(bytes)).is_err());
    }

    #[test]
    fn a_segment_that_was_cut_or_patched_is_damage_and_no_panic(
        cut in 0_usize..2_000,
        patch in proptest::collection::vec(any::<u8>(), 1..40),
        at in 0_usize..2_000,
    ) {
        let entries: Vec<Entry> = (0..30).map(|n| entry(n, &noise(20, n as u64))).collect();
        let whole = made(&entries).content;
        let short = whole.slice(..cut.min(whole.len() - 1));
        prop_assert!(open(name(), &short).is_err());
        let mut patched = whole.to_vec();
        let at = at.min(patched.len() - patch.len());
        patched[at..at + patch.len()].copy_from_slice(&patch);
        let same = patched == whole;
        if let Ok(found) = open(name(), &Bytes::from(patched)) {
            prop_assert!(same || !found.damaged.is_empty());
        }
    }

    #[test]
    fn any_lines_come_back(texts in proptest::collection::vec(any::<String>(), 1..40)) {
        let entries: Vec<Entry> =
            texts.iter().enumerate().map(|(n, text)| entry(n, text)).collect();
        let found = open(name(), &made(&entries).content).expect("whole");
        let read: Vec<Entry> = found.entries.into_iter().map(|(entry, _)| entry).collect();
        prop_assert_eq!(read, entries);
    }
}
