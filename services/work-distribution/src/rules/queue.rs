//! The queue of tasks that can be claimed: grouped by what they need, served by age and priority.
//!
//! An agent visits only the groups that it fits, so that the cost of a poll grows with the number of
//! distinct needs and not with the number of waiting tasks.

use std::collections::{BTreeMap, BTreeSet};

use troupe_domain::capability::covers;
use troupe_domain::task::rules::Profile;
use troupe_domain::{RequiredCapability, Role, Task, TaskId};

/// What the tasks of one group need, as a key.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
struct NeedKey(String);

/// Where a task stands: the smallest is served first.
pub type Place = (i64, TaskId);

#[derive(Debug)]
struct Group {
    need: Need,
    places: BTreeSet<Place>,
}

/// What a task needs of its agent.
#[derive(Debug, Clone, PartialEq, serde::Serialize, serde::Deserialize)]
pub struct Need {
    /// The role, where one is named.
    pub role: Option<Role>,
    /// The capabilities.
    pub capabilities: Vec<RequiredCapability>,
}

impl Need {
    /// What `task` needs.
    pub fn of(task: &Task) -> Self {
        Self { role: task.required_role.clone(), capabilities: task.required_capabilities.clone() }
    }

    /// Whether an agent with this profile will do.
    pub fn is_met_by(&self, profile: &Profile) -> bool {
        self.role.as_ref().is_none_or(|role| *role == profile.role)
            && covers(&profile.capabilities, &self.capabilities)
    }

    fn key_of(task: &Task) -> NeedKey {
        use std::fmt::Write;
        let mut key = String::new();
        if let Some(role) = &task.required_role {
            key.push_str(role.as_str());
        }
        if task.required_capabilities.len() == 1 {
            let need = &task.required_capabilities[0];
            let _ = write!(key, ",{}:{}", need.name, need.min_proficiency);
        } else if !task.required_capabilities.is_empty() {
            let mut needs: Vec<String> = task
                .required_capabilities
                .iter()
                .map(|need| format!(",{}:{}", need.name, need.min_proficiency))
                .collect();
            needs.sort_unstable();
            needs.iter().for_each(|need| key.push_str(need));
        }
        NeedKey(key)
    }
}

/// Every task that can be claimed now.
#[derive(Debug, Default)]
pub struct Queue {
    groups: BTreeMap<NeedKey, Group>,
    len: usize,
}

fn place(task: &Task) -> Place {
    (task.priority.queue_key(task.created_at), task.id.clone())
}

impl Queue {
    /// Puts a task in its place.
    pub fn insert(&mut self, task: &Task) {
        let group = self
            .groups
            .entry(Need::key_of(task))
            .or_insert_with(|| Group { need: Need::of(task), places: BTreeSet::new() });
        self.len += usize::from(group.places.insert(place(task)));
    }

    /// Takes a task out.
    pub fn remove(&mut self, task: &Task) {
        let key = Need::key_of(task);
        let Some(group) = self.groups.get_mut(&key) else { return };
        self.len -= usize::from(group.places.remove(&place(task)));
        if group.places.is_empty() {
            self.groups.remove(&key);
        }
    }

    /// The first task in the queue that `profile` fits.
    pub fn first(&self, profile: &Profile) -> Option<Place> {
        self.fitting(profile).filter_map(|group| group.places.first()).min().cloned()
    }

    /// How many tasks `profile` could claim.
    pub fn count(&self, profile: &Profile) -> usize {
        self.fitting(profile).map(|group| group.places.len()).sum()
    }

    /// The first `limit` tasks that `profile` fits, in order.
    pub fn best(&self, profile: &Profile, limit: usize) -> Vec<Place> {
        let mut places: Vec<Place> = self
            .fitting(profile)
            .flat_map(|group| group.places.iter().take(limit).cloned())
            .collect();
        places.sort_unstable();
        places.truncate(limit);
        places
    }

    /// The first `limit` tasks, whatever they need.
    pub fn heads(&self, limit: usize) -> Vec<Place> {
        let mut places: Vec<Place> =
            self.groups.values().flat_map(|g| g.places.iter().take(limit).cloned()).collect();
        places.sort_unstable();
        places.truncate(limit);
        places
    }

    /// How many tasks wait.
    pub fn len(&self) -> usize {
        self.len
    }

    /// Whether none waits.
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    fn fitting<'a>(&'a self, profile: &'a Profile) -> impl Iterator<Item = &'a Group> {
        self.groups.values().filter(move |group| group.need.is_met_by(profile))
    }
}
