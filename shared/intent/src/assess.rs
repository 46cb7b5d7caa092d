//! How a router does on examples that it was not trained on, and the thresholds that follow.
//!
//! Invariant: an assessment changes nothing; and a larger wanted precision never gives a lower
//! threshold.

use troupe_domain::Fault;

use crate::evaluate::{auroc, calibration_error};
use crate::fit::best_and_margin;
use crate::router::{Router, Weighed};
use crate::threshold::{self, Verdict};

/// A vector with the route that its text wants.
#[derive(Debug, Clone)]
pub struct Labelled {
    /// The vector.
    pub vector: Vec<f32>,
    /// The route; absent where the text wants none of them.
    pub route: Option<String>,
}

/// How a router does.
#[derive(Debug, Clone, PartialEq)]
pub struct Assessment {
    /// The share of examples of a route whose best route is their own, before any threshold.
    pub accuracy: f32,
    /// How likely a text that wants a route looks more like it than one that wants none; absent
    /// where there are none of either kind.
    pub out_of_scope_auroc: Option<f32>,
    /// The expected calibration error of the best probability.
    pub calibration_error: f32,
    /// One a route, in the order of their names.
    pub routes: Vec<RouteAssessment>,
}

/// How one route does.
#[derive(Debug, Clone, PartialEq)]
pub struct RouteAssessment {
    /// Its name.
    pub route: String,
    /// Examples of it.
    pub examples: usize,
    /// The threshold for the wanted precision; above 1 where that is out of reach.
    pub threshold: f32,
    /// The share of right ones among what it is chosen for; none where it is chosen for nothing.
    pub precision: Option<f32>,
    /// The share of its examples that it is chosen for; none without examples.
    pub recall: Option<f32>,
}

/// One example with what the router makes of it.
struct Heard {
    verdict: Verdict,
    wanted: Option<usize>,
    passes: bool,
    scope: f32,
}

impl Router {
    /// How this router does on `labelled`, and the thresholds that give `precision` there. An
    /// example of a route that it does not know is refused.
    pub fn assess(&self, labelled: &[Labelled], precision: f32) -> Result<Assessment, Fault> {
        let mut heard = Vec::with_capacity(labelled.len());
        for example in labelled {
            let wanted = match &example.route {
                None => None,
                Some(route) => {
                    let unknown = || Fault::not_found("route", route);
                    Some(self.number(route).ok_or_else(unknown)?)
                }
            };
            let Ok(Weighed { probabilities, scope, .. }) = self.weigh(&example.vector)? else {
                continue;
            };
            let (route, margin) = best_and_margin(&probabilities);
            let right = Some(route) == wanted;
            let verdict = Verdict { route, probability: probabilities[route], right, weight: 1.0 };
            let passes =
                margin >= self.settings().margin && scope >= self.calibration().scope_limit;
            heard.push(Heard { verdict, wanted, passes, scope });
        }
        let passing: Vec<Verdict> =
            heard.iter().filter(|one| one.passes).map(|one| one.verdict).collect();
        let thresholds = threshold::fit(&passing, self.names().len(), precision);
        let inside: Vec<&Heard> = heard.iter().filter(|one| one.wanted.is_some()).collect();
        let scopes = |all: &mut dyn Iterator<Item = &Heard>| -> Vec<f32> {
            all.map(|one| one.scope).collect()
        };
        let within = scopes(&mut inside.iter().copied());
        let outside = scopes(&mut heard.iter().filter(|one| one.wanted.is_none()));
        let both = !within.is_empty() && !outside.is_empty();
        let sure: Vec<(f32, bool)> =
            inside.iter().map(|one| (one.verdict.probability, one.verdict.right)).collect();
        let right = inside.iter().filter(|one| one.verdict.right).count();
        Ok(Assessment {
            accuracy: share(right, inside.len()).unwrap_or(0.0),
            out_of_scope_auroc: both.then(|| auroc(&within, &outside)),
            calibration_error: calibration_error(&sure),
            routes: self.by_route(&heard, &thresholds),
        })
    }

    fn by_route(&self, heard: &[Heard], thresholds: &[f32]) -> Vec<RouteAssessment> {
        let mut counts = vec![[0_usize; 3]; self.names().len()];
        for one in heard {
            let Verdict { route, probability, right, .. } = one.verdict;
            if let Some(wanted) = one.wanted {
                counts[wanted][0] += 1;
            }
            if one.passes && probability >= thresholds[route] {
                counts[route][1] += 1;
                counts[route][2] += usize::from(right);
            }
        }
        let rows = self.names().iter().zip(counts).zip(thresholds);
        rows.map(|((name, [examples, chosen, right]), threshold)| RouteAssessment {
            route: name.to_string(),
            examples,
            threshold: *threshold,
            precision: share(right, chosen),
            recall: share(right, examples),
        })
        .collect()
    }
}

fn share(part: usize, all: usize) -> Option<f32> {
    (all > 0).then(|| part as f32 / all as f32)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Examples, Route, Settings};

    fn router() -> Router {
        let route = |name: &str, at: [f32; 2]| Route {
            name: name.into(),
            examples: (0..6).map(|n| vec![at[0], at[1], n as f32 * 0.05]).collect(),
        };
        let routes = [route("east", [1.0, 0.0]), route("north", [0.0, 1.0])];
        let examples = Examples::new(3, routes).unwrap();
        Router::fit(&examples, &Settings::default(), None).unwrap().0
    }

    fn labelled(vector: [f32; 3], route: Option<&str>) -> Labelled {
        Labelled { vector: vector.to_vec(), route: route.map(str::to_owned) }
    }

    #[test]
    fn what_is_right_and_what_is_foreign_is_told_apart() {
        let mut examples = Vec::new();
        for n in 0..10 {
            let off = n as f32 * 0.02;
            examples.push(labelled([1.0, off, 0.1], Some("east")));
            examples.push(labelled([off, 1.0, 0.1], Some("north")));
            examples.push(labelled([-1.0, -1.0, off], None));
        }
        let assessment = router().assess(&examples, 0.9).unwrap();
        assert!((assessment.accuracy - 1.0).abs() < 1e-6);
        assert!(assessment.out_of_scope_auroc.unwrap() > 0.99, "{assessment:?}");
        for route in &assessment.routes {
            assert_eq!((route.examples, route.precision, route.recall), (10, Some(1.0), Some(1.0)));
        }
        let wrong = [labelled([1.0, 0.0, 0.0], Some("west"))];
        assert!(router().assess(&wrong, 0.9).unwrap_err().message.contains("west"));
    }

    #[test]
    fn a_route_that_takes_what_is_not_its_own_must_be_surer() {
        let mut examples = Vec::new();
        for n in 0..20 {
            let off = n as f32 * 0.03;
            examples.push(labelled([1.0, off, 0.0], Some(if n > 9 { "north" } else { "east" })));
            examples.push(labelled([0.0, 1.0, 0.0], Some("north")));
        }
        let lenient = router().assess(&examples, 0.5).unwrap();
        let strict = router().assess(&examples, 0.95).unwrap();
        assert!(strict.routes[0].threshold > lenient.routes[0].threshold, "{strict:?}");
        let router = router().with_thresholds(|name| (name == "east").then_some(0.97));
        assert_eq!(router.threshold("east"), Some(0.97));
        assert_eq!(router.threshold("west"), None);
    }
}
