//! Edits of shared objects beside plans.

use troupe_domain::{Fault, VectorClock};

use super::Edit;
use super::draft::Draft;
use crate::field::Field;
use crate::operation::{Kind, Operation};
use crate::value::Value;

impl Draft<'_> {
    pub(super) fn edit_object(&mut self, edit: &Edit) -> Result<(), Fault> {
        let shared = |texts: &[String]| texts.iter().map(|text| text.as_str().into()).collect();
        let operation = match edit {
            Edit::Increment { by } => {
                let (up, down) = self.share();
                Operation::Count { up: up.saturating_add(*by), down }
            }
            Edit::Decrement { by } if self.document.kind == Kind::PnCounter => {
                let (up, down) = self.share();
                Operation::Count { up, down: down.saturating_add(*by) }
            }
            Edit::Set { value } => Operation::Write { value: value.to_string().into() },
            Edit::Put { key, value } => {
                Operation::Put { key: key.as_str().into(), value: value.to_string().into() }
            }
            Edit::Remove { keys } => Operation::Remove { keys: shared(keys) },
            Edit::Add { members } => Operation::Insert { elements: shared(members) },
            Edit::Tick { name } => {
                let before = self.drafted_clock().get(name);
                let mut clock = VectorClock::default();
                clock.raise(name, self.clock(name.as_str()).max(before) + 1)?;
                Operation::Raise { clock }
            }
            Edit::Merge { clock } => Operation::Raise { clock: clock.clone() },
            _ => {
                let why = format!("a {} has no such edit", self.document.kind.as_str());
                return Err(Fault::invalid("edit", why));
            }
        };
        self.operations.push(operation);
        Ok(())
    }

    /// The actor's share of the counter, with what the draft did.
    fn share(&self) -> (u64, u64) {
        if let Some(Operation::Count { up, down }) = self.operations.last() {
            return (*up, *down);
        }
        let mut atoms = self.document.cells.root.atoms(Field::Count).iter();
        match atoms.find(|atom| atom.stamp.actor == *self.actor).map(|atom| &atom.value) {
            Some(Value::Share { up, down }) => (*up, *down),
            _ => (0, 0),
        }
    }

    fn clock(&self, name: &str) -> u64 {
        let entity = self.document.cells.entities.get(name);
        match entity.and_then(|entity| entity.shown(Field::Clock)).map(|atom| &atom.value) {
            Some(Value::Number(count)) => *count,
            _ => 0,
        }
    }

    fn drafted_clock(&self) -> VectorClock {
        let mut all = VectorClock::default();
        for operation in &self.operations {
            if let Operation::Raise { clock } = operation {
                all = all.merge(clock).unwrap_or(all);
            }
        }
        all
    }
}
