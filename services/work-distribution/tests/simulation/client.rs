//! A client: asks, remembers what it asked and was told, and finds out what it was not told.

use std::sync::Arc;

use troupe_bus::model::Chance;
use troupe_bus::port::World;
use troupe_domain::{AgentId, Name, Task, TaskId, Timestamp};
use troupe_work_distribution::shard::{ShardReply, ShardRequest};

use super::cluster::Cluster;
use super::history::{Answer, Asked, Sight};

/// How an answer tells that the outcome is open.
fn is_unknown(code: troupe_domain::Code) -> bool {
    matches!(code, troupe_domain::Code::DeadlineExceeded)
}

pub(crate) fn name(text: &str) -> Name {
    Name::parse(text).unwrap_or_else(|why| panic!("{text}: {why}"))
}

/// One client.
#[derive(Clone)]
pub(crate) struct Client {
    pub(crate) cluster: Arc<Cluster>,
    pub(crate) name: AgentId,
    pub(crate) chance: Chance,
}

impl Client {
    pub(crate) fn new(cluster: &Arc<Cluster>, text: &str) -> Self {
        Self { cluster: cluster.clone(), name: name(text), chance: cluster.chance.fork() }
    }

    pub(crate) fn now(&self) -> Timestamp {
        self.cluster.world.now()
    }

    /// Asks a shard, and writes down what came of it. Gives the reply, where there is one.
    pub(crate) async fn ask(
        &self,
        shard: u16,
        asked: Asked,
        request: ShardRequest,
    ) -> (Answer, Option<ShardReply>) {
        let history = &self.cluster.history;
        let called = history.call();
        let (answer, reply) = match self.cluster.call(shard, request).await {
            None => (Answer::Unknown, None),
            Some(Err(fault)) if is_unknown(fault.code) => (Answer::Unknown, None),
            Some(Err(fault)) => (Answer::Refused(fault.code), None),
            Some(Ok(reply)) => (answer_of(&reply), Some(reply)),
        };
        history.answer(called, asked, answer.clone());
        (answer, reply)
    }

    /// Reads one task.
    pub(crate) async fn see(&self, id: &TaskId) -> Option<Arc<Task>> {
        let asked = Asked::See { id: Some(id.clone()) };
        let request = ShardRequest::Get { id: id.clone() };
        match self.ask(self.cluster.shard_of(id), asked, request).await.1 {
            Some(ShardReply::Task(task)) => Some(task),
            _ => None,
        }
    }
}

fn answer_of(reply: &ShardReply) -> Answer {
    let none = Vec::new;
    let (sights, ids) = match reply {
        ShardReply::Claimed(Some(claimed)) => (vec![Sight::of(&claimed.task)], none()),
        ShardReply::Task(task) => (vec![Sight::of(task)], none()),
        ShardReply::Page { tasks, .. } => (tasks.iter().map(|t| Sight::of(t)).collect(), none()),
        ShardReply::Receipt(r) => {
            let (id, status, epoch) = (r.task_id.clone(), r.status, r.epoch);
            (vec![Sight { id, status, epoch, holder: None }], none())
        }
        ShardReply::Ids(ids) => (Vec::new(), ids.clone()),
        _ => (Vec::new(), none()),
    };
    Answer::Done { sights, ids }
}
