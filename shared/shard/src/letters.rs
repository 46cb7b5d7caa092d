//! Letters between shards: sent until they are delivered, harmless when they arrive twice.
//!
//! A letter is sent only when what it tells is stored, and then at once: somebody waits for it. What
//! does not arrive is sent again in rounds, and holds up no letter to anybody else.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use tokio::time::Instant;
use troupe_domain::{Code, Fault, Name, Timestamp};

use crate::machine::Machine;
use crate::owner::Shard;

/// Letters on their way at once.
pub const MAX_LETTERS_PER_ROUND: usize = 256;
const ROUND: Duration = Duration::from_millis(100);
const ANSWER_WITHIN: Duration = Duration::from_secs(5);
/// A letter to what does not exist is given up after this: its creation was refused.
const GIVE_UP_AFTER_MS: u64 = 10 * 60 * 1000;

/// Something that another shard must learn: kept until it is delivered.
#[derive(Debug, Clone)]
pub struct Letter<R> {
    /// Its number within the shard that sends it.
    pub number: u64,
    /// The shard that must learn it.
    pub to: u16,
    /// What it is for: letters to one recipient arrive in the order of their numbers.
    pub recipient: Name,
    /// When it was written.
    pub at: Timestamp,
    /// What the other shard is asked. Carrying it out twice changes nothing.
    pub request: R,
}

/// Delivers the letters of `shard` through `call` until it is aborted or the shard is closed.
pub async fn run<M, C, F>(shard: Arc<Shard<M>>, call: C)
where
    M: Machine,
    C: Fn(u16, M::Request, Instant) -> F,
    F: Future<Output = Result<M::Reply, Fault>>,
{
    // Recipients whose last letter did not arrive, with when they are tried again.
    let mut failed: BTreeMap<Name, Instant> = BTreeMap::new();
    while shard.closed().is_none() {
        tokio::select! {
            () = shard.stored.notified() => {}
            () = tokio::time::sleep(ROUND) => {}
        }
        // Mostly there are none, and nothing is to be waited for.
        if shard.look(|machine| machine.letters(1).is_empty()) {
            continue;
        }
        let stored = shard.look_stored(|machine| machine.letters(MAX_LETTERS_PER_ROUND)).await;
        let now = Instant::now();
        failed.retain(|_, again| *again > now);
        // A later letter may take an earlier one to the same recipient back.
        let mut by_recipient: BTreeMap<Name, Vec<Letter<M::Request>>> = BTreeMap::new();
        for letter in stored.into_iter().flatten() {
            if !failed.contains_key(&letter.recipient) {
                by_recipient.entry(letter.recipient.clone()).or_default().push(letter);
            }
        }
        let sent = by_recipient.into_iter().map(|(recipient, letters)| {
            let (count, shard, call) = (letters.len(), &shard, &call);
            async move { (recipient, count, deliver(shard, letters, call).await) }
        });
        let mut delivered: Vec<u64> = Vec::new();
        for (recipient, count, arrived) in futures::future::join_all(sent).await {
            if arrived.len() < count {
                failed.insert(recipient, Instant::now() + ROUND);
            }
            delivered.extend(arrived);
        }
        if !delivered.is_empty() {
            shard.act(|machine, _| machine.delivered(delivered));
        }
    }
}

/// Delivers letters in order, up to the first that does not arrive. Gives the numbers of those that
/// did.
async fn deliver<M, C, F>(shard: &Shard<M>, letters: Vec<Letter<M::Request>>, call: &C) -> Vec<u64>
where
    M: Machine,
    C: Fn(u16, M::Request, Instant) -> F,
    F: Future<Output = Result<M::Reply, Fault>>,
{
    let mut delivered = Vec::new();
    for Letter { number, to, at, request, .. } in letters {
        match call(to, request, Instant::now() + ANSWER_WITHIN).await {
            Ok(_) => {}
            Err(fault) if fault.code == Code::NotFound => {
                if shard.ports.world.now().millis_since(at) <= GIVE_UP_AFTER_MS {
                    break;
                }
            }
            Err(fault) => {
                tracing::warn!(%fault, to, "a letter was not delivered");
                break;
            }
        }
        delivered.push(number);
    }
    delivered
}
