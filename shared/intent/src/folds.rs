//! Cross-validation: what a head says of examples that it has not seen.
//!
//! Everything that turns scores into confidence is fitted on these, never on what a head was trained
//! on, of which it is much too sure.

use ndarray::{Array2, Axis, concatenate};

use crate::examples::{Examples, mix};
use crate::head::{Head, Plan};
use crate::settings::Settings;

/// Examples times routes up to which every part is held out once; above, one part is.
pub const ALL_FOLDS_CELLS_MAX: usize = 600_000;
/// Examples times routes whose scores are kept at once: 64 MB of them.
const KEPT_CELLS_MAX: usize = 16_000_000;

/// Scores of held-out examples.
pub(crate) struct HeldOut {
    /// Which row of the examples each is.
    pub(crate) rows: Vec<usize>,
    /// The route of each.
    pub(crate) labels: Vec<usize>,
    /// One column a route.
    pub(crate) scores: Array2<f32>,
    /// Cosines to the centroids, one column a route.
    pub(crate) similarities: Array2<f32>,
    /// The last head that was trained on a part: a good place for the final one to start from.
    pub(crate) head: Option<Head>,
}

impl HeldOut {
    pub(crate) fn len(&self) -> usize {
        self.rows.len()
    }
}

/// Holds each part out, trains on the others, and scores the part.
pub(crate) fn hold_out(examples: &Examples, plan: &Plan, settings: &Settings) -> HeldOut {
    let routes = examples.names().len();
    let parts = parts(examples, settings);
    let cells = examples.len().saturating_mul(routes);
    let rounds = if cells <= ALL_FOLDS_CELLS_MAX { settings.folds } else { 1 };
    let mut held = HeldOut {
        rows: Vec::new(),
        labels: Vec::new(),
        scores: Array2::zeros((0, routes)),
        similarities: Array2::zeros((0, routes)),
        head: None,
    };
    let kept_max = KEPT_CELLS_MAX / routes.max(1);
    for part in 0..rounds {
        let out = Some(part);
        let mut rows: Vec<usize> = (0..examples.len()).filter(|row| parts[*row] == out).collect();
        // By hash, so that every route has the same chance.
        rows.sort_by_key(|row| mix(examples.hash(*row) ^ settings.seed));
        rows.truncate(kept_max.saturating_sub(held.len()));
        if rows.is_empty() {
            continue;
        }
        let head = Head::train_on(examples, plan, settings, None, |row| parts[row] != out);
        let (scores, similarities) = head.score_all(&examples.rows().select(Axis(0), &rows).view());
        let joined = |old: &Array2<f32>, new: &Array2<f32>| {
            concatenate(Axis(0), &[old.view(), new.view()]).unwrap_or_else(|_| old.clone())
        };
        held.scores = joined(&held.scores, &scores);
        held.similarities = joined(&held.similarities, &similarities);
        held.labels.extend(rows.iter().map(|row| examples.labels()[*row] as usize));
        held.rows.extend(rows);
        held.head = Some(head);
    }
    held
}

/// The part that each row is in: those of a route are dealt out in turn, so that every part leaves
/// each route as many as it can. The only example of a route is never held out.
fn parts(examples: &Examples, settings: &Settings) -> Vec<Option<usize>> {
    let mut parts = vec![None; examples.len()];
    for route in 0..examples.names().len() {
        let mut rows: Vec<usize> = examples.rows_of(route).collect();
        if rows.len() < 2 {
            continue;
        }
        rows.sort_by_key(|row| mix(examples.hash(*row) ^ settings.seed));
        // A route with fewer examples than there are parts begins at a part of its own.
        let first = mix(examples.hash(rows[0]) ^ settings.seed.rotate_left(32)) as usize;
        for (turn, row) in rows.into_iter().enumerate() {
            parts[row] = Some((first.wrapping_add(turn)) % settings.folds);
        }
    }
    parts
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::examples::Route;

    #[test]
    fn every_example_is_held_out_once_and_no_route_disappears() {
        let routes = (0..4).map(|route| Route {
            name: format!("r{route}"),
            examples: (0..=route).map(|i| vec![route as f32 + 1.0, i as f32, 1.0]).collect(),
        });
        let examples = Examples::new(3, routes).unwrap();
        let settings = Settings::default();
        let held = hold_out(&examples, &Plan::of(&examples), &settings);
        let mut rows = held.rows.clone();
        rows.sort_unstable();
        // The single example of r0 stays.
        assert_eq!(rows, (1..10).collect::<Vec<_>>());
        assert_eq!(held.scores.dim(), (9, 4));
        let parts = parts(&examples, &settings);
        for route in 1..4 {
            let of: std::collections::BTreeSet<_> =
                examples.rows_of(route).map(|r| parts[r]).collect();
            assert_eq!(of.len(), examples.count(route));
        }
    }
}
