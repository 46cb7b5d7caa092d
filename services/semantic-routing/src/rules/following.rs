//! Which topics an agent follows.

use troupe_domain::{AgentId, Fault, Timestamp, TopicPattern};

use super::record::Record;
use super::state::RoutingState;

impl RoutingState {
    /// An agent follows topics.
    pub fn follow(
        &mut self,
        agent: &AgentId,
        patterns: Vec<TopicPattern>,
        now: Timestamp,
    ) -> Result<Vec<TopicPattern>, Fault> {
        let known = self.following(agent);
        let mut new: Vec<TopicPattern> = Vec::new();
        for pattern in patterns {
            if !known.contains(&pattern) && !new.contains(&pattern) {
                new.push(pattern);
            }
        }
        let max = self.settings.max_patterns_per_mailbox;
        if known.len() + new.len() > max {
            return Err(Fault::exhausted("max_patterns_per_mailbox", max).with("field", "patterns"));
        }
        self.open(agent, now)?;
        if !new.is_empty() {
            self.draft(Record::Followed { at: now, agent: agent.clone(), patterns: new });
        }
        Ok(self.following(agent))
    }

    /// An agent follows topics no more.
    pub fn unfollow(
        &mut self,
        agent: &AgentId,
        patterns: &[TopicPattern],
        now: Timestamp,
    ) -> Vec<TopicPattern> {
        let mut known = self.following(agent);
        known.retain(|pattern| patterns.contains(pattern));
        if !known.is_empty() {
            self.draft(Record::Unfollowed { at: now, agent: agent.clone(), patterns: known });
        }
        self.following(agent)
    }

    /// What an agent follows.
    pub fn following(&self, agent: &AgentId) -> Vec<TopicPattern> {
        let mailbox = self.mailboxes.get(agent);
        mailbox.map_or_else(Vec::new, |mailbox| mailbox.patterns.iter().cloned().collect())
    }
}
