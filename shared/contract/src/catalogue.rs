//! The catalogue: everything that is declared, as one list.

use crate::endpoint::EndpointEntry;
use crate::{memory, plan, progress, registry, routing, work};

/// Every endpoint of every service.
pub fn endpoints() -> impl Iterator<Item = &'static EndpointEntry> {
    registry::ENDPOINTS
        .iter()
        .chain(work::ENDPOINTS)
        .chain(routing::ENDPOINTS)
        .chain(plan::ENDPOINTS)
        .chain(progress::ENDPOINTS)
        .chain(memory::ENDPOINTS)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_operation_is_declared_once_and_has_a_sentence() {
        let mut seen = std::collections::BTreeSet::new();
        for entry in endpoints() {
            assert!(seen.insert((entry.service, entry.operation)), "{}", entry.operation);
            assert!(
                entry.summary.ends_with('.') && entry.summary.len() > 10,
                "{}",
                entry.operation
            );
        }
    }
}
