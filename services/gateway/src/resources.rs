//! What can be read and followed by a URI.

mod reading;
mod uri;
mod watching;

pub(crate) use reading::{Page, ids, list, read};
pub(crate) use uri::{Kind, ResourceId};
pub(crate) use watching::{Hub, Watcher};
