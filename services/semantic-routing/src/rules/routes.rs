//! The route table: what leads where, and by which words.
//!
//! Invariants: what a route declares only its declaration changes, what it learned goes oldest first
//! when there is too much; bounds hold after every operation, and one that would break them changes
//! nothing; the fingerprint depends on the content only, so replicas with the same routes have the
//! same one, and a cache that is keyed by it forgets what a change made wrong.

mod declared;
mod learned;
#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use troupe_contract::routing::{Route, RouteTarget};
use troupe_domain::{Code, Fault, Name, RequiredCapability, Timestamp};

pub use declared::{MAX_DECLARED_UTTERANCES, check, key_of};
pub use learned::{Learned, Lesson, Lessons, MAX_LEARNED_UTTERANCES};

use super::utterance;

/// Routes in one table.
pub const MAX_ROUTES: usize = 10_000;
/// Utterances over all routes, declared and learned.
pub const MAX_TABLE_UTTERANCES: usize = 150_000;
/// Bytes of texts over all routes.
pub const MAX_TABLE_BYTES: usize = 64 * 1024 * 1024;

/// A route, and what became of it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct RouteEntry {
    /// What was declared.
    pub declared: Route,
    /// What it learned.
    pub learned: Lessons,
    /// Nobody declares it: it keeps what was learned of the capability that bears its name.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub offered: bool,
    /// The threshold that was fitted, where one was.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub fitted: Option<f64>,
    /// Raised by every change, from 1.
    pub version: u64,
    /// When it last changed.
    pub updated_at: Timestamp,
}

impl RouteEntry {
    /// The texts that it is recognised by: declared ones, then learned ones that were accepted.
    pub fn examples(&self) -> impl Iterator<Item = &str> {
        let learned = self.learned.iter().filter(|one| one.accepted);
        self.declared
            .utterances
            .iter()
            .map(String::as_str)
            .chain(learned.map(|one| one.text.as_str()))
    }

    /// Texts that were said not to belong to it.
    pub fn counterexamples(&self) -> impl Iterator<Item = &str> {
        self.learned.iter().filter(|one| !one.accepted).map(|one| one.text.as_str())
    }

    /// What the capability `name` learned, where nobody declares a route of that name: nothing yet.
    fn of_offer(name: &Name, now: Timestamp) -> Self {
        let target = RouteTarget::Capability(RequiredCapability {
            name: name.clone(),
            min_proficiency: 0.0,
        });
        let declared = Route {
            id: name.clone(),
            target,
            description: String::new(),
            utterances: Vec::new(),
            threshold: None,
        };
        Self {
            declared,
            learned: Lessons::default(),
            offered: true,
            fitted: None,
            version: 0,
            updated_at: now,
        }
    }

    /// The least probability at which it is chosen: what was declared, or else what was fitted.
    pub fn threshold(&self) -> Option<f64> {
        self.declared.threshold.or(self.fitted)
    }

    fn size(&self) -> Size {
        let texts = self.declared.utterances.iter().map(String::len);
        let texts = texts.chain(self.learned.iter().map(|one| one.text.len()));
        let bytes = self.declared.description.len() + texts.sum::<usize>();
        Size { utterances: self.declared.utterances.len() + self.learned.len(), bytes }
    }

    /// A hash of what decides where a message goes. When it was learned, and by whom, does not.
    fn hash(&self) -> u64 {
        let mut hash = Sha256::new();
        let mut put = |text: &str| {
            hash.update((text.len() as u64).to_le_bytes());
            hash.update(text);
        };
        put(self.declared.id.as_str());
        match &self.declared.target {
            RouteTarget::Agent(id) => put(&format!("agent {id}")),
            RouteTarget::Role(role) => put(&format!("role {role}")),
            RouteTarget::Capability(need) => {
                put(&format!("capability {} {}", need.name, need.min_proficiency.to_bits()));
            }
        }
        put(&format!("{:?} {}", self.threshold().map(f64::to_bits), self.offered));
        put(&self.declared.description);
        let declared: BTreeSet<&str> =
            self.declared.utterances.iter().map(String::as_str).collect();
        declared.into_iter().for_each(&mut put);
        put("learned");
        let learned: BTreeSet<(&str, bool)> =
            self.learned.iter().map(|one| (one.text.as_str(), one.accepted)).collect();
        for (text, accepted) in learned {
            put(if accepted { "+" } else { "-" });
            put(text);
        }
        let digest = hash.finalize();
        u64::from_le_bytes([
            digest[0], digest[1], digest[2], digest[3], digest[4], digest[5], digest[6], digest[7],
        ])
    }
}

/// How much room a route takes.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
struct Size {
    utterances: usize,
    bytes: usize,
}

/// A text with the route that it does or does not belong to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Feedback {
    /// The route.
    pub route: Name,
    /// The text.
    pub text: String,
    /// Whether it belongs there.
    pub accepted: bool,
    /// Who says so.
    pub source: Name,
}

/// Every route.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct RouteTable {
    routes: BTreeMap<Name, RouteEntry>,
    size: Size,
    fingerprint: u64,
}

impl RouteTable {
    /// How many routes there are.
    pub fn len(&self) -> usize {
        self.routes.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.routes.is_empty()
    }

    /// Changes with everything that decides where a message goes.
    pub fn fingerprint(&self) -> u64 {
        self.fingerprint
    }

    /// A route.
    pub fn get(&self, id: &Name) -> Option<&RouteEntry> {
        self.routes.get(id)
    }

    /// Every route, by name.
    pub fn iter(&self) -> impl Iterator<Item = &RouteEntry> {
        self.routes.values()
    }

    /// At most `rows` routes that somebody declares, after a name.
    pub fn page(&self, after: Option<&Name>, rows: usize) -> Vec<&RouteEntry> {
        use std::ops::Bound::{Excluded, Unbounded};
        let from = after.map_or(Unbounded, Excluded);
        let after = self.routes.range::<Name, _>((from, Unbounded)).map(|(_, route)| route);
        after.filter(|route| !route.offered).take(rows).collect()
    }

    /// Declares a route, or declares it anew; what it learned stays, except what it now declares.
    /// `expected` is the version that the caller saw, 0 for none; absent, the last declaration wins.
    pub fn put(
        &mut self,
        declared: Route,
        expected: Option<u64>,
        now: Timestamp,
    ) -> Result<&RouteEntry, Fault> {
        let id = declared.id.clone();
        let entry = self.declaring(declared, expected, now)?;
        self.store(entry)?;
        self.found(&id)
    }

    /// What [`Self::put`] would store.
    pub fn declaring(
        &self,
        declared: Route,
        expected: Option<u64>,
        now: Timestamp,
    ) -> Result<RouteEntry, Fault> {
        check(&declared)?;
        let former = self.routes.get(&declared.id);
        check_version(&declared.id, former, expected)?;
        if former.is_none() && self.routes.len() >= MAX_ROUTES {
            return Err(Fault::exhausted("MAX_ROUTES", MAX_ROUTES));
        }
        let mut learned = former.map(|former| former.learned.clone()).unwrap_or_default();
        let texts: BTreeSet<String> =
            declared.utterances.iter().map(|text| utterance::key(text)).collect();
        learned.retain(|one| !texts.contains(&utterance::key(&one.text)));
        let version = former.map_or(0, |former| former.version) + 1;
        let fitted = former.and_then(|former| former.fitted);
        let entry =
            RouteEntry { declared, learned, offered: false, fitted, version, updated_at: now };
        self.check_room(&entry)?;
        Ok(entry)
    }

    /// The route `id` with another fitted threshold; that of a capability where nobody declares it.
    pub fn fitting(&self, id: &Name, threshold: f64, now: Timestamp) -> RouteEntry {
        let former = self.routes.get(id).cloned();
        let mut entry = former.unwrap_or_else(|| RouteEntry::of_offer(id, now));
        entry.fitted = Some(threshold);
        entry.version += 1;
        entry.updated_at = now;
        entry
    }

    /// How many routes somebody declares.
    pub fn len_declared(&self) -> usize {
        self.routes.values().filter(|route| !route.offered).count()
    }

    /// Takes a route as it was stored, by this replica or another; what is stored was checked.
    pub fn load(&mut self, route: RouteEntry) -> Result<(), Fault> {
        if self.routes.len() >= MAX_ROUTES && !self.routes.contains_key(&route.declared.id) {
            return Err(Fault::exhausted("MAX_ROUTES", MAX_ROUTES));
        }
        self.store(route)
    }

    /// Removes a route; false if there was none. `expected` as in [`Self::put`].
    pub fn delete(&mut self, id: &Name, expected: Option<u64>) -> Result<bool, Fault> {
        check_version(id, self.routes.get(id), expected)?;
        let Some(former) = self.routes.remove(id) else { return Ok(false) };
        self.size = less(self.size, former.size());
        self.fingerprint = self.fingerprint.wrapping_sub(former.hash());
        Ok(true)
    }

    /// Takes feedback in. Where the table is full, the oldest that the same route learned goes.
    pub fn learn(&mut self, feedback: Feedback, now: Timestamp) -> Result<Lesson, Fault> {
        self.found(&feedback.route)?;
        let (changed, lesson) = self.learning(feedback, now)?;
        if lesson != Lesson::Declared {
            self.store(changed)?;
        }
        Ok(lesson)
    }

    /// What [`Self::learn`] would store. A route that is not there is that of the capability with
    /// its name.
    pub fn learning(
        &self,
        feedback: Feedback,
        now: Timestamp,
    ) -> Result<(RouteEntry, Lesson), Fault> {
        let Feedback { route, text, accepted, source } = feedback;
        utterance::check("text", &text)?;
        let former = self.routes.get(&route).cloned();
        let mut changed = former.unwrap_or_else(|| RouteEntry::of_offer(&route, now));
        let key = utterance::key(&text);
        if changed.declared.utterances.iter().any(|declared| utterance::key(declared) == key) {
            return Ok((changed, Lesson::Declared));
        }
        let lesson = changed.learned.learn(Learned { text, accepted, source, at: now });
        if lesson.changes() {
            changed.version += 1;
            changed.updated_at = now;
        }
        while !self.has_room_for(&changed) && changed.learned.len() > 1 {
            changed.learned.drop_oldest();
        }
        self.check_room(&changed)?;
        Ok((changed, lesson))
    }

    fn found(&self, id: &Name) -> Result<&RouteEntry, Fault> {
        self.routes.get(id).ok_or_else(|| Fault::not_found("route", id))
    }

    fn size_with(&self, route: &RouteEntry) -> Size {
        let former = self.routes.get(&route.declared.id).map(RouteEntry::size).unwrap_or_default();
        let (others, this) = (less(self.size, former), route.size());
        Size { utterances: others.utterances + this.utterances, bytes: others.bytes + this.bytes }
    }

    fn has_room_for(&self, route: &RouteEntry) -> bool {
        let Size { utterances, bytes } = self.size_with(route);
        utterances <= MAX_TABLE_UTTERANCES && bytes <= MAX_TABLE_BYTES
    }

    fn check_room(&self, route: &RouteEntry) -> Result<Size, Fault> {
        let size = self.size_with(route);
        if size.utterances > MAX_TABLE_UTTERANCES {
            return Err(Fault::exhausted("MAX_TABLE_UTTERANCES", MAX_TABLE_UTTERANCES));
        }
        if size.bytes > MAX_TABLE_BYTES {
            return Err(Fault::exhausted("MAX_TABLE_BYTES", MAX_TABLE_BYTES));
        }
        Ok(size)
    }

    fn store(&mut self, route: RouteEntry) -> Result<(), Fault> {
        let size = self.check_room(&route)?;
        self.size = size;
        self.fingerprint = self.fingerprint.wrapping_add(route.hash());
        if let Some(former) = self.routes.insert(route.declared.id.clone(), route) {
            self.fingerprint = self.fingerprint.wrapping_sub(former.hash());
        }
        Ok(())
    }
}

fn less(all: Size, part: Size) -> Size {
    Size { utterances: all.utterances - part.utterances, bytes: all.bytes - part.bytes }
}

fn check_version(
    id: &Name,
    former: Option<&RouteEntry>,
    expected: Option<u64>,
) -> Result<(), Fault> {
    let is = former.map_or(0, |former| former.version);
    match expected {
        Some(expected) if expected != is => {
            let what = format!("the route {id} is at version {is}, not {expected}");
            Err(Fault::new(Code::Conflict, what).with("version", is))
        }
        _ => Ok(()),
    }
}
