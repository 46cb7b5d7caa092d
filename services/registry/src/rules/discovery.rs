//! Finding agents: which pass a filter, in which order, and how many fit in one answer.

use std::collections::{BTreeMap, BTreeSet};

use troupe_contract::registry::{DiscoveryFilter, FindByCapabilityRequest, FleetStats};
use troupe_domain::capability::{check_required, covers, proficiency};
use troupe_domain::limits::{MAX_FILTER_NAMES, MAX_PAGE_ROWS};
use troupe_domain::{Agent, AgentId, AgentStatus, Fault, Timestamp};

use crate::rules::fleet::{Fleet, Seen, Vital};

/// Rows of an answer where nobody says.
pub const DEFAULT_ROWS: usize = 100;
/// Bytes of agents in one answer; whoever does not fit is on the next page.
pub const MAX_PAGE_BYTES: usize = 4 * 1024 * 1024;

/// Checks the number of rows that is asked for.
pub fn check_limit(limit: Option<usize>) -> Result<usize, Fault> {
    match limit {
        None => Ok(DEFAULT_ROWS),
        Some(0) => Err(Fault::invalid("limit", "must be at least 1")),
        Some(rows) if rows > MAX_PAGE_ROWS => {
            Err(Fault::exhausted("MAX_PAGE_ROWS", MAX_PAGE_ROWS).with("field", "limit"))
        }
        Some(rows) => Ok(rows),
    }
}

/// Checks a filter; gives the number of rows.
pub fn check_filter(filter: &DiscoveryFilter) -> Result<usize, Fault> {
    let names = [
        ("roles", filter.roles.len()),
        ("statuses", filter.statuses.len()),
        ("surfaces", filter.surfaces.len()),
        ("exclude_agent_ids", filter.exclude_agent_ids.len()),
    ];
    for (field, count) in names {
        if count > MAX_FILTER_NAMES {
            return Err(Fault::exhausted("MAX_FILTER_NAMES", MAX_FILTER_NAMES).with("field", field));
        }
    }
    check_required("capabilities", &filter.capabilities)?;
    check_limit(filter.limit)
}

/// Checks a search for a capability; gives the number of rows.
pub fn check_search(request: &FindByCapabilityRequest) -> Result<usize, Fault> {
    let least = request.min_proficiency;
    if !(0.0..=1.0).contains(&least) {
        let why = format!("must be within 0 and 1 (got {least})");
        return Err(Fault::invalid("min_proficiency", why));
    }
    check_limit(request.limit)
}

/// The part of its room that an agent uses: 0 is idle, 1 is full.
fn load(agent: &Agent, vital: &Vital) -> f64 {
    let running = vital.running.as_ref().map_or(agent.current_task_ids.len(), |r| r.len());
    running as f64 / f64::from(agent.max_concurrent_tasks.max(1))
}

fn passes(agent: &Agent, vital: &Vital, filter: &DiscoveryFilter, now: Timestamp) -> bool {
    let status = if filter.statuses.is_empty() {
        agent.status.is_live()
    } else {
        filter.statuses.contains(&agent.status)
    };
    status
        && (filter.roles.is_empty() || filter.roles.contains(&agent.role))
        && (filter.surfaces.is_empty() || filter.surfaces.contains(&agent.surface))
        && !filter.exclude_agent_ids.contains(&agent.id)
        && filter.active_within_ms.is_none_or(|ms| now.millis_since(vital.heard_at) <= ms)
        && covers(&agent.capabilities, &filter.capabilities)
}

/// A list that was cut to size, and how many there were.
#[derive(Debug)]
pub struct Found {
    /// Those who fit.
    pub seen: Vec<Seen>,
    /// All.
    pub total: usize,
}

impl Fleet {
    /// Everybody who passes `filter`, the least loaded first.
    pub fn discover(&self, filter: &DiscoveryFilter, rows: usize, now: Timestamp) -> Found {
        let mut passing: Vec<(f64, &AgentId)> = Vec::new();
        let mut visit = |agent: &Agent, vital: &Vital, id| {
            if passes(agent, vital, filter, now) {
                passing.push((load(agent, vital), id));
            }
        };
        if let Some(candidates) = self.candidates(filter) {
            for id in candidates {
                if let Some((agent, vital)) = self.peek(id) {
                    visit(agent, vital, id);
                }
            }
        } else {
            for (agent, vital) in self.everybody() {
                visit(agent, vital, &agent.id);
            }
        }
        passing.sort_unstable_by(|a, b| a.0.total_cmp(&b.0).then_with(|| a.1.cmp(b.1)));
        self.cut(passing.iter().map(|(_, id)| *id), rows)
    }

    /// The smallest set in the indexes that holds everybody who can pass; `None` is everybody.
    fn candidates(&self, filter: &DiscoveryFilter) -> Option<BTreeSet<&AgentId>> {
        let able = filter.capabilities.iter().map(|need| self.indexes.able(&need.name));
        let rarest = able.min_by_key(|ids| ids.map_or(0, BTreeSet::len));
        let in_roles = |roles: &[troupe_domain::Role]| {
            let of_role = roles.iter().filter_map(|role| self.indexes.in_role(role));
            of_role.flatten().collect()
        };
        match rarest {
            Some(ids) => Some(ids.into_iter().flatten().collect()),
            None if filter.roles.is_empty() => None,
            None => Some(in_roles(&filter.roles)),
        }
    }

    /// Every live agent with the capability, the most proficient first, then the least loaded.
    pub fn find_able(&self, request: &FindByCapabilityRequest, rows: usize) -> Found {
        let ids = self.indexes.able(&request.capability).into_iter().flatten();
        let mut able: Vec<(f64, f64, &AgentId)> = ids
            .filter_map(|id| {
                let (agent, vital) = self.peek(id)?;
                let skill = proficiency(&agent.capabilities, &request.capability)?;
                let fits = agent.status.is_live() && skill >= request.min_proficiency;
                fits.then(|| (skill, load(agent, vital), id))
            })
            .collect();
        able.sort_unstable_by(|a, b| {
            b.0.total_cmp(&a.0).then(a.1.total_cmp(&b.1)).then_with(|| a.2.cmp(b.2))
        });
        self.cut(able.iter().map(|(_, _, id)| *id), rows)
    }

    /// Whom `parent` started.
    pub fn children_of(&self, parent: &AgentId) -> Found {
        let ids: Vec<&AgentId> = self.indexes.children(parent).into_iter().flatten().collect();
        self.cut(ids.into_iter(), MAX_PAGE_ROWS)
    }

    fn cut<'a>(&self, ids: impl ExactSizeIterator<Item = &'a AgentId>, rows: usize) -> Found {
        let total = ids.len();
        let seen = fitting(ids.filter_map(|id| self.get(id)), rows).0;
        Found { seen, total }
    }

    /// The page of at most `rows` agents after an id, and whether there are more.
    pub fn page(&self, after: Option<&AgentId>, rows: usize) -> (Vec<Seen>, bool) {
        fitting(self.after(after), rows)
    }

    /// The fleet in numbers; `heartbeats` is the caller's to count.
    pub fn stats(&self) -> FleetStats {
        let mut stats = FleetStats {
            total_agents: self.len(),
            by_status: AgentStatus::ALL.into_iter().map(|status| (status, 0)).collect(),
            by_role: self.indexes.roles().map(|(role, n)| (role.clone(), n)).collect(),
            by_surface: BTreeMap::new(),
            by_capability: self.indexes.capabilities().map(|(c, n)| (c.clone(), n)).collect(),
            running_tasks: 0,
            capacity: 0,
            heartbeats: 0,
        };
        for (agent, vital) in self.everybody() {
            *stats.by_status.entry(agent.status).or_default() += 1;
            *stats.by_surface.entry(agent.surface).or_default() += 1;
            if agent.status.is_live() {
                stats.capacity += agent.max_concurrent_tasks as usize;
                stats.running_tasks +=
                    vital.running.as_ref().map_or(agent.current_task_ids.len(), |r| r.len());
            }
        }
        stats
    }
}

/// As many as fit in one answer (one always does), and whether any are left.
fn fitting(all: impl Iterator<Item = Seen>, rows: usize) -> (Vec<Seen>, bool) {
    let mut bytes = 0;
    let mut taken = Vec::new();
    for seen in all {
        bytes += seen.bytes();
        if taken.len() == rows || (!taken.is_empty() && bytes > MAX_PAGE_BYTES) {
            return (taken, true);
        }
        taken.push(seen);
    }
    (taken, false)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rules::fleet::Source;
    use crate::rules::fleet::tests::{agent, version};
    use troupe_domain::agent::Timing;
    use troupe_domain::{Name, Surface};

    fn name(text: &str) -> Name {
        Name::parse(text).unwrap()
    }

    fn fleet() -> Fleet {
        let mut fleet = Fleet::new(Timing::default(), 0);
        let rows = [
            ("a", "auditor", "rust:0.9", AgentStatus::Active, Surface::Cli),
            ("b", "auditor", "rust:0.4", AgentStatus::Busy, Surface::Web),
            ("c", "planner", "rust:0.9", AgentStatus::Offline, Surface::Cli),
            ("d", "planner", "go", AgentStatus::Idle, Surface::Cli),
        ];
        for (at, (id, role, capability, status, surface)) in rows.into_iter().enumerate() {
            let mut one = agent(id);
            one.role = name(role);
            one.capabilities = vec![capability.parse().unwrap()];
            one.status = status;
            one.surface = surface;
            one.max_concurrent_tasks = 2;
            fleet.apply(version(one, at as u64 + 1), Source::Live, 0);
        }
        fleet
    }

    fn ids(found: &Found) -> Vec<&str> {
        found.seen.iter().map(|seen| seen.version.agent.id.as_str()).collect()
    }

    fn discover(fleet: &Fleet, filter: &str, now: i64) -> String {
        let filter: DiscoveryFilter = serde_json::from_str(filter).unwrap();
        let found = fleet.discover(&filter, DEFAULT_ROWS, Timestamp::from_millis(now));
        ids(&found).join("")
    }

    #[test]
    fn each_filter_narrows_and_offline_agents_must_be_asked_for() {
        let fleet = fleet();
        assert_eq!(discover(&fleet, "{}", 0), "abd");
        assert_eq!(discover(&fleet, r#"{"roles":["planner"]}"#, 0), "d");
        assert_eq!(discover(&fleet, r#"{"roles":["planner","auditor"]}"#, 0), "abd");
        assert_eq!(discover(&fleet, r#"{"statuses":["offline"]}"#, 0), "c");
        assert_eq!(discover(&fleet, r#"{"capabilities":["rust:0.5"]}"#, 0), "a");
        assert_eq!(discover(&fleet, r#"{"capabilities":["rust","go"]}"#, 0), "");
        assert_eq!(discover(&fleet, r#"{"surfaces":["web"]}"#, 0), "b");
        assert_eq!(discover(&fleet, r#"{"exclude_agent_ids":["a","d"]}"#, 0), "b");
        assert_eq!(discover(&fleet, r#"{"roles":["nobody"]}"#, 0), "");
    }

    #[test]
    fn the_least_loaded_come_first_and_the_silent_can_be_left_out() {
        let mut fleet = fleet();
        let at = Timestamp::from_millis(1_000);
        fleet.heard(&name("a"), None, Some(&[name("t1"), name("t2")]), at, 0);
        fleet.heard(&name("b"), None, Some(&[name("t3")]), at, 0);
        assert_eq!(discover(&fleet, "{}", 1_000), "dba");
        assert_eq!(discover(&fleet, r#"{"active_within_ms":500}"#, 1_400), "ba");
        let stats = fleet.stats();
        assert_eq!((stats.running_tasks, stats.capacity), (3, 6));
        assert_eq!(stats.by_status.len(), AgentStatus::ALL.len());
        assert_eq!(stats.by_status[&AgentStatus::Crashed], 0);
        assert_eq!(stats.by_capability[&name("rust")], 3);
    }

    #[test]
    fn a_search_gives_the_most_proficient_first_and_the_total() {
        let fleet = fleet();
        let mut request: FindByCapabilityRequest =
            serde_json::from_str(r#"{"capability":"rust"}"#).unwrap();
        assert_eq!(ids(&fleet.find_able(&request, 100)), ["a", "b"]);
        let found = fleet.find_able(&request, 1);
        assert_eq!((ids(&found), found.total), (vec!["a"], 2));
        request.min_proficiency = 0.5;
        assert_eq!(ids(&fleet.find_able(&request, 100)), ["a"]);
        request.min_proficiency = f64::NAN;
        assert_eq!(check_search(&request).unwrap_err().details["field"], "min_proficiency");
    }

    #[test]
    fn a_page_holds_rows_and_bytes_within_bounds() {
        let mut fleet = fleet();
        let (page, more) = fleet.page(None, 2);
        assert_eq!((page.len(), more), (2, true));
        let mut big = version(agent("a"), 9);
        big.bytes = MAX_PAGE_BYTES * 2;
        fleet.apply(big, Source::Live, 0);
        assert_eq!(fleet.page(None, 100).0.len(), 1, "a big agent is a page of its own");
        assert!(check_limit(Some(0)).is_err() && check_limit(Some(MAX_PAGE_ROWS + 1)).is_err());
    }
}
