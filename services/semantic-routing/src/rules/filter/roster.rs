//! The agents of the fleet, indexed by what routing asks for, and kept by the registry's events.
//!
//! Invariants: an agent stands in an index exactly as long as its row says so; the fingerprint
//! depends on what the agents declare and on nothing else, neither on the order in which replicas
//! learned of them nor on who is busy, so that every replica has the same one.

use std::collections::{BTreeSet, HashMap};
use std::hash::Hash;

use sha2::{Digest, Sha256};
use troupe_domain::capability::proficiency;
use troupe_domain::{Agent, AgentId, AgentStatus, Capability, Fault, Name, Role, Surface};

use super::bits::Bits;
use crate::rules::offers::Offers;

/// Agents that one roster holds.
pub const MAX_ROSTER_AGENTS: usize = 20_000;

/// What is known of one agent.
#[derive(Debug, Clone)]
pub struct Row {
    /// The agent.
    pub id: AgentId,
    /// What it is for.
    pub role: Role,
    /// Where it meets its people.
    pub surface: Surface,
    /// What it can do.
    pub capabilities: Vec<Capability>,
    /// Whether it is there.
    pub status: AgentStatus,
    /// Its life: a process that registers anew has another one.
    pub life: Name,
    /// How much it takes at once.
    pub max_concurrent: u32,
    /// How much it says it works on.
    pub running: u32,
    declared: u64,
}

impl Row {
    fn of(agent: &Agent) -> Self {
        Self {
            id: agent.id.clone(),
            role: agent.role.clone(),
            surface: agent.surface,
            capabilities: agent.capabilities.clone(),
            status: agent.status,
            life: agent.session_id.clone(),
            max_concurrent: agent.max_concurrent_tasks,
            running: u32::try_from(agent.current_task_ids.len()).unwrap_or(u32::MAX),
            declared: declared(agent),
        }
    }

    /// How well it does `capability`, where it does.
    pub fn proficiency(&self, capability: &Name) -> Option<f64> {
        proficiency(&self.capabilities, capability)
    }

    /// The share of its room that is used, where `outstanding` messages are on their way to it. What
    /// is on its way may be among what it says it runs, so the greater counts.
    pub fn load(&self, outstanding: u32) -> f64 {
        f64::from(self.running.max(outstanding)) / f64::from(self.max_concurrent.max(1))
    }
}

/// A hash of what an agent declares. SHA-256, because replicas of different builds compare it.
fn declared(agent: &Agent) -> u64 {
    let mut hash = Sha256::new();
    let mut put = |text: &str| {
        hash.update((text.len() as u64).to_le_bytes());
        hash.update(text);
    };
    put(agent.id.as_str());
    put(agent.role.as_str());
    put(agent.persona.as_deref().unwrap_or_default());
    put(&format!("{:?}", agent.surface));
    for capability in &agent.capabilities {
        put(capability.name.as_str());
        put(&capability.description);
        put(&capability.proficiency.to_bits().to_string());
        put(&capability.utterances.len().to_string());
        capability.utterances.iter().for_each(|text| put(text));
    }
    let digest = hash.finalize();
    u64::from_le_bytes([
        digest[0], digest[1], digest[2], digest[3], digest[4], digest[5], digest[6], digest[7],
    ])
}

/// The agents and their indexes.
#[derive(Debug, Default)]
pub struct Roster {
    rows: Vec<Option<Row>>,
    slots: HashMap<AgentId, u32>,
    free: Vec<u32>,
    everybody: Bits,
    taking_work: Bits,
    by_role: HashMap<Role, Bits>,
    by_surface: HashMap<Surface, Bits>,
    by_capability: HashMap<Name, Bits>,
    /// Capabilities by the first word of their names.
    by_word: HashMap<String, BTreeSet<Name>>,
    offers: Offers,
    fingerprint: u64,
}

impl Roster {
    /// How many agents there are.
    pub fn len(&self) -> usize {
        self.slots.len()
    }

    /// Whether there is nobody.
    pub fn is_empty(&self) -> bool {
        self.slots.is_empty()
    }

    /// Changes when somebody joins, leaves, or declares something else.
    pub fn fingerprint(&self) -> u64 {
        self.fingerprint
    }

    /// What they offer, in words.
    pub fn offers(&self) -> &Offers {
        &self.offers
    }

    /// Every agent.
    pub fn agents(&self) -> impl Iterator<Item = &AgentId> {
        self.rows.iter().flatten().map(|row| &row.id)
    }

    /// An agent joined or changed; true if it declares something else than before.
    pub fn put(&mut self, agent: &Agent) -> Result<bool, Fault> {
        let former = self.take(&agent.id);
        let slot = match &former {
            Some((slot, _)) => *slot,
            None if self.slots.len() >= MAX_ROSTER_AGENTS => {
                return Err(Fault::exhausted("MAX_ROSTER_AGENTS", MAX_ROSTER_AGENTS));
            }
            None => self.free.pop().unwrap_or_else(|| {
                self.rows.push(None);
                self.rows.len() as u32 - 1
            }),
        };
        let mut row = Row::of(agent);
        if let Some((_, former)) = &former {
            // What it said last is newer than what was stored of it.
            row.running = former.running;
        }
        let news = former.is_none_or(|(_, former)| former.declared != row.declared);
        self.add(slot, row);
        Ok(news)
    }

    /// An agent left; true if it was there.
    pub fn remove(&mut self, id: &AgentId) -> bool {
        let Some((slot, _)) = self.take(id) else { return false };
        self.free.push(slot);
        true
    }

    /// An agent said what it works on.
    pub fn set_running(&mut self, id: &AgentId, running: u32) {
        let slot = self.slots.get(id).copied();
        if let Some(row) = slot.and_then(|slot| self.rows[slot as usize].as_mut()) {
            row.running = running;
        }
    }

    fn add(&mut self, slot: u32, row: Row) {
        self.everybody.set(slot);
        if row.status.takes_work() {
            self.taking_work.set(slot);
        }
        index(&mut self.by_role, &row.role, slot);
        index(&mut self.by_surface, &row.surface, slot);
        for capability in &row.capabilities {
            self.offers.add(capability);
            if index(&mut self.by_capability, &capability.name, slot) {
                let first = words_of(&capability.name).next().unwrap_or_default();
                self.by_word.entry(first).or_default().insert(capability.name.clone());
            }
        }
        self.fingerprint = self.fingerprint.wrapping_add(row.declared);
        self.slots.insert(row.id.clone(), slot);
        self.rows[slot as usize] = Some(row);
    }

    fn take(&mut self, id: &AgentId) -> Option<(u32, Row)> {
        let slot = self.slots.remove(id)?;
        let row = self.rows[slot as usize].take()?;
        self.everybody.unset(slot);
        self.taking_work.unset(slot);
        unindex(&mut self.by_role, &row.role, slot);
        unindex(&mut self.by_surface, &row.surface, slot);
        for capability in &row.capabilities {
            self.offers.remove(capability);
            if unindex(&mut self.by_capability, &capability.name, slot) {
                let first = words_of(&capability.name).next().unwrap_or_default();
                if let Some(names) = self.by_word.get_mut(&first) {
                    names.remove(&capability.name);
                    if names.is_empty() {
                        self.by_word.remove(&first);
                    }
                }
            }
        }
        self.fingerprint = self.fingerprint.wrapping_sub(row.declared);
        Some((slot, row))
    }

    /// An agent.
    pub fn get(&self, id: &AgentId) -> Option<&Row> {
        self.row(self.slot(id)?)
    }

    /// Where an agent stands.
    pub fn slot(&self, id: &AgentId) -> Option<u32> {
        self.slots.get(id).copied()
    }

    /// Who stands there.
    pub fn row(&self, slot: u32) -> Option<&Row> {
        self.rows.get(slot as usize)?.as_ref()
    }

    /// Everybody.
    pub fn everybody(&self) -> &Bits {
        &self.everybody
    }

    /// Who takes work.
    pub fn taking_work(&self) -> &Bits {
        &self.taking_work
    }

    /// Who plays `role`.
    pub fn in_role(&self, role: &Role) -> Option<&Bits> {
        self.by_role.get(role)
    }

    /// Who meets people on `surface`.
    pub fn on_surface(&self, surface: Surface) -> Option<&Bits> {
        self.by_surface.get(&surface)
    }

    /// Who has `capability`, however well.
    pub fn able(&self, capability: &Name) -> Option<&Bits> {
        self.by_capability.get(capability)
    }

    /// Every capability that somebody has.
    pub fn capabilities(&self) -> impl Iterator<Item = &Name> {
        self.by_capability.keys()
    }

    /// Capabilities all of whose words stand in `text`, those with the most words first.
    pub fn named_in(&self, text: &str, max_words: usize) -> Vec<Name> {
        let split = text.split(|c: char| !c.is_alphanumeric()).filter(|word| !word.is_empty());
        let words: BTreeSet<String> = split.take(max_words).map(str::to_lowercase).collect();
        let mut named: Vec<(usize, &Name)> = words
            .iter()
            .filter_map(|word| self.by_word.get(word))
            .flatten()
            .filter(|name| words_of(name).all(|word| words.contains(&word)))
            .map(|name| (words_of(name).count(), name))
            .collect();
        named.sort_unstable_by(|a, b| b.0.cmp(&a.0).then_with(|| a.1.cmp(b.1)));
        named.into_iter().map(|(_, name)| name.clone()).collect()
    }
}

/// The words of a capability's name: `unit-tests` and `unit_tests` have two.
fn words_of(name: &Name) -> impl Iterator<Item = String> {
    name.as_str().split(['-', '_']).filter(|word| !word.is_empty()).map(str::to_ascii_lowercase)
}

/// True if the key is new.
fn index<K: Clone + Eq + Hash>(sets: &mut HashMap<K, Bits>, key: &K, slot: u32) -> bool {
    if let Some(set) = sets.get_mut(key) {
        set.set(slot);
        return false;
    }
    let mut set = Bits::default();
    set.set(slot);
    sets.insert(key.clone(), set);
    true
}

/// True if nobody is left under the key.
fn unindex<K: Eq + Hash>(sets: &mut HashMap<K, Bits>, key: &K, slot: u32) -> bool {
    let Some(set) = sets.get_mut(key) else { return false };
    set.unset(slot);
    let last = set.is_empty();
    if last {
        sets.remove(key);
    }
    last
}
