//! A cluster of replicas in one process, with a network that does what networks do, by seed.
#![allow(dead_code, reason = "each test uses its part")]

use std::collections::BTreeSet;
use std::sync::Arc;

use rand::{Rng, RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use troupe_crdt::{
    AgentKey, Delta, Edit, ItemChange, Kind, NewItem, PlanChange, Position, Refusal, Replica,
    SignedBatch,
};
use troupe_domain::plan::{Plan, PlanItemStatus};
use troupe_domain::{AgentId, Name, Timestamp};

pub(crate) fn name(text: &str) -> Name {
    Name::parse(text).unwrap()
}

pub(crate) fn at(millis: i64) -> Timestamp {
    Timestamp::from_millis(1_760_000_000_000 + millis)
}

/// The full size only where it is asked for.
pub(crate) fn scaled<T>(scaled: T, full: T) -> T {
    if std::env::var_os("TROUPE_FULL").is_some_and(|value| value == "1") { full } else { scaled }
}

/// An agent with its replica.
#[derive(Debug, Clone)]
pub(crate) struct Peer {
    pub(crate) agent: AgentId,
    pub(crate) key: AgentKey,
    pub(crate) replica: Replica,
    pub(crate) now: i64,
}

impl Peer {
    pub(crate) fn new(agent: &str, kind: Kind) -> Self {
        let mut seed = [7; 32];
        for (to, from) in seed.iter_mut().zip(agent.bytes()) {
            *to = from;
        }
        let key = AgentKey::from_seed(seed);
        Self { agent: name(agent), key, replica: Replica::new(name("plan"), kind), now: 0 }
    }

    pub(crate) fn try_edit(
        &mut self,
        edits: &[Edit],
    ) -> Result<Arc<SignedBatch>, troupe_domain::Fault> {
        self.now += 1;
        self.replica.edit(&self.agent, &self.key, None, at(self.now), edits)
    }

    pub(crate) fn edit(&mut self, edit: Edit) -> Arc<SignedBatch> {
        self.try_edit(&[edit]).unwrap()
    }

    pub(crate) fn hear(&mut self, batch: &Arc<SignedBatch>) -> Result<(), Refusal> {
        self.replica.receive(batch.clone()).map(drop)
    }

    /// Takes what another one has and this one lacks.
    pub(crate) fn pull(&mut self, from: &Self) {
        self.take(from.replica.missing(&self.replica.document().vector()));
    }

    pub(crate) fn take(&mut self, delta: Delta) {
        if let Some(snapshot) = delta.snapshot {
            self.replica.adopt(&snapshot).unwrap();
        }
        for batch in delta.batches {
            self.replica.receive(batch).unwrap();
        }
    }

    pub(crate) fn plan(&self) -> Plan {
        self.replica.document().plan().unwrap()
    }

    pub(crate) fn title(&self, item: &str) -> String {
        self.replica.document().item(&name(item)).unwrap().title
    }
}

pub(crate) fn new_item(title: &str) -> NewItem {
    NewItem { title: title.to_owned(), ..NewItem::default() }
}

pub(crate) fn add(item: &str, title: &str) -> Edit {
    Edit::AddItem { item: name(item), new: new_item(title) }
}

pub(crate) fn add_under(item: &str, parent: &str) -> Edit {
    let new = NewItem { parent: Some(name(parent)), ..new_item(item) };
    Edit::AddItem { item: name(item), new }
}

pub(crate) fn change(item: &str, change: ItemChange) -> Edit {
    Edit::UpdateItem { item: name(item), change, rests_on: None }
}

pub(crate) fn titled(item: &str, title: &str) -> Edit {
    change(item, ItemChange { title: Some(title.to_owned()), ..ItemChange::default() })
}

pub(crate) fn described(item: &str, text: &str) -> Edit {
    change(item, ItemChange { description: Some(text.to_owned()), ..ItemChange::default() })
}

pub(crate) fn waits_for(item: &str, dependency: &str) -> Edit {
    let add_dependencies = vec![name(dependency)];
    change(item, ItemChange { add_dependencies, ..ItemChange::default() })
}

pub(crate) fn moved(item: &str, parent: Option<&str>) -> Edit {
    let parent = parent.map(name);
    Edit::MoveItem { item: name(item), parent, position: Position::Last }
}

pub(crate) fn deleted(item: &str) -> Edit {
    Edit::DeleteItem { item: name(item) }
}

pub(crate) fn create() -> Edit {
    Edit::CreatePlan(PlanChange { name: Some("A plan".to_owned()), ..PlanChange::default() })
}

/// Peers that all know the same plan.
pub(crate) fn peers(names: &[&str], edits: Vec<Edit>) -> Vec<Peer> {
    let mut peers: Vec<Peer> = names.iter().map(|name| Peer::new(name, Kind::Plan)).collect();
    peers[0].edit(create());
    for edit in edits {
        peers[0].edit(edit);
    }
    let first = peers[0].clone();
    peers[1..].iter_mut().for_each(|peer| peer.pull(&first));
    peers
}

/// One takes what another one has.
fn pull(peers: &mut [Peer], to: usize, from: usize) {
    let delta = peers[from].replica.missing(&peers[to].replica.document().vector());
    peers[to].take(delta);
}

/// Everybody takes everything from everybody, until nobody lacks anything.
pub(crate) fn join(peers: &mut [Peer]) {
    loop {
        let before: Vec<_> = peers.iter().map(|peer| peer.replica.document().vector()).collect();
        for to in 0..peers.len() {
            for from in 0..peers.len() {
                pull(peers, to, from);
            }
        }
        if peers.iter().map(|peer| peer.replica.document().vector()).eq(before) {
            return;
        }
    }
}

/// Fails unless all documents are the same in every way that can be seen.
pub(crate) fn assert_converged(peers: &[Peer], seed: u64) {
    let first = peers[0].replica.document();
    let bytes = first.encode();
    let conflicts = first.conflicts(1_000);
    for peer in peers {
        let document = peer.replica.document();
        assert_eq!(document.vector(), first.vector(), "seed {seed}: versions");
        assert!(document.encode() == bytes, "seed {seed}: {} has other bytes", peer.agent);
        assert_eq!(document.hash(), first.hash(), "seed {seed}: hashes");
        assert_eq!(peer.replica.waiting(), 0, "seed {seed}: {} waits", peer.agent);
    }
    // The sums that are kept up to date are the same as those made anew.
    let again = troupe_crdt::Document::decode(&bytes).unwrap();
    assert!(again == *first, "seed {seed}: a snapshot is another document");
    assert_eq!(again.conflicts(1_000), conflicts, "seed {seed}");
    if let Some(plan) = first.plan() {
        assert_is_tree(&plan, seed);
    }
}

/// Every item shows once, after its parent.
pub(crate) fn assert_is_tree(plan: &Plan, seed: u64) {
    let mut shown = BTreeSet::new();
    for item in &plan.items {
        if let Some(parent) = &item.parent_id {
            assert!(shown.contains(parent), "seed {seed}: {} shows before its parent", item.id);
        }
        assert!(shown.insert(item.id.clone()), "seed {seed}: {} shows twice", item.id);
    }
}

/// What an agent might do to the plan that it sees.
pub(crate) fn random_edit(
    plan: &Plan,
    random: &mut ChaCha8Rng,
    mut fresh: impl FnMut() -> Name,
) -> Edit {
    let ids: Vec<Name> = plan.items.iter().map(|item| item.id.clone()).collect();
    let one = |random: &mut ChaCha8Rng| ids[random.random_range(0..ids.len())].clone();
    let some = |random: &mut ChaCha8Rng| random.random_bool(0.5).then(|| one(random));
    if ids.is_empty() || random.random_bool(0.2) {
        let parent = if ids.is_empty() { None } else { some(random) };
        let new = NewItem { parent, ..new_item(&format!("work {}", random.random_range(0..9))) };
        return Edit::AddItem { item: fresh(), new };
    }
    let item = one(random);
    let number = random.random_range(0..1_000_u32);
    let text = format!("text {number}");
    let changed =
        |change: ItemChange| Edit::UpdateItem { item: item.clone(), change, rests_on: None };
    match random.random_range(0..17) {
        0 => changed(ItemChange { title: Some(text), ..ItemChange::default() }),
        1 => changed(ItemChange { description: Some(text), ..ItemChange::default() }),
        2 => changed(ItemChange { progress: Some((number % 101) as u8), ..ItemChange::default() }),
        3 => changed(ItemChange {
            add_tags: vec![format!("t{}", number % 5)],
            ..ItemChange::default()
        }),
        4 => changed(ItemChange {
            remove_tags: vec![format!("t{}", number % 5)],
            ..ItemChange::default()
        }),
        5 => changed(ItemChange { add_minutes: Some(number.into()), ..ItemChange::default() }),
        6 => changed(ItemChange { add_dependencies: vec![one(random)], ..ItemChange::default() }),
        7 => {
            changed(ItemChange { remove_dependencies: vec![one(random)], ..ItemChange::default() })
        }
        8 => Edit::DeleteItem { item },
        9 | 10 => Edit::MoveItem { item, parent: some(random), position: Position::First },
        11 => Edit::AssignItem { item, to: random.random_bool(0.8).then(|| name("somebody")) },
        12 => {
            let status = PlanItemStatus::ALL[random.random_range(0..6)];
            Edit::UpdateStatus { item, status, progress: None, reason: None }
        }
        13 => Edit::AddNote { item, text },
        14 => Edit::RestsOn { item, version: None },
        15 => {
            let parent = plan.items.iter().find(|i| i.id == item).and_then(|i| i.parent_id.clone());
            Edit::ReorderItems { parent, items: vec![item] }
        }
        _ => Edit::BulkUpdate {
            changes: vec![(
                item,
                ItemChange {
                    estimated_minutes: Some(Some(number.into())),
                    ..ItemChange::default()
                },
            )],
        },
    }
}

/// A message that is on its way.
struct Sent {
    to: usize,
    batch: Arc<SignedBatch>,
}

/// How rough a run is.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Roughness {
    pub(crate) replicas: usize,
    pub(crate) steps: usize,
    pub(crate) drop: f64,
    pub(crate) duplicate: f64,
    pub(crate) offline: f64,
}

/// A run of a cluster: agents edit, messages are dropped, doubled and reordered, some agents are cut
/// off; in the end everybody is joined by what each lacks.
pub(crate) fn run(seed: u64, rough: Roughness) -> Vec<Peer> {
    let mut random = ChaCha8Rng::seed_from_u64(seed);
    let names: Vec<String> = (0..rough.replicas).map(|n| format!("agent-{n:02}")).collect();
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    let mut peers = peers(&names, vec![add("i1", "One"), add("i2", "Two"), add_under("i3", "i1")]);
    let (mut sent, mut made) = (Vec::<Sent>::new(), 10_u32);
    let mut offline = BTreeSet::new();
    for _ in 0..rough.steps {
        let who = random.random_range(0..peers.len());
        if random.random_bool(rough.offline) && !offline.insert(who) {
            offline.remove(&who);
            pull(&mut peers, who, random.random_range(0..names.len()));
        }
        let plan = peers[who].plan();
        let edit = random_edit(&plan, &mut random, || {
            made += 1;
            name(&format!("n{made}"))
        });
        // Some edits make no sense where the agent stands: they are refused there, and nobody hears.
        if let Ok(batch) = peers[who].try_edit(&[edit]) {
            for to in (0..peers.len()).filter(|to| *to != who) {
                for _ in 0..=u8::from(random.random_bool(rough.duplicate)) {
                    if !random.random_bool(rough.drop) && !offline.contains(&who) {
                        sent.push(Sent { to, batch: batch.clone() });
                    }
                }
            }
        }
        let arriving = random.random_range(0..=2 * rough.replicas).min(sent.len());
        for _ in 0..arriving {
            let at = (random.next_u64() % sent.len() as u64) as usize;
            let Sent { to, batch } = sent.swap_remove(at);
            if !offline.contains(&to) {
                peers[to].hear(&batch).unwrap();
            }
        }
    }
    // Gossip: everybody asks a few others for what they lack, until all have all.
    let mut rounds = 0;
    let all = everything(&peers);
    while peers.iter().any(|peer| !peer.replica.document().covers(&all)) {
        for to in 0..peers.len() {
            let from = random.random_range(0..peers.len());
            pull(&mut peers, to, from);
        }
        rounds += 1;
        assert!(rounds < 200, "seed {seed}: no end of gossip");
    }
    peers
}

fn everything(peers: &[Peer]) -> troupe_domain::VectorClock {
    peers.iter().fold(troupe_domain::VectorClock::default(), |all, peer| {
        all.merge(&peer.replica.document().vector()).unwrap()
    })
}
