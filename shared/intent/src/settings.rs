//! What a fit can be told.

use serde::{Deserialize, Serialize};
use troupe_domain::Fault;

/// How to train, calibrate and decide.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Settings {
    /// The share of a route's decisions that should be right; its threshold follows from this.
    pub precision: f32,
    /// By how much the best probability must exceed the second.
    pub margin: f32,
    /// The share of in-scope queries that the scope gate must let pass.
    pub scope_recall: f32,
    /// The share of queries that are expected to be meant for no route: thresholds make room for them.
    pub out_of_scope_share: f32,
    /// C of the logistic head: the inverse of how strongly weights are kept small.
    pub inverse_penalty: f32,
    /// Parts that the examples are cut into, of which each is held out once.
    pub folds: usize,
    /// Which examples go into which part.
    pub seed: u64,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            precision: 0.9,
            margin: 0.05,
            scope_recall: 0.95,
            out_of_scope_share: 0.1,
            inverse_penalty: 30.0,
            folds: 5,
            seed: 0,
        }
    }
}

/// The most parts that examples are cut into.
pub const FOLDS_MAX: usize = 20;

impl Settings {
    /// Refuses what makes no sense.
    pub fn check(&self) -> Result<(), Fault> {
        for (field, share) in [
            ("precision", self.precision),
            ("margin", self.margin),
            ("scope_recall", self.scope_recall),
        ] {
            if !(0.0..=1.0).contains(&share) {
                return Err(Fault::invalid(field, "must be between 0 and 1"));
            }
        }
        if !(0.0..=0.9).contains(&self.out_of_scope_share) {
            return Err(Fault::invalid("out_of_scope_share", "must be between 0 and 0.9"));
        }
        if !(1e-3..=1e6).contains(&self.inverse_penalty) {
            return Err(Fault::invalid("inverse_penalty", "must be between 0.001 and 1000000"));
        }
        if !(2..=FOLDS_MAX).contains(&self.folds) {
            return Err(Fault::invalid("folds", format!("must be between 2 and {FOLDS_MAX}")));
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn refuses_nonsense() {
        assert!(Settings::default().check().is_ok());
        for wrong in [
            Settings { precision: 1.5, ..Settings::default() },
            Settings { margin: f32::NAN, ..Settings::default() },
            Settings { folds: 1, ..Settings::default() },
            Settings { inverse_penalty: 0.0, ..Settings::default() },
        ] {
            assert!(wrong.check().is_err(), "{wrong:?}");
        }
    }
}
