//! ONNX Runtime sends nothing home.
//!
//! Its official builds report to their makers: an identifier is written below the home folder, and one
//! event leaves before a program could say no. A variable forbids all of it, if it is there before the
//! library is loaded. A process with threads cannot change its own environment soundly, so a program
//! that may load the library starts itself anew, in place, with the variable.

use std::env;
use std::os::unix::process::CommandExt;
use std::process::Command;

/// What ONNX Runtime looks for, once, when it is loaded.
const VARIABLE: &str = "ORT_DISABLE_TELEMETRY";

/// To be called first in `main`, of a program that may load ONNX Runtime: returns in a process in which
/// it sends nothing. Whoever has set the variable has decided, whatever its value.
pub fn refuse_telemetry() {
    if env::var_os(VARIABLE).is_some() {
        return;
    }
    let Ok(program) = env::current_exe() else { return };
    let mut words = env::args_os();
    let mut command = Command::new(program);
    if let Some(name) = words.next() {
        command.arg0(name);
    }
    // It only returns if it failed. Then the program goes on, and says so where the library is loaded.
    let _ = command.args(words).env(VARIABLE, "1").exec();
}

/// Says that the library may report to its makers.
pub(crate) fn warn_unless_refused() {
    if env::var_os(VARIABLE).is_none() {
        tracing::warn!("{VARIABLE} is not set: ONNX Runtime may send telemetry to its makers");
    }
}
