//! Replicas of plans that agents hold: online, offline, with the service and without it, over a real
//! server.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use sha2::{Digest as _, Sha256};
use tempfile::TempDir;
use troupe_bus::{Bus, Settings};
use troupe_client::{LinkSettings, PlanReplica, SyncStatus, Troupe};
use troupe_contract::plan::{Sync, SyncRequest};
use troupe_contract::subject;
use troupe_crdt::{Edit, ItemChange, Kind, NewItem, PlanChange, SignedBatch};
use troupe_domain::{Code, Name};
use troupe_plan_sync::{Config, Replica as Service};
use troupe_testkit::{NatsServer, eventually};

const PATIENCE: Duration = Duration::from_secs(60);

fn name(text: &str) -> Name {
    Name::parse(text).unwrap()
}

fn scaled(scaled: usize, full: usize) -> usize {
    if std::env::var_os("TROUPE_FULL").is_some_and(|value| value == "1") { full } else { scaled }
}

/// Fast enough for a test, so that what is waited for is the exchange and not the clock.
fn settings() -> LinkSettings {
    LinkSettings {
        sync_interval: Duration::from_millis(500),
        gossip_interval: Duration::from_millis(100),
        quiet_interval: Duration::from_millis(500),
    }
}

struct Stage {
    config: Config,
    service: Option<Service>,
    folder: TempDir,
    nats: NatsServer,
}

impl Stage {
    async fn start() -> Self {
        let nats = NatsServer::start().await.unwrap();
        let config = Config::default();
        Self { config, service: None, folder: TempDir::new().unwrap(), nats }
    }

    async fn with_service() -> Self {
        let mut stage = Self::start().await;
        stage.start_service().await;
        stage
    }

    async fn start_service(&mut self) {
        let bus = self.bus("troupe-plan-sync").await;
        let service = Service::start(&bus, &self.config, None).await.unwrap();
        service.ready().await;
        self.service = Some(service);
    }

    async fn bus(&self, agent: &str) -> Bus {
        let settings = Settings { url: self.nats.url(), ..Settings::default() };
        Bus::connect(&settings, name(agent)).await.unwrap()
    }

    async fn troupe(&self, agent: &str) -> Troupe {
        Troupe::over(self.bus(agent).await)
    }

    fn replica(&self, agent: &str) -> PlanReplica {
        open(&self.folder.path().join(agent), agent).unwrap()
    }
}

fn open(folder: &Path, agent: &str) -> Result<PlanReplica, troupe_domain::Fault> {
    PlanReplica::open(folder, &name(agent), &name("plan"), Kind::Plan)
}

fn create() -> Edit {
    Edit::CreatePlan(PlanChange { name: Some("A plan".to_owned()), ..PlanChange::default() })
}

fn add(item: &str) -> Edit {
    let new = NewItem { title: format!("Do {item}"), ..NewItem::default() };
    Edit::AddItem { item: name(item), new }
}

fn titled(item: &str, title: &str) -> Edit {
    let change = ItemChange { title: Some(title.to_owned()), ..ItemChange::default() };
    Edit::UpdateItem { item: name(item), change, rests_on: None }
}

async fn converged(replicas: &[&PlanReplica]) {
    eventually("all replicas are the same", PATIENCE, || async {
        let first = replicas[0].read(|replica| replica.document().encode());
        let same = |replica: &&PlanReplica| replica.read(|r| r.document().encode()) == first;
        replicas.iter().all(same).then_some(())
    })
    .await;
    for replica in replicas {
        assert_eq!(replica.hash(), replicas[0].hash());
    }
}

async fn synced(replica: &PlanReplica) {
    eventually("the service has everything", PATIENCE, || async {
        matches!(replica.status(), SyncStatus::Synced | SyncStatus::Conflict).then_some(())
    })
    .await;
}

/// Three agents edit offline, each a thousand times, and are joined.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn three_agents_offline_with_a_thousand_edits_each_are_joined() {
    let stage = Stage::with_service().await;
    let edits = scaled(1_000, 1_000);
    let names = ["ann", "bob", "cam"];
    let replicas = names.map(|agent| stage.replica(agent));
    replicas[0].edit(&[create(), add("shared")]).unwrap();
    // They know the plan, and go offline.
    for (agent, replica) in names.iter().zip(&replicas) {
        replica.sync(&stage.troupe(agent).await).await.unwrap();
    }
    for (agent, replica) in names.iter().zip(&replicas) {
        for n in 0..edits {
            let item = format!("{agent}-{}", n / 2);
            let edit = match n % 2 {
                0 => add(&item),
                _ => titled(if n % 10 == 1 { "shared" } else { &item }, &format!("{agent} {n}")),
            };
            replica.edit(&[edit]).unwrap();
        }
        assert_eq!(replica.status(), SyncStatus::Pending);
    }
    let mut links = Vec::new();
    for (agent, replica) in names.iter().zip(&replicas) {
        links.push(replica.link(&stage.troupe(agent).await, settings()).await.unwrap());
    }
    converged(&replicas.each_ref()).await;
    for replica in &replicas {
        synced(replica).await;
        assert_eq!(replica.plan().unwrap().items.len(), 1 + 3 * edits / 2);
        // All three wrote the title of one item.
        assert_eq!(replica.conflicts().len(), 1);
        assert_eq!(replica.conflicts()[0].losers.len(), 2);
    }
    let vector = replicas[0].vector();
    assert!(names.iter().all(|agent| vector.get(&name(agent)) >= edits as u64));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn peers_converge_while_the_service_is_down_and_bring_it_all_when_it_is_back() {
    let mut stage = Stage::start().await;
    let names = ["ann", "bob", "cam"];
    let replicas = names.map(|agent| stage.replica(agent));
    replicas[0].edit(&[create(), add("a")]).unwrap();
    let mut links = Vec::new();
    for (agent, replica) in names.iter().zip(&replicas) {
        links.push(replica.link(&stage.troupe(agent).await, settings()).await.unwrap());
    }
    converged(&replicas.each_ref()).await;
    assert!(replicas[2].plan().is_some(), "heard from a peer");
    for n in 0..50 {
        for (agent, replica) in names.iter().zip(&replicas) {
            replica.edit(&[add(&format!("{agent}-{n}"))]).unwrap();
        }
    }
    converged(&replicas.each_ref()).await;
    assert_eq!(replicas[0].plan().unwrap().items.len(), 151);
    assert_eq!(replicas[0].status(), SyncStatus::Pending);

    // One that comes late, with something of its own, gets it from peers only.
    let late = stage.replica("late");
    links.push(late.link(&stage.troupe("late").await, settings()).await.unwrap());
    late.until(|replica| replica.document().entities() == 151).await;
    late.edit(&[titled("a", "Late")]).unwrap();
    let all = [&replicas[0], &replicas[1], &replicas[2], &late];
    converged(&all).await;

    stage.start_service().await;
    for replica in all {
        synced(replica).await;
    }
    // What the service has is what a newcomer gets.
    let new = stage.replica("new");
    new.sync(&stage.troupe("new").await).await.unwrap();
    assert_eq!(new.hash(), late.hash());
    converged(&[&new, &late]).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn edits_are_seen_by_others_at_once_and_survive_a_restart_of_the_service() {
    let mut stage = Stage::with_service().await;
    let (ann, bob) = (stage.replica("ann"), stage.replica("bob"));
    // No exchange by the clock: what is seen was told.
    let slow = || LinkSettings {
        sync_interval: Duration::from_secs(600),
        gossip_interval: Duration::from_millis(100),
        quiet_interval: Duration::from_secs(600),
    };
    let _links = [
        ann.link(&stage.troupe("ann").await, slow()).await.unwrap(),
        bob.link(&stage.troupe("bob").await, slow()).await.unwrap(),
    ];
    ann.edit(&[create(), add("a")]).unwrap();
    bob.until(|replica| replica.document().entities() == 1).await;
    synced(&ann).await;
    stage.service.take().unwrap().drain().await;
    ann.edit(&[add("b")]).unwrap();
    bob.edit(&[add("c")]).unwrap();
    converged(&[&ann, &bob]).await;
    assert_eq!(ann.plan().unwrap().items.len(), 3);
    stage.start_service().await;
    synced(&ann).await;
    synced(&bob).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_replica_goes_on_where_it_was() {
    let stage = Stage::with_service().await;
    let folder = stage.folder.path().join("ann");
    let ann = stage.replica("ann");
    ann.edit(&[create(), add("a")]).unwrap();
    ann.edit(&[add("b")]).unwrap();
    let (hash, vector) = (ann.hash(), ann.vector());
    let busy = open(&folder, "ann").unwrap_err();
    assert_eq!(busy.code, Code::FailedPrecondition, "{busy}");
    drop(ann);
    let again = open(&folder, "ann").unwrap();
    assert_eq!((again.hash(), again.vector()), (hash, vector));
    again.edit(&[add("c")]).unwrap();
    again.sync(&stage.troupe("ann").await).await.unwrap();
    assert_eq!(again.status(), SyncStatus::Synced);
    drop(again);

    // A record that was not written to its end is cut off; damage before the end is refused.
    let file = folder.join("plan.plan");
    let whole = std::fs::read(&file).unwrap();
    std::fs::write(&file, &whole[..whole.len() - 5]).unwrap();
    let torn = open(&folder, "ann").unwrap();
    assert_eq!(torn.vector().get(&name("ann")), 2);
    // The service has it: after an exchange nothing is lost, and the chain goes on.
    torn.sync(&stage.troupe("ann").await).await.unwrap();
    assert_eq!(torn.vector().get(&name("ann")), 3);
    torn.edit(&[titled("c", "Still one chain")]).unwrap();
    torn.sync(&stage.troupe("ann").await).await.unwrap();
    drop(torn);
    let mut damaged = std::fs::read(&file).unwrap();
    let middle = damaged.len() / 2;
    damaged[middle] ^= 1;
    std::fs::write(&file, &damaged).unwrap();
    assert_eq!(open(&folder, "ann").unwrap_err().code, Code::Internal);
}

/// A copied folder tells a second story: the service refuses it, and a peer that hears both has a proof.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_copied_folder_is_a_fork() {
    let stage = Stage::with_service().await;
    let ann = stage.replica("ann");
    ann.edit(&[create(), add("a")]).unwrap();
    drop(ann);
    let copy = stage.folder.path().join("copy");
    std::fs::create_dir(&copy).unwrap();
    for entry in std::fs::read_dir(stage.folder.path().join("ann")).unwrap() {
        let entry = entry.unwrap();
        std::fs::copy(entry.path(), copy.join(entry.file_name())).unwrap();
    }
    let (here, there) = (stage.replica("ann"), open(&copy, "ann").unwrap());
    let one = here.edit(&[titled("a", "One story")]).unwrap();
    let other = there.edit(&[titled("a", "Another story")]).unwrap();
    let troupe = stage.troupe("ann").await;
    here.sync(&troupe).await.unwrap();
    let fault = there.sync(&troupe).await.unwrap_err();
    assert_eq!(fault.code, Code::Conflict, "{fault}");
    assert_eq!((there.status(), there.last_fault()), (SyncStatus::Error, Some(fault)));

    let bob = stage.replica("bob");
    bob.sync(&stage.troupe("bob").await).await.unwrap();
    bob.receive(one.bytes()).unwrap();
    let fault = bob.receive(other.bytes()).unwrap_err();
    assert_eq!(fault.code, Code::Conflict);
    assert_eq!(bob.forks()[0].agent(), &name("ann"));
    assert_eq!(bob.hash(), here.hash());
}

/// The state on the disk is another one than the batches make: found, and repaired by snapshot.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_replica_that_diverged_is_repaired() {
    let stage = Stage::with_service().await;
    let (ann, bob) = (stage.replica("ann"), stage.replica("bob"));
    ann.edit(&[create(), add("a"), titled("a", "Original")]).unwrap();
    let (ann_troupe, bob_troupe) = (stage.troupe("ann").await, stage.troupe("bob").await);
    ann.sync(&ann_troupe).await.unwrap();
    bob.sync(&bob_troupe).await.unwrap();
    let mut snapshot = bob.read(|replica| replica.document().encode());
    drop(bob);
    let at = snapshot.windows(8).position(|bytes| bytes == b"Original").unwrap();
    snapshot[at] = b'X';
    let content = snapshot.len() - 32;
    let checksum = Sha256::digest(&snapshot[..content]);
    snapshot[content..].copy_from_slice(&checksum);
    let mut record = vec![0];
    record.extend_from_slice(&(snapshot.len() as u32).to_le_bytes());
    record.extend_from_slice(&snapshot);
    let check = Sha256::digest(&record);
    record.extend_from_slice(&check[..8]);
    std::fs::write(stage.folder.path().join("bob").join("plan.plan"), record).unwrap();

    let bob = stage.replica("bob");
    assert_eq!(bob.vector(), ann.vector());
    assert_ne!(bob.hash(), ann.hash());
    // What it wrote on the wrong state stays.
    bob.sync(&bob_troupe).await.unwrap();
    assert_eq!(bob.hash(), ann.hash());
    bob.edit(&[add("b")]).unwrap();
    bob.sync(&bob_troupe).await.unwrap();
    ann.sync(&ann_troupe).await.unwrap();
    assert_eq!(bob.hash(), ann.hash());
}

/// Away for longer than the service keeps batches: the state comes as a snapshot, and what was written
/// meanwhile is kept.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_replica_behind_the_horizon_catches_up_with_what_it_wrote() {
    let mut stage = Stage::start().await;
    stage.config.archive.folder = Some(stage.folder.path().join("archive"));
    stage.config.archive.after_batches = 8;
    stage.start_service().await;
    let (ann, late) = (stage.replica("ann"), stage.replica("late"));
    let (ann_troupe, late_troupe) = (stage.troupe("ann").await, stage.troupe("late").await);
    ann.edit(&[create(), add("a"), add("gone")]).unwrap();
    ann.sync(&ann_troupe).await.unwrap();
    late.sync(&late_troupe).await.unwrap();
    let early = late.vector();
    late.edit(&[titled("a", "Written offline"), add("late")]).unwrap();
    ann.edit(&[Edit::DeleteItem { item: name("gone") }]).unwrap();
    let mut n = 0;
    eventually("the service is beyond that version", PATIENCE, || {
        n += 1;
        ann.edit(&[titled("a", &format!("Title {n}"))]).unwrap();
        let request =
            SyncRequest { object_id: name("plan"), vector: early.clone(), max_bytes: None };
        let (ann, troupe) = (ann.clone(), ann_troupe.clone());
        async move {
            ann.sync(&troupe).await.unwrap();
            troupe.call::<Sync>(&request).await.unwrap().snapshot_needed.then_some(())
        }
    })
    .await;
    late.sync(&late_troupe).await.unwrap();
    assert_ne!(late.read(|replica| replica.history().horizon().clone()), early, "by snapshot");
    ann.sync(&ann_troupe).await.unwrap();
    assert_eq!(late.hash(), ann.hash());
    let items: Vec<_> = ann.plan().unwrap().items.into_iter().map(|item| item.id).collect();
    assert_eq!(items, [name("a"), name("late")]);
    assert_eq!(ann.conflicts().len(), 1, "both wrote the title");
    // And from its folder.
    let hash = late.hash();
    drop(late);
    assert_eq!(stage.replica("late").hash(), hash);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_large_file_is_written_anew_once_the_service_has_it_all() {
    let stage = Stage::with_service().await;
    let ann = stage.replica("ann");
    ann.edit(&[create(), add("a")]).unwrap();
    for n in 0..300 {
        let description = Some(format!("{n} {}", "x".repeat(15_000)));
        let change = ItemChange { description, ..ItemChange::default() };
        ann.edit(&[Edit::UpdateItem { item: name("a"), change, rests_on: None }]).unwrap();
    }
    let file = stage.folder.path().join("ann").join("plan.plan");
    let bytes = || std::fs::metadata(&file).unwrap().len();
    assert!(bytes() > 4 * 1024 * 1024, "{}", bytes());
    ann.sync(&stage.troupe("ann").await).await.unwrap();
    assert!(bytes() < 100 * 1024, "{}", bytes());
    ann.edit(&[add("b")]).unwrap();
    let hash = ann.hash();
    drop(ann);
    let again = stage.replica("ann");
    assert_eq!(again.hash(), hash);
    again.sync(&stage.troupe("ann").await).await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn junk_of_peers_changes_nothing() {
    let stage = Stage::start().await;
    let (ann, bob) = (stage.replica("ann"), stage.replica("bob"));
    let _links = [
        ann.link(&stage.troupe("ann").await, settings()).await.unwrap(),
        bob.link(&stage.troupe("bob").await, settings()).await.unwrap(),
    ];
    ann.edit(&[create(), add("a")]).unwrap();
    bob.until(|replica| replica.document().entities() == 1).await;
    let hash = bob.hash();
    let eve = stage.bus("eve").await;
    let forged = {
        let folder = TempDir::new().unwrap();
        let eves = PlanReplica::open(folder.path(), &name("ann"), &name("plan"), Kind::Plan);
        let batch: Arc<SignedBatch> = eves.unwrap().edit(&[create()]).unwrap();
        batch.bytes().to_vec()
    };
    let wide: Vec<String> = (0..300).map(|n| format!(r#""n{n}":1"#)).collect();
    let junk = [
        b"\xff\xfe not json".to_vec(),
        b"{}".to_vec(),
        br#"{"batches":["AAAA","!"]}"#.to_vec(),
        br#"{"digest":{"vector":{"ann":99999999999999999999},"state_hash":"x"}}"#.to_vec(),
        br#"{"digest":{"vector":{"ann":1},"state_hash":"not a hash"}}"#.to_vec(),
        format!(r#"{{"digest":{{"vector":{{{}}},"state_hash":""}}}}"#, wide.join(",")).into_bytes(),
        vec![b'['; 2 * 1024 * 1024],
    ];
    for body in junk {
        eve.tell(subject::object_peer(&name("plan"), &name("eve")), body.into()).await;
    }
    eve.tell(subject::object_batches(&name("plan")), forged.into()).await;
    eve.tell(subject::object_batches(&name("plan")), b"junk".to_vec().into()).await;
    eve.round_trip().await.unwrap();
    assert_eq!(bob.hash(), hash);
    // It still hears what is good.
    ann.edit(&[add("b")]).unwrap();
    bob.until(|replica| replica.document().entities() == 2).await;
    converged(&[&ann, &bob]).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_replica_is_linked_under_its_own_name_only() {
    let stage = Stage::start().await;
    let ann = stage.replica("ann");
    let fault = ann.link(&stage.troupe("bob").await, settings()).await.unwrap_err();
    assert_eq!(fault.code, Code::InvalidArgument);
    let away = ann.sync(&stage.troupe("ann").await).await.unwrap_err();
    assert!(away.code.is_transient(), "{away}");
}
