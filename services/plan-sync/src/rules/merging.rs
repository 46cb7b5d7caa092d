//! Taking batches of replicas in: decode, who may bring it, chain, signature, room; then it is durable.
//!
//! Invariant: a batch counts only if the key that its object knows signed it. A key becomes known by the
//! first batch of its agent, and only the agent itself may bring that one: the subject of the request
//! says who it is. Later ones may be relayed by anybody, because the signature proves them.

use troupe_contract::plan::Relation;
use troupe_contract::plan::{Bytes64, DigestReply, DigestRequest, Fork, MergeOutcome, MergeResult};
use troupe_crdt::conflict::DEFAULT_WINDOW_MS;
use troupe_crdt::{Change, Field, ForkProof, KEEPER, Operation, SignedBatch, Standing};
use troupe_domain::plan::{Conflict, ObjectId, ObjectKind};
use troupe_domain::{AgentId, Causality, Code, Fault, Name, Timestamp, TraceContext};

use super::object::Object;
use super::reading::MAX_TOLD_CONFLICTS;
use super::record::{Merged, Record};
use super::request::Taken;
use super::state::{PlanState, Settings};

/// Entities up to which every batch is looked at for cycles at once.
const MAX_OBSERVED_ENTITIES: usize = 2_000;

/// What a batch did to the conflicts.
#[derive(Debug, Default)]
pub(super) struct News {
    pub(super) opened: Vec<Conflict>,
    pub(super) closed: Vec<Name>,
}

/// What a batch takes in memory when it is applied, over its own bytes, at most about.
const GROWTH: usize = 4;

impl PlanState {
    /// Takes batches of `id` in, in order, up to the first that is refused.
    pub(super) fn take(
        &mut self,
        caller: &AgentId,
        id: &ObjectId,
        batches: &[Bytes64],
        trace: Option<&TraceContext>,
        now: Timestamp,
    ) -> Result<Taken, Fault> {
        let mut results = Vec::with_capacity(batches.len());
        let mut refused = None;
        for bytes in batches {
            match self.take_one(caller, id, bytes, trace, now) {
                Ok(result) => results.push(result),
                Err(fault) => {
                    refused = Some(fault);
                    break;
                }
            }
        }
        match self.objects.get(id) {
            Some(object) => Ok(Taken {
                results,
                refused,
                sequence: object.sequence,
                vector: object.document.vector(),
                state_hash: object.document.hash().to_string(),
            }),
            // Nothing of it was taken in: there is no object to speak of.
            None => Err(refused.unwrap_or_else(|| Fault::not_found("plan or object", id))),
        }
    }

    fn take_one(
        &mut self,
        caller: &AgentId,
        id: &ObjectId,
        bytes: &Bytes64,
        trace: Option<&TraceContext>,
        now: Timestamp,
    ) -> Result<MergeResult, Fault> {
        if let Some(kept) = self.objects.get(id).and_then(|object| object.kept_as(bytes.as_ref())) {
            let (agent_id, seq) = (kept.agent.clone(), kept.seq);
            return Ok(MergeResult { agent_id, seq, outcome: MergeOutcome::Known });
        }
        let signed = SignedBatch::decode(bytes.as_ref())?;
        let batch = signed.batch();
        if batch.object != *id {
            return Err(Fault::invalid("batches", "all must be of one object"));
        }
        let result =
            |outcome| MergeResult { agent_id: batch.agent.clone(), seq: batch.seq, outcome };
        if self.is_known(&signed, now)? {
            return Ok(result(MergeOutcome::Known));
        }
        may_bring(caller, &signed)?;
        self.make_room(id, bytes.len())?;
        let object = self.or_new(id, batch.kind)?;
        let applied = object.document.verify(&signed).and_then(|()| observed(object, &signed));
        let news = match applied {
            Ok(news) => news,
            Err(fault) => {
                self.drop_if_empty(id);
                return Err(fault);
            }
        };
        let merged = Merged {
            at: now,
            batch: bytes.clone(),
            key: None,
            item_ids: Vec::new(),
            links: Vec::new(),
            followed: None,
            trace: trace.cloned(),
        };
        self.merged(&merged, &signed);
        self.outbox.push(id.clone(), merged.batch.clone());
        self.drafts.ready.push(());
        self.drafts.records.push(Record::Merged(Box::new(merged)));
        self.draft_conflicts(id, news, now);
        Ok(result(MergeOutcome::Applied))
    }

    /// Whether a batch was taken in before. A batch that stands where another one stands is a fork.
    fn is_known(&mut self, signed: &SignedBatch, now: Timestamp) -> Result<bool, Fault> {
        let batch = signed.batch();
        let Some(object) = self.objects.get(&batch.object) else { return Ok(false) };
        let forked = match object.document.standing(signed) {
            Ok(Standing::Known) => {
                let known = object.kept_batch(&batch.agent, batch.seq);
                if known.is_none_or(|known| known.hash() == signed.hash()) {
                    return Ok(true);
                }
                let why = format!("another batch {} of {} is known here", batch.seq, batch.agent);
                Fault::new(Code::Conflict, why)
            }
            Ok(_) => return Ok(false),
            Err(fault) if fault.code == Code::Conflict => fault,
            Err(fault) => return Err(fault),
        };
        // Only a signed batch accuses anybody.
        object.document.verify(signed)?;
        let proof = self.proof_of(signed);
        if let Some(proof) = proof {
            self.draft_fork(&batch.object, &proof, now);
        }
        Err(forked.with("agent_id", batch.agent.as_str()).with("seq", batch.seq))
    }

    fn proof_of(&self, signed: &SignedBatch) -> Option<ForkProof> {
        let batch = signed.batch();
        let object = self.objects.get(&batch.object)?;
        let known = object.kept_batch(&batch.agent, batch.seq)?;
        let key = object.document.heads().get(&batch.agent)?.key;
        ForkProof::of(key, &known, signed).ok()
    }

    /// Tells what is news of conflicts.
    pub(super) fn draft_conflicts(&mut self, id: &ObjectId, news: News, at: Timestamp) {
        let News { mut opened, mut closed } = news;
        let Some(object) = self.objects.get(id) else { return };
        opened.retain(|conflict| !object.conflicts.contains_key(&conflict.id));
        opened.truncate(MAX_TOLD_CONFLICTS.saturating_sub(object.conflicts.len()));
        closed.retain(|conflict| object.conflicts.contains_key(conflict));
        if !(opened.is_empty() && closed.is_empty()) {
            self.draft(Record::Conflicts { at, object: id.clone(), opened, closed });
        }
    }

    fn draft_fork(&mut self, id: &ObjectId, proof: &ForkProof, at: Timestamp) {
        let fork = Fork {
            agent_id: proof.agent().clone(),
            seq: proof.seq(),
            at,
            proof: proof.encode().into(),
        };
        let is_told = self.objects.get(id).is_some_and(|object| {
            object.forks.iter().any(|f| f.agent_id == fork.agent_id && f.seq == fork.seq)
        });
        if !is_told {
            self.draft(Record::Forked { object: id.clone(), fork });
        }
    }

    /// Refuses what would be more than a shard may hold.
    pub(super) fn make_room(&self, id: &ObjectId, batch_bytes: usize) -> Result<(), Fault> {
        let Settings { max_objects, max_bytes, .. } = &self.settings;
        if self.bytes + GROWTH * batch_bytes > *max_bytes {
            return Err(Fault::exhausted("max_bytes_per_shard", *max_bytes));
        }
        if !self.objects.contains_key(id) && self.objects.len() >= *max_objects {
            return Err(Fault::exhausted("max_objects_per_shard", *max_objects));
        }
        Ok(())
    }

    /// The object, which begins to be one if it is not there.
    pub(super) fn or_new(&mut self, id: &ObjectId, kind: ObjectKind) -> Result<&mut Object, Fault> {
        let object =
            self.objects.entry(id.clone()).or_insert_with(|| Object::new(id.clone(), kind));
        if object.kind != kind {
            let why = format!("{id} is a {}", object.kind.as_str());
            return Err(Fault::new(Code::AlreadyExists, why));
        }
        Ok(object)
    }

    /// An object to which nothing was done is none.
    pub(super) fn drop_if_empty(&mut self, id: &ObjectId) {
        if self.objects.get(id).is_some_and(|object| object.sequence == 0) {
            self.objects.remove(id);
        }
    }

    /// Compares a replica's state with this one's.
    pub(super) fn compare(
        &mut self,
        caller: &AgentId,
        digest: &DigestRequest,
        now: Timestamp,
    ) -> Result<DigestReply, Fault> {
        let object = self.object(&digest.object_id)?;
        let (vector, hash) = (object.document.vector(), object.document.hash().to_string());
        let relation = match digest.vector.compare(&vector) {
            Causality::Equal => Relation::Equal,
            Causality::Before => Relation::Behind,
            Causality::After => Relation::Ahead,
            Causality::Concurrent => Relation::Concurrent,
        };
        let diverged = relation == Relation::Equal && digest.state_hash != hash;
        let seen = object.diverged.as_ref() == Some(&(caller.clone(), object.sequence));
        if diverged && !seen {
            let (object, replica) = (digest.object_id.clone(), caller.clone());
            self.draft(Record::Diverged { at: now, object, replica });
        }
        Ok(DigestReply { relation, diverged, vector, state_hash: hash })
    }
}

/// Applies a batch whose signature was checked.
pub(super) fn apply(object: &mut Object, signed: &SignedBatch) -> Result<(), Fault> {
    match object.document.standing(signed)? {
        Standing::Ready => object.document.apply_verified(signed),
        Standing::Known => Err(Fault::new(Code::AlreadyExists, "the batch is known")),
        Standing::Early(missing) => {
            let needs: serde_json::Map<_, _> = missing
                .into_iter()
                .map(|(agent, seq)| (agent.as_str().to_owned(), seq.into()))
                .collect();
            Err(Fault::precondition("the batch rests on others that are not here")
                .with("needs", needs))
        }
    }
}

/// Applies a batch whose signature was checked, and gives what it did to the conflicts. Cycles of a
/// large plan are looked for later: it takes a look at all of it.
pub(super) fn observed(object: &mut Object, signed: &SignedBatch) -> Result<News, Fault> {
    if object.document.entities() > MAX_OBSERVED_ENTITIES && tangles(signed) {
        return apply(object, signed).map(|()| News::default());
    }
    if object.document.standing(signed)? != Standing::Ready {
        return apply(object, signed).map(|()| News::default());
    }
    let applied = object.document.apply_verified_observed(signed, DEFAULT_WINDOW_MS)?;
    let closed = applied.closed.into_iter().map(|conflict| conflict.id).collect();
    Ok(News { opened: applied.opened, closed })
}

/// Whether a batch may make or end a cycle.
fn tangles(signed: &SignedBatch) -> bool {
    let changes = |changes: &[Change]| changes.iter().any(|c| c.field() == Field::Dependencies);
    signed.batch().operations.iter().any(|operation| match operation {
        Operation::AddItem { changes: some, .. } | Operation::UpdateItem { changes: some, .. } => {
            changes(some)
        }
        Operation::BulkUpdate { updates } => updates.iter().any(|(_, some)| changes(some)),
        Operation::MoveItem { .. }
        | Operation::DeleteItem { .. }
        | Operation::Acknowledge { .. } => true,
        _ => false,
    })
}

/// Who may bring a batch that is not known yet.
fn may_bring(caller: &AgentId, signed: &SignedBatch) -> Result<(), Fault> {
    let batch = signed.batch();
    let denied = |why: String| Err(Fault::new(Code::PermissionDenied, why));
    if batch.agent.as_str() == KEEPER {
        return denied(format!("{KEEPER} writes its own batches"));
    }
    if batch.agent != *caller && batch.seq == 1 {
        return denied(format!(
            "the first batch of {} makes its key known: only {} may bring it",
            batch.agent, batch.agent
        ));
    }
    Ok(())
}
