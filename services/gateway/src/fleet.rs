//! The callers as the fleet knows them: a connection for each, and a sign of life while they are at
//! work.

mod attendance;
mod connections;

pub(crate) use attendance::{Attendance, AttendanceSettings};
pub(crate) use connections::{ConnectionSettings, Connections, Member};
