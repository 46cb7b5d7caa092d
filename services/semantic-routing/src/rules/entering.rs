//! Folding what is sent into mailboxes, requests and letters. Nothing here decides.

use std::sync::Arc;

use troupe_domain::{AgentId, AgentMessage, MessageId, MessageType, Timestamp};

use super::hint::{Ended, Ending, Hint};
use super::mailbox::{Entry, OpenRequest, RequestEnd};
use super::memory::SeenKey;
use super::record::{Burial, LetterContent, Onward, Post, Refusal};
use super::state::RoutingState;

impl RoutingState {
    pub(super) fn post_all(&mut self, posts: &[Post], at: Timestamp) {
        posts.iter().for_each(|post| self.post(post, at));
    }

    fn post(&mut self, post: &Post, at: Timestamp) {
        let message = &post.message;
        for agent in &post.to {
            self.enter(agent, message, at);
        }
        for Refusal { agent, reason, why } in &post.refused {
            self.totals.refused += 1;
            self.remember(Some(agent), message);
            let ended = Ended::of(message, agent, Ending::Left, None);
            self.drafts.ready.extend(ended.map(Hint::Ended));
            self.bury_with_notice(
                &Burial {
                    agent: agent.clone(),
                    reason: *reason,
                    why: why.clone(),
                    attempts: 0,
                    sender: message.sender_id.clone(),
                    message: Some(message.clone()),
                    raw: None,
                },
                at,
            );
        }
        self.send_on(message, &post.onward, at);
        if post.expects
            && let (Some(id), Some(deadline)) = (&message.request_id, message.respond_by)
        {
            self.expect_at_home(message, id, deadline, at);
        }
    }

    fn remember(&mut self, mailbox: Option<&AgentId>, message: &AgentMessage) {
        // What goes to many is known by where it began: each mailbox need not remember it.
        if mailbox.is_none() || message.recipient_id.is_some() {
            let (sender, id) = (message.sender_id.clone(), message.id.clone());
            let key = SeenKey { mailbox: mailbox.cloned(), sender, id };
            self.seen.insert(key, message.recipient_id.clone());
        }
    }

    fn enter(&mut self, agent: &AgentId, message: &Arc<AgentMessage>, at: Timestamp) {
        let seq = self.next_seq;
        self.next_seq += 1;
        self.remember(Some(agent), message);
        self.touch(agent, at, |mailbox| mailbox.insert(seq, Entry::new(message.clone())));
        self.arm_entry(agent, seq);
        self.totals.accepted += 1;
        let answers = matches!(message.kind, MessageType::Response | MessageType::Error);
        if let Some(id) = message.request_id.as_ref().filter(|_| answers) {
            self.answer(agent, id, message, at);
        }
    }

    fn send_on(&mut self, message: &Arc<AgentMessage>, onward: &Onward, at: Timestamp) {
        let shards = self.settings.shards;
        let others = (0..shards).filter(|to| *to != self.settings.shard);
        match onward {
            Onward::Nobody => return,
            Onward::Agents(agents) => {
                for to in others {
                    let theirs = self.those_of(agents, to);
                    if !theirs.is_empty() {
                        let content =
                            LetterContent::Deliver { message: message.clone(), to: theirs };
                        self.outbox.write(to, at, content);
                    }
                }
            }
            Onward::Everywhere(audience) => {
                for to in others {
                    let (message, audience) = (message.clone(), self.those_of(audience, to));
                    self.outbox.write(to, at, LetterContent::Spread { message, audience });
                }
            }
        }
        self.remember(None, message);
    }

    fn those_of(&self, agents: &[AgentId], shard: u16) -> Vec<AgentId> {
        agents.iter().filter(|agent| self.home_of(agent) == shard).cloned().collect()
    }

    fn expect_at_home(
        &mut self,
        message: &AgentMessage,
        id: &MessageId,
        deadline: Timestamp,
        at: Timestamp,
    ) {
        let (agent, responder) = (message.sender_id.clone(), message.recipient_id.clone());
        let home = self.home_of(&agent);
        if home == self.settings.shard {
            self.expect(&agent, id, responder, deadline, at);
        } else {
            let request_id = id.clone();
            let content = LetterContent::Expect { agent, request_id, responder, deadline };
            self.outbox.write(home, at, content);
        }
    }

    pub(super) fn expect(
        &mut self,
        agent: &AgentId,
        id: &MessageId,
        responder: Option<AgentId>,
        deadline: Timestamp,
        at: Timestamp,
    ) {
        let service = Self::service_name();
        self.touch(agent, at, |mailbox| {
            // The response may have been faster than this word.
            let is_over = match mailbox.request_end(id) {
                Some(RequestEnd::Answered(by)) => {
                    *by == service || responder.as_ref().is_none_or(|responder| responder == by)
                }
                Some(RequestEnd::Expired) => true,
                None => false,
            };
            if !is_over {
                let answers = mailbox.requests.get(id).map_or(0, |request| request.answers);
                let request = OpenRequest { responder, deadline, answers };
                mailbox.requests.insert(id.clone(), request);
            }
        });
        self.arm_request(agent, id);
    }

    fn answer(&mut self, agent: &AgentId, id: &MessageId, message: &AgentMessage, at: Timestamp) {
        let by = &message.sender_id;
        let is_service = *by == Self::service_name();
        self.touch(agent, at, |mailbox| {
            let is_unknown = mailbox.request_end(id).is_none();
            let ends = match mailbox.requests.get_mut(id) {
                // Everybody may answer what went to many.
                Some(request) if request.responder.is_none() => {
                    request.answers += 1;
                    false
                }
                Some(request) => is_service || request.responder.as_ref() == Some(by),
                // The word that it waits may still be on its way.
                None => is_unknown,
            };
            if ends {
                mailbox.end_request(id.clone(), RequestEnd::Answered(by.clone()));
            }
        });
        self.arm_request(agent, id);
    }
}
