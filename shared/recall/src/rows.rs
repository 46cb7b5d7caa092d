//! Vectors in large pieces of memory, for a scan over all of them.
//!
//! Invariant: a row is empty, all zero, or one vector with its sketch. Pieces are never moved, so that
//! growth copies nothing.

use crate::sketch::{self, Sketch};
use crate::vector::{Vector, Wide};

/// Rows in a piece.
pub(crate) const PIECE_ROWS: usize = 1_024;

/// Vectors by row.
#[derive(Debug, Default)]
pub(crate) struct Rows {
    /// The number of dimensions, from the first vector on.
    dimensions: usize,
    pieces: Vec<Option<Piece>>,
    count: usize,
}

/// Some of them.
#[derive(Debug)]
pub(crate) struct Piece {
    parts: Box<[i8]>,
    /// 1 ÷ the length of each; 0 is an empty row.
    scales: Box<[f32]>,
    sketches: Box<[u32]>,
    count: usize,
}

impl Rows {
    /// How many rows are not empty.
    pub(crate) fn count(&self) -> usize {
        self.count
    }

    /// The number of dimensions; 0 before there is a vector.
    pub(crate) fn dimensions(&self) -> usize {
        self.dimensions
    }

    pub(crate) fn has(&self, row: u32) -> bool {
        self.piece(row).is_some_and(|(piece, at)| piece.scales[at] > 0.0)
    }

    /// Writes a row; false if the vector has another number of dimensions.
    pub(crate) fn put(&mut self, row: u32, vector: &Vector) -> bool {
        if self.count == 0 && self.dimensions != vector.dimensions() {
            self.pieces.clear();
            self.dimensions = vector.dimensions();
        }
        if self.dimensions != vector.dimensions() {
            return false;
        }
        let (piece, at) = (row as usize / PIECE_ROWS, row as usize % PIECE_ROWS);
        if self.pieces.len() <= piece {
            self.pieces.resize_with(piece + 1, || None);
        }
        let dimensions = self.dimensions;
        let piece = self.pieces[piece].get_or_insert_with(|| Piece::new(dimensions));
        if piece.scales[at] <= 0.0 {
            piece.count += 1;
            self.count += 1;
        }
        piece.write(at, vector.parts(), vector.scale());
        true
    }

    /// Empties a row.
    pub(crate) fn clear(&mut self, row: u32) {
        let place = row as usize / PIECE_ROWS;
        let Some(Some(piece)) = self.pieces.get_mut(place) else { return };
        let at = row as usize % PIECE_ROWS;
        if piece.scales[at] <= 0.0 {
            return;
        }
        let nothing = vec![0; self.dimensions];
        piece.write(at, &nothing, 0.0);
        piece.count -= 1;
        self.count -= 1;
        if piece.count == 0 {
            self.pieces[place] = None;
        }
    }

    /// The cosine of a row with `query`; `None` for an empty one, or one of another kind.
    pub(crate) fn cosine(&self, row: u32, query: &Wide) -> Option<f32> {
        let (piece, at) = self.piece(row)?;
        let fits = piece.scales[at] > 0.0 && query.dimensions() == self.dimensions;
        fits.then(|| piece.cosine(at, query))
    }

    /// The pieces, each with its first row.
    pub(crate) fn pieces(&self) -> impl Iterator<Item = (u32, &Piece)> {
        let pieces = self.pieces.iter().enumerate();
        pieces.filter_map(|(n, piece)| Some(((n * PIECE_ROWS) as u32, piece.as_ref()?)))
    }

    /// Bytes on the heap.
    pub(crate) fn bytes(&self) -> usize {
        let a_row = self.dimensions + size_of::<f32>() + sketch::words(self.dimensions) * 4;
        self.pieces.iter().flatten().count() * PIECE_ROWS * a_row
            + self.pieces.capacity() * size_of::<Option<Piece>>()
    }

    fn piece(&self, row: u32) -> Option<(&Piece, usize)> {
        let piece = self.pieces.get(row as usize / PIECE_ROWS)?.as_ref()?;
        Some((piece, row as usize % PIECE_ROWS))
    }
}

impl Piece {
    fn new(dimensions: usize) -> Self {
        Self {
            parts: vec![0; PIECE_ROWS * dimensions].into(),
            scales: vec![0.0; PIECE_ROWS].into(),
            sketches: vec![0; PIECE_ROWS * sketch::words(dimensions)].into(),
            count: 0,
        }
    }

    fn write(&mut self, at: usize, parts: &[i8], scale: f32) {
        self.parts[at * parts.len()..(at + 1) * parts.len()].copy_from_slice(parts);
        self.scales[at] = scale;
        if scale > 0.0 {
            Sketch::of(parts).write(&mut self.sketches, PIECE_ROWS, at);
        } else {
            self.sketches.iter_mut().skip(at).step_by(PIECE_ROWS).for_each(|word| *word = 0);
        }
    }

    /// Whether a row is not empty.
    pub(crate) fn is_there(&self, at: usize) -> bool {
        self.scales[at] > 0.0
    }

    /// The cosine of a row that is not empty with a vector of as many dimensions.
    pub(crate) fn cosine(&self, at: usize, query: &Wide) -> f32 {
        let dimensions = query.dimensions();
        query.dot(&self.parts[at * dimensions..(at + 1) * dimensions])
            * self.scales[at]
            * query.scale()
    }

    /// How many signs of each row differ from those of `query`.
    pub(crate) fn distances(&self, query: &Sketch, distances: &mut [u32; PIECE_ROWS]) {
        query.distances(&self.sketches, distances);
    }
}
