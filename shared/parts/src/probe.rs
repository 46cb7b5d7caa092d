//! Asks an installed program for its version, in bounded time.

use std::{
    fs,
    io::{self, Read},
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    thread,
    time::{Duration, Instant},
};

use crate::part::{Library, Program, Version};

const PROBE_DEADLINE_SECONDS: u64 = 5;
const POLL_MS: u64 = 5;
const OUTPUT_MAX_BYTES: u64 = 4096;

/// The program's version, or in words why it cannot be used.
pub(crate) fn suitable(path: &Path, program: &Program) -> Result<Version, String> {
    if !is_executable(path) {
        return Err("which is not an executable file".to_owned());
    }
    let printed = run(path, program.arguments).map_err(|error| format!("which {error}"))?;
    let version = printed
        .split_once(program.before_version)
        .and_then(|(_, rest)| Version::read(rest))
        .ok_or_else(|| "which does not print a version that is understood".to_owned())?;
    new_enough(version, program.minimum)
}

fn new_enough(version: Version, minimum: Version) -> Result<Version, String> {
    if version < minimum {
        return Err(format!("which is {version}; needed is {minimum} or newer"));
    }
    Ok(version)
}

/// The version in the name of the file that `link` leads to, or in words why it cannot be used.
pub(crate) fn suitable_library(link: &Path, library: &Library) -> Result<Version, String> {
    let real = fs::canonicalize(link).map_err(|error| format!("which {error}"))?;
    let name = real.file_name().unwrap_or_default().to_string_lossy();
    let version = library
        .before_version
        .iter()
        .filter_map(|before| name.strip_prefix(before))
        .find_map(Version::read)
        .ok_or_else(|| format!("which is {name}, without a version in its name"))?;
    new_enough(version, library.minimum)
}

/// Every file of that name on `search_path`, in its order.
pub(crate) fn on_path<'a>(
    search_path: &'a std::ffi::OsStr,
    command: &'a str,
) -> impl Iterator<Item = PathBuf> + 'a {
    std::env::split_paths(search_path)
        .filter(|folder| folder.is_absolute())
        .map(move |folder| folder.join(command))
        .filter(|path| is_executable(path))
}

pub(crate) fn is_executable(path: &Path) -> bool {
    fs::metadata(path).is_ok_and(|meta| meta.is_file() && meta.permissions().mode() & 0o111 != 0)
}

/// Runs a program to its end and returns the beginning of what it printed.
fn run(path: &Path, arguments: &[&str]) -> Result<String, String> {
    let deadline = Instant::now() + Duration::from_secs(PROBE_DEADLINE_SECONDS);
    let mut child = spawn(path, arguments, deadline).map_err(|e| format!("does not run: {e}"))?;
    loop {
        match child.try_wait() {
            Ok(Some(_)) => break,
            Ok(None) if Instant::now() < deadline => {
                thread::sleep(Duration::from_millis(POLL_MS));
            }
            Ok(None) | Err(_) => {
                let _ = child.kill();
                let _ = child.wait();
                return Err(format!("did not answer within {PROBE_DEADLINE_SECONDS} s"));
            }
        }
    }
    let mut printed = String::new();
    if let Some(output) = child.stdout.take() {
        // A version line fits in the pipe's buffer, so the child never waited for this read.
        let _ = output.take(OUTPUT_MAX_BYTES).read_to_string(&mut printed);
    }
    Ok(printed)
}

/// A file that was written a moment ago is "busy" while some other thread of this process sits
/// between fork and exec with the file still open for writing; that passes.
fn spawn(path: &Path, arguments: &[&str], deadline: Instant) -> io::Result<Child> {
    loop {
        let spawned = Command::new(path)
            .args(arguments)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn();
        match spawned {
            Err(error)
                if error.kind() == io::ErrorKind::ExecutableFileBusy
                    && Instant::now() < deadline =>
            {
                thread::sleep(Duration::from_millis(POLL_MS));
            }
            other => return other,
        }
    }
}
