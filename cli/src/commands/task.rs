//! `troupe task`: submit, look at, and decide about tasks.

use std::process::ExitCode;

use anyhow::Result;
use clap::Subcommand;

use super::submit::{self, SubmitArgs};
use super::task_read::{self, ReadCommand};
use super::task_write::{self, WriteCommand};
use crate::args::Global;

#[derive(Debug, Subcommand)]
pub(crate) enum TaskCommand {
    /// Submit a graph of tasks from a file, and follow it if asked.
    Submit(SubmitArgs),
    #[command(flatten)]
    Read(ReadCommand),
    #[command(flatten)]
    Write(WriteCommand),
}

pub(crate) async fn run(global: &Global, command: TaskCommand) -> Result<ExitCode> {
    match command {
        TaskCommand::Submit(args) => submit::run(global, args).await,
        TaskCommand::Read(command) => task_read::run(global, command).await,
        TaskCommand::Write(command) => task_write::run(global, command).await,
    }
}
