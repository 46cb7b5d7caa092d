//! When a former decision or answer may serve a new text.
//!
//! Two texts are the same if their [`key`] is. Similarity alone is not enough for anything else:
//! "transfer money from alice to bob" and its reverse have a cosine of 0.998. A near hit needs a
//! cosine of at least τ, the same route for both, and two texts that say the same as far as words can
//! tell ([`lexical`]). Every gate can only refuse: what is refused costs time, what is let through
//! wrongly costs trust.

pub mod key;
pub mod lexical;

mod poles;
mod words;

pub use key::{Space, exact_key, normalised};
pub use lexical::{Difference, Purpose, difference};

/// The default of the least cosine for a near hit.
pub const SIMILARITY_MIN: f32 = 0.85;

/// A text with the route that was chosen for it.
#[derive(Debug, Clone, Copy)]
pub struct Routed<'a> {
    /// As it was asked.
    pub text: &'a str,
    /// The route, if one was chosen.
    pub route: Option<&'a str>,
}

/// Why a cached entry does not serve.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "snake_case", tag = "miss", content = "difference")]
pub enum Miss {
    /// The cosine is below τ.
    Far,
    /// The routes differ, or one of the texts has none.
    Route,
    /// The texts differ in something that a vector does not show.
    Text(Difference),
}

/// Whether what was cached for one text may serve another, at this cosine.
pub fn near_hit(
    cached: Routed<'_>,
    asked: Routed<'_>,
    similarity: f32,
    similarity_min: f32,
    purpose: Purpose,
) -> Result<(), Miss> {
    if similarity.is_nan() || similarity < similarity_min {
        return Err(Miss::Far);
    }
    if cached.route.is_none() || cached.route != asked.route {
        return Err(Miss::Route);
    }
    match difference(cached.text, asked.text, purpose) {
        Some(difference) => Err(Miss::Text(difference)),
        None => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_gate_must_be_open() {
        let cached = Routed { text: "restart the web server", route: Some("restart") };
        let asked = Routed { text: "please restart the web server", route: Some("restart") };
        let near = |cached, asked, similarity| {
            near_hit(cached, asked, similarity, SIMILARITY_MIN, Purpose::Answer)
        };
        assert_eq!(near(cached, asked, 0.9), Ok(()));
        assert_eq!(near(cached, asked, 0.849), Err(Miss::Far));
        assert_eq!(near(cached, asked, f32::NAN), Err(Miss::Far));
        let elsewhere = Routed { route: Some("status"), ..asked };
        assert_eq!(near(cached, elsewhere, 0.99), Err(Miss::Route));
        let nowhere = Routed { route: None, ..asked };
        assert_eq!(near(Routed { route: None, ..cached }, nowhere, 0.99), Err(Miss::Route));
        let reversed = Routed { text: "do not restart the web server", ..asked };
        assert_eq!(near(cached, reversed, 0.99), Err(Miss::Text(Difference::Negation)));
    }
}
