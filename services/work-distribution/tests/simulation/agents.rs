//! Agents: they claim, work, report, fall silent, die and start anew.

use std::sync::Arc;
use std::time::Duration;

use tokio::time::sleep;
use troupe_domain::task::rules::Profile;
use troupe_domain::{Json, Task, TaskId, TaskStatus};
use troupe_work_distribution::rules::commands::Claimer;
use troupe_work_distribution::shard::request::{Hold, Judgement};
use troupe_work_distribution::shard::{ShardReply, ShardRequest};

use super::client::{Client, name};
use super::cluster::Cluster;
use super::history::{Answer, Asked, Deed};

/// How often a command is sent again while its outcome is unknown.
const MAX_TRIES: usize = 4;
pub(crate) const ROLES: [&str; 2] = ["implementer", "tester"];

/// One agent.
pub(crate) struct Agent {
    client: Client,
    profile: Arc<Profile>,
    claims: u64,
}

/// What is written into a result, so that a checker can tell whose it is.
pub(crate) fn tag(agent: &str, epoch: u64) -> Json {
    Json::of(&format!("{agent}/{epoch}")).unwrap_or_else(|why| panic!("{why}"))
}

impl Agent {
    pub(crate) fn new(cluster: &Arc<Cluster>, index: usize) -> Self {
        let client = Client::new(cluster, &format!("agent-{index}"));
        let role = name(ROLES[index % ROLES.len()]);
        Self { client, profile: Arc::new(Profile { role, capabilities: Vec::new() }), claims: 0 }
    }

    fn cluster(&self) -> &Arc<Cluster> {
        &self.client.cluster
    }

    fn chance(&self, per_mille: u32) -> bool {
        !self.cluster().is_kind() && self.client.chance.hits(per_mille)
    }

    /// Works for ever.
    pub(crate) async fn run(mut self) {
        self.cluster().registry.starts_anew(&self.client.name);
        loop {
            let most = if self.cluster().is_kind() { 2_000 } else { 600 };
            sleep(self.client.chance.millis(50, most)).await;
            if self.client.chance.hits(250) {
                self.verify_something().await;
            }
            if let Some(task) = self.claim().await {
                self.work(&task).await;
            }
        }
    }

    async fn claim(&mut self) -> Option<Arc<Task>> {
        self.claims += 1;
        let shard = self.client.chance.below(u64::from(self.cluster().plan.shards)) as u16;
        let claimer = Claimer {
            agent: self.client.name.clone(),
            claim_id: Some(format!("{}-{}", self.client.name, self.claims)),
        };
        let profile = self.profile.clone();
        let by_id =
            if self.client.chance.hits(200) { self.first_available(shard).await } else { None };
        let start = self.client.chance.hits(300);
        for _ in 0..MAX_TRIES {
            let (profile, claimer) = (profile.clone(), claimer.clone());
            let request = match &by_id {
                Some(task) => ShardRequest::Claim {
                    id: task.id.clone(),
                    profile,
                    claimer,
                    expected_epoch: Some(task.epoch),
                },
                None => ShardRequest::ClaimBest { profile, claimer, start },
            };
            let asked = Asked::Claim { agent: self.client.name.clone() };
            match self.client.ask(shard, asked, request).await {
                (Answer::Unknown, _) => {}
                (_, Some(ShardReply::Claimed(Some(claimed)))) => return Some(claimed.task),
                _ => return None,
            }
        }
        None
    }

    async fn first_available(&self, shard: u16) -> Option<Arc<Task>> {
        let request = ShardRequest::Available { profile: self.profile.clone(), limit: 3 };
        match self.client.ask(shard, Asked::See { id: None }, request).await.1 {
            Some(ShardReply::Waiting { tasks, .. }) => {
                self.client.chance.pick(&tasks).map(|(_, task)| task.clone())
            }
            _ => None,
        }
    }

    async fn work(&self, task: &Task) {
        let (id, epoch) = (&task.id, task.epoch);
        let registry = &self.cluster().registry;
        registry.works_on(&self.client.name, id);
        if self.chance(60) {
            // It dies and starts anew: what it held is held by nobody.
            registry.silent(&self.client.name, true);
            sleep(self.client.chance.millis(100, 8_000)).await;
            registry.starts_anew(&self.client.name);
            return;
        }
        if self.client.chance.hits(900) {
            self.carry_out(Deed::Start, id, epoch).await;
        }
        for _ in 0..self.client.chance.below(3) {
            sleep(self.client.chance.millis(10, 1_500)).await;
            self.carry_out(Deed::Extend, id, epoch).await;
        }
        if self.chance(150) {
            // It stands still, and goes on as if nothing had happened.
            registry.silent(&self.client.name, true);
            sleep(self.client.chance.millis(500, 15_000)).await;
            registry.silent(&self.client.name, false);
        }
        let deed = match self.client.chance.below(20) {
            0..=13 => Some(Deed::Complete),
            14..=16 => Some(Deed::Fail),
            17 | 18 => Some(Deed::Release),
            _ => None,
        };
        if let Some(deed) = deed {
            self.carry_out(deed, id, epoch).await;
        }
        if self.chance(50) {
            // An answer that nobody waits for any more: the command is sent once more, later.
            sleep(self.client.chance.millis(500, 5_000)).await;
            self.carry_out(Deed::Complete, id, epoch).await;
        }
        registry.drops(&self.client.name, id);
    }

    /// Sends a holder's command until its outcome is known, or a read shows that it does not matter.
    async fn carry_out(&self, deed: Deed, id: &TaskId, epoch: u64) {
        let retryable = self.client.chance.hits(850);
        for _ in 0..MAX_TRIES {
            let hold = Hold { id: id.clone(), by: self.client.name.clone(), epoch };
            let request = match deed {
                Deed::Start => ShardRequest::Start(hold),
                Deed::Extend => ShardRequest::Extend { hold, lease_ms: None, percent: Some(50.0) },
                Deed::Complete => ShardRequest::Complete {
                    hold,
                    result: Some(tag(self.client.name.as_str(), epoch)),
                    evidence: Vec::new(),
                },
                Deed::Fail => ShardRequest::Fail { hold, error: "it broke".to_owned(), retryable },
                Deed::Release => ShardRequest::Release { hold, reason: "not mine".to_owned() },
            };
            let asked =
                Asked::Hold { deed, id: id.clone(), agent: self.client.name.clone(), epoch };
            let shard = self.cluster().shard_of(id);
            if !matches!(self.client.ask(shard, asked, request).await.0, Answer::Unknown) {
                return;
            }
            let seen = self.client.see(id).await;
            if seen.is_some_and(|task| task.epoch != epoch || !task.status.is_held()) {
                return;
            }
        }
    }

    async fn verify_something(&self) {
        let shard = self.client.chance.below(u64::from(self.cluster().plan.shards)) as u16;
        let filter = troupe_contract::work::TaskFilter {
            statuses: vec![TaskStatus::Reported],
            ..Default::default()
        };
        let request = ShardRequest::List { filter };
        let (_, reply) = self.client.ask(shard, Asked::See { id: None }, request).await;
        let Some(ShardReply::Page { tasks, .. }) = reply else { return };
        let Some(task) = self.client.chance.pick(&tasks) else { return };
        let accept = self.client.chance.hits(700);
        let judgement = Judgement {
            by: self.client.name.clone(),
            epoch: task.epoch,
            accept,
            reason: "looked at it".to_owned(),
            evidence: Vec::new(),
        };
        let asked = Asked::Verify {
            id: task.id.clone(),
            epoch: task.epoch,
            by: self.client.name.clone(),
            accept,
        };
        let request = ShardRequest::Verify { id: task.id.clone(), judgement, profile: None };
        self.client.ask(shard, asked, request).await;
        sleep(Duration::from_millis(1)).await;
    }
}
