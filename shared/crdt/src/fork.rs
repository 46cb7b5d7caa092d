//! A fork: one agent told two different stories under one number. The proof needs nobody's word.

use troupe_domain::{AgentId, Fault};

use crate::batch::SignedBatch;
use crate::codec::{Malformed, Reader, Writer};
use crate::key::PublicKey;
use crate::limits::MAX_BATCH_BYTES;

const VERSION: u8 = 1;

/// Two batches of one agent, for one document, with one number and different contents, both signed by
/// its key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ForkProof {
    key: PublicKey,
    first: SignedBatch,
    second: SignedBatch,
}

impl ForkProof {
    /// The proof that two batches make under the agent's key, if they do. The smaller hash comes first,
    /// so that everybody who finds the fork has the same proof.
    pub fn of(key: PublicKey, one: &SignedBatch, other: &SignedBatch) -> Result<Self, Fault> {
        let (a, b) = (one.batch(), other.batch());
        if a.object != b.object || a.kind != b.kind || a.agent != b.agent || a.seq != b.seq {
            return Err(Fault::invalid("proof", "the batches do not claim the same place"));
        }
        if one.hash() == other.hash() {
            return Err(Fault::invalid("proof", "the batches say the same"));
        }
        one.verify(&key)?;
        other.verify(&key)?;
        let (first, second) = if one.hash() < other.hash() { (one, other) } else { (other, one) };
        Ok(Self { key, first: first.clone(), second: second.clone() })
    }

    /// Who forked.
    pub fn agent(&self) -> &AgentId {
        &self.first.batch().agent
    }

    /// The number that was used twice.
    pub fn seq(&self) -> u64 {
        self.first.batch().seq
    }

    /// The key that signed both. That it is the agent's key is for the reader to know: it stands in the
    /// agent's first batch.
    pub fn key(&self) -> PublicKey {
        self.key
    }

    /// Both stories.
    pub fn batches(&self) -> [&SignedBatch; 2] {
        [&self.first, &self.second]
    }

    /// The proof as bytes.
    pub fn encode(&self) -> Vec<u8> {
        let mut to = Writer::default();
        to.byte(VERSION);
        to.raw(self.key.as_bytes());
        to.block(self.first.bytes());
        to.block(self.second.bytes());
        to.into_bytes()
    }

    /// Reads a proof and checks it, from nothing but its bytes and the agent's key.
    pub fn verify(bytes: &[u8], key: &PublicKey) -> Result<Self, Fault> {
        let (claimed, first, second) = parts(bytes).map_err(|why| why.in_field("proof"))?;
        if claimed != *key {
            return Err(Fault::invalid("proof", "is about another key"));
        }
        let proof = Self::of(claimed, &SignedBatch::decode(first)?, &SignedBatch::decode(second)?)?;
        if proof.encode() != bytes {
            return Err(Fault::invalid("proof", "is not in the one encoding that it has"));
        }
        Ok(proof)
    }
}

fn parts(bytes: &[u8]) -> Result<(PublicKey, &[u8], &[u8]), Malformed> {
    let mut from = Reader::new(bytes);
    if from.byte()? != VERSION {
        return Err(from.wrong("a version that is not known here"));
    }
    let key = PublicKey::from_bytes(from.array()?);
    let first = from.block(MAX_BATCH_BYTES, "a batch is too long")?;
    let second = from.block(MAX_BATCH_BYTES, "a batch is too long")?;
    from.end()?;
    Ok((key, first, second))
}
