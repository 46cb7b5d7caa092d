//! A large plan with a long history: how long merging and loading take, and how large everything is.

use std::sync::Arc;
use std::time::Instant;

use anyhow::{Context, Result, ensure};
use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;
use serde::Serialize;
use troupe_crdt::conflict::DEFAULT_WINDOW_MS;
use troupe_crdt::edit::PlanChange;
use troupe_crdt::{AgentKey, Document, Edit, Kind, NewItem, Replica, SignedBatch};
use troupe_domain::{Name, Timestamp};

use super::convergence::{edits, item_id};
use super::options::Sizes;
use crate::processes::resident_bytes;

/// Items that one batch adds.
const ITEMS_PER_BATCH: usize = 100;

/// What came out.
#[derive(Debug, Clone, Serialize)]
pub struct Scale {
    /// Items of the plan.
    pub items: usize,
    /// Operations of its history.
    pub operations: usize,
    /// Batches in which they came.
    pub batches: usize,
    /// Replicas that wrote them.
    pub replicas: usize,
    /// Bytes of a batch of ten edits, on average.
    pub batch_bytes: f64,
    /// Merging all of it, signatures checked.
    pub merge_ms: f64,
    /// For one batch.
    pub merge_us_per_batch: f64,
    /// Merging all of it from a log of one's own, signatures known.
    pub replay_ms: f64,
    /// Reading the state from a snapshot.
    pub load_ms: f64,
    /// Writing it.
    pub save_ms: f64,
    /// Making the view that people read.
    pub view_ms: f64,
    /// Looking for conflicts.
    pub conflicts_ms: f64,
    /// The state as a snapshot: with the history compacted.
    pub compacted_bytes: usize,
    /// The whole history: without compaction.
    pub history_bytes: usize,
    /// What is resident more for each of the replicas that wrote it, all in this process.
    pub resident_bytes: Option<u64>,
    /// As the document counts itself.
    pub counted_bytes: usize,
}

struct Author {
    agent: Name,
    key: AgentKey,
    document: Document,
    chance: ChaCha8Rng,
}

pub(super) fn run(sizes: Sizes) -> Result<Scale> {
    let (history, resident_bytes) = history(sizes)?;
    let edits: Vec<_> =
        history.iter().filter(|b| b.batch().operations.len() == sizes.edits).collect();
    let batch_bytes =
        edits.iter().map(|b| b.bytes().len()).sum::<usize>() as f64 / edits.len().max(1) as f64;
    let object = history.first().context("a history")?.batch().object.clone();
    let began = Instant::now();
    let mut merged = Replica::new(object.clone(), Kind::Plan);
    for batch in &history {
        merged.receive(batch.clone()).map_err(|refusal| refusal.fault())?;
    }
    let merge_ms = ms(began);
    let began = Instant::now();
    let mut document = Document::new(object, Kind::Plan);
    for batch in &history {
        document.apply_verified(batch)?;
    }
    let replay_ms = ms(began);
    ensure!(document.hash() == merged.document().hash(), "two ways, two states");
    let began = Instant::now();
    let snapshot = document.encode();
    let save_ms = ms(began);
    let began = Instant::now();
    let loaded = Document::decode(&snapshot)?;
    let load_ms = ms(began);
    ensure!(loaded == document, "what was loaded is another state");
    let began = Instant::now();
    let plan = document.plan().context("a plan")?;
    let view_ms = ms(began);
    let began = Instant::now();
    let _ = document.conflicts(DEFAULT_WINDOW_MS);
    let conflicts_ms = ms(began);
    Ok(Scale {
        items: plan.items.len(),
        operations: history.iter().map(|batch| batch.batch().operations.len()).sum(),
        batches: history.len(),
        replicas: sizes.replicas,
        batch_bytes,
        merge_ms,
        merge_us_per_batch: merge_ms * 1_000.0 / history.len() as f64,
        replay_ms,
        load_ms,
        save_ms,
        view_ms,
        conflicts_ms,
        compacted_bytes: snapshot.len(),
        history_bytes: history.iter().map(|batch| batch.bytes().len()).sum(),
        resident_bytes,
        counted_bytes: document.bytes(),
    })
}

fn ms(began: Instant) -> f64 {
    began.elapsed().as_secs_f64() * 1_000.0
}

/// What many replicas wrote, in an order in which it can be merged. In each round all of them write at
/// the same time, and then hear of each other. And what is resident more for each of them.
fn history(sizes: Sizes) -> Result<(Vec<Arc<SignedBatch>>, Option<u64>)> {
    let before = resident_bytes();
    let object = Name::parse("large")?;
    let mut authors = Vec::new();
    for number in 0..sizes.replicas {
        authors.push(Author {
            agent: Name::parse(&format!("replica-{number}"))?,
            key: AgentKey::from_seed([number as u8 + 1; 32]),
            document: Document::new(object.clone(), Kind::Plan),
            chance: ChaCha8Rng::seed_from_u64(number as u64),
        });
    }
    let mut history = Vec::new();
    let first = authors.first_mut().context("a replica")?;
    let name = Some("A large plan".to_owned());
    let created = Edit::CreatePlan(PlanChange { name, ..PlanChange::default() });
    history.push(first.write(&[created], 0)?);
    for start in (0..sizes.many_items).step_by(ITEMS_PER_BATCH) {
        let end = (start + ITEMS_PER_BATCH).min(sizes.many_items);
        let added = (start..end).map(|number| {
            let title = format!("Write part {number} of what is to be done");
            Ok(Edit::AddItem {
                item: item_id(number)?,
                new: NewItem { title, ..NewItem::default() },
            })
        });
        history.push(first.write(&added.collect::<Result<Vec<_>>>()?, 0)?);
    }
    let state = first.document.clone();
    authors.iter_mut().for_each(|author| author.document = state.clone());
    let sizes = Sizes { items: sizes.many_items, ..sizes };
    let mut operations = sizes.many_items + 1;
    let mut round = 0;
    while operations < sizes.operations {
        round += 1;
        let mut written = Vec::new();
        for author in &mut authors {
            let who = author.agent.as_str().to_owned();
            let edits = edits(&mut author.chance, &who, round, sizes)?;
            operations += edits.len();
            written.push(author.write(&edits, round)?);
        }
        for author in &mut authors {
            for batch in written.iter().filter(|batch| batch.batch().agent != author.agent) {
                author.document.apply_verified(batch)?;
            }
        }
        history.extend(written);
    }
    let more = before.zip(resident_bytes()).map(|(before, now)| now.saturating_sub(before));
    Ok((history, more.map(|bytes| bytes / authors.len().max(1) as u64)))
}

impl Author {
    fn write(&mut self, edits: &[Edit], round: usize) -> Result<Arc<SignedBatch>> {
        let at = Timestamp::from_millis(round as i64 * 1_000);
        let signed = self.document.edit(&self.agent, &self.key, None, at, edits)?;
        self.document.apply_verified(&signed)?;
        Ok(Arc::new(signed))
    }
}
