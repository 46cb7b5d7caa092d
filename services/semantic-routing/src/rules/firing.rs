//! What time does.

use std::collections::BTreeMap;

use serde::Serialize;
use troupe_contract::routing::DeadReason;
use troupe_domain::{AgentId, MessageId, MessageType, Timestamp};

use super::hint::Hint;
use super::mailbox::OpenRequest;
use super::posting::{Word, word};
use super::record::{Death, Record};
use super::state::RoutingState;
use super::timers::Timer;

/// What a requester is told when nobody answered.
#[derive(Serialize)]
struct NoAnswer<'a> {
    request_id: &'a MessageId,
    #[serde(skip_serializing_if = "Option::is_none")]
    recipient_id: Option<&'a AgentId>,
    deadline: Timestamp,
}

impl RoutingState {
    /// Fires what is due, at most `limit` timers.
    pub fn fire_due(&mut self, now: Timestamp, limit: usize) {
        let mut lapsed: BTreeMap<AgentId, Vec<u64>> = BTreeMap::new();
        let mut unneeded = Vec::new();
        for timer in self.timers.due(now, limit) {
            match timer {
                Timer::Entry(agent, seq) => lapsed.entry(agent).or_default().push(seq),
                Timer::Wake(agent) => self.wake(&agent, now),
                Timer::Request(agent, id) => self.end_of_request(&agent, &id, now),
                Timer::Idle(agent) => unneeded.extend(self.judge_idle(agent, now)),
                Timer::Session(id) => self.tick_session(&id, now),
            }
        }
        for (agent, seqs) in lapsed {
            self.lapse(&agent, &seqs, now);
        }
        if !unneeded.is_empty() {
            self.draft(Record::Forgotten { agents: unneeded });
        }
    }

    /// Messages whose time is over: those that are out come back, those that wait expire.
    fn lapse(&mut self, agent: &AgentId, seqs: &[u64], now: Timestamp) {
        let Some(mailbox) = self.mailboxes.get(agent) else { return };
        let is_out = |seq: &u64| mailbox.entry(*seq).is_some_and(super::mailbox::Entry::is_out);
        let (back, waiting): (Vec<u64>, Vec<u64>) = seqs.iter().partition(|seq| is_out(seq));
        let expired = waiting.iter().map(|seq| Death {
            seq: *seq,
            reason: DeadReason::Expired,
            why: "its time ran out while it waited".to_owned(),
        });
        let expired = expired.collect();
        self.take_back(agent, &back, None, now, 0.0);
        self.bury_all(agent, expired, now);
    }

    /// A lane's wait is over. Nothing of it is stored.
    fn wake(&mut self, agent: &AgentId, now: Timestamp) {
        let Some(mailbox) = self.mailboxes.get_mut(agent) else { return };
        let was_ready = mailbox.is_ready();
        mailbox.wake(now);
        if mailbox.is_ready() && !was_ready {
            self.drafts.ready.push(Hint::Mailbox(agent.clone()));
        }
        self.timers.arm(Timer::Wake(agent.clone()), mailbox.next_wake());
    }

    fn end_of_request(&mut self, agent: &AgentId, id: &MessageId, now: Timestamp) {
        let mailbox = self.mailboxes.get(agent);
        let Some(request) = mailbox.and_then(|mailbox| mailbox.requests.get(id)).cloned() else {
            return;
        };
        let OpenRequest { responder, deadline, answers } = request;
        let answered = answers > 0;
        let mut posts = Vec::new();
        if !answered {
            let about = ["request", id.as_str(), agent.as_str()];
            let form = Word {
                to: agent,
                kind: MessageType::Error,
                subject: "a request got no response in time",
                request_id: Some(id.clone()),
                session_id: None,
                about: &about,
            };
            let told = NoAnswer { request_id: id, recipient_id: responder.as_ref(), deadline };
            posts.push(self.post_anywhere(word(&form, &told, now), agent));
        }
        let (at, agent, request_id) = (now, agent.clone(), id.clone());
        self.draft(Record::RequestEnded { at, agent, request_id, answered, posts });
    }

    /// Whether a mailbox is not needed any more; if it is, it is looked at again later.
    fn judge_idle(&mut self, agent: AgentId, now: Timestamp) -> Option<AgentId> {
        let mailbox = self.mailboxes.get(&agent)?;
        let idle_ms = self.settings.mailbox_idle_ms;
        let idle_at = mailbox.touched.max(mailbox.looked).plus_millis(idle_ms);
        if mailbox.is_idle() && idle_at <= now {
            return Some(agent);
        }
        let again = if idle_at > now { idle_at } else { now.plus_millis(idle_ms) };
        self.timers.arm(Timer::Idle(agent), Some(again));
        None
    }

    fn tick_session(&mut self, id: &AgentId, now: Timestamp) {
        let Some(talk) = self.sessions.get(id) else { return };
        let changes = talk.tick(&self.settings.session, now);
        if changes.is_empty() {
            return self.arm_session(id);
        }
        if let Err(fault) = self.carry_on(id, changes, now) {
            tracing::error!(session = %id, %fault, "time could not do its work in a session");
        }
    }
}
