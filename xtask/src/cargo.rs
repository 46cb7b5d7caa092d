//! The steps that are a run of cargo, with its output as it comes.

use std::ffi::OsString;
use std::path::Path;
use std::process::{Command, Stdio};

use anyhow::{Context, Result, bail};

pub(crate) fn format(root: &Path) -> Result<()> {
    cargo(root, &["fmt", "--all", "--check"])
}

pub(crate) fn clippy(root: &Path) -> Result<()> {
    cargo(root, &["clippy", "--workspace", "--all-targets", "--locked", "--", "-D", "warnings"])
}

/// Tests of one package start the binaries of others.
pub(crate) fn build(root: &Path) -> Result<()> {
    cargo(root, &["build", "--workspace", "--bins", "--locked"])
}

pub(crate) fn test(root: &Path) -> Result<()> {
    cargo(root, &["test", "--workspace", "--locked", "--no-fail-fast"])
}

/// Runs cargo-deny where it is installed.
pub(crate) fn deny(root: &Path) -> Result<()> {
    let installed = Command::new(program())
        .args(["deny", "--version"])
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status()
        .is_ok_and(|status| status.success());
    if !installed {
        bail!("cargo-deny is not installed: `cargo install cargo-deny --locked` (takes minutes)");
    }
    cargo(root, &["deny", "check"])
}

fn cargo(root: &Path, arguments: &[&str]) -> Result<()> {
    run(Command::new(program()).args(arguments).current_dir(root))
}

/// The cargo that runs this.
fn program() -> OsString {
    std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into())
}

/// Runs a command whose output is for the person who reads along.
pub(crate) fn run(command: &mut Command) -> Result<()> {
    let shown = shown(command);
    println!("$ {shown}");
    let status = command.status().with_context(|| format!("cannot run {shown}"))?;
    if !status.success() {
        bail!("`{shown}` ended with {status}");
    }
    Ok(())
}

fn shown(command: &Command) -> String {
    let program = Path::new(command.get_program()).file_name().unwrap_or_default();
    let mut words = vec![program.display().to_string()];
    words.extend(command.get_args().map(|word| word.display().to_string()));
    words.join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_failing_command_is_an_error_that_names_it() {
        let error = run(Command::new("git").arg("no-such-command")).unwrap_err().to_string();
        assert!(error.contains("`git no-such-command` ended with"), "{error}");
    }
}
