//! How well an agent suits a message: five parts between 0 and 1, blended by configured weights.
//!
//! Invariant: the total is a weighted mean, so it lies between 0 and 1 and no part that gets better
//! makes it worse. Every part is kept, so that a decision can be explained.

use serde::{Deserialize, Serialize};
use troupe_domain::Fault;

use super::performance::Reading;

/// How much each part counts.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Weights {
    /// That the agent is meant.
    pub semantic: f64,
    /// How good it says it is.
    pub proficiency: f64,
    /// How often it succeeds.
    pub success: f64,
    /// How much room it has.
    pub load: f64,
    /// How fast it is.
    pub latency: f64,
}

impl Default for Weights {
    fn default() -> Self {
        Self { semantic: 0.5, proficiency: 0.2, success: 0.15, load: 0.1, latency: 0.05 }
    }
}

impl Weights {
    fn named(&self) -> [(&'static str, f64); 5] {
        [
            ("weights.semantic", self.semantic),
            ("weights.proficiency", self.proficiency),
            ("weights.success", self.success),
            ("weights.load", self.load),
            ("weights.latency", self.latency),
        ]
    }

    /// Refuses weights that are negative or no numbers, and weights that are all 0.
    pub fn check(&self) -> Result<(), Fault> {
        for (field, weight) in self.named() {
            if !(weight.is_finite() && weight >= 0.0) {
                let why = format!("must be a number of at least 0 (got {weight})");
                return Err(Fault::invalid(field, why));
            }
        }
        let sum: f64 = self.named().iter().map(|(_, weight)| weight).sum();
        if !(sum.is_finite() && sum > 0.0) {
            return Err(Fault::invalid("weights", "at least one must be above 0"));
        }
        Ok(())
    }
}

/// What speaks for an agent, each part between 0 and 1.
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize, Deserialize)]
pub struct Parts {
    /// The calibrated probability that what it can do is meant.
    pub semantic: f64,
    /// Its declared proficiency.
    pub proficiency: f64,
    /// Its measured success at this.
    pub success: f64,
    /// The share of its room that is free.
    pub load: f64,
    /// 1 ÷ (1 + its latency ÷ the fleet's median): half for a typical agent.
    pub latency: f64,
}

impl Parts {
    /// The parts of one agent. `load` is the share of its room that is used.
    pub fn new(
        semantic: f64,
        proficiency: f64,
        success: f64,
        load: f64,
        reading: &Reading,
        median_latency_us: f64,
    ) -> Self {
        let latency = 1.0 / (1.0 + reading.latency_us.max(0.0) / median_latency_us.max(1.0));
        Self {
            semantic: unit(semantic),
            proficiency: unit(proficiency),
            success: unit(success),
            load: unit(1.0 - load),
            latency: unit(latency),
        }
    }

    /// The weighted mean.
    pub fn total(&self, weights: &Weights) -> f64 {
        let blended = [
            (weights.semantic, self.semantic),
            (weights.proficiency, self.proficiency),
            (weights.success, self.success),
            (weights.load, self.load),
            (weights.latency, self.latency),
        ];
        let sum: f64 = blended.iter().map(|(weight, _)| weight).sum();
        blended.iter().map(|(weight, part)| weight / sum * part).sum()
    }

    /// The same agent as if it were well: what was measured of it while it was ill is left out.
    pub fn if_well(&self) -> Self {
        Self { success: 1.0, latency: self.latency.max(0.5), ..*self }
    }
}

/// Within 0 and 1; what is no number speaks for nobody.
fn unit(part: f64) -> f64 {
    if part.is_nan() { 0.0 } else { part.clamp(0.0, 1.0) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn the_defaults_pass_and_a_wrong_weight_is_named() {
        assert_eq!(Weights::default().check(), Ok(()));
        for wrong in [-0.1, f64::NAN, f64::INFINITY] {
            let fault = Weights { load: wrong, ..Weights::default() }.check().unwrap_err();
            assert_eq!(fault.details["field"], "weights.load");
        }
        let none =
            Weights { semantic: 0.0, proficiency: 0.0, success: 0.0, load: 0.0, latency: 0.0 };
        assert_eq!(none.check().unwrap_err().details["field"], "weights");
        let huge = Weights { semantic: f64::MAX, proficiency: f64::MAX, ..Weights::default() };
        assert!(huge.check().is_err(), "a sum that is no number");
    }

    fn parts() -> impl Strategy<Value = [f64; 5]> {
        prop::array::uniform5(0.0_f64..=1.0)
    }

    fn of([semantic, proficiency, success, load, latency]: [f64; 5]) -> Parts {
        Parts { semantic, proficiency, success, load, latency }
    }

    proptest! {
        #[test]
        fn the_total_is_a_mean_and_a_better_part_is_never_worse(
            parts in parts(), weights in prop::array::uniform5(0.0_f64..10.0), which in 0_usize..5,
            better in 0.0_f64..=1.0,
        ) {
            let [semantic, proficiency, success, load, latency] = weights;
            let weights = Weights { semantic, proficiency, success, load, latency };
            prop_assume!(weights.check().is_ok());
            let total = of(parts).total(&weights);
            let (low, high) = parts.iter().fold((1.0_f64, 0.0_f64), |(l, h), p| (l.min(*p), h.max(*p)));
            prop_assert!(total >= low - 1e-9 && total <= high + 1e-9);
            let mut improved = parts;
            improved[which] = improved[which].max(better);
            prop_assert!(of(improved).total(&weights) >= total - 1e-9);
            prop_assert!(of(parts).if_well().total(&weights) >= total - 1e-9);
        }
    }

    #[test]
    fn a_typical_agent_gets_half_for_its_latency_and_nonsense_gets_nothing() {
        let mut reading = Reading {
            outstanding: 0,
            latency_us: 500.0,
            quantiles: crate::rules::performance::histogram::Quantiles::default(),
            success: 0.9,
            calls: 0,
        };
        let parts = Parts::new(f64::NAN, 2.0, 0.9, 1.5, &reading, 500.0);
        assert_eq!((parts.semantic, parts.proficiency, parts.load), (0.0, 1.0, 0.0));
        assert!((parts.latency - 0.5).abs() < 1e-12);
        reading.latency_us = 5_000.0;
        assert!(Parts::new(1.0, 1.0, 0.9, 0.0, &reading, 500.0).latency < 0.1);
    }
}
