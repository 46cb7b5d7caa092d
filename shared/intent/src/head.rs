//! The head: from a vector to one score a route.
//!
//! A route with at least [`TRAINED_MIN`] examples has trained weights; a younger one is scored by the
//! similarity to its centroid, brought to the same scale (see [`crate::calibration`]). With up to
//! [`LOGISTIC_CELLS_MAX`] pairs of example and route the weights are those of a logistic regression,
//! above it those of a linear discriminant, which needs one pass.

use std::collections::BTreeMap;

use ndarray::{Array2, ArrayView2, Axis};

use crate::calibration::Calibration;
use crate::discriminant::{self, Discriminant};
use crate::examples::Examples;
use crate::logistic::{self, Lesson, Linear};
use crate::settings::Settings;
use crate::vector::dot;

/// Examples from which on a route has weights of its own.
pub const TRAINED_MIN: usize = 3;
/// Examples times routes up to which training iterates: seconds on one core.
pub const LOGISTIC_CELLS_MAX: usize = 4_000_000;
/// The scale of the centroids that training starts from.
const START_SCALE: f32 = 4.0;

/// How weights came to be.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Method {
    /// No weights: the similarity to the mean of the examples.
    Centroid,
    /// Logistic regression.
    Logistic,
    /// Linear discriminant.
    Discriminant,
}

/// Weights of the trained routes and centroids of all.
#[derive(Debug, Clone)]
pub struct Head {
    pub(crate) names: Vec<String>,
    pub(crate) trained: Vec<bool>,
    pub(crate) method: Method,
    pub(crate) centroids: Array2<f32>,
    weights: Weights,
    /// One a route; zero for those without weights.
    offsets: Vec<f32>,
    iterations: usize,
}

/// What makes scores of a query, for routes that are trained.
#[derive(Debug, Clone)]
enum Weights {
    None,
    /// A row a route; zero for those without weights.
    Rows(Array2<f32>),
    /// A query is turned, and compared with centroids of their true lengths.
    Turn {
        inverse: Array2<f32>,
        lengths: Vec<f32>,
    },
}

/// Scores and similarities of one query, one a route.
pub(crate) struct Scores {
    pub(crate) scores: Vec<f32>,
    pub(crate) similarities: Vec<f32>,
}

/// Which routes have weights, and how these are made: the same for a head and for its folds.
pub(crate) struct Plan {
    pub(crate) trained: Vec<bool>,
    pub(crate) method: Method,
}

impl Plan {
    pub(crate) fn of(examples: &Examples) -> Self {
        let routes = examples.names().len();
        let mut trained: Vec<bool> =
            (0..routes).map(|route| examples.count(route) >= TRAINED_MIN).collect();
        let classes = trained.iter().filter(|trained| **trained).count();
        let method = if classes < 2 {
            trained.fill(false);
            Method::Centroid
        } else if examples.len().saturating_mul(classes) <= LOGISTIC_CELLS_MAX {
            Method::Logistic
        } else {
            Method::Discriminant
        };
        Self { trained, method }
    }
}

impl Head {
    /// Trains on all examples, from the weights of `former` where it knows a route.
    pub fn train(examples: &Examples, settings: &Settings, former: Option<&Self>) -> Self {
        Self::train_on(examples, &Plan::of(examples), settings, former, |_| true)
    }

    /// Trains on those rows that `counts` lets in.
    pub(crate) fn train_on(
        examples: &Examples,
        plan: &Plan,
        settings: &Settings,
        former: Option<&Self>,
        counts: impl Fn(usize) -> bool,
    ) -> Self {
        let routes = examples.names().len();
        let mut head = Self {
            names: examples.names().to_vec(),
            trained: plan.trained.clone(),
            method: plan.method,
            centroids: examples.centroids(&counts),
            weights: Weights::None,
            offsets: vec![0.0; routes],
            iterations: 0,
        };
        let classes: Vec<usize> = (0..routes).filter(|route| plan.trained[*route]).collect();
        let mut rows = Vec::new();
        let mut labels = Vec::new();
        for (class, route) in classes.iter().enumerate() {
            for row in examples.rows_of(*route).filter(|row| counts(*row)) {
                rows.push(row);
                labels.push(class as u32);
            }
        }
        let rows = examples.rows().select(Axis(0), &rows);
        let lesson = Lesson { rows: rows.view(), labels: &labels, classes: classes.len() };
        match plan.method {
            Method::Centroid => {}
            Method::Discriminant => head.take_discriminant(&classes, discriminant::train(&lesson)),
            Method::Logistic => {
                let start = head.start(&classes, former);
                let penalty = f64::from(settings.inverse_penalty);
                head.take_linear(&classes, &logistic::train(&lesson, penalty, start));
            }
        }
        head
    }

    fn take_linear(&mut self, classes: &[usize], linear: &Linear) {
        let mut rows = Array2::zeros(self.centroids.dim());
        for (class, route) in classes.iter().enumerate() {
            rows.row_mut(*route).assign(&linear.weights.row(class));
            self.offsets[*route] = linear.offsets[class];
        }
        self.weights = Weights::Rows(rows);
        self.iterations = linear.iterations;
    }

    fn take_discriminant(&mut self, classes: &[usize], found: Discriminant) {
        let mut lengths = vec![0.0; self.names.len()];
        for (class, route) in classes.iter().enumerate() {
            lengths[*route] = found.lengths[class];
            self.offsets[*route] = found.offsets[class];
        }
        self.weights = Weights::Turn { inverse: found.inverse, lengths };
        self.iterations = 1;
    }

    /// Former weights where there are any, and scaled centroids elsewhere.
    fn start(&self, classes: &[usize], former: Option<&Self>) -> Linear {
        let dims = self.centroids.ncols();
        let former = former.filter(|former| former.centroids.ncols() == dims);
        let mut known = BTreeMap::new();
        if let Some((head, Weights::Rows(rows))) = former.map(|head| (head, &head.weights)) {
            for (at, name) in head.names.iter().enumerate().filter(|(at, _)| head.trained[*at]) {
                known.insert(name.as_str(), (rows.row(at), head.offsets[at]));
            }
        }
        let mut weights = Array2::zeros((classes.len(), dims));
        let mut offsets = vec![0.0; classes.len()];
        for (class, route) in classes.iter().enumerate() {
            let mut row = weights.row_mut(class);
            if let Some((weights, offset)) = known.get(self.names[*route].as_str()) {
                row.assign(weights);
                offsets[class] = *offset;
            } else {
                row.assign(&self.centroids.row(*route));
                row *= START_SCALE;
            }
        }
        Linear { weights, offsets, iterations: 0 }
    }

    /// Names of the routes, sorted.
    pub fn names(&self) -> &[String] {
        &self.names
    }

    /// How the weights were made.
    pub fn method(&self) -> Method {
        self.method
    }

    /// Steps that training took.
    pub fn iterations(&self) -> usize {
        self.iterations
    }

    /// Scores and similarities of many rows, one column a route; the scores of routes without
    /// weights are zero.
    pub(crate) fn score_all(&self, rows: &ArrayView2<'_, f32>) -> (Array2<f32>, Array2<f32>) {
        let similarities = rows.dot(&self.centroids.t());
        let mut scores = match &self.weights {
            Weights::None => Array2::zeros(similarities.dim()),
            Weights::Rows(weights) => rows.dot(&weights.t()),
            Weights::Turn { inverse, lengths } => {
                let mut scores = rows.dot(inverse).dot(&self.centroids.t());
                for mut row in scores.axis_iter_mut(Axis(0)) {
                    row.iter_mut().zip(lengths).for_each(|(score, length)| *score *= length);
                }
                scores
            }
        };
        for mut row in scores.axis_iter_mut(Axis(0)) {
            row.iter_mut().zip(&self.offsets).for_each(|(score, offset)| *score += offset);
        }
        (scores, similarities)
    }

    /// Scores and similarities of one query. Each matrix is read from memory once: with thousands of
    /// routes, that is what a decision takes its time for.
    pub(crate) fn score(&self, query: &[f32], calibration: &Calibration) -> Scores {
        let dims = self.centroids.ncols();
        let centroids = self.centroids.as_slice().unwrap_or(&[]).chunks_exact(dims);
        let mut scores = Vec::with_capacity(self.names.len());
        let mut similarities = Vec::with_capacity(self.names.len());
        match &self.weights {
            Weights::None => {
                for centroid in centroids {
                    similarities.push(dot(centroid, query));
                    scores.push(0.0);
                }
            }
            Weights::Rows(weights) => {
                let weights = weights.as_slice().unwrap_or(&[]).chunks_exact(dims);
                for ((centroid, weight), offset) in centroids.zip(weights).zip(&self.offsets) {
                    similarities.push(dot(centroid, query));
                    scores.push(dot(weight, query) + offset);
                }
            }
            Weights::Turn { inverse, lengths } => {
                let rows = inverse.as_slice().unwrap_or(&[]).chunks_exact(dims);
                let turned: Vec<f32> = rows.map(|row| dot(row, query)).collect();
                for ((centroid, length), offset) in centroids.zip(lengths).zip(&self.offsets) {
                    similarities.push(dot(centroid, query));
                    scores.push(length * dot(centroid, &turned) + offset);
                }
            }
        }
        for (route, score) in scores.iter_mut().enumerate().filter(|(at, _)| !self.trained[*at]) {
            *score = calibration.of_similarity(similarities[route]);
        }
        Scores { scores, similarities }
    }
}
