//! Plans: items in a tree with an order, their fields, and what follows from them.

mod status;

pub use status::PlanItemStatus;
