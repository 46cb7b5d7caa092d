//! A batch: what one agent did at once, chained to what it did before, and signed.
//!
//! Invariant: a batch has exactly one encoding. What decodes to a batch and is not that encoding is
//! refused, so that a hash names a content and nothing else.

use std::fmt;
use std::sync::{Arc, OnceLock};

use sha2::{Digest as _, Sha256};
use troupe_domain::{AgentId, Code, Fault, Name, Timestamp};

use crate::codec::{Malformed, Read, Reader, Writer};
use crate::key::{AgentKey, PublicKey, SIGNATURE_BYTES};
use crate::limits::{
    MAX_ACTORS, MAX_BATCH_BYTES, MAX_BATCH_EFFECTS, MAX_BATCH_OPERATIONS, MAX_LAMPORT, MAX_TIME_MS,
};
use crate::operation::{Kind, Operation, read_kind, write_kind};
use crate::stamp::Stamp;

const VERSION: u8 = 1;
const CONTENT: &[u8] = b"troupe.crdt.content.v1\0";

/// The SHA-256 of a batch's content, which is all of it but the signature.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct BatchHash([u8; 32]);

impl BatchHash {
    /// From its bytes.
    pub const fn from_bytes(bytes: [u8; 32]) -> Self {
        Self(bytes)
    }

    /// Its bytes.
    pub const fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }
}

impl fmt::Display for BatchHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl fmt::Debug for BatchHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// What one agent did at once.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Batch {
    /// The document.
    pub object: Name,
    /// Its kind.
    pub kind: Kind,
    /// The agent whose chain it is in.
    pub agent: AgentId,
    /// For whom the agent wrote, if not for itself: a service for a caller without a replica.
    pub on_behalf_of: Option<AgentId>,
    /// Its number in the chain: 1, 2, 3 without a gap.
    pub seq: u64,
    /// The hash of the agent's last batch; zeros in its first.
    pub previous: BatchHash,
    /// The agent's key: in its first batch, and only there.
    pub key: Option<PublicKey>,
    /// What the agent saw of others since its last batch: how far each chain, by name, in order.
    pub seen: Vec<(AgentId, u64)>,
    /// The Lamport time of the first operation; each other one is one later.
    pub lamport: u64,
    /// When, by the agent's clock.
    pub at: Timestamp,
    /// What it did.
    pub operations: Vec<Operation>,
}

/// The one agent that may write in another's name, and forget deleted items for good: the replica of
/// the service. It alone knows what every replica that was heard of has seen.
pub const KEEPER: &str = "troupe-plan-sync";

impl Batch {
    /// The Lamport time of the last operation.
    pub fn last_lamport(&self) -> u64 {
        self.lamport.saturating_add(self.operations.len() as u64).saturating_sub(1)
    }

    /// The stamp of the `index`th operation.
    pub fn stamp(&self, index: usize) -> Stamp {
        Stamp {
            lamport: self.lamport.saturating_add(index as u64),
            actor: self.agent.clone(),
            seq: self.seq,
            at: self.at,
            on_behalf_of: self.on_behalf_of.clone(),
        }
    }

    /// Signs it.
    pub fn sign(self, key: &AgentKey) -> Result<SignedBatch, Fault> {
        self.check()?;
        let mut bytes = self.content();
        if bytes.len() + SIGNATURE_BYTES > MAX_BATCH_BYTES {
            return Err(Fault::exhausted("MAX_BATCH_BYTES", MAX_BATCH_BYTES));
        }
        let hash = hash_of(&bytes);
        let signature = key.sign(hash.as_bytes());
        bytes.extend_from_slice(&signature);
        let verified = OnceLock::from(key.public());
        Ok(SignedBatch { batch: self, hash, signature, bytes: bytes.into(), verified })
    }

    fn content(&self) -> Vec<u8> {
        let mut to = Writer::default();
        to.byte(VERSION);
        write_kind(&mut to, self.kind);
        to.plain_name(&self.object);
        to.name(&self.agent);
        to.maybe(self.on_behalf_of.as_ref(), Writer::name);
        to.number(self.seq);
        match &self.key {
            Some(key) => to.raw(key.as_bytes()),
            None => to.raw(self.previous.as_bytes()),
        }
        write_seen(&mut to, &self.seen);
        to.number(self.lamport);
        to.time(self.at);
        to.count(self.operations.len());
        self.operations.iter().for_each(|operation| operation.write(&mut to));
        to.into_bytes()
    }

    fn read(from: &mut Reader<'_>) -> Read<Self> {
        if from.byte()? != VERSION {
            return Err(from.wrong("a version that is not known here"));
        }
        let kind = read_kind(from)?;
        let object = from.plain_name()?;
        let agent = from.name()?;
        let on_behalf_of = from.maybe(Reader::name)?;
        let seq = from.number_to(MAX_LAMPORT, "a sequence number is too large")?;
        let link = from.array()?;
        let (previous, key) = if seq == 1 {
            (BatchHash::default(), Some(PublicKey::from_bytes(link)))
        } else {
            (BatchHash(link), None)
        };
        let seen = read_seen(from)?;
        let lamport = from.number_to(MAX_LAMPORT, "a Lamport time is too large")?;
        let at = from.time()?;
        let operations =
            from.list(MAX_BATCH_OPERATIONS, "too many operations in one batch", Operation::read)?;
        Ok(Self {
            object,
            kind,
            agent,
            on_behalf_of,
            seq,
            previous,
            key,
            seen,
            lamport,
            at,
            operations,
        })
    }

    fn check(&self) -> Result<(), Fault> {
        if self.operations.is_empty() || self.operations.len() > MAX_BATCH_OPERATIONS {
            let why = format!("a batch has 1 to {MAX_BATCH_OPERATIONS} operations");
            return Err(Fault::invalid("operations", why));
        }
        self.check_right()?;
        let is_first = self.seq == 1;
        if self.seq == 0
            || is_first != self.key.is_some()
            || is_first != (self.previous == BatchHash::default())
        {
            return Err(Fault::invalid(
                "seq",
                "the first batch, and only it, is number 1 with a key",
            ));
        }
        if self.lamport == 0 || self.last_lamport() > MAX_LAMPORT {
            return Err(Fault::invalid("lamport", format!("must be 1 to {MAX_LAMPORT}")));
        }
        if !(0..=MAX_TIME_MS).contains(&self.at.as_millis()) {
            return Err(Fault::invalid("at", "must be a moment from 1970 to 9999"));
        }
        if self.operations.iter().map(Operation::effects).sum::<usize>() > MAX_BATCH_EFFECTS {
            return Err(Fault::exhausted("MAX_BATCH_EFFECTS", MAX_BATCH_EFFECTS));
        }
        let in_order = self.seen.windows(2).all(|pair| pair[0].0 < pair[1].0);
        let others = self.seen.iter().all(|(name, seq)| *name != self.agent && *seq > 0);
        if !in_order || !others || self.seen.len() > MAX_ACTORS {
            return Err(Fault::invalid("seen", "other agents, each once, by name"));
        }
        self.operations.iter().try_for_each(|operation| operation.check(self.kind))
    }

    /// What only the keeper may do. Every replica checks it, so that all refuse the same batches,
    /// wherever they hear them.
    fn check_right(&self) -> Result<(), Fault> {
        if self.agent.as_str() == KEEPER {
            return Ok(());
        }
        let denied = |field, why: &str| {
            Err(Fault::new(Code::PermissionDenied, why.to_owned()).with("field", field))
        };
        if self.on_behalf_of.is_some() {
            return denied("on_behalf_of", "only the service writes for others");
        }
        if self.operations.iter().any(|operation| matches!(operation, Operation::Purge { .. })) {
            return denied("operations", "only the service forgets deleted items for good");
        }
        Ok(())
    }
}

/// A batch with its signature and its one encoding.
///
/// A decoded batch is well-formed; only [`verify`](Self::verify) says whether its agent signed it.
#[derive(Clone)]
pub struct SignedBatch {
    batch: Batch,
    hash: BatchHash,
    signature: [u8; SIGNATURE_BYTES],
    bytes: Arc<[u8]>,
    /// The key that the signature was found to be of: checking takes longer than merging.
    verified: OnceLock<PublicKey>,
}

impl SignedBatch {
    /// Reads a batch. The signature is not checked here, because the key is not known here.
    pub fn decode(bytes: &[u8]) -> Result<Self, Fault> {
        if bytes.len() > MAX_BATCH_BYTES {
            return Err(Fault::exhausted("MAX_BATCH_BYTES", MAX_BATCH_BYTES));
        }
        let short = Malformed { what: "the bytes end too early", at: bytes.len() };
        let split = bytes.split_last_chunk::<SIGNATURE_BYTES>();
        let (content, signature) = split.ok_or(short.in_field("batch"))?;
        let mut reader = Reader::new(content);
        let batch = Batch::read(&mut reader).map_err(|why| why.in_field("batch"))?;
        reader.end().map_err(|why| why.in_field("batch"))?;
        batch.check()?;
        if batch.content() != content {
            return Err(Fault::invalid("batch", "is not in the one encoding that it has"));
        }
        let (hash, verified) = (hash_of(content), OnceLock::new());
        Ok(Self { batch, hash, signature: *signature, bytes: bytes.into(), verified })
    }

    /// The batch.
    pub fn batch(&self) -> &Batch {
        &self.batch
    }

    /// The hash of its content.
    pub fn hash(&self) -> BatchHash {
        self.hash
    }

    /// Its encoding.
    pub fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// Its encoding, shared.
    pub fn shared_bytes(&self) -> Arc<[u8]> {
        self.bytes.clone()
    }

    /// Whether the agent with this key signed it. Found out once: whoever holds a lock later can have it
    /// checked before.
    pub fn verify(&self, key: &PublicKey) -> Result<(), Fault> {
        if self.verified.get() == Some(key) {
            return Ok(());
        }
        if key.verifies(self.hash.as_bytes(), &self.signature) {
            // Another key that verifies the same signature would be found anew each time.
            let _ = self.verified.set(*key);
            return Ok(());
        }
        let why = format!("signature: the key of {} did not sign this", self.batch.agent);
        Err(Fault::new(Code::PermissionDenied, why).with("field", "signature"))
    }
}

impl fmt::Debug for SignedBatch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SignedBatch")
            .field("batch", &self.batch)
            .field("hash", &self.hash)
            .finish_non_exhaustive()
    }
}

impl PartialEq for SignedBatch {
    fn eq(&self, other: &Self) -> bool {
        self.bytes == other.bytes
    }
}

impl Eq for SignedBatch {}

fn hash_of(content: &[u8]) -> BatchHash {
    BatchHash(Sha256::new_with_prefix(CONTENT).chain_update(content).finalize().into())
}

/// Names in order, each without what it has in common with the one before.
fn write_seen(to: &mut Writer, seen: &[(AgentId, u64)]) {
    to.count(seen.len());
    let mut before = "";
    for (name, seq) in seen {
        let name = name.as_str();
        let common = name.bytes().zip(before.bytes()).take_while(|(a, b)| a == b).count();
        to.byte(common as u8);
        to.text(&name[common..]);
        to.number(*seq);
        before = name;
    }
}

fn read_seen(from: &mut Reader<'_>) -> Read<Vec<(AgentId, u64)>> {
    let mut before = String::new();
    from.list(MAX_ACTORS, "too many agents were seen", |from| {
        let wrong = from.wrong("a name is not a name");
        before.truncate(from.byte()?.into());
        before.push_str(&from.text(64, "a name is too long")?);
        let name = Name::parse(&before).map_err(|_| wrong)?;
        Ok((name, from.number_to(MAX_LAMPORT, "a sequence number is too large")?))
    })
}
