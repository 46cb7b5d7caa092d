//! What runs beside requests.

pub mod alike;
pub mod archiving;
pub mod following;
pub mod telling;
