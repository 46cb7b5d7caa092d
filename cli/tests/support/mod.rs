//! A stack of `troupe dev`, and commands against it.

#![allow(dead_code, reason = "every test file uses a part of it")]

use std::path::{Path, PathBuf};
use std::process::{Output, Stdio};
use std::time::Duration;

use serde_json::Value;
use tempfile::TempDir;
use troupe_testkit::{Proc, ProcBuilder, eventually};

/// The program under test.
pub(crate) const TROUPE: &str = env!("CARGO_BIN_EXE_troupe");
/// Longer than anything takes, even on a busy machine.
pub(crate) const DEADLINE: Duration = Duration::from_mins(1);

/// A running stack; killed, and its folder removed, when dropped.
pub(crate) struct Dev {
    // Before the folder, so that the stack is dead when its folder goes.
    pub(crate) proc: Proc,
    pub(crate) folder: TempDir,
    pub(crate) addresses: Value,
}

impl Dev {
    pub(crate) async fn start() -> Self {
        Self::with(|builder| builder).await
    }

    /// With changes to its command line or environment.
    pub(crate) async fn with(change: impl FnOnce(ProcBuilder) -> ProcBuilder) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let builder = clean(Proc::build("dev", TROUPE))
            .args([
                "dev",
                "--nats-port",
                "0",
                "--http-port",
                "0",
                "--mcp-port",
                "0",
                "--heartbeat-interval-ms",
                "300",
            ])
            .arg("--data-dir")
            .arg(folder.path().join("data"));
        let proc = change(builder).start().unwrap();
        let file = folder.path().join("data/dev.json");
        let addresses = eventually("dev.json", DEADLINE, || async {
            assert!(proc.ended().is_none(), "{}", proc.quoted_output());
            serde_json::from_str(&std::fs::read_to_string(&file).ok()?).ok()
        })
        .await;
        Self { proc, folder, addresses }
    }

    pub(crate) fn nats_url(&self) -> String {
        self.addresses["nats_url"].as_str().unwrap().to_owned()
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    pub(crate) fn write(&self, name: &str, text: &str) -> PathBuf {
        let path = self.path(name);
        std::fs::write(&path, text).unwrap();
        path
    }

    /// A command against this stack, to its end.
    pub(crate) async fn troupe(&self, args: &[&str]) -> Output {
        let mut command = tokio::process::Command::new(TROUPE);
        command.args(args).env("TROUPE_NATS_URL", self.nats_url()).stdin(Stdio::null());
        for name in FOREIGN {
            command.env_remove(name);
        }
        command.kill_on_drop(true);
        tokio::time::timeout(DEADLINE, command.output()).await.expect("in time").unwrap()
    }

    /// The JSON that a command prints; it must succeed.
    pub(crate) async fn json(&self, args: &[&str]) -> Value {
        let output = self.troupe(args).await;
        assert!(output.status.success(), "{args:?}: {}", text(&output));
        serde_json::from_slice(&output.stdout).unwrap_or_else(|_| panic!("{}", text(&output)))
    }

    /// An agent with the role implementer whose program is this shell script.
    pub(crate) fn agent(&self, name: &str, script: &str, more: &[&str]) -> Proc {
        self.agent_builder(name, script, more).start().unwrap()
    }

    pub(crate) fn agent_builder(&self, name: &str, script: &str, more: &[&str]) -> ProcBuilder {
        let script = self.write(&format!("{name}.sh"), script);
        clean(Proc::build(name, TROUPE))
            .env("TROUPE_NATS_URL", self.nats_url())
            .args(["agent", "run", "--name", name, "--role", "implementer"])
            .args(more)
            .args(["--exec", "/bin/sh"])
            .arg(script)
    }

    /// An agent with the role implementer that handles messages with this shell script.
    pub(crate) fn listener(&self, name: &str, script: &str, more: &[&str]) -> Proc {
        self.listener_builder(name, script, more).start().unwrap()
    }

    pub(crate) fn listener_builder(&self, name: &str, script: &str, more: &[&str]) -> ProcBuilder {
        let script = self.write(&format!("{name}.sh"), script);
        let command = format!("exec /bin/sh {}", script.display());
        clean(Proc::build(name, TROUPE))
            .env("TROUPE_NATS_URL", self.nats_url())
            .args(["agent", "run", "--name", name, "--role", "implementer"])
            .args(more)
            .args(["--on-message", &command])
    }

    /// Submits a graph without waiting; gives the ids by key.
    pub(crate) async fn submit(&self, graph: &str) -> Value {
        let file = self.write("graph.yaml", graph);
        self.json(&["task", "submit", "--json", file.to_str().unwrap()]).await["task_ids"].clone()
    }

    /// One task as it is now.
    pub(crate) async fn task(&self, id: &Value) -> Value {
        self.json(&["task", "get", id.as_str().unwrap()]).await
    }

    /// Waits until the task has this status, and gives it.
    pub(crate) async fn until(&self, id: &Value, status: &str) -> Value {
        eventually(format!("{id} to be {status}"), DEADLINE, || async {
            let task = self.task(id).await;
            (task["status"] == status).then_some(task)
        })
        .await
    }
}

/// What the environment of the test run would change.
const FOREIGN: [&str; 3] = ["OTEL_EXPORTER_OTLP_ENDPOINT", "TROUPE_NAME", "TRACEPARENT"];

fn clean(builder: ProcBuilder) -> ProcBuilder {
    FOREIGN.iter().fold(builder, ProcBuilder::env_remove)
}

/// Waits until nobody listens at this address any more.
pub(crate) async fn closed(url: &Value) {
    let url = url.as_str().unwrap();
    let place = url.rsplit('/').next().unwrap();
    eventually(format!("{url} to be closed"), DEADLINE, || async {
        tokio::net::TcpStream::connect(place).await.is_err().then_some(())
    })
    .await;
}

/// Everything that a command wrote.
pub(crate) fn text(output: &Output) -> String {
    format!(
        "{}\n{}\n{}",
        output.status,
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr)
    )
}

/// The process id in a file, once it is there.
pub(crate) async fn pid_in(file: &Path) -> u32 {
    eventually(format!("a process id in {}", file.display()), DEADLINE, || async {
        std::fs::read_to_string(file).ok()?.trim().parse().ok()
    })
    .await
}

/// Waits until the process runs no more. One that nobody has waited for counts as ended.
pub(crate) async fn gone(pid: u32) {
    eventually(format!("the end of process {pid}"), DEADLINE, || async {
        (!runs(pid)).then_some(())
    })
    .await;
}

pub(crate) fn runs(pid: u32) -> bool {
    let state = std::process::Command::new("ps")
        .args(["-o", "stat=", "-p", &pid.to_string()])
        .output()
        .unwrap();
    let state = String::from_utf8_lossy(&state.stdout).trim().to_owned();
    !state.is_empty() && !state.starts_with('Z')
}
