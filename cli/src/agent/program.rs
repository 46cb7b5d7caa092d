//! One run of an agent's program: its input, its environment, its end.

use std::ffi::OsString;
use std::process::{ExitStatus, Stdio};
use std::time::Duration;

use anyhow::{Context, Result};
use tokio::io::AsyncWriteExt;
use tokio::process::Command;
use tokio::task::JoinHandle;

use super::capture::{self, Captured};
use crate::process::group::Group;

/// How long what a program left behind may keep its output open after the program's end.
const DRAIN_MS: u64 = 1_000;

/// The command that is run once per task.
#[derive(Debug, Clone)]
pub(crate) struct Program {
    words: Vec<OsString>,
}

impl Program {
    /// `words` as given to `--exec`. A single word with spaces, which is no file's name, is a shell
    /// command line.
    pub(crate) fn new(words: Vec<OsString>) -> Self {
        match &words[..] {
            [line]
                if line.to_string_lossy().contains(char::is_whitespace)
                    && !std::path::Path::new(line).exists() =>
            {
                let shell = ["/bin/sh", "-c"].map(OsString::from);
                Self { words: shell.into_iter().chain([line.clone()]).collect() }
            }
            _ => Self { words },
        }
    }

    /// The command line, for people and as evidence.
    pub(crate) fn line(&self) -> String {
        let words: Vec<_> = self.words.iter().map(|word| word.to_string_lossy()).collect();
        words.join(" ")
    }

    /// Whether there is such a program, so that a typing error is seen before work is taken.
    pub(crate) fn check(&self) -> Result<(), String> {
        let Some(program) = self.words.first() else { return Err("is empty".to_owned()) };
        let path = std::path::Path::new(program);
        let found = if path.components().count() > 1 {
            path.is_file()
        } else {
            let folders = std::env::var_os("PATH").unwrap_or_default();
            std::env::split_paths(&folders).any(|folder| folder.join(path).is_file())
        };
        if found { Ok(()) } else { Err(format!("there is no program {}", path.display())) }
    }

    /// Starts it with `input` on its standard input. Every line of its standard error goes to `log`.
    pub(crate) async fn start(
        &self,
        input: Vec<u8>,
        environment: Vec<(&'static str, String)>,
        log: impl FnMut(&str) + Send + 'static,
    ) -> Result<Running> {
        let (program, arguments) = self.words.split_first().context("no program is named")?;
        let mut command = Command::new(program);
        command
            .args(arguments)
            .envs(environment)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        let mut group = Group::start(&mut command)
            .await
            .with_context(|| format!("cannot run {}", program.to_string_lossy()))?;
        let child = group.child();
        let missing = "the child has no pipes";
        let mut stdin = child.stdin.take().context(missing)?;
        let stdout = child.stdout.take().context(missing)?;
        let stderr = child.stderr.take().context(missing)?;
        let feeding = tokio::spawn(async move {
            // A program that does not read its input is fine.
            let _ = stdin.write_all(&input).await;
            let _ = stdin.shutdown().await;
        });
        Ok(Running {
            group,
            feeding,
            output: tokio::spawn(capture::output(stdout)),
            errors: tokio::spawn(capture::errors(stderr, log)),
        })
    }
}

/// A program at work.
#[derive(Debug)]
pub(crate) struct Running {
    group: Group,
    feeding: JoinHandle<()>,
    output: JoinHandle<Captured>,
    errors: JoinHandle<String>,
}

/// A program that has ended.
#[derive(Debug)]
pub(crate) struct Ended {
    pub(crate) status: ExitStatus,
    pub(crate) output: Captured,
    /// The end of its standard error.
    pub(crate) errors: String,
}

impl Running {
    pub(crate) fn pid(&self) -> u32 {
        self.group.pid()
    }

    /// Waits for its end. Can be dropped and called again.
    pub(crate) async fn wait(&mut self) -> Result<ExitStatus> {
        self.group.ended().await.context("waiting for the program")
    }

    /// Ends it with its whole group: asked first, killed after `grace`.
    pub(crate) async fn stop(&mut self, grace: Duration) -> Result<ExitStatus> {
        self.group.stop(grace).await.context("stopping the program")
    }

    /// What it wrote, once it has ended.
    pub(crate) async fn collect(self, status: ExitStatus) -> Ended {
        let drain = Duration::from_millis(DRAIN_MS);
        // What left the group with its output open is not waited for longer than that.
        let output = tokio::time::timeout(drain, self.output).await;
        let errors = tokio::time::timeout(drain, self.errors).await;
        self.feeding.abort();
        Ended {
            status,
            output: output.ok().and_then(Result::ok).unwrap_or_default(),
            errors: errors.ok().and_then(Result::ok).unwrap_or_default(),
        }
    }
}
