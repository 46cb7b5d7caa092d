//! Makes sure that no child outlives this process, however it ends.
//!
//! One shell holds the reading end of a pipe; only this process holds the other. Each line names a
//! process group: its first mention puts it on the list, its second takes it off. When this process
//! is gone, by whatever signal, the pipe closes and the shell kills every group still listed. A
//! parent-death signal would not do: it is bound to the thread that started the child, reaches only
//! the child itself, and exists on one system.

use std::io::{self, Write};
use std::os::unix::process::CommandExt;
use std::process::{ChildStdin, Command, Stdio};

use parking_lot::Mutex;

const SCRIPT: &str = r#"
trap '' HUP INT QUIT TERM
listed=" "
while read -r group; do
    case "$listed" in
        *" $group "*) listed="${listed%% "$group" *} ${listed#* "$group" }" ;;
        *) listed="$listed$group " ;;
    esac
done
for group in $listed; do kill -s KILL -- "-$group"; done
"#;

static PIPE: Mutex<Option<ChildStdin>> = Mutex::new(None);

/// A process group that dies with this process, for as long as this value lives.
#[derive(Debug)]
pub(crate) struct Guarded {
    group: u32,
}

impl Guarded {
    /// From now on the group led by `pid` dies with this process.
    pub(crate) fn watch(pid: u32) -> io::Result<Self> {
        mention(pid)?;
        Ok(Self { group: pid })
    }
}

impl Drop for Guarded {
    fn drop(&mut self) {
        if let Err(why) = mention(self.group) {
            tracing::debug!(%why, "the guard is gone");
        }
    }
}

fn mention(group: u32) -> io::Result<()> {
    let mut pipe = PIPE.lock();
    if pipe.is_none() {
        *pipe = Some(start()?);
    }
    match pipe.as_mut() {
        Some(pipe) => pipe.write_all(format!("{group}\n").as_bytes()),
        None => Ok(()),
    }
}

fn start() -> io::Result<ChildStdin> {
    // A group of its own: what interrupts this process at a terminal does not reach the guard.
    let mut shell = Command::new("/bin/sh")
        .args(["-c", SCRIPT])
        .current_dir("/")
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .process_group(0)
        .spawn()?;
    shell.stdin.take().ok_or_else(|| io::Error::other("the guard has no standard input"))
}
