//! A shard as lines, and back.

use std::collections::VecDeque;
use std::sync::Arc;

use serde::{Deserialize, Serialize};
use troupe_contract::ingress::Way;
use troupe_contract::routing::{DeadLetter, MessageTotals};
use troupe_domain::session::conversation::ConversationHead;
use troupe_domain::session::{Conversation, SessionId, TranscriptEntry};
use troupe_domain::{AgentId, MessageId, Timestamp, TopicPattern};

use super::mailbox::{Entry, OpenRequest, RequestEnd};
use super::memory::SeenKey;
use super::outbox::{OutLetter, Serials};
use super::record::IngressPlace;
use super::state::RoutingState;

/// One line of a snapshot.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum SnapshotLine {
    /// A mailbox; its messages follow.
    Mailbox {
        /// Whose.
        agent: AgentId,
        /// Whether its owner ever came.
        opened: bool,
        /// When something last happened.
        touched: Timestamp,
        /// What its owner follows.
        patterns: Vec<TopicPattern>,
        /// Its owner's requests.
        requests: Vec<(MessageId, OpenRequest)>,
        /// Its owner's former requests.
        ended: VecDeque<(MessageId, RequestEnd)>,
    },
    /// A message in a mailbox.
    Entry {
        /// Whose.
        agent: AgentId,
        /// Its place.
        seq: u64,
        /// The message.
        entry: Entry,
    },
    /// A message that came, and its recipient.
    Seen(SeenKey, Option<AgentId>),
    /// A dead letter.
    Dead(Arc<DeadLetter>),
    /// A session; its transcript follows.
    Session(Box<ConversationHead>),
    /// A line of a transcript.
    Line(SessionId, Arc<TranscriptEntry>),
    /// Sessions that ended, oldest first.
    Ended(Vec<SessionId>),
    /// A letter that waits.
    Letter(u16, OutLetter),
    /// The last serials of letters: written, and arrived.
    Serials(Serials, Serials),
    /// How far each way in was taken in.
    Ingested(Vec<(Way, IngressPlace)>),
    /// The next numbers of messages and dead letters.
    Numbers(u64, u64),
    /// What happened so far.
    Totals(MessageTotals),
}

impl RoutingState {
    /// Everything that is stored.
    pub fn snapshot_lines(&self) -> Vec<SnapshotLine> {
        let mut lines = vec![
            SnapshotLine::Totals(self.totals),
            SnapshotLine::Numbers(self.next_seq, self.next_dead),
            SnapshotLine::Ingested(self.ingested.iter().map(|(w, s)| (*w, *s)).collect()),
        ];
        let (written, arrived) = self.outbox.serials();
        lines.push(SnapshotLine::Serials(written, arrived));
        for (agent, mailbox) in &self.mailboxes {
            lines.push(SnapshotLine::Mailbox {
                agent: agent.clone(),
                opened: mailbox.opened,
                touched: mailbox.touched,
                patterns: mailbox.patterns.iter().cloned().collect(),
                requests: mailbox.requests.iter().map(|(i, r)| (i.clone(), r.clone())).collect(),
                ended: mailbox.ended.clone(),
            });
            lines.extend(mailbox.entries().map(|(seq, entry)| {
                let (agent, entry) = (agent.clone(), entry.clone());
                SnapshotLine::Entry { agent, seq, entry }
            }));
        }
        let seen = self.seen.iter();
        lines.extend(seen.map(|(key, to)| SnapshotLine::Seen(key.clone(), to.clone())));
        lines.extend(self.dead.iter().map(|letter| SnapshotLine::Dead(letter.clone())));
        for (id, talk) in &self.sessions {
            lines.push(SnapshotLine::Session(Box::new(talk.head())));
            let entries = talk.transcript().iter();
            lines.extend(entries.map(|entry| SnapshotLine::Line(id.clone(), entry.clone())));
        }
        lines.push(SnapshotLine::Ended(self.ended.iter().cloned().collect()));
        let letters = self.outbox.iter();
        lines.extend(letters.map(|(to, letter)| SnapshotLine::Letter(to, letter.clone())));
        lines
    }

    /// Takes one line of a snapshot.
    pub fn restore_snapshot_line(&mut self, line: SnapshotLine) {
        match line {
            SnapshotLine::Mailbox { agent, opened, touched, patterns, requests, ended } => {
                patterns.iter().for_each(|pattern| self.followers.insert(pattern, &agent));
                let ids: Vec<MessageId> = requests.iter().map(|(id, _)| id.clone()).collect();
                self.touch(&agent, touched, |mailbox| {
                    mailbox.opened = opened;
                    mailbox.patterns = patterns.into_iter().collect();
                    mailbox.requests = requests.into_iter().collect();
                    mailbox.ended = ended;
                });
                ids.iter().for_each(|id| self.arm_request(&agent, id));
            }
            SnapshotLine::Entry { agent, seq, entry } => {
                let touched =
                    self.mailboxes.get(&agent).map_or(Timestamp::default(), |m| m.touched);
                self.touch(&agent, touched, |mailbox| mailbox.insert(seq, entry));
                self.arm_entry(&agent, seq);
            }
            SnapshotLine::Seen(key, to) => self.seen.insert(key, to),
            SnapshotLine::Dead(letter) => self.dead.push(letter),
            SnapshotLine::Session(head) => {
                let talk = Conversation::from_head(*head);
                let id = talk.id().clone();
                if talk.is_open() {
                    self.open_session_bytes += talk.bytes();
                } else {
                    self.ended_session_bytes += talk.bytes();
                }
                self.sessions.insert(id.clone(), talk);
                self.arm_session(&id);
            }
            SnapshotLine::Line(id, entry) => self.restore_line(&id, entry),
            SnapshotLine::Ended(ids) => self.ended = ids.into(),
            SnapshotLine::Letter(to, letter) => self.outbox.restore(to, letter),
            SnapshotLine::Serials(written, arrived) => {
                self.outbox.restore_serials(written, arrived);
            }
            SnapshotLine::Ingested(ways) => {
                ways.into_iter().for_each(|(way, place)| self.set_ingested(way, place));
            }
            SnapshotLine::Numbers(seq, dead) => (self.next_seq, self.next_dead) = (seq, dead),
            SnapshotLine::Totals(totals) => self.totals = totals,
        }
    }
}
