//! The examples of routes, in an order of their own.
//!
//! Invariant: what comes out does not depend on the order in which routes and examples came in, nor
//! on how often an example was given. Routes are in the order of their names, examples in that of a
//! hash of their bits; a second copy of an example in a route is dropped.

use std::collections::BTreeMap;
use std::ops::Range;

use ndarray::{Array2, ArrayView2};
use troupe_domain::Fault;

use crate::vector::{DIMS_MAX, is_zero, unit};

/// The most routes that one router knows.
pub const ROUTES_MAX: usize = 20_000;
/// The most examples over all routes: 300 MB of vectors at 384 dimensions.
pub const EXAMPLES_MAX: usize = 200_000;

/// A route with the vectors of its examples.
#[derive(Debug, Clone)]
pub struct Route {
    /// Its name, unique among the routes.
    pub name: String,
    /// Vectors of example texts; any length other than zero is fine.
    pub examples: Vec<Vec<f32>>,
}

/// Examples of all routes, ready to train on.
#[derive(Debug, Clone)]
pub struct Examples {
    names: Vec<String>,
    rows_of: Vec<Range<usize>>,
    rows: Array2<f32>,
    labels: Vec<u32>,
    origins: Vec<usize>,
    hashes: Vec<u64>,
    dropped: Dropped,
}

/// What was given and does not count.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct Dropped {
    /// Second copies of an example in the same route.
    pub duplicates: usize,
    /// Vectors without a direction.
    pub empty: usize,
}

/// An example on its way in.
struct Incoming {
    vector: Vec<f32>,
    origin: usize,
    hash: u64,
}

impl Examples {
    /// Takes routes with vectors of `dims` parts each.
    pub fn new(dims: usize, routes: impl IntoIterator<Item = Route>) -> Result<Self, Fault> {
        if dims == 0 || dims > DIMS_MAX {
            return Err(Fault::invalid("dims", format!("must be between 1 and {DIMS_MAX}")));
        }
        let mut by_name: BTreeMap<String, Vec<Incoming>> = BTreeMap::new();
        let mut dropped = Dropped::default();
        let mut total = 0;
        for route in routes {
            let field = "routes.examples";
            if by_name.contains_key(&route.name) {
                return Err(Fault::invalid("routes.name", format!("{} is twice", route.name)));
            }
            if by_name.len() == ROUTES_MAX {
                return Err(Fault::invalid("routes", format!("at most {ROUTES_MAX}")));
            }
            total += route.examples.len();
            if total > EXAMPLES_MAX {
                return Err(Fault::invalid(field, format!("at most {EXAMPLES_MAX} in all")));
            }
            let mut incoming = Vec::with_capacity(route.examples.len());
            for (origin, vector) in route.examples.iter().enumerate() {
                let place = || format!("{} #{origin}", route.name);
                if vector.len() != dims {
                    let why = format!("{}: {} parts, not {dims}", place(), vector.len());
                    return Err(Fault::invalid(field, why));
                }
                if vector.iter().any(|part| !part.is_finite()) {
                    return Err(Fault::invalid(field, format!("{}: not finite", place())));
                }
                let vector = unit(vector);
                if is_zero(&vector) {
                    dropped.empty += 1;
                    continue;
                }
                incoming.push(Incoming { hash: hash(&vector), vector, origin });
            }
            let given = incoming.len();
            incoming.sort_by(|a, b| {
                let bits = |x: &Incoming| x.vector.iter().map(|p| p.to_bits()).collect::<Vec<_>>();
                a.hash.cmp(&b.hash).then_with(|| bits(a).cmp(&bits(b)))
            });
            incoming.dedup_by(|later, kept| later.vector == kept.vector);
            dropped.duplicates += given - incoming.len();
            by_name.insert(route.name, incoming);
        }
        Ok(Self::assemble(dims, by_name, dropped))
    }

    fn assemble(dims: usize, by_name: BTreeMap<String, Vec<Incoming>>, dropped: Dropped) -> Self {
        let count = by_name.values().map(Vec::len).sum();
        let mut examples = Self {
            names: Vec::with_capacity(by_name.len()),
            rows_of: Vec::with_capacity(by_name.len()),
            rows: Array2::zeros((count, dims)),
            labels: Vec::with_capacity(count),
            origins: Vec::with_capacity(count),
            hashes: Vec::with_capacity(count),
            dropped,
        };
        for (label, (name, incoming)) in by_name.into_iter().enumerate() {
            let start = examples.labels.len();
            for example in incoming {
                let row = examples.labels.len();
                let place = examples.rows.row_mut(row);
                place.into_iter().zip(example.vector).for_each(|(to, from)| *to = from);
                examples.labels.push(label as u32);
                examples.origins.push(example.origin);
                examples.hashes.push(example.hash);
            }
            examples.rows_of.push(start..examples.labels.len());
            examples.names.push(name);
        }
        examples
    }

    /// Names of the routes, sorted; a route's number is its place here.
    pub fn names(&self) -> &[String] {
        &self.names
    }

    /// Parts of each vector.
    pub fn dims(&self) -> usize {
        self.rows.ncols()
    }

    /// Examples that count.
    pub fn len(&self) -> usize {
        self.labels.len()
    }

    /// Whether there is nothing to learn from.
    pub fn is_empty(&self) -> bool {
        self.labels.is_empty()
    }

    /// What was given and does not count.
    pub fn dropped(&self) -> Dropped {
        self.dropped
    }

    /// One example a row, at unit length.
    pub(crate) fn rows(&self) -> ArrayView2<'_, f32> {
        self.rows.view()
    }

    /// A row as a slice.
    pub(crate) fn row(&self, row: usize) -> &[f32] {
        let dims = self.dims();
        self.rows.as_slice().map_or(&[], |all| &all[row * dims..(row + 1) * dims])
    }

    /// The number of each row's route.
    pub(crate) fn labels(&self) -> &[u32] {
        &self.labels
    }

    /// The place of a row among its route's examples, as they were given.
    pub(crate) fn origin(&self, row: usize) -> usize {
        self.origins[row]
    }

    /// A number that follows from a row's bits.
    pub(crate) fn hash(&self, row: usize) -> u64 {
        self.hashes[row]
    }

    /// Rows of a route.
    pub(crate) fn rows_of(&self, route: usize) -> Range<usize> {
        self.rows_of[route].clone()
    }

    /// How many examples a route has.
    pub fn count(&self, route: usize) -> usize {
        self.rows_of[route].len()
    }

    /// One row a route: the direction of the mean of those examples that `counts` lets in.
    pub(crate) fn centroids(&self, counts: impl Fn(usize) -> bool) -> Array2<f32> {
        let mut centroids = Array2::zeros((self.names.len(), self.dims()));
        let mut sum = vec![0.0_f32; self.dims()];
        for route in 0..self.names.len() {
            sum.fill(0.0);
            for row in self.rows_of(route).filter(|row| counts(*row)) {
                sum.iter_mut().zip(self.row(row)).for_each(|(to, from)| *to += from);
            }
            let direction = unit(&sum);
            let place = centroids.row_mut(route);
            place.into_iter().zip(direction).for_each(|(to, from)| *to = from);
        }
        centroids
    }
}

/// FNV-1a over the bits, mixed at the end: an order that has nothing to do with what a part means.
fn hash(vector: &[f32]) -> u64 {
    let mut hash = 0xcbf2_9ce4_8422_2325_u64;
    for part in vector {
        // Zero has two signs and one meaning.
        let bits = if *part == 0.0 { 0 } else { part.to_bits() };
        hash = (hash ^ u64::from(bits)).wrapping_mul(0x0100_0000_01b3);
    }
    mix(hash)
}

/// Spreads every bit of a number over all of it (the end of SplitMix64).
pub(crate) fn mix(number: u64) -> u64 {
    let mut z = number.wrapping_add(0x9e37_79b9_7f4a_7c15);
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

#[cfg(test)]
mod tests {
    use troupe_domain::Code;

    use super::*;

    fn route(name: &str, examples: &[[f32; 2]]) -> Route {
        Route { name: name.into(), examples: examples.iter().map(|e| e.to_vec()).collect() }
    }

    #[test]
    fn order_and_copies_do_not_matter() {
        let one = Examples::new(
            2,
            [route("b", &[[1.0, 0.0], [0.0, 2.0], [3.0, 0.0]]), route("a", &[[1.0, 1.0]])],
        )
        .unwrap();
        let other =
            Examples::new(2, [route("a", &[[2.0, 2.0]]), route("b", &[[0.0, 1.0], [1.0, 0.0]])])
                .unwrap();
        assert_eq!(one.names(), ["a", "b"]);
        assert_eq!(one.rows(), other.rows());
        assert_eq!(one.labels(), other.labels());
        assert_eq!(one.dropped(), Dropped { duplicates: 1, empty: 0 });
    }

    #[test]
    fn what_cannot_be_learned_from_is_said() {
        let empty = Examples::new(2, [route("a", &[[0.0, 0.0]])]).unwrap();
        assert_eq!((empty.len(), empty.dropped().empty), (0, 1));
        for wrong in [
            vec![route("a", &[]), route("a", &[])],
            vec![Route { name: "a".into(), examples: vec![vec![1.0]] }],
            vec![route("a", &[[f32::NAN, 1.0]])],
        ] {
            assert_eq!(Examples::new(2, wrong).unwrap_err().code, Code::InvalidArgument);
        }
        assert!(Examples::new(0, []).is_err());
    }
}
