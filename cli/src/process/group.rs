//! A child with the process group that it leads.
//!
//! Invariant: when this value is dropped, or this process ends in whatever way, the whole group is
//! killed.

use std::io;
use std::process::ExitStatus;
use std::time::Duration;

use nix::sys::signal::{Signal, killpg};
use nix::unistd::Pid;
use tokio::process::{Child, Command};

use super::guard::Guarded;

/// A program that was written a moment ago may be busy for this many attempts.
const BUSY_ATTEMPTS: u32 = 50;
/// The wait between two such attempts.
const BUSY_WAIT_MS: u64 = 10;

/// A running child and everything in its group.
#[derive(Debug)]
pub(crate) struct Group {
    child: Child,
    pid: u32,
    _guarded: Guarded,
}

impl Group {
    /// Starts `command` as the leader of a new group.
    pub(crate) async fn start(command: &mut Command) -> io::Result<Self> {
        command.process_group(0).kill_on_drop(true);
        let mut attempts = 0;
        let child = loop {
            match command.spawn() {
                Err(why)
                    if why.kind() == io::ErrorKind::ExecutableFileBusy
                        && attempts < BUSY_ATTEMPTS =>
                {
                    attempts += 1;
                    tokio::time::sleep(Duration::from_millis(BUSY_WAIT_MS)).await;
                }
                other => break other?,
            }
        };
        let pid = child.id().ok_or_else(|| io::Error::other("the child has no id"))?;
        Ok(Self { child, pid, _guarded: Guarded::watch(pid)? })
    }

    pub(crate) fn pid(&self) -> u32 {
        self.pid
    }

    pub(crate) fn child(&mut self) -> &mut Child {
        &mut self.child
    }

    /// Waits for the end of the leader, and kills what it left behind.
    pub(crate) async fn ended(&mut self) -> io::Result<ExitStatus> {
        let status = self.child.wait().await?;
        self.signal(Signal::SIGKILL);
        Ok(status)
    }

    /// Asks the whole group to end, and kills what is left of it after `grace`.
    pub(crate) async fn stop(&mut self, grace: Duration) -> io::Result<ExitStatus> {
        self.signal(Signal::SIGTERM);
        // A group that was stopped must run to see the signal.
        self.signal(Signal::SIGCONT);
        if let Ok(status) = tokio::time::timeout(grace, self.child.wait()).await {
            self.signal(Signal::SIGKILL);
            return status;
        }
        self.signal(Signal::SIGKILL);
        self.child.wait().await
    }

    /// A signal to every process of the group; none is left to get it if they have all ended.
    pub(crate) fn signal(&self, signal: Signal) {
        let _ = killpg(Pid::from_raw(self.pid.cast_signed()), signal);
    }
}

impl Drop for Group {
    fn drop(&mut self) {
        // The leader's number is not given away while it is not waited for; once it is, `ended` and
        // `stop` have dealt with the group.
        if self.child.id().is_some() {
            self.signal(Signal::SIGKILL);
        }
    }
}
