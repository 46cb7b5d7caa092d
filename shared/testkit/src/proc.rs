//! Any child process, with its output in files and every way to end or halt it.
//!
//! Invariant: each child leads a process group of its own; dropping the [`Proc`], or the end of
//! this process, kills the whole group.

use std::{
    ffi::OsStr,
    fs::{self, File},
    io,
    os::unix::process::CommandExt,
    path::{Path, PathBuf},
    process::{Child, Command, ExitStatus, Stdio},
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context, Result, anyhow, bail};
use nix::{
    errno::Errno,
    sys::signal::{Signal, kill, killpg},
    unistd::Pid,
};
use parking_lot::Mutex;
use tempfile::TempDir;

use crate::{eventually::try_eventually, reaper};

const SPAWN_DEADLINE_SECONDS: u64 = 5;
const SPAWN_RETRY_MS: u64 = 5;
#[cfg(target_os = "linux")]
const STOP_DEADLINE_SECONDS: u64 = 5;
#[cfg(target_os = "linux")]
const STOP_POLL_MS: u64 = 1;
/// How much of a child's output a message quotes.
const QUOTED_OUTPUT_BYTES: usize = 4000;

/// A child process.
#[derive(Debug)]
pub struct Proc {
    name: String,
    pid: u32,
    child: Mutex<Child>,
    output: PathBuf,
    errors: PathBuf,
    _own_folder: Option<TempDir>,
}

/// A child process to be.
#[derive(Debug)]
pub struct ProcBuilder {
    name: String,
    command: Command,
    log_folder: Option<PathBuf>,
}

impl ProcBuilder {
    /// Adds one argument.
    pub fn arg(mut self, arg: impl AsRef<OsStr>) -> Self {
        self.command.arg(arg);
        self
    }

    /// Adds arguments.
    pub fn args<S: AsRef<OsStr>>(mut self, args: impl IntoIterator<Item = S>) -> Self {
        self.command.args(args);
        self
    }

    /// Sets an environment variable; the others are inherited.
    pub fn env(mut self, name: impl AsRef<OsStr>, value: impl AsRef<OsStr>) -> Self {
        self.command.env(name, value);
        self
    }

    /// Sets environment variables.
    pub fn envs(mut self, all: impl IntoIterator<Item = (&'static str, &'static str)>) -> Self {
        self.command.envs(all);
        self
    }

    /// Takes an environment variable away.
    pub fn env_remove(mut self, name: impl AsRef<OsStr>) -> Self {
        self.command.env_remove(name);
        self
    }

    /// Sets the working folder.
    pub fn current_dir(mut self, folder: impl AsRef<Path>) -> Self {
        self.command.current_dir(folder);
        self
    }

    /// Reads standard input from a file; it is empty otherwise.
    pub fn stdin_file(mut self, path: impl AsRef<Path>) -> Result<Self> {
        let path = path.as_ref();
        let file = File::open(path).with_context(|| path.display().to_string())?;
        self.command.stdin(file);
        Ok(self)
    }

    /// Keeps `NAME.out` and `NAME.err` in this folder (appending), not in a temporary one.
    pub fn log_folder(mut self, folder: impl Into<PathBuf>) -> Self {
        self.log_folder = Some(folder.into());
        self
    }

    /// Starts it.
    pub fn start(mut self) -> Result<Proc> {
        let own_folder = self.log_folder.is_none().then(tempfile::tempdir).transpose()?;
        let folder = match (&self.log_folder, &own_folder) {
            (Some(folder), _) => folder.as_path(),
            (None, Some(own)) => own.path(),
            (None, None) => bail!("no folder for the output of {}", self.name),
        };
        let output = folder.join(format!("{}.out", self.name));
        let errors = folder.join(format!("{}.err", self.name));
        self.command.stdout(append(&output)?).stderr(append(&errors)?).process_group(0);
        let child = spawn(&mut self.command).with_context(|| format!("starting {}", self.name))?;
        let pid = child.id();
        let child = Mutex::new(child);
        // Built before the reaper is told, so that a failure there still kills the child.
        let proc = Proc { name: self.name, pid, child, output, errors, _own_folder: own_folder };
        reaper::watch(pid).with_context(|| format!("watching over {}", proc.name))?;
        Ok(proc)
    }
}

impl Proc {
    /// A child that will run `program`; `name` is for messages and the names of its log files.
    pub fn build(name: impl Into<String>, program: impl AsRef<OsStr>) -> ProcBuilder {
        let mut command = Command::new(program);
        command.stdin(Stdio::null());
        ProcBuilder { name: name.into(), command, log_folder: None }
    }

    /// Its process id, which is its process group's as well.
    pub fn pid(&self) -> u32 {
        self.pid
    }

    /// What it has written to standard output so far.
    pub fn stdout(&self) -> String {
        read(&self.output)
    }

    /// What it has written to standard error so far.
    pub fn stderr(&self) -> String {
        read(&self.errors)
    }

    /// Its exit status, if it has ended.
    pub fn ended(&self) -> Option<ExitStatus> {
        self.child.lock().try_wait().ok().flatten()
    }

    /// SIGKILL to the process alone, and waits for its end; what it started lives on until this
    /// value is dropped. Does nothing to a process that has ended.
    pub fn kill9(&self) -> Result<()> {
        let mut child = self.child.lock();
        child.kill().with_context(|| format!("killing {}", self.name))?;
        child.wait().with_context(|| format!("waiting for {}", self.name))?;
        Ok(())
    }

    /// SIGSTOP, and waits until every thread stands still: it keeps its connections and says
    /// nothing.
    pub fn pause(&self) -> Result<()> {
        self.signal(Signal::SIGSTOP)?;
        wait_until_stopped(pid_of(self.pid)).with_context(|| format!("pausing {}", self.name))
    }

    /// SIGCONT.
    pub fn resume(&self) -> Result<()> {
        self.signal(Signal::SIGCONT)
    }

    /// SIGTERM: asks it to end. See [`wait`](Self::wait).
    pub fn terminate(&self) -> Result<()> {
        self.signal(Signal::SIGTERM)
    }

    /// SIGINT, as Ctrl-C sends it.
    pub fn interrupt(&self) -> Result<()> {
        self.signal(Signal::SIGINT)
    }

    /// Waits for its end; the error quotes its output.
    pub async fn wait(&self, deadline: Duration) -> Result<ExitStatus> {
        let what = format!("the end of {}", self.name);
        try_eventually(what, deadline, || async { self.ended() })
            .await
            .map_err(|error| anyhow!("{error}\n{}", self.quoted_output()))
    }

    /// Waits until it has written `text` to standard output or standard error. An error when it
    /// ends without.
    pub async fn wait_for_output(&self, text: &str, deadline: Duration) -> Result<()> {
        let what = format!("{} to write {text:?}", self.name);
        let found = try_eventually(what, deadline, || async {
            // In this order: what it wrote before its end is there once the end is seen.
            let ended = self.ended().is_some();
            let written = self.stdout().contains(text) || self.stderr().contains(text);
            (written || ended).then_some(written)
        });
        match found.await {
            Ok(true) => Ok(()),
            Ok(false) => bail!("{} ended first\n{}", self.name, self.quoted_output()),
            Err(error) => bail!("{error}\n{}", self.quoted_output()),
        }
    }

    /// The end of its output, for messages.
    pub fn quoted_output(&self) -> String {
        format!(
            "--- {0} stdout ---\n{1}\n--- {0} stderr ---\n{2}",
            self.name,
            tail(&self.stdout()),
            tail(&self.stderr())
        )
    }

    fn signal(&self, signal: Signal) -> Result<()> {
        // The lock keeps the child from being reaped, and its id from being given to another.
        let mut child = self.child.lock();
        if let Some(status) = child.try_wait()? {
            bail!("{} cannot get {signal}: it has ended ({status})", self.name);
        }
        kill(pid_of(self.pid), signal).with_context(|| format!("{signal} to {}", self.name))
    }
}

impl Drop for Proc {
    fn drop(&mut self) {
        // The group first: while its leader is not reaped, its number cannot mean another group.
        let killed = killpg(pid_of(self.pid), Signal::SIGKILL);
        let child = self.child.get_mut();
        if matches!(killed, Ok(()) | Err(Errno::ESRCH)) || child.kill().is_ok() {
            let _ = child.wait();
            let _ = reaper::forget(self.pid);
        }
    }
}

fn append(path: &Path) -> Result<File> {
    let file = File::options().create(true).append(true).open(path);
    file.with_context(|| path.display().to_string())
}

/// A program that was written a moment ago is "busy" while another thread of this process sits
/// between fork and exec with the file still open for writing; that passes.
fn spawn(command: &mut Command) -> io::Result<Child> {
    let deadline = Instant::now() + Duration::from_secs(SPAWN_DEADLINE_SECONDS);
    loop {
        match command.spawn() {
            Err(error)
                if error.kind() == io::ErrorKind::ExecutableFileBusy
                    && Instant::now() < deadline =>
            {
                thread::sleep(Duration::from_millis(SPAWN_RETRY_MS));
            }
            other => return other,
        }
    }
}

/// The signal only asks for the stop. The state is left to be read again, so that pausing what is
/// paused already works.
#[cfg(target_os = "linux")]
fn wait_until_stopped(pid: Pid) -> Result<()> {
    use nix::sys::wait::{Id, WaitPidFlag, WaitStatus, waitid};
    let flags = WaitPidFlag::WSTOPPED | WaitPidFlag::WNOHANG | WaitPidFlag::WNOWAIT;
    let deadline = Instant::now() + Duration::from_secs(STOP_DEADLINE_SECONDS);
    while !matches!(waitid(Id::Pid(pid), flags)?, WaitStatus::Stopped(..)) {
        if Instant::now() > deadline {
            bail!("not stopped after {STOP_DEADLINE_SECONDS} s");
        }
        thread::sleep(Duration::from_millis(STOP_POLL_MS));
    }
    Ok(())
}

/// Elsewhere the state cannot be asked for without taking the exit status away from the child.
#[cfg(not(target_os = "linux"))]
#[expect(clippy::unnecessary_wraps, reason = "the same signature everywhere")]
fn wait_until_stopped(_: Pid) -> Result<()> {
    Ok(())
}

fn read(path: &Path) -> String {
    fs::read(path).map(|bytes| String::from_utf8_lossy(&bytes).into_owned()).unwrap_or_default()
}

fn tail(text: &str) -> &str {
    let from = text.len().saturating_sub(QUOTED_OUTPUT_BYTES);
    let from = (from..=text.len()).find(|at| text.is_char_boundary(*at)).unwrap_or(text.len());
    &text[from..]
}

fn pid_of(pid: u32) -> Pid {
    Pid::from_raw(pid.cast_signed())
}
