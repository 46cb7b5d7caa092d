//! Edits of callers without a replica: the service's own replica makes them, one chain for each object,
//! in the caller's name.

use troupe_contract::plan::{Bytes64, Choice, CreatePlanRequest};
use troupe_crdt::edit::{Edit, PlanChange};
use troupe_crdt::{AgentKey, KEEPER};
use troupe_domain::plan::{ItemId, ObjectId, ObjectKind};
use troupe_domain::{AgentId, Code, Fault, Name, TaskId, Timestamp, TraceContext};

use super::apply::receipt;
use super::merging::observed;
use super::record::{Merged, NewLink, Record, RequestKey};
use super::request::{Edited, Operation};
use super::state::PlanState;
use super::wanted::{addition, edits_of, placed, some_text};
use super::{nouns, resolving, wanted};

/// What an edit brings beside its operations.
#[derive(Debug, Default)]
pub(super) struct Extra {
    pub(super) key: Option<RequestKey>,
    pub(super) item_ids: Vec<ItemId>,
    pub(super) links: Vec<NewLink>,
    pub(super) followed: Option<TaskId>,
    pub(super) trace: Option<TraceContext>,
}

impl PlanState {
    /// Makes an edit for a caller. The same request under the same key is made once.
    pub(super) fn edit(
        &mut self,
        caller: &AgentId,
        operation: &Operation,
        key: Option<RequestKey>,
        trace: Option<TraceContext>,
        now: Timestamp,
    ) -> Result<Edited, Fault> {
        if let Some(key) = &key
            && let Some(receipt) = self.keys.get(key)?
        {
            return Ok(Edited { receipt: receipt.clone(), value: None });
        }
        wanted::check(operation)?;
        let id = operation.object();
        match operation {
            Operation::CreatePlan(_) => self.make(id, ObjectKind::Plan)?,
            Operation::UpdateObject(update) => self.make(id, update.kind)?,
            _ => {}
        }
        let edited = self.edit_there(caller, operation, key, trace, now);
        self.drop_if_empty(id);
        edited.map_err(|fault| placed(operation, fault))
    }

    /// Begins an object that is not there; one of another kind is not what was meant.
    fn make(&mut self, id: &ObjectId, kind: ObjectKind) -> Result<(), Fault> {
        self.make_room(id, 0)?;
        self.or_new(id, kind).map(|_| ())
    }

    fn edit_there(
        &mut self,
        caller: &AgentId,
        operation: &Operation,
        key: Option<RequestKey>,
        trace: Option<TraceContext>,
        now: Timestamp,
    ) -> Result<Edited, Fault> {
        let id = operation.object();
        if !matches!(operation, Operation::UpdateObject(_) | Operation::Resolve { .. }) {
            self.plan(id)?;
        }
        let edits = match operation {
            Operation::CreatePlan(request) => self.creation(caller, request)?,
            Operation::Resolve { conflict, choice, .. } => {
                self.decision(caller, id, conflict, choice)?
            }
            other => edits_of(other, caller)?,
        };
        let item_ids = operation.items();
        let extra = Extra { key, item_ids, trace, ..Extra::default() };
        let mut edited = self.write(id, Some(caller.clone()), &edits, extra, now)?;
        if matches!(operation, Operation::UpdateObject(_)) {
            edited.value = Some(nouns::value_of(&self.object(id)?.document));
        }
        Ok(edited)
    }

    /// A plan with its first items. One that is there is not made again.
    fn creation(&self, caller: &AgentId, request: &CreatePlanRequest) -> Result<Vec<Edit>, Fault> {
        let id = request.plan_id.as_ref();
        let there = id.and_then(|id| self.objects.get(id));
        if there.is_some_and(|there| there.sequence > 0 && !there.document.is_deleted()) {
            let why = format!("there is a plan {}", id.map_or("", Name::as_str));
            return Err(Fault::new(Code::AlreadyExists, why).with("field", "plan_id"));
        }
        let change = PlanChange {
            name: Some(request.name.clone()),
            description: some_text(&request.description),
            owner: Some(Some(request.owner.clone().unwrap_or_else(|| caller.clone()))),
            current_phase: request.current_phase,
            total_phases: request.total_phases,
            add_collaborators: request.collaborators.clone(),
            remove_collaborators: Vec::new(),
        };
        let mut edits = vec![Edit::CreatePlan(change)];
        for item in &request.items {
            edits.push(addition(item, None)?);
        }
        Ok(edits)
    }

    /// What a decision of a conflict amounts to.
    fn decision(
        &self,
        caller: &AgentId,
        id: &ObjectId,
        conflict: &Name,
        choice: &Choice,
    ) -> Result<Vec<Edit>, Fault> {
        let object = self.object(id)?;
        let found = nouns::conflicts_of(&object.document).into_iter().find(|c| c.id == *conflict);
        let found = found.or_else(|| object.conflicts.get(conflict).cloned());
        let conflict = found.ok_or_else(|| Fault::not_found("open conflict", conflict))?;
        if !conflict.may_override.is_empty() && !conflict.may_override.contains(caller) {
            let names: Vec<&str> = conflict.may_override.iter().map(Name::as_str).collect();
            let why = format!("this conflict is for {} to decide", names.join(", "));
            return Err(Fault::new(Code::PermissionDenied, why).with("may_override", names));
        }
        resolving::edits(&conflict, choice)
    }

    /// Signs edits as the next batch of the service's chain, and applies it. No edits, no batch.
    pub(super) fn write(
        &mut self,
        id: &ObjectId,
        on_behalf_of: Option<AgentId>,
        edits: &[Edit],
        extra: Extra,
        now: Timestamp,
    ) -> Result<Edited, Fault> {
        let key = self.signing_key()?;
        let object = self.object(id)?;
        let mut merged = Merged {
            at: now,
            batch: Bytes64::default(),
            key: extra.key,
            item_ids: extra.item_ids,
            links: extra.links,
            followed: extra.followed,
            trace: extra.trace,
        };
        if edits.is_empty() {
            return Ok(Edited { receipt: receipt(object, &merged), value: None });
        }
        let signed = object.document.edit(&service(), &key, on_behalf_of, now, edits)?;
        self.make_room(id, signed.bytes().len())?;
        let object = self.objects.get_mut(id).ok_or_else(|| Fault::not_found("plan", id))?;
        let news = observed(object, &signed)?;
        merged.batch = Bytes64(signed.shared_bytes());
        self.merged(&merged, &signed);
        let receipt = receipt(self.object(id)?, &merged);
        self.outbox.push(id.clone(), merged.batch.clone());
        self.drafts.ready.push(());
        self.drafts.records.push(Record::Merged(Box::new(merged)));
        self.draft_conflicts(id, news, now);
        self.shorten(id);
        Ok(Edited { receipt, value: None })
    }

    /// The key with which this shard signs: made when it is first needed.
    fn signing_key(&mut self) -> Result<AgentKey, Fault> {
        if self.key.is_none() {
            let seed = self.settings.seed.to_vec().into();
            self.draft(Record::Key { seed });
        }
        self.key.clone().ok_or_else(|| Fault::new(Code::Internal, "the shard has no key"))
    }
}

/// The name of the service's own replica.
pub(super) fn service() -> AgentId {
    Name::parse(KEEPER).unwrap_or_else(|_| unreachable!("the keeper's name is one"))
}
