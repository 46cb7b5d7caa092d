//! The nearest vectors: every one in full, or the nearest sketches in full.

use std::hash::Hash;

use crate::best::{Best, Ranked};
use crate::entries::Entries;
use crate::rows::{PIECE_ROWS, Rows};
use crate::sketch::Sketch;
use crate::vector::Wide;
use crate::{Scan, Settings, Vector};

/// Of many vectors one of so many is looked at in full: sketches tell less the more there are.
const RESCORED_SHARE: usize = 128;

/// The nearest so many of the entries that pass, with their cosines, and how they were found.
pub(crate) fn nearest<K: Copy + Ord + Hash>(
    query: &Vector,
    rows: &Rows,
    entries: &Entries<K>,
    settings: &Settings,
    room: usize,
    filter: &mut impl FnMut(K) -> Option<f32>,
) -> (Vec<Ranked<K>>, Scan) {
    if rows.count() == 0 || query.dimensions() != rows.dimensions() {
        return (Vec::new(), Scan::None);
    }
    if rows.count() <= settings.exact_up_to {
        return (exact(query, rows, entries, room, filter), Scan::Exact);
    }
    let rescored = settings.rescored.max(2 * room).max(rows.count() / RESCORED_SHARE);
    (sketched(query, rows, entries, rescored, room, filter), Scan::Sketch)
}

fn exact<K: Copy + Ord + Hash>(
    query: &Vector,
    rows: &Rows,
    entries: &Entries<K>,
    room: usize,
    filter: &mut impl FnMut(K) -> Option<f32>,
) -> Vec<Ranked<K>> {
    let query = Wide::of(query);
    let mut best = Best::new(room);
    for (first, piece) in rows.pieces() {
        for at in (0..PIECE_ROWS).filter(|at| piece.is_there(*at)) {
            let cosine = piece.cosine(at, &query);
            if cosine < best.least() {
                continue;
            }
            let entry = first + at as u32;
            if let Some(key) = entries.key(entry) {
                best.offer(cosine, key, entry, filter);
            }
        }
    }
    best.into_sorted()
}

fn sketched<K: Copy + Ord + Hash>(
    query: &Vector,
    rows: &Rows,
    entries: &Entries<K>,
    rescored: usize,
    room: usize,
    filter: &mut impl FnMut(K) -> Option<f32>,
) -> Vec<Ranked<K>> {
    let sketch = Sketch::of(query.parts());
    let mut near = Best::new(rescored);
    let mut distances = [0; PIECE_ROWS];
    let mut farthest = f32::INFINITY;
    for (first, piece) in rows.pieces() {
        piece.distances(&sketch, &mut distances);
        for (at, distance) in distances.iter().enumerate() {
            let distance = *distance as f32;
            if distance > farthest || !piece.is_there(at) {
                continue;
            }
            let entry = first + at as u32;
            if let Some(key) = entries.key(entry) {
                // Fewer signs that differ are better.
                near.offer(-distance, key, entry, filter);
                farthest = -near.least();
            }
        }
    }
    let query = Wide::of(query);
    let mut best = Best::new(room);
    for candidate in near.into_sorted() {
        if let Some(cosine) = rows.cosine(candidate.entry, &query) {
            // What passed the filter once passes it again.
            best.offer(cosine, candidate.key, candidate.entry, &mut |_| Some(candidate.prior));
        }
    }
    best.into_sorted()
}
