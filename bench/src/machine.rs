//! What a number was measured on.

use std::fs;
use std::path::Path;
use std::process::Command;
use std::time::{SystemTime, UNIX_EPOCH};

use serde::Serialize;
use troupe_domain::Timestamp;

/// The machine.
#[derive(Debug, Clone, Serialize)]
pub struct Machine {
    /// The processor's model.
    pub cpu: String,
    /// Logical processors that this process may use.
    pub cores: usize,
    /// Memory of the machine.
    pub memory_bytes: u64,
    /// The distribution.
    pub os: String,
    /// The kernel.
    pub kernel: String,
    /// The processor architecture.
    pub architecture: &'static str,
    /// Runnable processes, averaged over the minute before the run: others may have been at work.
    pub load_before: String,
}

/// The versions that took part.
#[derive(Debug, Clone, Serialize)]
pub struct Versions {
    /// The server.
    pub nats_server: String,
    /// This workspace.
    pub troupe: &'static str,
    /// The compiler.
    pub rustc: &'static str,
    /// `release`, or a profile whose numbers mean nothing.
    pub profile: &'static str,
}

const UNKNOWN: &str = "unknown";

fn read(path: &str) -> String {
    fs::read_to_string(path).unwrap_or_default()
}

/// The value after the first line that begins with `key` and a separator.
fn field(text: &str, key: &str, separator: char) -> Option<String> {
    text.lines().find_map(|line| {
        let (name, value) = line.split_once(separator)?;
        (name.trim() == key).then(|| value.trim().trim_matches('"').to_owned())
    })
}

/// Looks at the machine.
pub(crate) fn look() -> Machine {
    let memory = field(&read("/proc/meminfo"), "MemTotal", ':');
    let kib = memory.and_then(|text| text.strip_suffix(" kB")?.parse::<u64>().ok());
    let or_unknown = |found: Option<String>| found.unwrap_or_else(|| UNKNOWN.to_owned());
    Machine {
        cpu: or_unknown(field(&read("/proc/cpuinfo"), "model name", ':')),
        cores: std::thread::available_parallelism().map_or(1, std::num::NonZero::get),
        memory_bytes: kib.unwrap_or_default() * 1024,
        os: or_unknown(field(&read("/etc/os-release"), "PRETTY_NAME", '=')),
        kernel: read("/proc/sys/kernel/osrelease").trim().to_owned(),
        architecture: std::env::consts::ARCH,
        load_before: or_unknown(
            read("/proc/loadavg").split_ascii_whitespace().next().map(str::to_owned),
        ),
    }
}

/// Asks for the versions.
pub(crate) fn versions(nats_server: &Path) -> Versions {
    Versions {
        nats_server: told(nats_server),
        troupe: env!("CARGO_PKG_VERSION"),
        rustc: env!("TROUPE_BENCH_RUSTC"),
        profile: if cfg!(debug_assertions) { "debug" } else { "release" },
    }
}

/// What a program says of its version.
pub(crate) fn told(program: &Path) -> String {
    let output = Command::new(program).arg("--version").output();
    let text = output.ok().and_then(|output| String::from_utf8(output.stdout).ok());
    text.map_or_else(|| UNKNOWN.to_owned(), |text| text.trim().to_owned())
}

/// The date and time, in UTC.
pub(crate) fn now() -> String {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    Timestamp::from_millis(i64::try_from(since.as_millis()).unwrap_or_default()).to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_are_found_by_their_whole_name() {
        let text = "model\t: 1\nmodel name\t: A \"b\" c\n";
        assert_eq!(field(text, "model name", ':').as_deref(), Some("A \"b\" c"));
        assert_eq!(field("PRETTY_NAME=\"D 12\"", "PRETTY_NAME", '=').as_deref(), Some("D 12"));
        assert_eq!(field(text, "name", ':'), None);
    }
}
