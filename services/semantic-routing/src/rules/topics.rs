//! Who follows what: patterns in a tree, so that a topic finds its followers by its own length.

use std::collections::{BTreeMap, BTreeSet};

use troupe_domain::message::topic::{ONE, REST};
use troupe_domain::{AgentId, Topic, TopicPattern};

#[derive(Debug, Default)]
struct Node {
    next: BTreeMap<String, Node>,
    here: BTreeSet<AgentId>,
}

impl Node {
    fn is_empty(&self) -> bool {
        self.next.is_empty() && self.here.is_empty()
    }

    fn remove(&mut self, mut tokens: std::str::Split<'_, char>, agent: &AgentId) -> bool {
        let Some(token) = tokens.next() else { return self.here.remove(agent) };
        let Some(node) = self.next.get_mut(token) else { return false };
        let removed = node.remove(tokens, agent);
        if node.is_empty() {
            self.next.remove(token);
        }
        removed
    }

    fn collect(&self, tokens: &[&str], found: &mut BTreeSet<AgentId>) {
        let Some((token, rest)) = tokens.split_first() else {
            found.extend(self.here.iter().cloned());
            return;
        };
        if let Some(node) = self.next.get(REST) {
            found.extend(node.here.iter().cloned());
        }
        for wanted in [*token, ONE] {
            if let Some(node) = self.next.get(wanted) {
                node.collect(rest, found);
            }
        }
    }
}

/// All patterns of a shard.
#[derive(Debug, Default)]
pub struct Followers {
    root: Node,
    count: usize,
}

impl Followers {
    /// An agent follows a pattern.
    pub fn insert(&mut self, pattern: &TopicPattern, agent: &AgentId) {
        let mut node = &mut self.root;
        for token in pattern.tokens() {
            node = node.next.entry(token.to_owned()).or_default();
        }
        self.count += usize::from(node.here.insert(agent.clone()));
    }

    /// An agent follows a pattern no more.
    pub fn remove(&mut self, pattern: &TopicPattern, agent: &AgentId) {
        self.count -= usize::from(self.root.remove(pattern.as_str().split('.'), agent));
    }

    /// Who follows a topic.
    pub fn of(&self, topic: &Topic) -> BTreeSet<AgentId> {
        let mut found = BTreeSet::new();
        let tokens: Vec<&str> = topic.tokens().collect();
        self.root.collect(&tokens, &mut found);
        found
    }

    /// Patterns that are followed, each as often as agents follow it.
    pub fn len(&self) -> usize {
        self.count
    }

    /// Whether nobody follows anything.
    pub fn is_empty(&self) -> bool {
        self.count == 0
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::collection::vec;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn the_tree_finds_whom_the_patterns_name(
            patterns in vec((vec("[ab*]", 1..4), any::<bool>(), 0_u8..4, any::<bool>()), 0..30),
            topic in vec("[abc]", 1..5),
        ) {
            let mut tree = Followers::default();
            let mut all: Vec<(TopicPattern, AgentId)> = Vec::new();
            for (tokens, rest, agent, keep) in patterns {
                let text = tokens.join(".") + if rest { ".>" } else { "" };
                let pattern = TopicPattern::parse(&text).unwrap();
                let agent = AgentId::parse(&format!("agent{agent}")).unwrap();
                if keep {
                    tree.insert(&pattern, &agent);
                    all.push((pattern, agent));
                } else {
                    tree.remove(&pattern, &agent);
                    all.retain(|pair| *pair != (pattern.clone(), agent.clone()));
                }
            }
            let topic = Topic::parse(&topic.join(".")).unwrap();
            let wanted: BTreeSet<AgentId> = all
                .iter()
                .filter(|(pattern, _)| pattern.matches(&topic))
                .map(|(_, agent)| agent.clone())
                .collect();
            prop_assert_eq!(tree.of(&topic), wanted);
            all.sort();
            all.dedup();
            prop_assert_eq!(tree.len(), all.len());
            for (pattern, agent) in &all {
                tree.remove(pattern, agent);
            }
            prop_assert!(tree.is_empty() && tree.root.is_empty());
        }
    }
}
