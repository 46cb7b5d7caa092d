//! A replica while it is linked: two loops, one with the service and one with the peers.
//!
//! They are apart so that a service that does not answer keeps no peer waiting.

use std::sync::Arc;
use std::time::Duration;

use tokio::task::JoinHandle;
use tokio::time::{Instant, sleep_until};
use troupe_bus::events::Listener;
use troupe_bus::port::{System, World};
use troupe_contract::subject;
use troupe_domain::{Code, Fault, VectorClock};

use super::exchange::{Relay, is_away};
use super::gossip::{Reaction, least};
use super::{PlanReplica, Shared};
use crate::Troupe;
use crate::patience::Waits;

/// How long a peer waits at most before it answers, so that not all answer at once.
const ANSWER_SPREAD_MS: u64 = 40;
/// How long a batch may be overtaken by one that rests on it before it is asked for.
const GAP_PATIENCE: Duration = Duration::from_millis(100);
/// When the version is told to peers for the first time, if the service has not answered by then.
const FIRST_DIGEST_AFTER: Duration = Duration::from_millis(200);
/// How long it takes at least from one own digest to the next.
const DIGEST_GAP_MS: u64 = 40;

/// Bytes of batches that peers are told in one second, in the long run.
const ANSWER_BYTES_PER_SECOND: f64 = 1024.0 * 1024.0;
/// Bytes of batches that peers are told at once.
const ANSWER_BURST_BYTES: f64 = 8.0 * 1024.0 * 1024.0;

/// How a linked replica behaves.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LinkSettings {
    /// How often everything is compared with the service, beside what is heard and told at once.
    pub sync_interval: Duration,
    /// How often the version is told to peers while the service is away.
    pub gossip_interval: Duration,
    /// How often it is told otherwise.
    pub quiet_interval: Duration,
}

impl Default for LinkSettings {
    fn default() -> Self {
        Self {
            sync_interval: Duration::from_secs(30),
            gossip_interval: Duration::from_secs(1),
            quiet_interval: Duration::from_secs(60),
        }
    }
}

/// A replica's link to the others; it ends when this is dropped. The replica stays, and can be edited.
#[derive(Debug)]
pub struct Link {
    loops: [JoinHandle<()>; 2],
}

impl Drop for Link {
    fn drop(&mut self) {
        self.loops.iter().for_each(JoinHandle::abort);
    }
}

impl PlanReplica {
    /// Links the replica: from now on it brings and takes what there is, with the service and with its
    /// peers, and goes on trying while they are away.
    pub async fn link(&self, troupe: &Troupe, settings: LinkSettings) -> Result<Link, Fault> {
        if *troupe.name() != self.shared.agent {
            let why = format!("the replica is that of {}", self.shared.agent);
            return Err(Fault::invalid("name", why));
        }
        let unreachable = |why: crate::ConnectError| Fault::new(Code::Unavailable, why.to_string());
        let batches = subject::object_batches(&self.shared.object);
        let batches = troupe.bus().listen(&batches).await.map_err(unreachable)?;
        let peers = subject::object_peers(&self.shared.object);
        let peers = troupe.bus().listen(&peers).await.map_err(unreachable)?;
        let (shared, troupe) = (self.shared.clone(), troupe.clone());
        let with_service = exchange_forever(shared.clone(), troupe.clone(), settings.clone());
        let with_peers = Gossip::new(shared, troupe, settings).run(batches, peers);
        Ok(Link { loops: [tokio::spawn(with_service), tokio::spawn(with_peers)] })
    }
}

/// Exchanges with the service: in full at first, then at once what was written here; in full again when
/// something is amiss, and now and then.
async fn exchange_forever(shared: Arc<Shared>, troupe: Troupe, settings: LinkSettings) {
    let mut waits = Waits::new();
    let mut next = Some(Relay::Later);
    loop {
        let outcome = match next {
            Some(relay) => shared.exchange(&troupe, relay).await,
            None => shared.bring(&troupe).await,
        };
        if let Err(fault) = &outcome {
            tracing::debug!(%fault, object = %shared.object, "an exchange did not succeed");
        }
        let answers = !outcome.as_ref().is_err_and(is_away);
        // What rests on a batch that somebody else must bring comes in soon after that.
        let wait = if answers && !matches!(outcome, Ok(false)) {
            waits = Waits::new();
            settings.sync_interval
        } else {
            waits.next()
        };
        let until = Instant::now() + wait;
        next = reason(&shared, answers, until).await;
    }
}

/// Waits for a reason to exchange: in full, if it says how, or only what was written here.
async fn reason(shared: &Shared, answers: bool, until: Instant) -> Option<Relay> {
    let mut gap_ends: Option<Instant> = None;
    loop {
        tokio::select! {
            () = shared.written.notified(), if answers => return None,
            () = shared.amiss.notified(), if answers => return Some(Relay::Never),
            // Batches that go different ways overtake each other: mostly the missing one is near.
            () = shared.gap.notified(), if answers && gap_ends.is_none() => {
                gap_ends = Some(Instant::now() + GAP_PATIENCE);
            }
            () = sleep_until(gap_ends.unwrap_or(until)), if gap_ends.is_some() => {
                if shared.state.lock().replica.waiting() > 0 {
                    return Some(Relay::Never);
                }
                gap_ends = None;
            }
            () = sleep_until(until) => return Some(Relay::Later),
        }
    }
}

/// The exchange with peers.
struct Gossip {
    shared: Arc<Shared>,
    troupe: Troupe,
    settings: LinkSettings,
    /// The last own batch that was told to peers.
    told: u64,
    /// What a peer lacks, and when it is told.
    owed: Option<(Instant, VectorClock)>,
    /// When the version is told next.
    digest_at: Instant,
    last_digest: Instant,
    /// Bytes that may be told now, and since when that is so.
    breath: (Instant, f64),
}

impl Gossip {
    fn new(shared: Arc<Shared>, troupe: Troupe, settings: LinkSettings) -> Self {
        let now = Instant::now();
        let told = shared.state.lock().replica.document().seq(&shared.agent);
        let breath = (now, ANSWER_BURST_BYTES);
        Self {
            shared,
            troupe,
            settings,
            told,
            owed: None,
            // The service first has a chance to answer: then there is no need to ask peers.
            digest_at: now + FIRST_DIGEST_AFTER,
            last_digest: now,
            breath,
        }
    }

    async fn run(mut self, mut batches: Listener, mut peers: Listener) {
        loop {
            let answer_at = self.owed.as_ref().map(|(at, _)| *at);
            tokio::select! {
                heard = batches.next() => {
                    let Some(heard) = heard else { return };
                    self.hear_service(&heard.body);
                    // Checking what is heard takes a while: what else waits here has its turn.
                    tokio::task::yield_now().await;
                }
                heard = peers.next() => {
                    let Some(heard) = heard else { return };
                    let sender = heard.subject.rsplit('.').next().unwrap_or_default();
                    let reaction = self.shared.hear(sender, &heard.body);
                    self.react(reaction);
                    tokio::task::yield_now().await;
                }
                () = self.shared.written_for_peers.notified() => self.tell_own().await,
                () = sleep_until(answer_at.unwrap_or(self.digest_at)), if answer_at.is_some() => {
                    self.answer().await;
                }
                () = self.shared.away.notified() => {
                    // What was written last reached nobody, perhaps.
                    self.digest_at = self.digest_at.min(Instant::now() + spread());
                }
                () = sleep_until(self.digest_at) => {
                    self.shared.tell_digest(&self.troupe).await;
                    self.last_digest = Instant::now();
                    self.digest_at = self.last_digest + self.interval();
                }
            }
        }
    }

    /// Tells what some peer lacks, as far as there is breath: who asks again and again for everything
    /// does not keep the others from being heard.
    async fn answer(&mut self) {
        let Some((_, vector)) = self.owed.take() else { return };
        let now = Instant::now();
        let next = now + Duration::from_millis(ANSWER_SPREAD_MS);
        let refilled = now.duration_since(self.breath.0).as_secs_f64() * ANSWER_BYTES_PER_SECOND;
        self.breath = (now, (self.breath.1 + refilled).min(ANSWER_BURST_BYTES));
        if self.breath.1 <= 0.0 {
            self.owed = Some((next, vector));
            return;
        }
        let (bytes, rest) = self.shared.tell_missing(&self.troupe, vector).await;
        self.breath.1 -= bytes as f64;
        self.owed = rest.map(|rest| (next, rest));
    }

    /// A batch that the service took in.
    fn hear_service(&mut self, body: &[u8]) {
        if let Some(signed) = self.shared.hear_batch("the service", body) {
            let batch = signed.batch();
            let mut state = self.shared.state.lock();
            // Only the next one of a chain says that all before it are there as well.
            if state.service.get(&batch.agent) + 1 == batch.seq {
                // At most as many agents as the document has.
                let _ = state.service.raise(&batch.agent, batch.seq);
                drop(state);
                self.shared.note_change();
            }
        }
    }

    fn react(&mut self, reaction: Reaction) {
        match reaction {
            Reaction::None => {}
            Reaction::Diverged => self.shared.amiss.notify_one(),
            Reaction::Differ { ask, answer } => {
                if ask {
                    let soon = self.last_digest + Duration::from_millis(DIGEST_GAP_MS);
                    self.digest_at = self.digest_at.min(soon.max(Instant::now()) + spread());
                }
                // One that lacks more is answered with all of it; the others let what they know pass.
                self.owed = match (self.owed.take(), answer) {
                    (owed, None) => owed,
                    (None, Some(theirs)) => Some((Instant::now() + spread(), theirs)),
                    (Some((at, owed)), Some(theirs)) => Some((at, least(&owed, &theirs))),
                };
            }
            Reaction::Heard(batches) => {
                let Some((_, owed)) = &mut self.owed else { return };
                for batch in batches {
                    let batch = batch.batch();
                    if owed.get(&batch.agent) + 1 == batch.seq {
                        let _ = owed.raise(&batch.agent, batch.seq);
                    }
                }
            }
        }
    }

    /// While the service is away peers hear at once what is written here; otherwise it tells them.
    async fn tell_own(&mut self) {
        let (is_up, last) = {
            let state = self.shared.state.lock();
            (state.service_is_up, state.replica.document().seq(&self.shared.agent))
        };
        self.told = if is_up { last } else { self.shared.tell_own(&self.troupe, self.told).await };
    }

    fn interval(&self) -> Duration {
        let is_up = self.shared.state.lock().service_is_up;
        let interval =
            if is_up { self.settings.quiet_interval } else { self.settings.gossip_interval };
        interval.mul_f64(0.75 + System.fraction() / 2.0)
    }
}

fn spread() -> Duration {
    Duration::from_millis(ANSWER_SPREAD_MS).mul_f64(System.fraction())
}
