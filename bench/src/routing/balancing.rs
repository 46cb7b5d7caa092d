//! A fleet of equals in which one agent is ten times slower and one fails: each strategy against plain
//! round-robin, with real agents and messages.
//!
//! Messages come at a steady rate, whatever became of those before: a latency counts from when its
//! message was due until an agent has handled it and said so, hand-overs included.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use anyhow::{Context, Result, bail};
use parking_lot::Mutex;
use rand::{Rng, RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use serde::Serialize;
use tokio::sync::Semaphore;
use tokio::task::JoinSet;
use tokio::time::Instant;
use troupe_bus::Bus;
use troupe_contract::routing::{
    Ack, AckEffect, AckOutcome, AckRequest, DeliveredMessage, DeliveryRef, Inbox, InboxRequest,
    Send,
};
use troupe_domain::Name;
use troupe_domain::message::{Intent, IntentFilters, MessageSpec};
use troupe_semantic_routing::Config;
use troupe_semantic_routing::rules::balance::Strategy;
use troupe_semantic_routing::rules::score::Weights;

use super::fleet::{self, ask_as};
use super::stack::Stack;
use crate::agents::{Agent, ask};
use crate::latency::{Latency, Recorder};

const AGENTS: usize = 10;
/// Messages that one agent handles at once.
const HANDS: usize = 4;
const SLOW: usize = 3;
const FAILING: usize = 7;
/// What everybody can do, and every message asks for.
const SKILL: &str = "translate";
const TEXT: &str = "Translate the letter of our customer into French";
const SAID: [&str; 4] = [
    TEXT,
    "Please put this page into Spanish",
    "I need a German version of the manual",
    "Turn these sentences into English",
];
/// Senders: an agent gets the next message of a sender only when it is done with the one before.
const SENDERS: usize = 128;
const GAP: Duration = Duration::from_micros(6_500);
const MEAN_MS: f64 = 20.0;
const SLOWER: f64 = 10.0;
const FAILS_AFTER: Duration = Duration::from_millis(2);
const WAIT_MS: u64 = 1_000;
/// When nothing was handled for so long after the last message, nothing more is.
const QUIET: Duration = Duration::from_secs(10);
const SEED: u64 = 7;

/// Every strategy.
#[derive(Debug, Clone, Serialize)]
pub struct Balancing {
    /// Agents, of whom one is ten times slower and one fails.
    pub agents: usize,
    /// Messages for each strategy.
    pub messages: usize,
    /// Messages per second.
    pub rate_per_s: f64,
    /// Round-robin over everybody who can, without breakers and without a look at what was measured.
    pub plain: Balanced,
    /// By strategy, with everything else as the service does it by default.
    pub strategies: BTreeMap<&'static str, Balanced>,
}

/// One strategy.
#[derive(Debug, Clone, Serialize)]
pub struct Balanced {
    /// From when a message was due until it was handled.
    pub latency: Latency,
    /// The share of deliveries that failed.
    pub failed_deliveries: f64,
    /// The share of messages that nobody handled.
    pub unhandled: f64,
    /// Messages that the slow agent handled.
    pub handled_by_slow: usize,
}

/// What happens to the messages of one strategy.
#[derive(Debug)]
struct Tally {
    due: Mutex<Vec<Option<Instant>>>,
    latency: Recorder,
    handled: AtomicUsize,
    slow: AtomicUsize,
    failed: AtomicUsize,
    broken: Mutex<Option<String>>,
}

/// Measures plain round-robin and every strategy, each on a stack of its own.
pub(super) async fn run(messages: usize) -> Result<Balancing> {
    let mut plain = Config::default();
    plain.intents.balancing = Strategy::RoundRobin;
    plain.intents.policy.weights =
        Weights { semantic: 1.0, proficiency: 0.0, success: 0.0, load: 0.0, latency: 0.0 };
    plain.intents.breaker.max_ejected_share = 0.0;
    super::say("balancing: plain round-robin");
    let plain = Box::pin(one(plain, messages)).await?;
    let mut strategies = BTreeMap::new();
    for strategy in Strategy::ALL {
        super::say(&format!("balancing: {}", strategy.as_str()));
        let mut config = Config::default();
        config.intents.balancing = strategy;
        strategies.insert(strategy.as_str(), Box::pin(one(config, messages)).await?);
    }
    let rate_per_s = 1.0 / GAP.as_secs_f64();
    Ok(Balancing { agents: AGENTS, messages, rate_per_s, plain, strategies })
}

async fn one(config: Config, messages: usize) -> Result<Balanced> {
    let stack = Stack::start(config).await?;
    let url = stack.nats.url();
    let skill = Name::parse(SKILL)?;
    let agents = fleet::join(&url, AGENTS, |_| vec![skill.clone()]).await?;
    let senders = fleet::senders(&url, AGENTS).await?;
    let said = SAID.map(str::to_owned).to_vec();
    fleet::declare(&senders[0], vec![(skill.clone(), skill.clone(), said)]).await?;
    fleet::settled(&senders[0], vec![(TEXT.to_owned(), skill)]).await?;

    let tally = Arc::new(Tally {
        due: Mutex::new(vec![None; messages]),
        latency: Recorder::default(),
        handled: AtomicUsize::new(0),
        slow: AtomicUsize::new(0),
        failed: AtomicUsize::new(0),
        broken: Mutex::new(None),
    });
    // They end with this function.
    let mut serving = JoinSet::new();
    for (number, agent) in agents.iter().enumerate() {
        serving.spawn(serve(number, agent.clone(), tally.clone()));
    }
    send(&senders, messages, &tally).await?;
    until_quiet(messages, &tally).await;
    serving.shutdown().await;
    if let Some(why) = tally.broken.lock().take() {
        bail!("an agent could not go on: {why}");
    }
    drop(agents);
    stack.stop().await?;
    let (handled, failed) =
        (tally.handled.load(Ordering::Relaxed), tally.failed.load(Ordering::Relaxed));
    Ok(Balanced {
        latency: tally.latency.summary(),
        failed_deliveries: failed as f64 / (failed + handled).max(1) as f64,
        unhandled: (messages - handled.min(messages)) as f64 / messages.max(1) as f64,
        handled_by_slow: tally.slow.load(Ordering::Relaxed),
    })
}

/// Sends each message when it is due.
async fn send(senders: &[Bus], messages: usize, tally: &Arc<Tally>) -> Result<()> {
    let mut sending = JoinSet::new();
    let began = Instant::now();
    for number in 0..messages {
        let due = began + GAP * number as u32;
        tokio::time::sleep_until(due).await;
        tally.due.lock()[number] = Some(due);
        let bus = senders[number % senders.len()].clone();
        let sender = Name::parse(&format!("sender-{}", number % SENDERS))?;
        let message = MessageSpec {
            intent: Some(Intent {
                text: TEXT.to_owned(),
                filters: IntentFilters::default(),
                fallback: None,
            }),
            subject: number.to_string(),
            ..MessageSpec::default()
        };
        sending.spawn(async move { ask_as::<Send>(&bus, &sender, &message).await.map(drop) });
        while let Some(sent) = sending.try_join_next() {
            sent.context("a sender panicked")??;
        }
    }
    while let Some(sent) = sending.join_next().await {
        sent.context("a sender panicked")??;
    }
    Ok(())
}

/// Waits until everything is handled, or nothing more is.
async fn until_quiet(messages: usize, tally: &Tally) {
    let (mut seen, mut since) = (0, Instant::now());
    loop {
        let handled = tally.handled.load(Ordering::Relaxed);
        if handled != seen {
            (seen, since) = (handled, Instant::now());
        }
        if handled >= messages || since.elapsed() > QUIET {
            return;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

/// Takes messages and handles so many at once.
async fn serve(number: usize, agent: Arc<Agent>, tally: Arc<Tally>) {
    let hands = Arc::new(Semaphore::new(HANDS));
    let mut chance = ChaCha8Rng::seed_from_u64(SEED + number as u64);
    let mut handling = JoinSet::new();
    loop {
        let taken = async {
            // One hand at least is free.
            drop(hands.acquire().await?);
            let poll = InboxRequest {
                wait_ms: WAIT_MS,
                max_messages: Some(hands.available_permits().max(1)),
                ..InboxRequest::default()
            };
            anyhow::Ok(ask::<Inbox>(&agent.bus, &poll).await?.messages)
        };
        let taken = match taken.await {
            Ok(taken) => taken,
            Err(why) => {
                tally.broken.lock().get_or_insert_with(|| format!("{why:#}"));
                return;
            }
        };
        for delivered in taken {
            let Ok(hand) = hands.clone().acquire_owned().await else { return };
            let time = handling_time(number, &mut chance);
            let (bus, tally) = (agent.bus.clone(), tally.clone());
            handling.spawn(async move {
                if let Err(why) = handle(number, &bus, &delivered, time, &tally).await {
                    tally.broken.lock().get_or_insert_with(|| format!("{why:#}"));
                }
                drop(hand);
            });
        }
        while handling.try_join_next().is_some() {}
    }
}

fn handling_time(number: usize, chance: &mut impl Rng) -> Duration {
    let mean_ms = match number {
        FAILING => return FAILS_AFTER,
        SLOW => MEAN_MS * SLOWER,
        _ => MEAN_MS,
    };
    let unit: f64 = 1.0 - chance.random::<f64>();
    Duration::from_secs_f64(-unit.ln() * mean_ms / 1_000.0)
}

async fn handle(
    number: usize,
    bus: &Bus,
    delivered: &DeliveredMessage,
    time: Duration,
    tally: &Tally,
) -> Result<()> {
    tokio::time::sleep(time).await;
    let fails = number == FAILING;
    let (outcome, reason) = if fails {
        (AckOutcome::Rejected, "it always fails".to_owned())
    } else {
        (AckOutcome::Acknowledged, String::new())
    };
    let one = DeliveryRef {
        message_id: delivered.message.id.clone(),
        sender_id: Some(delivered.message.sender_id.clone()),
        attempt: delivered.delivery_attempts,
    };
    let told = AckRequest { messages: vec![one], outcome, reason, forward_to: None };
    let told = ask::<Ack>(bus, &told).await?;
    if fails {
        tally.failed.fetch_add(1, Ordering::Relaxed);
        return Ok(());
    }
    if told.results.first().is_none_or(|result| result.result != AckEffect::Done) {
        bail!("an acknowledgement was not taken: {told:?}");
    }
    let number_of: usize = delivered.message.subject.parse()?;
    let due = tally.due.lock().get(number_of).copied().flatten();
    tally.latency.record(due.context("a message that was not sent")?.elapsed());
    tally.handled.fetch_add(1, Ordering::Relaxed);
    tally.slow.fetch_add(usize::from(number == SLOW), Ordering::Relaxed);
    Ok(())
}
