//! A document as bytes: the same bytes wherever the version is the same.
//!
//! A snapshot carries no signatures of what it holds: who loads one trusts whom it came from. It ends
//! with a checksum, so that damage is found before anything is read.

use std::collections::HashMap;
use std::sync::Arc;

use sha2::{Digest as _, Sha256};
use troupe_domain::{Fault, Timestamp, VectorClock};

use crate::batch::BatchHash;
use crate::cells::{Atom, Cells, Entity, Key};
use crate::codec::{Malformed, Read, Reader, Writer};
use crate::document::{Document, Head};
use crate::key::PublicKey;
use crate::limits::{
    MAX_ACTORS, MAX_CELL_VALUES, MAX_ENTITIES, MAX_KEY_BYTES, MAX_LAMPORT, MAX_SNAPSHOT_BYTES,
    MAX_STAMPS,
};
use crate::operation::{read_kind, write_kind};
use crate::stamp::{SharedStamp, Stamp};
use crate::value::{Value, read_field};

const VERSION: u8 = 1;
const CHECKSUM_BYTES: usize = 32;
const LARGE: &str = "a number is too large";
/// Cells of one entity: one for each field.
const MAX_CELLS: usize = 64;

impl Document {
    /// The document as bytes. Documents with the same version have the same bytes.
    pub fn encode(&self) -> Vec<u8> {
        let mut to = Writer::default();
        to.byte(VERSION);
        write_kind(&mut to, self.kind);
        to.plain_name(&self.object);
        to.number(self.lamport);
        to.count(self.heads.len());
        for (agent, head) in &self.heads {
            to.name(agent);
            to.number(head.seq);
            to.raw(head.hash.as_bytes());
            to.raw(head.key.as_bytes());
            to.number(head.lamport);
            to.count(head.seen.len());
            for (agent, seq) in head.seen.iter() {
                to.name(agent);
                to.number(seq);
            }
        }
        let stamps = self.stamps();
        write_stamps(&mut to, &stamps);
        let numbers: HashMap<_, _> =
            stamps.iter().enumerate().map(|(at, s)| ((s.lamport, s.actor.as_str()), at)).collect();
        let number = |stamp: &Stamp| {
            numbers.get(&(stamp.lamport, stamp.actor.as_str())).copied().unwrap_or_default()
        };
        write_entity(&mut to, &self.cells.root, number);
        to.count(self.cells.entities.len());
        for (key, entity) in &self.cells.entities {
            to.text(key.as_str());
            write_entity(&mut to, entity, number);
        }
        let checksum = Sha256::digest(to.bytes());
        to.raw(&checksum);
        to.into_bytes()
    }

    /// Reads what [`encode`](Self::encode) wrote. Nothing but its one encoding is taken.
    pub fn decode(bytes: &[u8]) -> Result<Self, Fault> {
        if bytes.len() > MAX_SNAPSHOT_BYTES {
            return Err(Fault::exhausted("MAX_SNAPSHOT_BYTES", MAX_SNAPSHOT_BYTES));
        }
        let short = Malformed { what: "the bytes end too early", at: bytes.len() };
        let split = bytes.split_last_chunk::<CHECKSUM_BYTES>();
        let (content, checksum) = split.ok_or(short.in_field("snapshot"))?;
        if Sha256::digest(content).as_slice() != checksum {
            return Err(Fault::invalid("snapshot", "is damaged: its checksum does not fit"));
        }
        let document = read(content).map_err(|why| why.in_field("snapshot"))?;
        if document.encode() != bytes {
            return Err(Fault::invalid("snapshot", "is not in the one encoding that it has"));
        }
        Ok(document)
    }

    /// Every stamp that some value has, in order.
    fn stamps(&self) -> Vec<&Stamp> {
        let entities = std::iter::once(&self.cells.root).chain(self.cells.entities.values());
        let atoms = entities.flat_map(|entity| entity.cells.values().flatten());
        let mut stamps: Vec<&Stamp> = atoms.map(|atom| atom.stamp.as_ref()).collect();
        stamps.sort_unstable_by(|a, b| a.order(b));
        stamps.dedup_by(|a, b| a.order(b).is_eq());
        stamps
    }
}

fn write_stamps(to: &mut Writer, stamps: &[&Stamp]) {
    to.count(stamps.len());
    let (mut lamport, mut at) = (0, 0_i64);
    for stamp in stamps {
        to.number(stamp.lamport - lamport);
        to.name(&stamp.actor);
        to.number(stamp.seq);
        to.signed(stamp.at.as_millis().wrapping_sub(at));
        to.maybe(stamp.on_behalf_of.as_ref(), Writer::name);
        (lamport, at) = (stamp.lamport, stamp.at.as_millis());
    }
}

fn write_entity(to: &mut Writer, entity: &Entity, number: impl Fn(&Stamp) -> usize) {
    to.count(entity.cells.len());
    for (field, atoms) in &entity.cells {
        to.byte(field.number());
        to.count(atoms.len());
        for atom in atoms {
            to.count(number(&atom.stamp));
            atom.value.write(to);
        }
    }
}

fn read(content: &[u8]) -> Read<Document> {
    let mut from = Reader::new(content);
    if from.byte()? != VERSION {
        return Err(from.wrong("a version that is not known here"));
    }
    let kind = read_kind(&mut from)?;
    let object = from.plain_name()?;
    let mut document = Document::new(object, kind);
    document.lamport = from.number_to(MAX_LAMPORT, LARGE)?;
    for _ in 0..from.count(MAX_ACTORS, "too many agents")? {
        let agent = from.name()?;
        let head = read_head(&mut from)?;
        document.heads.insert(agent, head);
    }
    let stamps = read_stamps(&mut from)?;
    read_entity(&mut from, &stamps, None, &mut document.cells)?;
    for _ in 0..from.count(MAX_ENTITIES, "too many entities")? {
        let key = from.text(MAX_KEY_BYTES, "a key is too long")?;
        document.cells.entities.insert(Key::new(&key), Entity::default());
        read_entity(&mut from, &stamps, Some(&key), &mut document.cells)?;
    }
    from.end()?;
    Ok(document)
}

fn read_head(from: &mut Reader<'_>) -> Read<Head> {
    let seq = from.number_to(MAX_LAMPORT, LARGE)?;
    let hash = BatchHash::from_bytes(from.array()?);
    let key = PublicKey::from_bytes(from.array()?);
    let lamport = from.number_to(MAX_LAMPORT, LARGE)?;
    let mut seen = VectorClock::default();
    for _ in 0..from.count(MAX_ACTORS, "too many agents were seen")? {
        let wrong = from.wrong("a clock is beyond its bounds");
        let agent = from.name()?;
        seen.raise(&agent, from.number_to(MAX_LAMPORT, LARGE)?).map_err(|_| wrong)?;
    }
    Ok(Head { seq, hash, lamport, key, seen })
}

fn read_stamps(from: &mut Reader<'_>) -> Read<Vec<SharedStamp>> {
    let (mut lamport, mut at) = (0_u64, 0_i64);
    from.list(MAX_STAMPS, "too many stamps", |from| {
        let wrong = from.wrong(LARGE);
        lamport = lamport.checked_add(from.number()?).filter(|l| *l <= MAX_LAMPORT).ok_or(wrong)?;
        let actor = from.name()?;
        let seq = from.number_to(MAX_LAMPORT, LARGE)?;
        at = at.wrapping_add(from.signed()?);
        let on_behalf_of = from.maybe(Reader::name)?;
        let at = Timestamp::from_millis(at);
        Ok(Arc::new(Stamp { lamport, actor, seq, at, on_behalf_of }))
    })
}

fn read_entity(
    from: &mut Reader<'_>,
    stamps: &[SharedStamp],
    place: Option<&str>,
    cells: &mut Cells,
) -> Read<()> {
    for _ in 0..from.count(MAX_CELLS, "too many fields")? {
        let field = read_field(from)?;
        for _ in 0..from.count(2 * MAX_CELL_VALUES, "too many values of one field")? {
            let wrong = from.wrong("no such stamp");
            let number = usize::try_from(from.number()?).map_err(|_| wrong)?;
            let stamp = stamps.get(number).ok_or(wrong)?.clone();
            cells.insert(place, field, Atom { stamp, value: Value::read(from)? });
        }
    }
    Ok(())
}
