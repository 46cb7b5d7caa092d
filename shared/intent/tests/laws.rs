//! Laws of a router, over random routes.

use proptest::prelude::*;
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use troupe_intent::{Examples, Outcome, Reason, Route, Router, Settings};

const DIMS: usize = 24;

/// Routes around random directions; `noise` is how far examples stray.
fn routes(seed: u64, counts: &[usize], noise: f32) -> Vec<Route> {
    let mut random = ChaCha8Rng::seed_from_u64(seed);
    let mut part = move || random.random_range(-1.0_f32..1.0);
    let mut routes = Vec::new();
    for (at, count) in counts.iter().enumerate() {
        let centre: Vec<f32> = (0..DIMS).map(|_| part()).collect();
        let mut example = || centre.iter().map(|c| c + noise * part()).collect();
        let examples = (0..*count).map(|_| example()).collect();
        routes.push(Route { name: format!("route-{at}"), examples });
    }
    routes
}

fn router(routes: Vec<Route>, settings: &Settings) -> Router {
    let examples = Examples::new(DIMS, routes).unwrap();
    Router::fit(&examples, settings, None).unwrap().0
}

fn queries(seed: u64, count: usize) -> Vec<Vec<f32>> {
    let mut random = ChaCha8Rng::seed_from_u64(seed ^ 0xabcd);
    let mut query = || (0..DIMS).map(|_| random.random_range(-1.0_f32..1.0)).collect();
    (0..count).map(|_| query()).collect()
}

fn counts() -> impl Strategy<Value = Vec<usize>> {
    proptest::collection::vec(0..8_usize, 0..7)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    #[test]
    fn order_and_copies_change_nothing(seed: u64, counts in counts(), noise in 0.1_f32..2.0) {
        let given = routes(seed, &counts, noise);
        let mut turned: Vec<Route> = given.iter().rev().cloned().collect();
        for route in &mut turned {
            route.examples.reverse();
            let copies: Vec<_> = route.examples.iter().take(2).cloned().collect();
            route.examples.extend(copies);
        }
        let one = router(given, &Settings::default());
        let other = router(turned, &Settings::default());
        for query in queries(seed, 10) {
            prop_assert_eq!(one.decide(&query).unwrap(), other.decide(&query).unwrap());
        }
    }

    #[test]
    fn probabilities_are_probabilities(seed: u64, counts in counts(), noise in 0.0_f32..3.0) {
        let routes = routes(seed, &counts, noise);
        let known = routes.len();
        let router = router(routes, &Settings::default());
        for query in queries(seed, 10) {
            let decision = router.decide(&query).unwrap();
            prop_assert_eq!(decision.ranked.len(), known);
            prop_assert!((0.0..=1.0).contains(&decision.scope));
            let sum: f32 = decision.ranked.iter().map(|ranked| ranked.probability).sum();
            prop_assert!(known == 0 || (sum - 1.0).abs() < 1e-4, "{}", sum);
            let falling = decision.ranked.is_sorted_by(|a, b| a.probability >= b.probability);
            prop_assert!(falling);
            for ranked in &decision.ranked {
                prop_assert!((-1.001..=1.001).contains(&ranked.similarity));
            }
            if let Some(route) = decision.route() {
                prop_assert_eq!(route, decision.ranked[0].route.as_ref());
            }
        }
    }

    #[test]
    fn any_finite_vector_gets_an_answer(
        examples in proptest::collection::vec(
            proptest::collection::vec(
                proptest::collection::vec(
                    prop_oneof![
                        Just(0.0_f32), Just(f32::MAX), Just(f32::MIN_POSITIVE), -1.0_f32..1.0
                    ],
                    3,
                ),
                0..6,
            ),
            0..5,
        ),
        query in proptest::collection::vec(prop_oneof![Just(0.0_f32), Just(-f32::MAX), -1.0_f32..1.0], 3),
    ) {
        let routes = examples.into_iter().enumerate().map(|(at, examples)| Route {
            name: format!("r{at}"),
            examples,
        });
        let examples = Examples::new(3, routes).unwrap();
        let (router, fit) = Router::fit(&examples, &Settings::default(), None).unwrap();
        let decision = router.decide(&query).unwrap();
        prop_assert!(decision.scope.is_finite());
        for ranked in &decision.ranked {
            prop_assert!(ranked.probability.is_finite() && ranked.similarity.is_finite());
        }
        prop_assert!(fit.routes.iter().all(|route| route.threshold.is_finite()));
        prop_assert!(fit.calibration.scope.iter().all(|part| part.is_finite()));
    }

    #[test]
    fn the_seed_does_not_decide_what_is_clear(seed: u64, folds in any::<[u64; 2]>()) {
        let given = routes(seed, &[6, 6, 6, 6], 0.3);
        let with = |seed| router(given.clone(), &Settings { seed, ..Settings::default() });
        let (one, other) = (with(folds[0]), with(folds[1]));
        for route in &given {
            let query = &route.examples[0];
            let chosen = |router: &Router| router.decide(query).unwrap().route().map(str::to_owned);
            prop_assert_eq!(chosen(&one), Some(route.name.clone()));
            prop_assert_eq!(chosen(&one), chosen(&other));
        }
    }

    #[test]
    fn more_precision_means_fewer_decisions(
        seed: u64, noise in 0.5_f32..3.0, wanted in (0.5_f32..1.0, 0.5_f32..1.0),
    ) {
        let (low, high) = (wanted.0.min(wanted.1), wanted.0.max(wanted.1));
        let examples = Examples::new(DIMS, routes(seed, &[6, 5, 4, 2], noise)).unwrap();
        let fit = |precision| {
            let settings = Settings { precision, ..Settings::default() };
            Router::fit(&examples, &settings, None).unwrap().1
        };
        let (lax, strict) = (fit(low), fit(high));
        for (lax, strict) in lax.routes.iter().zip(&strict.routes) {
            prop_assert!(lax.threshold <= strict.threshold);
        }
        prop_assert!(lax.coverage >= strict.coverage);
    }

    #[test]
    fn former_weights_do_not_change_what_is_learned(seed: u64) {
        let examples = Examples::new(DIMS, routes(seed, &[5, 5, 5], 1.0)).unwrap();
        let settings = Settings::default();
        let (cold, _) = Router::fit(&examples, &settings, None).unwrap();
        let other = router(routes(seed ^ 1, &[5, 5, 5], 1.0), &settings);
        let (warm, _) = Router::fit(&examples, &settings, Some(&other)).unwrap();
        for query in queries(seed, 5) {
            let (cold, warm) = (cold.decide(&query).unwrap(), warm.decide(&query).unwrap());
            for (cold, warm) in cold.ranked.iter().zip(&warm.ranked) {
                let off = (cold.probability - warm.probability).abs();
                prop_assert!(off < 0.02, "{}", off);
            }
        }
    }
}

#[test]
fn a_route_that_is_excluded_is_not_replaced_by_the_next_one() {
    let given = routes(1, &[6, 6, 6], 0.3);
    let router = router(given.clone(), &Settings::default());
    let query = &given[1].examples[0];
    let decision = router.decide_among(query, |route| route != 1).unwrap();
    let Outcome::Abstain { reason: Reason::OutOfScope { .. } | Reason::Excluded { .. } } =
        &decision.outcome
    else {
        panic!("{decision:?}");
    };
    assert!(decision.ranked.iter().all(|ranked| ranked.route.as_ref() != "route-1"));
    let none = router.decide_among(query, |_| false).unwrap();
    assert_eq!(none.outcome, Outcome::Abstain { reason: Reason::NoRoute });
}

#[test]
fn one_route_and_no_route_have_answers_too() {
    let one = routes(2, &[5], 0.2);
    let router_of_one = router(one.clone(), &Settings::default());
    assert_eq!(router_of_one.decide(&one[0].examples[0]).unwrap().route(), Some("route-0"));
    let away: Vec<f32> = one[0].examples[0].iter().map(|part| -part).collect();
    let decision = router_of_one.decide(&away).unwrap();
    assert!(
        matches!(decision.outcome, Outcome::Abstain { reason: Reason::OutOfScope { .. } }),
        "{decision:?}"
    );
    let empty = router(vec![], &Settings::default());
    assert_eq!(empty.decide(&away).unwrap().outcome, Outcome::Abstain { reason: Reason::NoRoute });
}

#[test]
fn a_young_route_is_found_beside_trained_ones() {
    let given = routes(3, &[8, 8, 8, 1, 2], 0.4);
    let router = router(given.clone(), &Settings::default());
    for route in &given {
        let decision = router.decide(&route.examples[0]).unwrap();
        assert_eq!(decision.ranked[0].route.as_ref(), route.name, "{decision:?}");
    }
}

#[test]
fn a_new_route_can_be_chosen_before_the_next_fit() {
    let given = routes(4, &[6, 6, 6, 6], 0.3);
    let settings = Settings::default();
    let before = Examples::new(DIMS, given[..3].to_vec()).unwrap();
    let (router, _) = Router::fit(&before, &settings, None).unwrap();
    let after = router.retrained(&Examples::new(DIMS, given.clone()).unwrap());
    for route in &given {
        let decision = after.decide(&route.examples[1]).unwrap();
        assert_eq!(decision.route(), Some(route.name.as_str()), "{decision:?}");
    }
}

#[test]
fn a_misplaced_example_is_named_with_who_takes_it() {
    let mut given = routes(5, &[8, 8], 0.3);
    let stray = given[1].examples.pop().unwrap();
    given[0].examples.insert(3, stray);
    let examples = Examples::new(DIMS, given).unwrap();
    let (_, fit) = Router::fit(&examples, &Settings::default(), None).unwrap();
    let confused: Vec<_> = fit.routes[0].confusions.iter().collect();
    assert_eq!(confused.len(), 1, "{fit:?}");
    assert_eq!((confused[0].example, confused[0].taken_by.as_str()), (3, "route-1"));
}

#[test]
fn what_is_not_a_query_is_refused() {
    let router = router(routes(6, &[3, 3], 0.3), &Settings::default());
    assert!(router.decide(&[1.0]).is_err());
    assert!(router.decide(&[f32::INFINITY; DIMS]).is_err());
    let nothing = router.decide(&[0.0; DIMS]).unwrap();
    assert_eq!(nothing.outcome, Outcome::Abstain { reason: Reason::Empty });
}
