//! What processes used, as the kernel counts it: where the time of a run went, and what is resident.
//!
//! Linux only; elsewhere everything is absent, never zero.

use std::collections::BTreeMap;
use std::fs;

use serde::Serialize;

/// The kernel counts time for user space in hundredths of a second on every architecture.
const TICKS_PER_SECOND: f64 = 100.0;
const FIELD_USER: usize = 11;
const FIELD_SYSTEM: usize = 12;

/// Seconds of processor time.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize)]
pub(crate) struct Used {
    /// In user space.
    pub(crate) user_s: f64,
    /// In the kernel.
    pub(crate) system_s: f64,
}

/// Processor time by part of the stack.
pub(crate) type UsedByPart = BTreeMap<String, Used>;

/// Processor time so far: of other processes by the names given, and of this process's threads by
/// the name of their runtime.
pub(crate) fn used(others: &[(&str, u32)]) -> UsedByPart {
    let mut parts = UsedByPart::new();
    for (name, pid) in others {
        if let Some(used) = fs::read_to_string(format!("/proc/{pid}/stat")).ok().and_then(parse) {
            parts.insert((*name).to_owned(), used.1);
        }
    }
    let threads = fs::read_dir("/proc/self/task").into_iter().flatten().flatten();
    for thread in threads {
        let stat = fs::read_to_string(thread.path().join("stat")).ok();
        let Some((name, used)) = stat.and_then(parse) else { continue };
        let part = parts.entry(name).or_default();
        part.user_s += used.user_s;
        part.system_s += used.system_s;
    }
    parts
}

/// What was used between two looks; parts that used nothing are left out.
pub(crate) fn between(before: &UsedByPart, after: &UsedByPart) -> UsedByPart {
    let spent = after.iter().filter_map(|(name, after)| {
        let before = before.get(name).copied().unwrap_or_default();
        let used = Used {
            user_s: (after.user_s - before.user_s).max(0.0),
            system_s: (after.system_s - before.system_s).max(0.0),
        };
        (used.user_s + used.system_s > 0.0).then(|| (name.clone(), used))
    });
    spent.collect()
}

/// The command name, which stands in brackets and may hold anything, and the times after it.
fn parse(stat: String) -> Option<(String, Used)> {
    let (head, tail) = stat.rsplit_once(") ")?;
    let (_, name) = head.split_once('(')?;
    let fields: Vec<&str> = tail.split_ascii_whitespace().collect();
    let seconds = |field: usize| Some(fields.get(field)?.parse::<f64>().ok()? / TICKS_PER_SECOND);
    let used = Used { user_s: seconds(FIELD_USER)?, system_s: seconds(FIELD_SYSTEM)? };
    Some((name.to_owned(), used))
}

/// Bytes of this process that are resident.
pub(crate) fn resident_bytes() -> Option<u64> {
    let status = fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"))?;
    let kib: u64 = line.trim().strip_suffix(" kB")?.trim().parse().ok()?;
    Some(kib * 1024)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_with_brackets_and_spaces_is_read() {
        let stat = "7 (a (b) c) S 1 2 3 4 5 6 7 8 9 10 250 50 0 0 20 0 1 0 100 1 1".to_owned();
        let (name, used) = parse(stat).unwrap();
        assert_eq!(name, "a (b) c");
        assert_eq!(used, Used { user_s: 2.5, system_s: 0.5 });
    }

    #[test]
    fn only_what_was_used_is_told() {
        let before = UsedByPart::from([
            ("idle".to_owned(), Used { user_s: 1.0, system_s: 1.0 }),
            ("busy".to_owned(), Used { user_s: 1.0, system_s: 0.0 }),
        ]);
        let mut after = before.clone();
        after.insert("busy".to_owned(), Used { user_s: 3.0, system_s: 0.5 });
        let spent = between(&before, &after);
        assert_eq!(spent.len(), 1);
        assert_eq!(spent["busy"], Used { user_s: 2.0, system_s: 0.5 });
    }
}
