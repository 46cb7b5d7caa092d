//! What runs beside requests.

pub mod archiving;
pub mod following;
