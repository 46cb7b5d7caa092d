//! What a route learned from feedback.
//!
//! Invariants: a text stands here once, with the last word on it; at most
//! [`MAX_LEARNED_UTTERANCES`], and the ones that were confirmed longest ago go first.

use std::collections::VecDeque;

use serde::{Deserialize, Serialize};
use troupe_domain::{Name, Timestamp};

use crate::rules::utterance;

/// Texts that one route learns from feedback.
pub const MAX_LEARNED_UTTERANCES: usize = 256;

/// A text that somebody said does or does not belong to a route.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Learned {
    /// The text.
    pub text: String,
    /// Whether it belongs there.
    pub accepted: bool,
    /// Who said so: an agent, or a part of the system.
    pub source: Name,
    /// When it was last said.
    pub at: Timestamp,
}

/// What came of a piece of feedback.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Lesson {
    /// It is new.
    Added,
    /// It was known; it counts as fresh.
    Confirmed,
    /// The opposite was known; the last word counts.
    Changed,
    /// The route declares it; feedback does not change declarations.
    Declared,
}

impl Lesson {
    /// Whether the route is another one now.
    pub const fn changes(self) -> bool {
        matches!(self, Self::Added | Self::Changed)
    }
}

/// The texts, those confirmed longest ago first.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Lessons(VecDeque<Learned>);

impl Lessons {
    /// The texts, those confirmed longest ago first.
    pub fn iter(&self) -> impl Iterator<Item = &Learned> {
        self.0.iter()
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Takes one in.
    pub(super) fn learn(&mut self, learned: Learned) -> Lesson {
        let key = utterance::key(&learned.text);
        let known = self.0.iter().position(|one| utterance::key(&one.text) == key);
        let former = known.and_then(|place| self.0.remove(place));
        let lesson = match former {
            None => Lesson::Added,
            Some(former) if former.accepted == learned.accepted => Lesson::Confirmed,
            Some(_) => Lesson::Changed,
        };
        if self.0.len() >= MAX_LEARNED_UTTERANCES {
            self.0.pop_front();
        }
        self.0.push_back(learned);
        lesson
    }

    /// Lets the one go that was confirmed longest ago.
    pub(super) fn drop_oldest(&mut self) -> Option<Learned> {
        self.0.pop_front()
    }

    /// Keeps those that `keeps` says.
    pub(super) fn retain(&mut self, keeps: impl FnMut(&Learned) -> bool) {
        self.0.retain(keeps);
    }
}
