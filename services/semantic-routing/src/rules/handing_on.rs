//! Handing a message on: because its holder says so, or because whoever was chosen for an intent fails
//! and there is a next best.
//!
//! A message goes on under its first sender and its id, with attempts counted anew. Nobody gets it who
//! had it before, and what its former holder still says of it writes nothing.

use std::sync::Arc;

use troupe_contract::routing::DeadReason;
use troupe_domain::{AgentId, AgentMessage, Fault, Name, Timestamp};

use super::hint::{Ended, Ending, Hint};
use super::posting::{NotTaken, fault_of};
use super::record::{Post, Record};
use super::state::RoutingState;

/// Messages of one mailbox that are handed on in one go; the rest is asked for again.
pub const MAX_HANDED_ON: usize = 512;

/// A message for somebody else.
fn to_another(message: &AgentMessage, to: &AgentId) -> AgentMessage {
    let mut message = message.clone();
    message.routing.destination = Some(to.clone());
    message.recipient_id = Some(to.clone());
    // Who stands before it was passed over, or had it.
    let left = &mut message.routing.alternatives;
    if let Some(place) = left.iter().position(|next| next == to) {
        left.drain(..=place);
    }
    message
}

/// A message that `from` had and hands on.
fn handed(message: &AgentMessage, from: &AgentId, to: &AgentId) -> AgentMessage {
    let mut message = to_another(message, to);
    message.routing.hops += 1;
    message.routing.path.push(from.clone());
    message
}

/// A message as it is addressed to whoever was chosen for it.
pub fn chosen(
    mut message: AgentMessage,
    agent: AgentId,
    alternatives: Vec<AgentId>,
    key: Name,
) -> AgentMessage {
    message.routing.destination = Some(agent.clone());
    message.recipient_id = Some(agent);
    message.routing.route_key = Some(key);
    message.routing.alternatives = alternatives;
    message
}

impl RoutingState {
    /// Hands a message on to whom its holder names.
    pub(super) fn forward(
        &mut self,
        agent: &AgentId,
        seq: u64,
        to: &AgentId,
        now: Timestamp,
    ) -> Result<(), Fault> {
        let entry = self.mailboxes.get(agent).and_then(|mailbox| mailbox.entry(seq));
        let entry = entry.ok_or_else(|| Fault::not_found("message", seq))?;
        let routing = &entry.message.routing;
        if to == agent || routing.path.contains(to) {
            return Err(Fault::precondition(format!("{to} had the message before")));
        }
        if routing.hops >= routing.max_hops {
            let why = format!("the message was handed on {} times", routing.hops);
            return Err(Fault::precondition(why));
        }
        let message = handed(&entry.message, agent, to);
        if self.is_here(to)
            && let Err(refused) = self.admit(to, &message)
        {
            return Err(match refused {
                NotTaken::Duplicate => Fault::precondition(format!("{to} had the message before")),
                refused @ NotTaken::Refused(..) => fault_of(refused),
            });
        }
        self.draft_forward(agent, seq, false, message, to, now);
        Ok(())
    }

    fn draft_forward(
        &mut self,
        agent: &AgentId,
        seq: u64,
        failed: bool,
        message: AgentMessage,
        to: &AgentId,
        now: Timestamp,
    ) {
        let expects = self.watches(&message);
        let post = Post { expects, ..self.post_anywhere(message, to) };
        let (agent, posts) = (agent.clone(), vec![post]);
        self.draft(Record::Forwarded { at: now, agent, seq, failed, posts });
    }

    /// Who gets a message next: the first of its alternatives that had it not and takes it, as far as
    /// that is known here.
    fn next_best(&self, message: &AgentMessage, holder: &AgentId) -> Option<AgentId> {
        let routing = &message.routing;
        let fresh = |to: &&AgentId| *to != holder && !routing.path.contains(to);
        let takes =
            |to: &&AgentId| !self.is_here(to) || self.admit(to, &to_another(message, to)).is_ok();
        let known = routing.route_key.is_some() && routing.hops < routing.max_hops;
        routing.alternatives.iter().filter(|_| known).filter(fresh).find(takes).cloned()
    }

    /// Hands on what its holder failed at, where there is somebody to have it; false if there is not.
    pub(super) fn fail_over(&mut self, agent: &AgentId, seq: u64, now: Timestamp) -> bool {
        self.hand_on(agent, seq, true, now)
    }

    /// The same of what its holder may have `failed` at, or not.
    pub(super) fn hand_on(
        &mut self,
        agent: &AgentId,
        seq: u64,
        failed: bool,
        now: Timestamp,
    ) -> bool {
        let entry = self.mailboxes.get(agent).and_then(|mailbox| mailbox.entry(seq));
        let Some(message) = entry.map(|entry| entry.message.clone()) else { return false };
        if message.expires_at <= now {
            return false;
        }
        let Some(to) = self.next_best(&message, agent) else { return false };
        self.draft_forward(agent, seq, failed, handed(&message, agent, &to), &to, now);
        true
    }

    /// The message for the next best, where the mailbox of whoever was chosen is here and full.
    pub(super) fn rerouted(&mut self, message: Arc<AgentMessage>) -> Arc<AgentMessage> {
        let Some(chosen) = message.recipient_id.clone() else { return message };
        if message.routing.alternatives.is_empty() || !self.is_here(&chosen) {
            return message;
        }
        let full = matches!(
            self.admit(&chosen, &message),
            Err(NotTaken::Refused(DeadReason::MailboxFull, _))
        );
        let Some(to) = self.next_best(&message, &chosen).filter(|_| full) else { return message };
        if let Some(ended) = Ended::of(&message, &chosen, Ending::Left, None) {
            let handed_to = Some(to.clone());
            self.drafts.ready.push(Hint::Ended(Ended { handed_to, ..ended }));
        }
        Arc::new(to_another(&message, &to))
    }
}
