//! Vector clocks: what somebody had seen when they spoke.
//!
//! A name that is not there counts 0, and no 0 is kept, so that two clocks are equal exactly if they
//! say the same. Merging is a join: commutative, associative, idempotent.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::fault::Fault;
use crate::limits::{MAX_CLOCK_COUNT, MAX_CLOCK_ENTRIES};
use crate::name::Name;

/// How two clocks stand to each other.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Causality {
    /// The first happened before the second.
    Before,
    /// The second happened before the first.
    After,
    /// They are the same.
    Equal,
    /// Neither knew of the other.
    Concurrent,
}

/// How many times each name had spoken.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "BTreeMap<Name, u64>", into = "BTreeMap<Name, u64>")]
pub struct VectorClock(BTreeMap<Name, u64>);

impl TryFrom<BTreeMap<Name, u64>> for VectorClock {
    type Error = String;
    fn try_from(mut counts: BTreeMap<Name, u64>) -> Result<Self, String> {
        counts.retain(|_, count| *count > 0);
        if counts.len() > MAX_CLOCK_ENTRIES {
            return Err(format!("a vector clock has at most {MAX_CLOCK_ENTRIES} names"));
        }
        match counts.iter().find(|(_, count)| **count > MAX_CLOCK_COUNT) {
            Some((name, _)) => Err(format!("the count of {name} is above {MAX_CLOCK_COUNT}")),
            None => Ok(Self(counts)),
        }
    }
}

impl From<VectorClock> for BTreeMap<Name, u64> {
    fn from(clock: VectorClock) -> Self {
        clock.0
    }
}

impl VectorClock {
    /// How often `name` had spoken.
    pub fn get(&self, name: &Name) -> u64 {
        self.0.get(name).copied().unwrap_or(0)
    }

    /// Every name that had spoken, with its count.
    pub fn iter(&self) -> impl Iterator<Item = (&Name, u64)> {
        self.0.iter().map(|(name, count)| (name, *count))
    }

    /// Names that had spoken.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether nobody had.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// `name` speaks once more. Gives its new count.
    pub fn increment(&mut self, name: &Name) -> Result<u64, Fault> {
        let next = self.get(name) + 1;
        self.raise(name, next)?;
        Ok(next)
    }

    /// `name` had spoken at least `count` times.
    pub fn raise(&mut self, name: &Name, count: u64) -> Result<(), Fault> {
        if count <= self.get(name) {
            return Ok(());
        }
        if count > MAX_CLOCK_COUNT {
            return Err(Fault::exhausted("MAX_CLOCK_COUNT", MAX_CLOCK_COUNT as usize));
        }
        if self.0.len() >= MAX_CLOCK_ENTRIES && !self.0.contains_key(name) {
            return Err(Fault::exhausted("MAX_CLOCK_ENTRIES", MAX_CLOCK_ENTRIES));
        }
        self.0.insert(name.clone(), count);
        Ok(())
    }

    /// The least clock that knows all that either knows. Refused, with nothing changed, if that is
    /// more names than a clock may have.
    pub fn merge(&self, other: &Self) -> Result<Self, Fault> {
        let mut joined = self.clone();
        for (name, count) in other.iter() {
            joined.raise(name, count)?;
        }
        Ok(joined)
    }

    /// Whether it knows all that `other` knows.
    pub fn covers(&self, other: &Self) -> bool {
        other.iter().all(|(name, count)| self.get(name) >= count)
    }

    /// How `self` stands to `other`.
    pub fn compare(&self, other: &Self) -> Causality {
        match (self.covers(other), other.covers(self)) {
            (true, true) => Causality::Equal,
            (true, false) => Causality::After,
            (false, true) => Causality::Before,
            (false, false) => Causality::Concurrent,
        }
    }

    /// Whether `self` was known to whoever wrote `other`.
    pub fn happened_before(&self, other: &Self) -> bool {
        self.compare(other) == Causality::Before
    }

    /// Whether neither knew of the other.
    pub fn are_concurrent(&self, other: &Self) -> bool {
        self.compare(other) == Causality::Concurrent
    }
}

impl JsonSchema for VectorClock {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "VectorClock".into()
    }
    fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
        schemars::json_schema!({
            "type": "object",
            "additionalProperties": {"type": "integer", "minimum": 0, "maximum": MAX_CLOCK_COUNT},
            "maxProperties": MAX_CLOCK_ENTRIES,
            "description": "How many times each participant had spoken, by name."
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::collection::btree_map;
    use proptest::prelude::*;

    fn name(text: &str) -> Name {
        Name::parse(text).unwrap()
    }

    fn clock(text: &str) -> VectorClock {
        serde_json::from_str(text).unwrap()
    }

    fn clocks() -> impl Strategy<Value = VectorClock> {
        btree_map(0_u8..5, 0_u64..4, 0..5).prop_map(|counts| {
            let named = counts.into_iter().map(|(n, c)| (name(&format!("n{n}")), c));
            VectorClock::try_from(named.collect::<BTreeMap<_, _>>()).unwrap()
        })
    }

    fn mirrored(causality: Causality) -> Causality {
        match causality {
            Causality::Before => Causality::After,
            Causality::After => Causality::Before,
            same => same,
        }
    }

    proptest! {
        #[test]
        fn merging_is_a_join(a in clocks(), b in clocks(), c in clocks()) {
            let join = |x: &VectorClock, y: &VectorClock| x.merge(y).unwrap();
            prop_assert_eq!(join(&a, &b), join(&b, &a));
            prop_assert_eq!(join(&join(&a, &b), &c), join(&a, &join(&b, &c)));
            prop_assert_eq!(join(&a, &a), a.clone());
            let both = join(&a, &b);
            prop_assert!(both.covers(&a) && both.covers(&b));
            // The least: whatever covers both covers it.
            prop_assert_eq!(c.covers(&a) && c.covers(&b), c.covers(&both));
        }

        #[test]
        fn the_order_is_partial(a in clocks(), b in clocks(), c in clocks()) {
            prop_assert_eq!(a.compare(&b), mirrored(b.compare(&a)));
            prop_assert_eq!(a.compare(&b) == Causality::Equal, a == b);
            if a.happened_before(&b) && b.happened_before(&c) {
                prop_assert!(a.happened_before(&c));
            }
        }

        #[test]
        fn speaking_comes_after_what_was_known(mut a in clocks(), who in 0_u8..5) {
            let before = a.clone();
            let who = name(&format!("n{who}"));
            prop_assert_eq!(a.increment(&who).unwrap(), before.get(&who) + 1);
            prop_assert!(before.happened_before(&a));
        }
    }

    /// A regression of the system before: it compared the keys in the order in which they came.
    #[test]
    fn concurrency_does_not_depend_on_the_order_of_keys() {
        let first = [clock(r#"{"a":2,"b":1,"c":0}"#), clock(r#"{"b":1,"a":2}"#)];
        let second = [clock(r#"{"b":2,"a":1}"#), clock(r#"{"a":1,"c":0,"b":2}"#)];
        assert_eq!(first[0], first[1]);
        for a in &first {
            for b in &second {
                assert!(a.are_concurrent(b) && b.are_concurrent(a));
            }
        }
        assert!(clock(r#"{"z":1}"#).are_concurrent(&clock(r#"{"a":1}"#)));
        assert!(clock(r#"{"z":1}"#).happened_before(&clock(r#"{"a":1,"z":1}"#)));
    }

    #[test]
    fn a_clock_is_bounded() {
        let mut full = VectorClock::default();
        for i in 0..MAX_CLOCK_ENTRIES {
            full.increment(&name(&format!("n{i}"))).unwrap();
        }
        assert!(full.increment(&name("one_more")).is_err());
        assert!(full.increment(&name("n0")).is_ok());
        let stranger = clock(r#"{"stranger":1}"#);
        assert!(full.merge(&stranger).is_err());
        let too_many: BTreeMap<String, u64> =
            (0..=MAX_CLOCK_ENTRIES).map(|i| (format!("n{i}"), 1)).collect();
        let text = serde_json::to_string(&too_many).unwrap();
        assert!(serde_json::from_str::<VectorClock>(&text).is_err());
        assert!(serde_json::from_str::<VectorClock>(r#"{"a":18446744073709551615}"#).is_err());
    }
}
