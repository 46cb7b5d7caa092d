//! What can be read.

use std::collections::BTreeMap;

use troupe_contract::routing::{
    DeadLetterPage, DeadLettersRequest, RoutingStatistics, SessionFilter, SessionPage,
    TranscriptPage, TranscriptRequest,
};
use troupe_domain::limits::MAX_PAGE_ROWS;
use troupe_domain::session::{Conversation, SessionId, TranscriptEvent};
use troupe_domain::{AgentId, Fault, MessagePriority, Session};

use super::state::RoutingState;

/// Rows of a page that names no limit.
const DEFAULT_PAGE_ROWS: usize = 100;
/// Bytes of messages or turns in one page, about; it always has one row if there is one.
pub const MAX_PAGE_BYTES: usize = 2 * 1024 * 1024;

fn rows(limit: Option<usize>) -> Result<usize, Fault> {
    match limit.unwrap_or(DEFAULT_PAGE_ROWS) {
        0 => Err(Fault::invalid("limit", "must be at least 1")),
        rows if rows > MAX_PAGE_ROWS => {
            Err(Fault::exhausted("MAX_PAGE_ROWS", MAX_PAGE_ROWS).with("field", "limit"))
        }
        rows => Ok(rows),
    }
}

/// As many of `all` as fit a page, and whether there are more.
fn page<T>(
    all: impl Iterator<Item = T>,
    rows: usize,
    weight: impl Fn(&T) -> usize,
) -> (Vec<T>, bool) {
    let (mut page, mut bytes) = (Vec::new(), 0);
    for row in all {
        bytes += weight(&row);
        if page.len() >= rows || (bytes > MAX_PAGE_BYTES && !page.is_empty()) {
            return (page, true);
        }
        page.push(row);
    }
    (page, false)
}

/// The first rows of the pages of several shards, in the order of their ids.
pub fn join_pages(pages: Vec<SessionPage>, limit: Option<usize>) -> Result<SessionPage, Fault> {
    let rows = rows(limit)?;
    // Beyond the end of a shard's page there may be more of it.
    let known_to = pages.iter().filter_map(|page| page.next_after.clone()).min();
    let mut sessions: Vec<Session> = pages.into_iter().flat_map(|page| page.sessions).collect();
    sessions.sort_by(|a, b| a.id.cmp(&b.id));
    let known = known_to.as_ref().map_or(sessions.len(), |last| {
        sessions.iter().take_while(|session| session.id <= *last).count()
    });
    let shown = known.min(rows);
    let more = shown < sessions.len() || known_to.is_some();
    sessions.truncate(shown);
    let next_after = sessions.last().map(|session| session.id.clone()).filter(|_| more);
    Ok(SessionPage { sessions, next_after })
}

/// All shards in numbers.
pub fn join_statistics(shards: Vec<RoutingStatistics>) -> RoutingStatistics {
    let mut all = RoutingStatistics::default();
    for shard in shards {
        let RoutingStatistics { by_priority, totals, routing: _, .. } = &shard;
        for (priority, count) in by_priority {
            *all.by_priority.entry(*priority).or_default() += count;
        }
        all.mailboxes += shard.mailboxes;
        all.queued += shard.queued;
        all.delivered += shard.delivered;
        all.open_requests += shard.open_requests;
        all.subscriptions += shard.subscriptions;
        all.dead_letters += shard.dead_letters;
        all.open_sessions += shard.open_sessions;
        all.ended_sessions += shard.ended_sessions;
        all.held_turns += shard.held_turns;
        let sum = &mut all.totals;
        sum.accepted += totals.accepted;
        sum.acknowledged += totals.acknowledged;
        sum.forwarded += totals.forwarded;
        sum.dead += totals.dead;
        sum.expired += totals.expired;
        sum.refused += totals.refused;
        sum.redelivered += totals.redelivered;
    }
    all
}

impl RoutingState {
    /// An agent's dead letters.
    pub fn dead_letters(
        &self,
        agent: &AgentId,
        request: &DeadLettersRequest,
    ) -> Result<DeadLetterPage, Fault> {
        let wanted = &request.reasons;
        let all = self
            .dead
            .of(agent, request.after.unwrap_or(0))
            .filter(|letter| wanted.is_empty() || wanted.contains(&letter.reason))
            .cloned();
        let weight = |letter: &std::sync::Arc<troupe_contract::routing::DeadLetter>| {
            letter.message.as_ref().map_or(0, |message| message.weight())
        };
        let (dead_letters, more) = page(all, rows(request.limit)?, weight);
        let next_after = dead_letters.last().map(|letter| letter.number).filter(|_| more);
        Ok(DeadLetterPage { dead_letters, next_after, total: self.dead.count_of(agent) as u64 })
    }

    /// One session, for somebody who may read it.
    pub fn session(&self, id: &SessionId, who: &AgentId) -> Result<Session, Fault> {
        let talk = self.known_session(id)?;
        talk.check_reader(who)?;
        Ok(talk.session())
    }

    /// Sessions in the order of their ids.
    pub fn list_sessions(
        &self,
        filter: &SessionFilter,
        who: &AgentId,
    ) -> Result<SessionPage, Fault> {
        let fits = |talk: &&Conversation| {
            let session = talk.session();
            talk.check_reader(who).is_ok()
                && (filter.statuses.is_empty() || filter.statuses.contains(&session.status))
                && (filter.types.is_empty() || filter.types.contains(&session.kind))
                && filter.participant_id.as_ref().is_none_or(|agent| talk.had(agent))
        };
        let after = filter.after.as_ref();
        let talks = self.sessions.iter().filter(|(id, _)| after.is_none_or(|after| *id > after));
        let all = talks.map(|(_, talk)| talk).filter(fits).map(Conversation::session);
        let (sessions, more) = page(all, rows(filter.limit)?, |_| 1_024);
        let next_after = sessions.last().map(|session| session.id.clone()).filter(|_| more);
        Ok(SessionPage { sessions, next_after })
    }

    /// A part of a transcript.
    pub fn transcript(
        &self,
        request: &TranscriptRequest,
        who: &AgentId,
    ) -> Result<TranscriptPage, Fault> {
        let talk = self.known_session(&request.session_id)?;
        talk.check_reader(who)?;
        let after = usize::try_from(request.after.unwrap_or(0)).unwrap_or(usize::MAX);
        let all = talk.transcript().iter().skip(after).cloned();
        let (entries, more) = page(all, rows(request.limit)?, |entry| match &entry.what {
            TranscriptEvent::Turn(turn) => turn.weight(),
            _ => 256,
        });
        let next_after = entries.last().map(|entry| entry.number).filter(|_| more);
        Ok(TranscriptPage { entries, next_after, total: talk.transcript().len() as u64 })
    }

    /// This shard in numbers. What routing decided is not a shard's to know.
    pub fn statistics(&self) -> RoutingStatistics {
        let mut by_priority: BTreeMap<_, _> =
            MessagePriority::ALL.into_iter().map(|priority| (priority, 0)).collect();
        let (mut queued, mut delivered, mut open_requests) = (0, 0, 0);
        for mailbox in self.mailboxes.values() {
            delivered += mailbox.out() as u64;
            queued += (mailbox.len() - mailbox.out()) as u64;
            open_requests += mailbox.requests.len() as u64;
            for (_, entry) in mailbox.entries().filter(|(_, entry)| !entry.is_out()) {
                *by_priority.entry(entry.message.priority).or_default() += 1;
            }
        }
        RoutingStatistics {
            mailboxes: self.mailboxes.len() as u64,
            queued,
            delivered,
            by_priority,
            totals: self.totals,
            open_requests,
            subscriptions: self.followers.len() as u64,
            dead_letters: self.dead.len() as u64,
            open_sessions: (self.sessions.len() - self.ended.len()) as u64,
            ended_sessions: self.ended.len() as u64,
            held_turns: self.sessions.values().map(|talk| talk.held().count() as u64).sum(),
            ..RoutingStatistics::default()
        }
    }
}
