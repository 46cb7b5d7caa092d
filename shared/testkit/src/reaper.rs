//! Makes sure that no child outlives this process, however it ends.
//!
//! One shell per process reads, from a pipe whose other end only this process holds, which
//! children live. When this process ends, by a panic, a signal or `kill -9`, the pipe closes and
//! the shell kills what is left, each with its process group. This needs no unsafe code and does
//! not depend on which thread started a child, as a parent-death signal would.

use std::{
    io::{self, Write},
    os::unix::process::CommandExt,
    process::{ChildStdin, Command, Stdio},
};

use parking_lot::Mutex;

/// `+ PID` and `- PID` lines come in; at the end of them, whoever is still listed is killed
const SCRIPT: &str = "
trap '' HUP INT TERM
living=' '
while read -r sign pid; do
    case $sign in
        +) living=\"$living$pid \" ;;
        -) living=\"${living%% \"$pid\" *} ${living#* \"$pid\" }\" ;;
    esac
done
for pid in $living; do kill -s KILL -- \"-$pid\"; done
";

static PIPE: Mutex<Option<ChildStdin>> = Mutex::new(None);

/// From now on `pid`, the leader of a process group of its own, dies with this process.
pub(crate) fn watch(pid: u32) -> io::Result<()> {
    tell('+', pid)
}

/// The child has been dealt with.
pub(crate) fn forget(pid: u32) -> io::Result<()> {
    tell('-', pid)
}

fn tell(sign: char, pid: u32) -> io::Result<()> {
    let mut pipe = PIPE.lock();
    if pipe.is_none() {
        *pipe = Some(start()?);
    }
    let Some(pipe) = pipe.as_mut() else { return Ok(()) };
    pipe.write_all(format!("{sign} {pid}\n").as_bytes())
}

fn start() -> io::Result<ChildStdin> {
    // A group of its own, so that what interrupts this process at a terminal spares the shell.
    let mut shell = Command::new("/bin/sh")
        .args(["-c", SCRIPT])
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .process_group(0)
        .spawn()?;
    shell.stdin.take().ok_or_else(|| io::Error::other("the shell has no standard input"))
}
