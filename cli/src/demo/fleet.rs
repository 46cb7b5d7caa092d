//! The demo's agents: real processes of `troupe agent run`, each with its own log.

use std::fs::File;
use std::path::Path;
use std::process::Stdio;
use std::time::Duration;

use anyhow::{Context, Result};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use tokio::process::Command;
use troupe_domain::AgentId;

use super::graph::{AUDITOR, COORDINATOR, IMPLEMENTER};
use crate::process::group::Group;

/// How long the agents may take to leave.
const LEAVE_GRACE_MS: u64 = 5_000;
/// Short, so that the end of the demo waits for no poll.
const POLL_MS: &str = "1000";
/// Of every five agents two are auditors, as in the smallest fleet.
const AUDITORS_OF_FIVE: usize = 2;

/// One agent's process.
#[derive(Debug)]
pub(crate) struct Member {
    pub(crate) id: AgentId,
    pub(crate) role: &'static str,
    group: Group,
}

/// All of them.
#[derive(Debug)]
pub(crate) struct Troop {
    pub(crate) members: Vec<Member>,
}

/// Roles of `count` agents: one coordinator, and of the others more implementers than auditors, with
/// two implementers at least, so that one can be lost.
pub(crate) fn roles(count: usize) -> Vec<(&'static str, &'static str)> {
    let others = count.saturating_sub(1).max(3);
    let auditors = (others * AUDITORS_OF_FIVE / 5).max(1);
    let implementers = others - auditors;
    let mut roles = vec![IMPLEMENTER; implementers];
    roles.extend(vec![AUDITOR; auditors]);
    roles.push(COORDINATOR);
    roles
}

impl Troop {
    /// Starts `count` agents.
    pub(crate) async fn start(count: usize, nats_url: &str, logs: &Path) -> Result<Self> {
        std::fs::create_dir_all(logs).with_context(|| logs.display().to_string())?;
        let program = std::env::current_exe().context("this program's own path")?;
        let mut members: Vec<Member> = Vec::new();
        for (role, capability) in roles(count) {
            let number = members.iter().filter(|member| member.role == role).count() + 1;
            let name = format!("{role}-{number}");
            let log = logs.join(format!("{name}.log"));
            let file = File::create(&log).with_context(|| log.display().to_string())?;
            let mut command = Command::new(&program);
            command
                .args(["agent", "run", "--nats-url", nats_url, "--name", &name, "--role", role])
                .args(["--capability", &format!("{capability}:0.9"), "--evidence"])
                .args(["--log-format", "json", "--poll-ms", POLL_MS, "--exec"])
                .arg(&program)
                .arg("demo-work")
                .stdin(Stdio::null())
                .stdout(file.try_clone()?)
                .stderr(file);
            let group =
                Group::start(&mut command).await.with_context(|| format!("starting {name}"))?;
            members.push(Member { id: AgentId::parse(&name)?, role, group });
        }
        Ok(Self { members })
    }

    /// `kill -9` to one agent's process, and to nothing else: what it runs is its own to take along.
    pub(crate) fn kill(&self, id: &AgentId) -> Result<u32> {
        let member = self.members.iter().find(|member| member.id == *id);
        let pid = member.with_context(|| format!("{id} is no member"))?.group.pid();
        kill(Pid::from_raw(pid.cast_signed()), Signal::SIGKILL).context("kill -9")?;
        Ok(pid)
    }

    /// Asks all of them to leave, and waits for it.
    pub(crate) async fn dismiss(self) -> Result<()> {
        for member in &self.members {
            member.group.signal(Signal::SIGTERM);
        }
        for mut member in self.members {
            let grace = Duration::from_millis(LEAVE_GRACE_MS);
            member.group.stop(grace).await.with_context(|| member.id.to_string())?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_fleet_has_every_role_and_an_implementer_to_spare() {
        for count in 0..20 {
            let roles = roles(count);
            let of = |role| roles.iter().filter(|have| **have == role).count();
            assert!(of(IMPLEMENTER) >= 2 && of(AUDITOR) >= 1 && of(COORDINATOR) == 1, "{count}");
            assert_eq!(roles.len(), count.max(4));
        }
    }
}
