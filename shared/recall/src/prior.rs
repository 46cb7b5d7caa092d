//! Factors by which time and use weigh a result.

/// What an age is worth: 1 for what is new, halfway down to `floor` after each `half_life`, and never
/// below it, so that age alone hides nothing. Both times in the same unit.
pub fn recency(age: f64, half_life: f64, floor: f32) -> f32 {
    if half_life <= 0.0 || !age.is_finite() {
        return floor;
    }
    let fresh = (-age.max(0.0) / half_life).exp2() as f32;
    floor + (1.0 - floor) * fresh
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn age_halves_what_is_above_the_floor() {
        let near = |age, wanted: f32| (recency(age, 10.0, 0.2) - wanted).abs() < 1e-6;
        assert!(near(0.0, 1.0) && near(10.0, 0.6) && near(20.0, 0.4) && near(1e9, 0.2));
        assert!(near(-5.0, 1.0) && near(f64::NAN, 0.2));
        assert!((recency(1.0, 0.0, 0.3) - 0.3).abs() < 1e-6);
    }
}
