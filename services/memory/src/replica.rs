//! What runs beside requests: vectors, the hot and the cold tier, what is learned, who is told, and the
//! end of what was deleted.

pub mod compacting;
pub mod cooling;
pub mod embedding;
pub mod forgetting;
pub mod heating;
pub mod learned;
pub mod learning;
pub mod recovering;
mod salvage;
pub mod telling;
