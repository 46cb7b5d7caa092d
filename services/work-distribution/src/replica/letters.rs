//! Letters between shards: sent until they are delivered, harmless when they arrive twice.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use tokio::time::Instant;
use troupe_bus::port::World;
use troupe_domain::{Code, TaskId};

use super::router::Router;
use crate::rules::record::Letter;
use crate::shard::{Shard, ShardRequest};

/// Letters on their way at once.
const MAX_LETTERS_PER_ROUND: usize = 256;
const ROUND: Duration = Duration::from_millis(100);
const ANSWER_WITHIN: Duration = Duration::from_secs(5);
/// A letter to a task that does not exist is given up after this: its creation was refused.
const GIVE_UP_AFTER_MS: u64 = 10 * 60 * 1000;

/// Delivers the letters of `shard` until it is aborted.
pub async fn run(shard: Arc<Shard>, router: Arc<Router>) {
    let mut tick = tokio::time::interval(ROUND);
    loop {
        tick.tick().await;
        let letters: Vec<Letter> =
            shard.look(|state| state.letters().take(MAX_LETTERS_PER_ROUND).cloned().collect());
        // Letters to one task arrive in the order in which they were written: a later one may take
        // an earlier one back.
        let mut by_recipient: BTreeMap<TaskId, Vec<Letter>> = BTreeMap::new();
        for letter in letters {
            by_recipient.entry(letter.content.recipient().clone()).or_default().push(letter);
        }
        let sent = by_recipient.values().map(|letters| deliver_in_order(letters, &router));
        let delivered: Vec<u64> =
            futures::future::join_all(sent).await.into_iter().flatten().collect();
        if !delivered.is_empty() {
            shard.act(|state, _| state.delivered(delivered));
        }
    }
}

/// Delivers up to the first that does not arrive.
async fn deliver_in_order(letters: &[Letter], router: &Router) -> Vec<u64> {
    let mut delivered = Vec::new();
    for letter in letters {
        match deliver(letter, router).await {
            Some(number) => delivered.push(number),
            None => break,
        }
    }
    delivered
}

async fn deliver(letter: &Letter, router: &Router) -> Option<u64> {
    let request = ShardRequest::Letter(letter.content.clone());
    match router.call(letter.to, request, Instant::now() + ANSWER_WITHIN).await {
        Ok(_) => Some(letter.number),
        Err(fault) if fault.code == Code::NotFound => {
            let age = troupe_bus::port::System.now().millis_since(letter.at);
            (age > GIVE_UP_AFTER_MS).then_some(letter.number)
        }
        Err(fault) => {
            tracing::warn!(%fault, to = letter.to, "a letter was not delivered");
            None
        }
    }
}
