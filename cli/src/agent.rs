//! Any program as a member of the fleet: run once per task or message, its output as the result.

pub(crate) mod capture;
pub(crate) mod listener;
pub(crate) mod messages;
pub(crate) mod outcome;
pub(crate) mod program;
pub(crate) mod runner;
pub(crate) mod work;
