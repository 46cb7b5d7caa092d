//! Hard constraints: who may get a message at all, and which filter removed the others.
//!
//! Filters apply in the order of [`Filter::ALL`]; an agent is removed by the first that it does not
//! pass. Invariant: who passes and who is removed is everybody, nobody twice.

pub mod bits;
pub mod roster;
#[cfg(test)]
pub(super) mod tests;

use serde::{Deserialize, Serialize};
use troupe_domain::message::IntentFilters;
use troupe_domain::{AgentId, Name, RequiredCapability, Timestamp};

use super::breaker::ejection::{Badness, spare};
use super::breaker::{Admission, Breakers};
use super::performance::Performance;
use bits::Bits;
use roster::{Roster, Row};

/// Names that are told of those whom one filter removed; the rest is a number.
pub const MAX_NAMED_REMOVALS: usize = 16;

/// A hard constraint.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Filter {
    /// It is offline, crashed, starting or leaving.
    Alive,
    /// It plays another role.
    Role,
    /// It lacks a capability, or is not good enough at it.
    Capability,
    /// It meets its people elsewhere.
    Surface,
    /// It was named as not wanted.
    Exclude,
    /// It cannot do what the message means.
    Intent,
    /// It is full, and somebody else is not.
    Capacity,
    /// Its breaker is open.
    Breaker,
}

impl Filter {
    /// Every filter, in the order in which they apply.
    pub const ALL: [Self; 8] = [
        Self::Alive,
        Self::Role,
        Self::Capability,
        Self::Surface,
        Self::Exclude,
        Self::Intent,
        Self::Capacity,
        Self::Breaker,
    ];

    /// The name on the wire.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Alive => "alive",
            Self::Role => "role",
            Self::Capability => "capability",
            Self::Surface => "surface",
            Self::Exclude => "exclude",
            Self::Intent => "intent",
            Self::Capacity => "capacity",
            Self::Breaker => "breaker",
        }
    }
}

/// Whom one filter removed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Removed {
    /// The filter.
    pub filter: Filter,
    /// How many.
    pub count: usize,
    /// The first [`MAX_NAMED_REMOVALS`] of them.
    pub agents: Vec<AgentId>,
}

/// What removed whom; filters that removed nobody are not listed.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Removals(pub Vec<Removed>);

impl Removals {
    /// How many were removed in all.
    pub fn count(&self) -> usize {
        self.0.iter().map(|removed| removed.count).sum()
    }

    /// How many `filter` removed.
    pub fn by(&self, filter: Filter) -> usize {
        self.0.iter().filter(|removed| removed.filter == filter).map(|r| r.count).sum()
    }

    /// Notes whom `filter` removed, and gives those who are left.
    pub fn narrow(&mut self, roster: &Roster, filter: Filter, before: &Bits, after: Bits) -> Bits {
        let gone = before.without(&after);
        let names = || gone.iter().filter_map(|slot| roster.row(slot));
        self.note(filter, gone.count(), names().map(|row| &row.id));
        after
    }

    fn note<'a>(&mut self, filter: Filter, count: usize, names: impl Iterator<Item = &'a AgentId>) {
        if count > 0 {
            let agents = names.take(MAX_NAMED_REMOVALS).cloned().collect();
            self.0.push(Removed { filter, count, agents });
        }
    }
}

/// Everybody who passes what the sender insists on, whatever the message means.
pub fn pass(roster: &Roster, needs: &IntentFilters, removals: &mut Removals) -> Bits {
    let everybody = roster.everybody();
    let alive = everybody.and(roster.taking_work());
    let mut left = removals.narrow(roster, Filter::Alive, everybody, alive);
    if let Some(role) = &needs.role {
        let passing = roster.in_role(role).map(|playing| left.and(playing)).unwrap_or_default();
        left = removals.narrow(roster, Filter::Role, &left, passing);
    }
    if !needs.capabilities.is_empty() {
        let passing = able(roster, &left, &needs.capabilities);
        left = removals.narrow(roster, Filter::Capability, &left, passing);
    }
    if let Some(surface) = needs.surface {
        let passing = roster.on_surface(surface).map(|there| left.and(there)).unwrap_or_default();
        left = removals.narrow(roster, Filter::Surface, &left, passing);
    }
    if !needs.exclude_agent_ids.is_empty() {
        let mut passing = left.clone();
        needs
            .exclude_agent_ids
            .iter()
            .filter_map(|id| roster.slot(id))
            .for_each(|slot| passing.unset(slot));
        left = removals.narrow(roster, Filter::Exclude, &left, passing);
    }
    left
}

/// Those among `left` who have every capability, well enough. The indexes say who has it at all;
/// only those are looked at.
pub fn able(roster: &Roster, left: &Bits, needs: &[RequiredCapability]) -> Bits {
    let mut passing = left.clone();
    for need in needs {
        let Some(having) = roster.able(&need.name) else { return Bits::default() };
        passing = passing.and(having);
    }
    if needs.iter().all(|need| need.min_proficiency <= 0.0) {
        return passing;
    }
    let mut good_enough = Bits::default();
    let fits = |slot: &u32| {
        roster.row(*slot).is_some_and(|row| {
            needs.iter().all(|need| row.proficiency(&need.name) >= Some(need.min_proficiency))
        })
    };
    passing.iter().filter(fits).for_each(|slot| good_enough.set(slot));
    good_enough
}

/// One who passed every filter.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Passed {
    /// Where it stands in the roster.
    pub slot: u32,
    /// How its breaker lets it through.
    pub gate: Gate,
}

/// How a breaker lets an agent through.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Gate {
    /// It is closed.
    Closed,
    /// It is half-open: the call is a trial.
    Trial,
    /// It is open, but too many are kept out already.
    Spared,
}

/// Those among `left` who have room and whose breakers let a call through. Where nobody has room,
/// or nobody with room is let through, the full ones have to queue it. `key` gives what an agent's
/// breaker is kept under.
pub fn ready<'a>(
    (roster, performance, breakers): (&'a Roster, &Performance, &Breakers),
    left: &Bits,
    key: impl Fn(u32, &'a Row) -> &'a Name,
    now: Timestamp,
    removals: &mut Removals,
) -> Vec<Passed> {
    let mut with_room = Bits::default();
    for slot in left.iter() {
        let Some(row) = roster.row(slot) else { continue };
        if row.load(performance.outstanding(&row.id)) < 1.0 {
            with_room.set(slot);
        }
    }
    let admitted = admitted((roster, breakers), &with_room, &key, now);
    let (among, (passed, out)) = if admitted.0.is_empty() {
        (left.clone(), self::admitted((roster, breakers), left, &key, now))
    } else {
        (with_room, admitted)
    };
    removals.narrow(roster, Filter::Capacity, left, among);
    let names = out.iter().filter_map(|slot| roster.row(*slot)).map(|row| &row.id);
    removals.note(Filter::Breaker, out.len(), names);
    passed
}

/// Those whose breakers let a call through, and the slots of those whose do not.
fn admitted<'a>(
    (roster, breakers): (&'a Roster, &Breakers),
    among: &Bits,
    key: &impl Fn(u32, &'a Row) -> &'a Name,
    now: Timestamp,
) -> (Vec<Passed>, Vec<u32>) {
    let mut passed = Vec::new();
    let mut open = Vec::new();
    for slot in among.iter() {
        let Some(row) = roster.row(slot) else { continue };
        let key = key(slot, row);
        match breakers.admission(&row.id, key, now) {
            Admission::Yes => passed.push(Passed { slot, gate: Gate::Closed }),
            Admission::Trial => passed.push(Passed { slot, gate: Gate::Trial }),
            Admission::No(until) => {
                let breaker = breakers.get(&row.id, key);
                let openings = breaker.map_or(0, |breaker| breaker.shared().openings);
                open.push((Badness { openings, until }, slot));
            }
        }
    }
    let max_share = breakers.config().max_ejected_share;
    let (spared, out) = spare(open, among.count(), max_share);
    passed.extend(spared.into_iter().map(|slot| Passed { slot, gate: Gate::Spared }));
    (passed, out)
}
