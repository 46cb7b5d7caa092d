//! Shared objects beside plans, as programs read them.

use std::collections::BTreeMap;

use serde_json::Value as Json;
use troupe_domain::{Name, VectorClock};

use crate::cells::Atom;
use crate::document::Document;
use crate::field::Field;
use crate::operation::Kind;
use crate::value::Value;

/// What a shared object holds.
#[derive(Debug, Clone, PartialEq)]
pub enum SharedObject {
    /// A counter's sum.
    Counter(i128),
    /// A register's value, if it was ever written.
    Register(Option<Json>),
    /// A map's values.
    Map(BTreeMap<String, Json>),
    /// A set's members.
    Set(Vec<String>),
    /// A clock's counts.
    Clock(VectorClock),
}

impl Document {
    /// What the object holds; nothing if it is a plan.
    pub fn shared(&self) -> Option<SharedObject> {
        Some(match self.kind {
            Kind::Plan => return None,
            Kind::GCounter | Kind::PnCounter => {
                SharedObject::Counter(self.cells.root.sum(Field::Count).unwrap_or(0))
            }
            Kind::LwwRegister => {
                SharedObject::Register(self.cells.root.shown(Field::Value).map(json))
            }
            Kind::LwwMap => {
                let entities = self.cells.entities.iter();
                let values = entities.filter_map(|(key, entity)| {
                    Some((key.as_str().to_owned(), entity.shown(Field::Value).map(json)?))
                });
                SharedObject::Map(values.collect())
            }
            Kind::OrSet => {
                let alive = self.cells.entities.iter().filter(|(_, entity)| entity.is_alive());
                SharedObject::Set(alive.map(|(key, _)| key.as_str().to_owned()).collect())
            }
            Kind::VectorClock => SharedObject::Clock(self.clock()),
        })
    }

    fn clock(&self) -> VectorClock {
        let entities = self.cells.entities.iter();
        let counts = entities.filter_map(|(key, entity)| {
            Some((Name::parse(key.as_str()).ok()?, entity.number(Field::Clock)?))
        });
        // More names than a clock may have were merged by several: the first ones are told.
        let mut clock = VectorClock::default();
        for (name, count) in counts {
            if clock.raise(&name, count).is_err() {
                break;
            }
        }
        clock
    }
}

impl SharedObject {
    /// The value as JSON.
    pub fn json(&self) -> Json {
        match self {
            Self::Counter(sum) => {
                i64::try_from(*sum).map_or_else(|_| sum.to_string().into(), Json::from)
            }
            Self::Register(value) => value.clone().unwrap_or(Json::Null),
            Self::Map(values) => values.clone().into_iter().collect(),
            Self::Set(members) => members.clone().into(),
            Self::Clock(clock) => serde_json::to_value(clock).unwrap_or(Json::Null),
        }
    }
}

fn json(atom: &Atom) -> Json {
    match &atom.value {
        Value::Text(text) => serde_json::from_str(text).unwrap_or(Json::Null),
        _ => Json::Null,
    }
}
