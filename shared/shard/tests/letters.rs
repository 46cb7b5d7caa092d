//! Letters over the model of JetStream: what is lost with its owner is told to nobody.

mod counters;

use std::sync::Arc;
use std::time::Duration;

use counters::{Counters, Request, Settings};
use parking_lot::Mutex;
use tokio::time::sleep;
use troupe_bus::model::{Chance, Faults, Link, ModelStream, ModelWorld};
use troupe_domain::{Code, Name};
use troupe_shard::{Shard, ShardPorts, letters, recovery};

/// Longer than all attempts of an owner to reach its log.
const LONG: Duration = Duration::from_mins(2);

async fn open(log: &ModelStream, owner: &str, link: &Link) -> Arc<Shard<Counters>> {
    let chance = Chance::new(7);
    let ports = ShardPorts {
        log: Arc::new(log.reached_by(link)),
        events: Arc::new(ModelStream::new(chance.fork(), Faults::NONE)),
        world: Arc::new(ModelWorld::new(chance)),
        on_ready: Arc::new(|_| ()),
    };
    let settings = Settings { shard: 0, shards: 2 };
    recovery::open(settings, owner, ports).await.unwrap().0
}

/// Delivers the letters of a shard into a list.
fn deliver(shard: &Arc<Shard<Counters>>) -> Arc<Mutex<Vec<i64>>> {
    let told = Arc::new(Mutex::new(Vec::new()));
    let (list, sender) = (told.clone(), shard.clone());
    tokio::spawn(letters::run(sender, move |_, request, _| {
        if let Request::Add { by, .. } = request {
            list.lock().push(by);
        }
        async { Ok(0) }
    }));
    told
}

#[tokio::test(start_paused = true)]
async fn a_letter_is_sent_only_when_what_it_tells_is_stored() {
    let log = ModelStream::new(Chance::new(1), Faults::NONE);
    let (name, link) = (Name::parse("a").unwrap(), Link::default());
    let tell = |by| Request::Add {
        name: name.clone(),
        by,
        tell: Some(Name::parse("b").unwrap()),
        heard: None,
    };
    let former = open(&log, "former", &link).await;
    let told = deliver(&former);
    former.call(tell(1)).await.unwrap();
    sleep(LONG).await;
    assert_eq!(*told.lock(), [1]);
    // From here on the former owner cannot store anything, and another one takes over.
    link.cut(LONG * 100);
    let lost = former.call(tell(2)).await.unwrap_err();
    assert_eq!(lost.code, Code::DeadlineExceeded);
    let owner = open(&log, "owner", &Link::default()).await;
    let told_next = deliver(&owner);
    owner.call(tell(3)).await.unwrap();
    sleep(LONG).await;
    assert_eq!(*told.lock(), [1], "what is lost was told");
    assert_eq!(*told_next.lock(), [3], "the first was delivered, the second never was");
}
