//! A member of the fleet, from its registration to its goodbye.
//!
//! Invariant: one background loop speaks for the session; it lists exactly the tasks whose
//! [`HeldTask`] is alive, so that only the leases of work that is really going on are renewed.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use tokio::sync::{Notify, watch};
use tokio::task::JoinHandle;
use troupe_bus::CallOptions;
use troupe_bus::port::{System, World};
use troupe_contract::registry::{Deregister, DeregisterAgent, Register};
use troupe_contract::work::{Next, NextRequest, Release, ReleaseRequest};
use troupe_domain::limits::MAX_WAIT_MS;
use troupe_domain::{AgentId, Fault, Name, TaskId};

use crate::patience::Waits;
use crate::{Declaration, HeldTask, Patience, Troupe, heartbeat, insist};

/// How much longer than the poll itself its answer is awaited.
const POLL_MARGIN_MS: u64 = 2_000;
/// How long joining is tried while nobody answers.
const JOIN_PATIENCE_MS: u64 = 60_000;
/// How long the goodbye is tried.
const GOODBYE_PATIENCE_MS: u64 = 3_000;

/// Why a session ended without having been asked to.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
#[error("this agent's session is over: {why}")]
pub struct SessionEnd {
    /// What the registry said.
    pub why: String,
}

/// A member of the fleet. Heartbeats stop when it is dropped; [`leave`](Self::leave) says goodbye.
#[derive(Debug)]
pub struct AgentSession {
    pub(crate) shared: Arc<Shared>,
    heartbeats: JoinHandle<()>,
}

/// What the session, its heartbeats and its held tasks have in common.
#[derive(Debug)]
pub(crate) struct Shared {
    pub(crate) troupe: Troupe,
    pub(crate) declaration: Declaration,
    pub(crate) state: Mutex<State>,
    /// Something changed that the registry should hear of soon.
    pub(crate) news: Notify,
    pub(crate) ended: watch::Sender<Option<SessionEnd>>,
}

#[derive(Debug)]
pub(crate) struct State {
    pub(crate) session_id: Name,
    pub(crate) interval: Duration,
    /// The tasks at work, each with the epoch of its hold.
    pub(crate) running: BTreeMap<TaskId, u64>,
    pub(crate) leaving: bool,
}

impl AgentSession {
    pub(crate) async fn begin(troupe: Troupe, declaration: Declaration) -> Result<Self, Fault> {
        let request = declaration.request(troupe.name(), None);
        let patience = Patience::within(Duration::from_millis(JOIN_PATIENCE_MS));
        let registered = insist::<Register>(&troupe, &request, None, patience).await?;
        let shared = Arc::new(Shared {
            troupe,
            declaration,
            state: Mutex::new(State {
                session_id: registered.agent.session_id,
                interval: Duration::from_millis(registered.heartbeat_interval_ms.max(1)),
                running: BTreeMap::new(),
                leaving: false,
            }),
            news: Notify::new(),
            ended: watch::channel(None).0,
        });
        let heartbeats = tokio::spawn(heartbeat::send_forever(shared.clone()));
        Ok(Self { shared, heartbeats })
    }

    /// The agent's id.
    pub fn id(&self) -> &AgentId {
        self.shared.troupe.name()
    }

    /// The connection that it speaks over.
    pub fn troupe(&self) -> &Troupe {
        &self.shared.troupe
    }

    /// How often the registry asks for a heartbeat.
    pub fn heartbeat_interval(&self) -> Duration {
        self.shared.state.lock().interval
    }

    /// The tasks that the next heartbeat will list.
    pub fn running_task_ids(&self) -> Vec<TaskId> {
        self.shared.state.lock().running.keys().cloned().collect()
    }

    /// Completes when another process took over the name, or the registry refuses it.
    pub async fn ended(&self) -> SessionEnd {
        let mut ended = self.shared.ended.subscribe();
        match ended.wait_for(Option::is_some).await {
            Ok(end) => end.clone().unwrap_or(SessionEnd { why: String::new() }),
            // The sender lives in `self`.
            Err(_) => std::future::pending().await,
        }
    }

    /// Waits for the next task, at most for `wait`. Services that are away are waited for as well,
    /// for as long as it takes: drop the future to give up.
    ///
    /// A poll has one command id, however often it is sent: if the answer is lost, the same task
    /// comes again. When the future is dropped, a task may have been given to nobody; it comes back
    /// by its lease, because no heartbeat lists it. [`call_off`](Self::call_off) is quicker.
    pub async fn next(&self, wait: Duration) -> Result<Option<HeldTask>, Fault> {
        self.poll(&self.command_id(), wait).await
    }

    /// A new command id, for [`poll`](Self::poll).
    pub fn command_id(&self) -> String {
        System.ulid().to_string()
    }

    /// [`next`](Self::next) under a command id that the caller keeps.
    pub async fn poll(&self, command_id: &str, wait: Duration) -> Result<Option<HeldTask>, Fault> {
        self.poll_for(command_id, wait, false).await
    }

    /// [`poll`](Self::poll), and starts what it is given with the same request.
    pub async fn poll_and_start(
        &self,
        command_id: &str,
        wait: Duration,
    ) -> Result<Option<HeldTask>, Fault> {
        self.poll_for(command_id, wait, true).await
    }

    async fn poll_for(
        &self,
        command_id: &str,
        wait: Duration,
        start: bool,
    ) -> Result<Option<HeldTask>, Fault> {
        let wait_ms = u64::try_from(wait.as_millis()).unwrap_or(MAX_WAIT_MS).min(MAX_WAIT_MS);
        let options = CallOptions {
            timeout: Duration::from_millis(wait_ms + POLL_MARGIN_MS),
            command_id: Some(command_id.to_owned()),
            ..CallOptions::default()
        };
        let mut waits = Waits::new();
        loop {
            let request = NextRequest { wait_ms, start };
            let answer = self.shared.troupe.call_with::<Next>(&request, &options).await;
            match answer {
                Ok(reply) => {
                    let held = reply.task.map(|task| HeldTask::take(self.shared.clone(), task));
                    return Ok(held);
                }
                Err(fault) if fault.code.is_transient() => {
                    tracing::warn!(%fault, "polling for work again");
                }
                Err(fault) => return Err(fault),
            }
            tokio::time::sleep(waits.next()).await;
        }
    }

    /// Ends a poll whose future was dropped: a task that it was given is handed back at once.
    pub async fn call_off(&self, command_id: String) -> Result<(), Fault> {
        let goodbye = Patience::within(Duration::from_millis(GOODBYE_PATIENCE_MS));
        let troupe = &self.shared.troupe;
        let request = NextRequest::waiting(0);
        if let Some(claimed) =
            insist::<Next>(troupe, &request, Some(command_id), goodbye).await?.task
        {
            let request = ReleaseRequest {
                task_id: claimed.task.id.clone(),
                epoch: claimed.task.epoch,
                reason: "the agent is leaving".to_owned(),
            };
            insist::<Release>(troupe, &request, None, goodbye).await?;
        }
        Ok(())
    }

    /// Says in the next heartbeat, which goes out now, that this agent takes nothing new.
    pub fn announce_leaving(&self) {
        self.shared.state.lock().leaving = true;
        self.shared.news.notify_one();
    }

    /// Leaves the fleet. Tasks that are still held come back to the queue.
    pub async fn leave(self, reason: &str) -> Result<(), Fault> {
        self.heartbeats.abort();
        let request =
            DeregisterAgent { id: Some(self.id().clone()), reason: Some(reason.to_owned()) };
        let patience = Patience::within(Duration::from_millis(GOODBYE_PATIENCE_MS));
        insist::<Deregister>(&self.shared.troupe, &request, None, patience).await.map(|_| ())
    }
}

impl Drop for AgentSession {
    fn drop(&mut self) {
        self.heartbeats.abort();
    }
}
