//! Folding records into the state. Nothing here decides.

use std::sync::Arc;

use troupe_contract::ingress::Way;
use troupe_contract::routing::{DeadLetter, DeadReason};
use troupe_domain::session::Conversation;
use troupe_domain::session::change::Change;
use troupe_domain::{AgentId, Timestamp};

use super::hint::{Ended, Ending, Hint};
use super::mailbox::{Entry, EntryState, RequestEnd};
use super::memory::{MAX_ENDED_SESSION_BYTES, MAX_ENDED_SESSIONS};
use super::notice;
use super::record::{Burial, Death, IngressPlace, LetterContent, Record, Source};
use super::state::RoutingState;
use super::timers::Timer;

impl RoutingState {
    /// Folds a record into the state.
    pub fn apply_record(&mut self, record: &Record) {
        match record {
            Record::Entered { at, source, posts } => {
                self.came(*source);
                self.post_all(posts, *at);
            }
            Record::Refused { at, source, burial, posts } => {
                self.came(*source);
                self.totals.refused += 1;
                self.bury_with_notice(burial, *at);
                self.post_all(posts, *at);
            }
            Record::Passed { source } => self.came(*source),
            Record::Buried { at, source, burial } => {
                self.came(*source);
                self.bury(burial, *at);
            }
            Record::Opened { at, agent } => {
                self.touch(agent, *at, |mailbox| mailbox.opened = true);
            }
            Record::Followed { at, agent, patterns } => {
                self.touch(agent, *at, |mailbox| {
                    mailbox.opened = true;
                    mailbox.patterns.extend(patterns.iter().cloned());
                });
                patterns.iter().for_each(|pattern| self.followers.insert(pattern, agent));
            }
            Record::Unfollowed { at, agent, patterns } => {
                self.touch(agent, *at, |mailbox| {
                    mailbox.patterns.retain(|known| !patterns.contains(known));
                });
                patterns.iter().for_each(|pattern| self.followers.remove(pattern, agent));
            }
            Record::Delivered { letters } => {
                letters.iter().for_each(|(to, through)| self.outbox.delivered(*to, *through));
            }
            Record::Forgotten { agents } => agents.iter().for_each(|agent| self.forget(agent)),
            Record::Expected { at, source, agent, request_id, responder, deadline } => {
                self.came(*source);
                self.expect(agent, request_id, responder.clone(), *deadline, *at);
            }
            Record::RequestEnded { at, agent, request_id, answered, posts } => {
                if !answered {
                    self.drafts.notices.push(notice::request_expired(agent, request_id, *at));
                }
                let (id, end) = (request_id.clone(), RequestEnd::Expired);
                self.touch(agent, *at, |mailbox| mailbox.end_request(id, end));
                self.arm_request(agent, request_id);
                self.post_all(posts, *at);
            }
            Record::SessionOpened { at, opening, posts } => {
                let talk = Conversation::open(opening.clone());
                self.drafts.notices.push(notice::opened(&talk, *at));
                self.sessions.insert(opening.id.clone(), talk);
                self.arm_session(&opening.id);
                self.post_all(posts, *at);
            }
            Record::SessionChanged { at, id, changes, posts, burials } => {
                self.change_session(id, changes, *at);
                burials.iter().for_each(|burial| self.bury_with_notice(burial, *at));
                self.post_all(posts, *at);
            }
            delivery => self.apply_delivery(delivery),
        }
    }

    /// What happens to messages in a mailbox.
    fn apply_delivery(&mut self, record: &Record) {
        match record {
            Record::Pulled { at, agent, seqs, wait_ms, pull } => {
                seqs.iter()
                    .for_each(|seq| self.hand_out(agent, *seq, *wait_ms, pull.as_deref(), *at));
            }
            Record::Read { at, agent, seqs } => {
                for seq in seqs {
                    self.change_entry(agent, *seq, *at, |entry| {
                        if let EntryState::Out { until, wait_ms, read_at, .. } = &mut entry.state {
                            *until = at.plus_millis(*wait_ms);
                            read_at.get_or_insert(*at);
                        }
                    });
                }
            }
            Record::Acknowledged { at, agent, seqs } => {
                for seq in seqs {
                    let Some(gone) = self.remove_entry(agent, *seq, *at) else { continue };
                    self.totals.acknowledged += 1;
                    self.ended(&gone, agent, Ending::Done, *at);
                }
            }
            Record::Retrying { at, agent, waits } => {
                for (seq, from) in waits {
                    let entry = self.mailboxes.get(agent).and_then(|mailbox| mailbox.entry(*seq));
                    if let Some(entry) = entry.cloned() {
                        self.ended(&entry, agent, Ending::Failed, *at);
                    }
                    let state = EntryState::Queued { not_before: Some(*from) };
                    self.change_entry(agent, *seq, *at, |entry| entry.state = state);
                }
            }
            Record::Died { at, agent, deaths, posts } => {
                deaths.iter().for_each(|death| self.die(agent, death, *at));
                self.post_all(posts, *at);
            }
            Record::Forwarded { at, agent, seq, failed, posts } => {
                if let Some(gone) = self.remove_entry(agent, *seq, *at) {
                    self.totals.forwarded += 1;
                    let how = if *failed { Ending::Failed } else { Ending::Left };
                    let to = posts.first().and_then(|post| post.message.recipient_id.clone());
                    self.ended_with(&gone, agent, how, *at, to);
                }
                self.post_all(posts, *at);
            }
            _ => {}
        }
    }

    /// Remembers the number of what came.
    fn came(&mut self, source: Source) {
        match source {
            Source::Asked => {}
            Source::Ingress { way, place } => self.set_ingested(way, place),
            Source::Letter { from, serial } => self.outbox.arrive(from, serial),
        }
    }

    pub(super) fn set_ingested(&mut self, way: Way, place: IngressPlace) {
        self.ingested.insert(way, place);
    }

    fn change_entry(
        &mut self,
        agent: &AgentId,
        seq: u64,
        at: Timestamp,
        change: impl FnOnce(&mut Entry),
    ) {
        self.touch(agent, at, |mailbox| mailbox.change(seq, change));
        self.arm_entry(agent, seq);
    }

    fn remove_entry(&mut self, agent: &AgentId, seq: u64, at: Timestamp) -> Option<Entry> {
        let gone = self.touch(agent, at, |mailbox| mailbox.remove(seq));
        self.arm_entry(agent, seq);
        gone
    }

    fn hand_out(
        &mut self,
        agent: &AgentId,
        seq: u64,
        wait_ms: u64,
        pull: Option<&str>,
        at: Timestamp,
    ) {
        let Some(entry) = self.mailboxes.get(agent).and_then(|mailbox| mailbox.entry(seq)) else {
            return;
        };
        self.totals.redelivered += u64::from(entry.attempts > 0);
        if !entry.message.requires_ack {
            if let Some(gone) = self.remove_entry(agent, seq, at) {
                self.totals.acknowledged += 1;
                self.ended(&gone, agent, Ending::Left, at);
            }
            return;
        }
        let (pull, until) = (pull.map(str::to_owned), at.plus_millis(wait_ms));
        self.change_entry(agent, seq, at, |entry| {
            entry.attempts += 1;
            entry.state = EntryState::Out { since: at, until, wait_ms, pull, read_at: None };
        });
    }

    fn die(&mut self, agent: &AgentId, death: &Death, at: Timestamp) {
        let Some(entry) = self.remove_entry(agent, death.seq, at) else { return };
        match death.reason {
            DeadReason::Expired => self.totals.expired += 1,
            _ => self.totals.dead += 1,
        }
        // What ran out of time, or was buried, while it waited says nothing of the agent.
        let how = if entry.is_out() { Ending::Failed } else { Ending::Left };
        self.ended(&entry, agent, how, at);
        self.bury_with_notice(
            &Burial {
                agent: agent.clone(),
                reason: death.reason,
                why: death.why.clone(),
                attempts: entry.attempts,
                sender: entry.message.sender_id.clone(),
                message: Some(entry.message),
                raw: None,
            },
            at,
        );
    }

    /// Tells the process how a message that came by intent ended at an agent.
    fn ended(&mut self, entry: &Entry, agent: &AgentId, how: Ending, at: Timestamp) {
        self.ended_with(entry, agent, how, at, None);
    }

    fn ended_with(
        &mut self,
        entry: &Entry,
        agent: &AgentId,
        how: Ending,
        at: Timestamp,
        handed_to: Option<AgentId>,
    ) {
        if let Some(ended) = Ended::of(&entry.message, agent, how, entry.out_for_ms(at)) {
            self.drafts.ready.push(Hint::Ended(Ended { handed_to, ..ended }));
        }
    }

    pub(super) fn bury_with_notice(&mut self, burial: &Burial, at: Timestamp) {
        self.drafts.notices.push(notice::buried(burial, at));
        self.bury(burial, at);
    }

    /// Puts a dead letter into its agent's view, wherever that is.
    fn bury(&mut self, burial: &Burial, at: Timestamp) {
        let home = self.home_of(&burial.agent);
        if home != self.settings.shard {
            return self.outbox.write(home, at, LetterContent::Bury(Box::new(burial.clone())));
        }
        let number = self.number_dead();
        self.dead.push(Arc::new(DeadLetter {
            number,
            agent_id: burial.agent.clone(),
            at,
            reason: burial.reason,
            why: burial.why.clone(),
            delivery_attempts: burial.attempts,
            message: burial.message.clone(),
            raw: burial.raw.clone(),
        }));
    }

    fn change_session(&mut self, id: &AgentId, changes: &[Change], at: Timestamp) {
        let Some(talk) = self.sessions.get_mut(id) else { return };
        let (before, was_open) = (talk.bytes(), talk.is_open());
        for change in changes {
            talk.apply(change, at);
            self.drafts.notices.extend(notice::session(talk, change, at));
        }
        let (after, is_open) = (talk.bytes(), talk.is_open());
        if was_open {
            self.open_session_bytes -= before;
        }
        if is_open {
            self.open_session_bytes += after;
        } else if was_open {
            self.ended_session_bytes += after;
            self.ended.push_back(id.clone());
        }
        self.arm_session(id);
        while self.ended.len() > MAX_ENDED_SESSIONS
            || self.ended_session_bytes > MAX_ENDED_SESSION_BYTES
        {
            let Some(oldest) = self.ended.pop_front() else { break };
            let gone = self.sessions.remove(&oldest);
            self.ended_session_bytes -= gone.map_or(0, |talk| talk.bytes());
        }
    }

    fn forget(&mut self, agent: &AgentId) {
        let Some(mailbox) = self.mailboxes.remove(agent) else { return };
        mailbox.patterns.iter().for_each(|pattern| self.followers.remove(pattern, agent));
        self.bytes -= mailbox.bytes();
        self.timers.arm(Timer::Idle(agent.clone()), None);
        self.timers.arm(Timer::Wake(agent.clone()), None);
        for id in mailbox.requests.keys() {
            self.timers.arm(Timer::Request(agent.clone(), id.clone()), None);
        }
        for (seq, _) in mailbox.entries() {
            self.timers.arm(Timer::Entry(agent.clone(), seq), None);
        }
    }
}
