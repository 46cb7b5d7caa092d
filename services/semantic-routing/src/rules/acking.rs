//! What a recipient says of the messages that it has: done, seen, again, refused, or somebody else's.
//!
//! An attempt that is not the newest is stale, and writes nothing.

use troupe_contract::routing::{
    AckEffect, AckOutcome, AckRequest, AckResult, DeadReason, DeliveryRef,
};
use troupe_domain::limits::{MAX_INBOX_MESSAGES, MAX_TEXT_BYTES};
use troupe_domain::message::DeliveryStatus;
use troupe_domain::task::spec::check_text;
use troupe_domain::{AgentId, Fault, Timestamp};

use super::pulling::status_of;
use super::record::{Death, Record};
use super::state::RoutingState;

impl RoutingState {
    /// Says what became of messages that were taken out. A stale attempt writes nothing.
    pub fn acknowledge(
        &mut self,
        agent: &AgentId,
        ack: &AckRequest,
        now: Timestamp,
        jitter: f64,
    ) -> Result<Vec<AckResult>, Fault> {
        if ack.messages.len() > MAX_INBOX_MESSAGES {
            return Err(Fault::exhausted("MAX_INBOX_MESSAGES", MAX_INBOX_MESSAGES)
                .with("field", "messages"));
        }
        check_text("reason", &ack.reason, MAX_TEXT_BYTES)?;
        if ack.outcome == AckOutcome::Rejected && ack.reason.trim().is_empty() {
            return Err(Fault::invalid("reason", "a rejection must say why"));
        }
        if (ack.outcome == AckOutcome::Forwarded) != ack.forward_to.is_some() {
            let why = "goes with the outcome `forwarded`, and only with it";
            return Err(Fault::invalid("forward_to", why));
        }
        let mut found = Vec::new();
        let mut results: Vec<AckResult> = Vec::new();
        for wanted in &ack.messages {
            let place = self.find(agent, wanted, ack.outcome);
            // A message that is named twice is meant once.
            let place = place.and_then(|seq| {
                let twice = found.contains(&seq);
                if twice { Err(result(wanted, AckEffect::Stale, None)) } else { Ok(seq) }
            });
            match place {
                Ok(seq) => {
                    found.push(seq);
                    results.push(result(wanted, AckEffect::Done, None));
                }
                Err(refused) => results.push(refused),
            }
        }
        self.carry_out_ack(agent, ack, &found, now, jitter, &mut results);
        for (wanted, result) in ack.messages.iter().zip(&mut results) {
            result.status = self.status(agent, wanted, result.result, ack.outcome);
        }
        Ok(results)
    }

    fn status(
        &self,
        agent: &AgentId,
        wanted: &DeliveryRef,
        effect: AckEffect,
        outcome: AckOutcome,
    ) -> Option<DeliveryStatus> {
        let mailbox = self.mailboxes.get(agent)?;
        let seqs = mailbox.find(&wanted.message_id, wanted.sender_id.as_ref());
        match (seqs.first().and_then(|seq| mailbox.entry(*seq)), effect, outcome) {
            (Some(entry), ..) => Some(status_of(entry)),
            (None, AckEffect::Done, AckOutcome::Rejected | AckOutcome::Retry) => {
                // Somebody else may have it now: this recipient failed at it all the same.
                Some(DeliveryStatus::Failed)
            }
            (None, AckEffect::Done, AckOutcome::Forwarded) => Some(DeliveryStatus::Sent),
            (None, AckEffect::Done, _) => Some(DeliveryStatus::Acknowledged),
            _ => None,
        }
    }

    fn find(
        &self,
        agent: &AgentId,
        wanted: &DeliveryRef,
        outcome: AckOutcome,
    ) -> Result<u64, AckResult> {
        let mailbox = self.mailboxes.get(agent);
        let unknown = || result(wanted, AckEffect::Unknown, None);
        let mailbox = mailbox.ok_or_else(unknown)?;
        let seqs = mailbox.find(&wanted.message_id, wanted.sender_id.as_ref());
        let [seq] = *seqs else {
            return Err(if seqs.is_empty() {
                unknown()
            } else {
                let why = "several senders used this id: name sender_id".to_owned();
                result(wanted, AckEffect::Refused, Some(why))
            });
        };
        let entry = mailbox.entry(seq).ok_or_else(unknown)?;
        // An attempt whose time is over, and after which there was none, still may say the end of it.
        let ends = matches!(outcome, AckOutcome::Acknowledged | AckOutcome::Rejected);
        if entry.attempts != wanted.attempt || wanted.attempt == 0 || !(entry.is_out() || ends) {
            return Err(result(wanted, AckEffect::Stale, None));
        }
        Ok(seq)
    }

    fn carry_out_ack(
        &mut self,
        agent: &AgentId,
        ack: &AckRequest,
        seqs: &[u64],
        now: Timestamp,
        jitter: f64,
        results: &mut [AckResult],
    ) {
        if seqs.is_empty() {
            return;
        }
        let (at, agent, all) = (now, agent.clone(), seqs.to_vec());
        match ack.outcome {
            AckOutcome::Acknowledged => self.draft(Record::Acknowledged { at, agent, seqs: all }),
            AckOutcome::Read => self.draft(Record::Read { at, agent, seqs: all }),
            AckOutcome::Retry => self.take_back(&agent, seqs, Some(&ack.reason), now, jitter),
            AckOutcome::Rejected => {
                let (reason, why) = (DeadReason::Rejected, &ack.reason);
                let deaths = seqs
                    .iter()
                    .filter(|seq| !self.fail_over(&agent, **seq, now))
                    .map(|seq| Death { seq: *seq, reason, why: why.clone() })
                    .collect();
                self.bury_all(&agent, deaths, now);
            }
            AckOutcome::Forwarded => {
                let done = results.iter_mut().filter(|result| result.result == AckEffect::Done);
                for (seq, result) in seqs.iter().zip(done) {
                    let Some(to) = &ack.forward_to else { continue };
                    if let Err(fault) = self.forward(&agent, *seq, to, now) {
                        result.result = AckEffect::Refused;
                        result.reason = Some(fault.message);
                    }
                }
            }
        }
    }

    /// Messages whose delivery failed: each goes to the next best that was chosen for it, or is
    /// delivered again after a while, or never. `asked` is what the recipient said about it, if it
    /// spoke.
    pub(super) fn take_back(
        &mut self,
        agent: &AgentId,
        seqs: &[u64],
        asked: Option<&str>,
        now: Timestamp,
        jitter: f64,
    ) {
        let (mut waits, mut deaths) = (Vec::new(), Vec::new());
        for seq in seqs {
            if self.fail_over(agent, *seq, now) {
                continue;
            }
            let entry = self.mailboxes.get(agent).and_then(|mailbox| mailbox.entry(*seq));
            let Some(entry) = entry else { continue };
            if entry.message.expires_at <= now {
                let why = format!("not acknowledged in {} deliveries", entry.attempts);
                deaths.push(Death { seq: *seq, reason: DeadReason::Expired, why });
            } else if entry.attempts >= self.settings.max_deliver {
                let why = match asked.filter(|why| !why.is_empty()) {
                    Some(why) => format!("{} deliveries failed; the last: {why}", entry.attempts),
                    None => format!("not acknowledged in {} deliveries", entry.attempts),
                };
                deaths.push(Death { seq: *seq, reason: DeadReason::MaxDeliver, why });
            } else {
                let wait_ms = self.settings.backoff.wait_ms(entry.attempts, jitter);
                waits.push((*seq, now.plus_millis(wait_ms)));
            }
        }
        if !waits.is_empty() {
            self.draft(Record::Retrying { at: now, agent: agent.clone(), waits });
        }
        self.bury_all(agent, deaths, now);
    }

    /// Messages that will not be delivered again; their senders are told, except of what expired.
    pub(super) fn bury_all(&mut self, agent: &AgentId, deaths: Vec<Death>, now: Timestamp) {
        if deaths.is_empty() {
            return;
        }
        let told = |death: &Death| {
            let entry = self.mailboxes.get(agent)?.entry(death.seq)?;
            if death.reason == DeadReason::Expired {
                return None;
            }
            self.tell_sender(&entry.message, Some(agent), death.reason, &death.why, now)
        };
        let posts = deaths.iter().filter_map(told).collect();
        self.draft(Record::Died { at: now, agent: agent.clone(), deaths, posts });
    }
}

fn result(wanted: &DeliveryRef, effect: AckEffect, reason: Option<String>) -> AckResult {
    AckResult { message_id: wanted.message_id.clone(), result: effect, status: None, reason }
}
