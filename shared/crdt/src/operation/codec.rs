//! Operations as bytes.

use std::collections::BTreeMap;

use troupe_domain::VectorClock;

use super::{Change, ItemId, Kind, Operation};
use crate::codec::{Read, Reader, Writer};
use crate::limits::{
    MAX_ACTORS, MAX_COUNT, MAX_KEY_BYTES, MAX_OPERATION_CHANGES, MAX_OPERATION_ITEMS,
    MAX_TEXT_BYTES,
};
use crate::value::{
    read_field, read_ids, read_order, read_priority, read_status, write_ids, write_status,
};

const MANY_ITEMS: &str = "too many items";
const LONG_TEXT: &str = "a text is too long";
const LARGE: &str = "a count is too large";

pub(crate) fn write_kind(to: &mut Writer, kind: Kind) {
    to.byte(Kind::ALL.iter().position(|k| *k == kind).unwrap_or(0) as u8);
}

pub(crate) fn read_kind(from: &mut Reader<'_>) -> Read<Kind> {
    let wrong = from.wrong("no such kind of document");
    Kind::ALL.get(usize::from(from.byte()?)).copied().ok_or(wrong)
}

impl Change {
    fn write(&self, to: &mut Writer) {
        let tag = |to: &mut Writer, tag: u8| to.byte(tag);
        match self {
            Self::Name(text) => (tag(to, 0), to.text(text)).1,
            Self::Description(text) => (tag(to, 1), to.text(text)).1,
            Self::Owner(owner) => (tag(to, 2), to.maybe(owner.as_ref(), Writer::name)).1,
            Self::CurrentPhase(phase) => (tag(to, 3), to.number((*phase).into())).1,
            Self::TotalPhases(phases) => (tag(to, 4), to.number((*phases).into())).1,
            Self::AddCollaborator(who) => (tag(to, 5), to.name(who)).1,
            Self::RemoveCollaborator(who) => (tag(to, 6), to.name(who)).1,
            Self::Title(text) => (tag(to, 7), to.text(text)).1,
            Self::Status(status) => (tag(to, 8), write_status(to, *status)).1,
            Self::Priority(priority) => (tag(to, 9), to.byte(priority.number())).1,
            Self::AssignedTo(who) => (tag(to, 10), to.maybe(who.as_ref(), Writer::name)).1,
            Self::Progress(progress) => (tag(to, 11), to.byte(*progress)).1,
            Self::EstimatedMinutes(minutes) => {
                tag(to, 12);
                to.maybe(minutes.as_ref(), |to, minutes| to.number(*minutes));
            }
            Self::ActualMinutes { up, down } => {
                tag(to, 13);
                to.number(*up);
                to.number(*down);
            }
            Self::TaskId(task) => (tag(to, 14), to.maybe(task.as_ref(), Writer::name)).1,
            Self::AddDependency(item) => (tag(to, 15), to.name(item)).1,
            Self::RemoveDependency(item) => (tag(to, 16), to.name(item)).1,
            Self::AddTag(text) => (tag(to, 17), to.text(text)).1,
            Self::RemoveTag(text) => (tag(to, 18), to.text(text)).1,
        }
    }

    fn read(from: &mut Reader<'_>) -> Read<Self> {
        let text = |from: &mut Reader<'_>| from.text(MAX_TEXT_BYTES, LONG_TEXT);
        let phase = |from: &mut Reader<'_>| {
            from.number_to(u32::MAX.into(), LARGE).map(|phase| phase as u32)
        };
        Ok(match from.byte()? {
            0 => Self::Name(text(from)?),
            1 => Self::Description(text(from)?),
            2 => Self::Owner(from.maybe(Reader::name)?),
            3 => Self::CurrentPhase(phase(from)?),
            4 => Self::TotalPhases(phase(from)?),
            5 => Self::AddCollaborator(from.name()?),
            6 => Self::RemoveCollaborator(from.name()?),
            7 => Self::Title(text(from)?),
            8 => Self::Status(read_status(from)?),
            9 => Self::Priority(read_priority(from)?),
            10 => Self::AssignedTo(from.maybe(Reader::name)?),
            11 => Self::Progress(from.byte()?),
            12 => Self::EstimatedMinutes(from.maybe(|from| from.number_to(MAX_COUNT, LARGE))?),
            13 => Self::ActualMinutes {
                up: from.number_to(MAX_COUNT, LARGE)?,
                down: from.number_to(MAX_COUNT, LARGE)?,
            },
            14 => Self::TaskId(from.maybe(Reader::name)?),
            15 => Self::AddDependency(from.name()?),
            16 => Self::RemoveDependency(from.name()?),
            17 => Self::AddTag(text(from)?),
            18 => Self::RemoveTag(text(from)?),
            _ => return Err(from.wrong("no such field of a plan or an item")),
        })
    }
}

impl Operation {
    pub(crate) fn write(&self, to: &mut Writer) {
        to.byte(self.number());
        match self {
            Self::CreatePlan { changes } | Self::UpdatePlan { changes } => {
                write_changes(to, changes);
            }
            Self::DeletePlan => {}
            Self::AddItem { item, parent, order, changes } => {
                to.name(item);
                to.maybe(parent.as_ref(), Writer::name);
                to.block(order.as_bytes());
                write_changes(to, changes);
            }
            Self::UpdateItem { item, changes } => {
                to.name(item);
                write_changes(to, changes);
            }
            Self::DeleteItem { items } | Self::Purge { items } => write_items(to, items),
            Self::MoveItem { item, parent, from, order } => {
                to.name(item);
                to.maybe(parent.as_ref(), Writer::name);
                to.maybe(from.as_ref(), Writer::name);
                to.block(order.as_bytes());
            }
            Self::ReorderItems { orders } => {
                to.count(orders.len());
                for (item, order) in orders {
                    to.name(item);
                    to.block(order.as_bytes());
                }
            }
            Self::AssignItem { item, to: who } => {
                to.name(item);
                to.maybe(who.as_ref(), Writer::name);
            }
            Self::UpdateStatus { item, status } => {
                to.name(item);
                write_status(to, *status);
            }
            Self::AddNote { item, text } => {
                to.name(item);
                to.text(text);
            }
            Self::BulkUpdate { updates } => {
                to.count(updates.len());
                for (item, changes) in updates {
                    to.name(item);
                    write_changes(to, changes);
                }
            }
            _ => self.write_rest(to),
        }
    }

    /// Operations about a plan, and those of other objects.
    fn write_rest(&self, to: &mut Writer) {
        match self {
            Self::Read { item, field, seen, missed } => {
                to.maybe(item.as_ref(), Writer::name);
                to.byte(field.number());
                write_ids(to, seen);
                write_ids(to, missed);
            }
            Self::Acknowledge { conflict: text } | Self::Write { value: text } => to.text(text),
            Self::Count { up, down } => {
                to.number(*up);
                to.number(*down);
            }
            Self::Put { key, value } => {
                to.text(key);
                to.text(value);
            }
            Self::Insert { elements: keys } | Self::Remove { keys } => {
                to.count(keys.len());
                keys.iter().for_each(|key| to.text(key));
            }
            Self::Raise { clock } => {
                to.count(clock.len());
                for (name, count) in clock.iter() {
                    to.name(name);
                    to.number(count);
                }
            }
            _ => {}
        }
    }

    pub(crate) fn read(from: &mut Reader<'_>) -> Read<Self> {
        let text = |from: &mut Reader<'_>| from.text(MAX_TEXT_BYTES, LONG_TEXT);
        let key = |from: &mut Reader<'_>| from.text(MAX_KEY_BYTES, "a key is too long");
        let keys = |from: &mut Reader<'_>| from.list(MAX_OPERATION_ITEMS, "too many keys", key);
        Ok(match from.byte()? {
            0 => Self::CreatePlan { changes: read_changes(from)? },
            1 => Self::UpdatePlan { changes: read_changes(from)? },
            2 => Self::DeletePlan,
            3 => Self::AddItem {
                item: from.name()?,
                parent: from.maybe(Reader::name)?,
                order: read_order(from)?,
                changes: read_changes(from)?,
            },
            4 => Self::UpdateItem { item: from.name()?, changes: read_changes(from)? },
            5 => Self::DeleteItem { items: read_items(from)? },
            6 => Self::MoveItem {
                item: from.name()?,
                parent: from.maybe(Reader::name)?,
                from: from.maybe(Reader::name)?,
                order: read_order(from)?,
            },
            7 => Self::ReorderItems {
                orders: from.list(MAX_OPERATION_ITEMS, MANY_ITEMS, |from| {
                    Ok((from.name()?, read_order(from)?))
                })?,
            },
            8 => Self::AssignItem { item: from.name()?, to: from.maybe(Reader::name)? },
            9 => Self::UpdateStatus { item: from.name()?, status: read_status(from)? },
            10 => Self::AddNote { item: from.name()?, text: text(from)? },
            11 => Self::BulkUpdate {
                updates: from.list(MAX_OPERATION_ITEMS, MANY_ITEMS, |from| {
                    Ok((from.name()?, read_changes(from)?))
                })?,
            },
            12 => Self::Read {
                item: from.maybe(Reader::name)?,
                field: read_field(from)?,
                seen: read_ids(from)?,
                missed: read_ids(from)?,
            },
            13 => Self::Acknowledge { conflict: key(from)? },
            14 => Self::Purge { items: read_items(from)? },
            15 => Self::Count {
                up: from.number_to(MAX_COUNT, LARGE)?,
                down: from.number_to(MAX_COUNT, LARGE)?,
            },
            16 => Self::Write { value: text(from)? },
            17 => Self::Put { key: key(from)?, value: text(from)? },
            18 => Self::Insert { elements: keys(from)? },
            19 => Self::Remove { keys: keys(from)? },
            20 => Self::Raise { clock: read_clock(from)? },
            _ => return Err(from.wrong("no such operation")),
        })
    }

    const fn number(&self) -> u8 {
        match self {
            Self::CreatePlan { .. } => 0,
            Self::UpdatePlan { .. } => 1,
            Self::DeletePlan => 2,
            Self::AddItem { .. } => 3,
            Self::UpdateItem { .. } => 4,
            Self::DeleteItem { .. } => 5,
            Self::MoveItem { .. } => 6,
            Self::ReorderItems { .. } => 7,
            Self::AssignItem { .. } => 8,
            Self::UpdateStatus { .. } => 9,
            Self::AddNote { .. } => 10,
            Self::BulkUpdate { .. } => 11,
            Self::Read { .. } => 12,
            Self::Acknowledge { .. } => 13,
            Self::Purge { .. } => 14,
            Self::Count { .. } => 15,
            Self::Write { .. } => 16,
            Self::Put { .. } => 17,
            Self::Insert { .. } => 18,
            Self::Remove { .. } => 19,
            Self::Raise { .. } => 20,
        }
    }
}

fn write_changes(to: &mut Writer, changes: &[Change]) {
    to.count(changes.len());
    changes.iter().for_each(|change| change.write(to));
}

fn read_changes(from: &mut Reader<'_>) -> Read<Vec<Change>> {
    from.list(MAX_OPERATION_CHANGES, "too many changes in one operation", Change::read)
}

fn write_items(to: &mut Writer, items: &[ItemId]) {
    to.count(items.len());
    items.iter().for_each(|item| to.name(item));
}

fn read_items(from: &mut Reader<'_>) -> Read<Vec<ItemId>> {
    from.list(MAX_OPERATION_ITEMS, MANY_ITEMS, Reader::name)
}

fn read_clock(from: &mut Reader<'_>) -> Read<VectorClock> {
    let wrong = from.wrong("no vector clock");
    let counts = from
        .list(MAX_ACTORS, "too many names in a clock", |from| Ok((from.name()?, from.number()?)))?;
    VectorClock::try_from(counts.into_iter().collect::<BTreeMap<_, _>>()).map_err(|_| wrong)
}
