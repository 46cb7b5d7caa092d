//! The tasks of one service: spawned by name, under that service's name.

use std::{any::Any, panic::AssertUnwindSafe, sync::Arc};

use futures::FutureExt;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::{Backoff, Failure, Stage, Supervisor};
use crate::telemetry::in_service;

/// Spawns a service's tasks; cheap to clone. A task gets its `stop` token and ends soon after it
/// is cancelled.
#[derive(Clone, Debug)]
pub struct Scope {
    supervisor: Supervisor,
    service: Arc<str>,
}

impl Scope {
    pub(super) fn new(supervisor: Supervisor, service: &str) -> Self {
        Self { supervisor, service: service.into() }
    }

    /// The service's name.
    pub fn service(&self) -> &str {
        &self.service
    }

    /// Cancelled when the service is to stop taking requests.
    pub fn shutdown(&self) -> CancellationToken {
        self.supervisor.0.stop_services.clone()
    }

    /// Runs a service itself: critical, and the first stage to end.
    pub(crate) fn spawn_service<F>(&self, body: F)
    where
        F: Future<Output = anyhow::Result<()>> + Send + 'static,
    {
        self.critical(Stage::Service, "service", body);
    }

    /// A task without which the service is of no use: its end stops the process with an error.
    pub fn spawn_critical<F>(&self, name: &str, task: impl FnOnce(CancellationToken) -> F)
    where
        F: Future<Output = anyhow::Result<()>> + Send + 'static,
    {
        self.critical(Stage::Task, name, task(self.supervisor.0.stop_tasks.clone()));
    }

    /// A task that runs once; its failure is logged.
    pub fn spawn_once<F>(&self, name: &str, task: impl FnOnce(CancellationToken) -> F)
    where
        F: Future<Output = anyhow::Result<()>> + Send + 'static,
    {
        let future = task(self.supervisor.0.stop_tasks.clone());
        let task = name.to_owned();
        self.launch(Stage::Task, name, async move {
            if let Err(reason) = guarded(future).await {
                tracing::error!(task, reason, "a task has failed");
            }
        });
    }

    /// A task that is started again when it fails, after a wait; `Ok` ends it for good.
    pub fn spawn_restarting<F>(
        &self,
        name: &str,
        backoff: Backoff,
        mut task: impl FnMut(CancellationToken) -> F + Send + 'static,
    ) where
        F: Future<Output = anyhow::Result<()>> + Send + 'static,
    {
        let stop = self.supervisor.0.stop_tasks.clone();
        let named = name.to_owned();
        self.launch(Stage::Task, name, async move {
            let mut failures = 0_u32;
            loop {
                let began = Instant::now();
                // Making the future may panic as well as running it.
                let run = async { task(stop.clone()).await };
                let Err(reason) = guarded(run).await else {
                    return;
                };
                let good_run = began.elapsed() > backoff.longest;
                failures = if good_run { 1 } else { failures.saturating_add(1) };
                let wait = backoff.wait(failures);
                tracing::warn!(task = named, reason, failures, ?wait, "a task starts again");
                tokio::select! {
                    () = stop.cancelled() => return,
                    () = tokio::time::sleep(wait) => {}
                }
            }
        });
    }

    fn critical<F>(&self, stage: Stage, name: &str, future: F)
    where
        F: Future<Output = anyhow::Result<()>> + Send + 'static,
    {
        let supervisor = self.supervisor.clone();
        let (service, task) = (self.service.to_string(), name.to_owned());
        self.launch(stage, name, async move {
            let reason = match guarded(future).await {
                Ok(()) if supervisor.is_draining() => return,
                Ok(()) => "it returned although nobody asked it to".to_owned(),
                Err(reason) => reason,
            };
            supervisor.fail(Failure { service, task, reason });
        });
    }

    fn launch(&self, stage: Stage, name: &str, future: impl Future<Output = ()> + Send + 'static) {
        let future = in_service(self.service.clone(), future);
        self.supervisor.launch(stage, format!("{}/{name}", self.service), future);
    }
}

/// Runs `future`; an error or a panic becomes its reason.
async fn guarded<F>(future: F) -> Result<(), String>
where
    F: Future<Output = anyhow::Result<()>>,
{
    match AssertUnwindSafe(future).catch_unwind().await {
        Ok(result) => result.map_err(|why| format!("{why:#}")),
        Err(panic) => Err(format!("it panicked: {}", message(&*panic))),
    }
}

fn message(panic: &(dyn Any + Send)) -> &str {
    let text = panic.downcast_ref::<&str>().copied();
    text.or_else(|| panic.downcast_ref::<String>().map(String::as_str)).unwrap_or("no message")
}
