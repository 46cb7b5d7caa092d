//! What runs beside requests: following what happens to tasks, and asking work distribution.

pub mod asking;
mod catching_up;
pub mod following;
