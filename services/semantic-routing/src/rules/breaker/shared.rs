//! The part of a breaker that replicas share, and how two versions of it become one.
//!
//! Every change raises the version. Two records merge to the greater one in a total order: the
//! version first, then the state with the worse one greater (who says open at the same version is
//! believed), then the rest. The greater of two is commutative, associative and idempotent, so
//! records may arrive in any order and any number of times.

use serde::{Deserialize, Serialize};
use troupe_domain::{Name, Timestamp};

/// Whether calls go through.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize,
)]
#[serde(rename_all = "snake_case")]
pub enum State {
    /// They do.
    #[default]
    Closed,
    /// A trial at a time does.
    HalfOpen,
    /// They do not.
    Open,
}

impl State {
    /// The name on the wire.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Closed => "closed",
            Self::HalfOpen => "half_open",
            Self::Open => "open",
        }
    }
}

/// What replicas tell each other of one breaker. The order of the fields is the order of the merge.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Default, Serialize, Deserialize)]
pub struct Shared {
    /// Raised by every change.
    pub version: u64,
    /// The state.
    pub state: State,
    /// Open: when the first trial may go. Half-open: when a trial is given up. Closed: nothing.
    pub until: Timestamp,
    /// Openings in a row, without a long healthy time between them.
    pub openings: u32,
    /// When the state began.
    pub since: Timestamp,
    /// The version at which the current round of trials began.
    pub round: u64,
    /// Trials given in this round.
    pub trials_given: u32,
    /// Trials of this round that succeeded.
    pub trials_passed: u32,
    /// The replica that made this version.
    pub by: Option<Name>,
}

impl Shared {
    /// Takes in what another replica says; true if that was news.
    pub fn merge(&mut self, other: &Self) -> bool {
        let news = *other > *self;
        if news {
            self.clone_from(other);
        }
        news
    }
}
