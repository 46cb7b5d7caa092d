//! What somebody declares of a route, and what is refused.

use std::collections::BTreeMap;

use troupe_contract::routing::{Route, RouteTarget};
use troupe_domain::limits::MAX_TEXT_BYTES;
use troupe_domain::{Fault, Name};

use crate::rules::utterance;

/// Example utterances that one route declares.
pub const MAX_DECLARED_UTTERANCES: usize = 256;

/// What breakers and success are kept under: the capability, or the name that stands for it.
pub fn key_of(target: &RouteTarget) -> &Name {
    match target {
        RouteTarget::Agent(name) | RouteTarget::Role(name) => name,
        RouteTarget::Capability(need) => &need.name,
    }
}

/// Refuses what cannot be learned from, by name: nothing to go by, texts that are empty,
/// over-long or no texts, and the same text twice.
pub fn check(route: &Route) -> Result<(), Fault> {
    if let RouteTarget::Capability(need) = &route.target
        && !(0.0..=1.0).contains(&need.min_proficiency)
    {
        let why = format!("must be within 0 and 1 (got {})", need.min_proficiency);
        return Err(Fault::invalid("target.capability.min_proficiency", why));
    }
    if let Some(threshold) = route.threshold
        && !(0.0..=1.0).contains(&threshold)
    {
        let why = format!("must be within 0 and 1 (got {threshold})");
        return Err(Fault::invalid("threshold", why));
    }
    if route.description.len() > MAX_TEXT_BYTES {
        let fault = Fault::exhausted("MAX_TEXT_BYTES", MAX_TEXT_BYTES);
        return Err(fault.with("field", "description"));
    }
    if route.utterances.is_empty() && route.description.trim().is_empty() {
        return Err(Fault::invalid("utterances", "must not be empty without a description"));
    }
    if route.utterances.len() > MAX_DECLARED_UTTERANCES {
        let fault = Fault::exhausted("MAX_DECLARED_UTTERANCES", MAX_DECLARED_UTTERANCES);
        return Err(fault.with("field", "utterances"));
    }
    let mut seen = BTreeMap::new();
    for (index, text) in route.utterances.iter().enumerate() {
        let field = format!("utterances[{index}]");
        utterance::check(&field, text)?;
        if let Some(first) = seen.insert(utterance::key(text), index) {
            return Err(Fault::invalid(&field, format!("is the same as utterances[{first}]")));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn route(utterances: &[&str]) -> Route {
        Route {
            id: Name::parse("r").unwrap(),
            target: RouteTarget::Capability("rust:0.5".parse().unwrap()),
            description: String::new(),
            utterances: utterances.iter().map(|&text| text.to_owned()).collect(),
            threshold: None,
        }
    }

    #[test]
    fn what_cannot_be_learned_from_is_named() {
        assert_eq!(check(&route(&["fix the build", "résumé 🙂"])), Ok(()));
        let field = |route: &Route| check(route).unwrap_err().details["field"].clone();
        assert_eq!(field(&route(&[])), "utterances");
        assert_eq!(field(&route(&["a", " "])), "utterances[1]");
        let twice = route(&["Fix  the build", "b", "fix the BUILD"]);
        assert_eq!(field(&twice), "utterances[2]");
        assert!(check(&twice).unwrap_err().message.contains("utterances[0]"));
        let many: Vec<String> = (0..=MAX_DECLARED_UTTERANCES).map(|n| n.to_string()).collect();
        let many = Route { utterances: many, ..route(&[]) };
        assert_eq!(check(&many).unwrap_err().details["limit"], "MAX_DECLARED_UTTERANCES");
        let long = Route { description: "x".repeat(MAX_TEXT_BYTES + 1), ..route(&["a"]) };
        assert_eq!(field(&long), "description");
        let target = RouteTarget::Capability("rust:7".parse().unwrap());
        let wrong = Route { target, ..route(&["a"]) };
        assert_eq!(field(&wrong), "target.capability.min_proficiency");
        let wrong = Route { threshold: Some(1.1), ..route(&["a"]) };
        assert_eq!(field(&wrong), "threshold");
        assert_eq!(check(&Route { description: "d".into(), ..route(&[]) }), Ok(()));
    }
}
