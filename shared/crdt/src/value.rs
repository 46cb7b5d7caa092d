//! What a field can hold.

use std::sync::Arc;

use troupe_domain::plan::PlanItemStatus;
use troupe_domain::{Name, Priority};

use crate::codec::{Read, Reader, Writer};
use crate::field::Field;
use crate::limits::{MAX_COUNT, MAX_READ_STAMPS, MAX_TEXT_BYTES};
use crate::order::OrderKey;
use crate::stamp::OperationId;

/// One value. Cheap to clone.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Value {
    /// Nothing: cleared, or only its stamp counts.
    Nothing,
    Text(Arc<str>),
    Number(u64),
    Name(Name),
    /// One actor's share of a counter.
    Share {
        up: u64,
        down: u64,
    },
    /// Under which item, and where the item was before.
    Place {
        parent: Option<Name>,
        from: Option<Name>,
    },
    Order(OrderKey),
    Status(PlanItemStatus),
    Priority(Priority),
    /// What was read of a field, and what was there and not read.
    Reads {
        field: Field,
        seen: Arc<[OperationId]>,
        missed: Arc<[OperationId]>,
    },
}

impl Value {
    pub(crate) fn maybe_name(name: Option<&Name>) -> Self {
        name.map_or(Self::Nothing, |name| Self::Name(name.clone()))
    }

    pub(crate) fn maybe_number(number: Option<u64>) -> Self {
        number.map_or(Self::Nothing, Self::Number)
    }

    /// Bytes beyond the value itself, for the account of a document.
    pub(crate) fn heap_bytes(&self) -> usize {
        match self {
            Self::Text(text) => text.len(),
            Self::Reads { seen, missed, .. } => {
                (seen.len() + missed.len()) * size_of::<OperationId>()
            }
            Self::Order(key) => key.as_bytes().len(),
            _ => 0,
        }
    }

    pub(crate) fn write(&self, to: &mut Writer) {
        match self {
            Self::Nothing => to.byte(0),
            Self::Text(text) => {
                to.byte(1);
                to.text(text);
            }
            Self::Number(number) => {
                to.byte(2);
                to.number(*number);
            }
            Self::Name(name) => {
                to.byte(3);
                to.name(name);
            }
            Self::Share { up, down } => {
                to.byte(4);
                to.number(*up);
                to.number(*down);
            }
            Self::Place { parent, from } => {
                to.byte(5);
                to.maybe(parent.as_ref(), Writer::name);
                to.maybe(from.as_ref(), Writer::name);
            }
            Self::Order(key) => {
                to.byte(6);
                to.block(key.as_bytes());
            }
            Self::Status(status) => {
                to.byte(7);
                write_status(to, *status);
            }
            Self::Priority(priority) => {
                to.byte(8);
                to.byte(priority.number());
            }
            Self::Reads { field, seen, missed } => {
                to.byte(9);
                to.byte(field.number());
                write_ids(to, seen);
                write_ids(to, missed);
            }
        }
    }

    pub(crate) fn read(from: &mut Reader<'_>) -> Read<Self> {
        Ok(match from.byte()? {
            0 => Self::Nothing,
            1 => Self::Text(from.text(MAX_TEXT_BYTES, "a text is too long")?),
            2 => Self::Number(from.number()?),
            3 => Self::Name(from.name()?),
            4 => {
                let up = from.number_to(MAX_COUNT, "a count is too large")?;
                let down = from.number_to(MAX_COUNT, "a count is too large")?;
                Self::Share { up, down }
            }
            5 => Self::Place { parent: from.maybe(Reader::name)?, from: from.maybe(Reader::name)? },
            6 => Self::Order(read_order(from)?),
            7 => Self::Status(read_status(from)?),
            8 => Self::Priority(read_priority(from)?),
            9 => {
                let field = read_field(from)?;
                let seen = read_ids(from)?.into();
                Self::Reads { field, seen, missed: read_ids(from)?.into() }
            }
            _ => return Err(from.wrong("no such kind of value")),
        })
    }
}

pub(crate) fn write_ids(to: &mut Writer, ids: &[OperationId]) {
    to.count(ids.len());
    for id in ids {
        to.number(id.lamport);
        to.name(&id.actor);
    }
}

pub(crate) fn read_ids(from: &mut Reader<'_>) -> Read<Vec<OperationId>> {
    from.list(MAX_READ_STAMPS, "too many stamps", |from| {
        Ok(OperationId { lamport: from.number()?, actor: from.name()? })
    })
}

pub(crate) fn read_field(from: &mut Reader<'_>) -> Read<Field> {
    let wrong = from.wrong("no such field");
    Field::of_number(from.byte()?).ok_or(wrong)
}

pub(crate) fn read_order(from: &mut Reader<'_>) -> Read<OrderKey> {
    let wrong = from.wrong("no order key");
    let bytes = from.block(crate::limits::MAX_ORDER_KEY_BYTES, "an order key is too long")?;
    OrderKey::from_bytes(bytes).ok_or(wrong)
}

pub(crate) fn read_priority(from: &mut Reader<'_>) -> Read<Priority> {
    let wrong = from.wrong("no such priority");
    let number = from.byte()?;
    Priority::ALL.into_iter().find(|priority| priority.number() == number).ok_or(wrong)
}

pub(crate) fn write_status(to: &mut Writer, status: PlanItemStatus) {
    to.byte(PlanItemStatus::ALL.iter().position(|s| *s == status).unwrap_or(0) as u8);
}

pub(crate) fn read_status(from: &mut Reader<'_>) -> Read<PlanItemStatus> {
    let wrong = from.wrong("no such status");
    PlanItemStatus::ALL.get(usize::from(from.byte()?)).copied().ok_or(wrong)
}
