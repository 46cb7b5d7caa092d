//! A process that runs services: one in production, several in development.
//!
//! Invariant: the order of a stop is fixed. Not ready; services stop taking requests; tasks end;
//! telemetry is flushed; the admin server goes last. All of it within `drain_timeout_ms`, and a
//! second signal cuts it short.

use std::{net::SocketAddr, sync::Arc, time::Duration};

use parking_lot::RwLock;
use serde::{Serialize, de::DeserializeOwned};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use crate::{
    admin::{AdminServer, BindError, Sources, Version},
    config::Common,
    metrics::Metrics,
    readiness::{Check, Readiness},
    shutdown::Signals,
    tasks::{Scope, Stopped, Supervisor},
    telemetry::{Telemetry, TelemetryError},
};

/// What is left for the flush when the drain has used all of its time.
const FLUSH_LEAST: Duration = Duration::from_millis(500);

/// A service's configuration: its own keys beside a field `common: Common`.
pub trait ServiceConfig:
    Default + Serialize + DeserializeOwned + AsRef<Common> + Send + 'static
{
}

impl<T> ServiceConfig for T where
    T: Default + Serialize + DeserializeOwned + AsRef<Common> + Send + 'static
{
}

/// What a running service is given.
#[derive(Clone, Debug)]
pub struct ServiceContext {
    /// Its name, such as `troupe-registry`.
    pub service: Arc<str>,
    /// Its version.
    pub version: Arc<str>,
    /// What every service is told.
    pub config: Common,
    /// Cancelled when it is to stop taking requests, finish those it has, and return.
    pub shutdown: CancellationToken,
    /// For its tasks; they end after the service has returned.
    pub tasks: Scope,
    /// Its metrics, labelled with its name.
    pub metrics: Metrics,
    readiness: Readiness,
    ready: Check,
}

impl ServiceContext {
    /// A further readiness check, named `<service>/<name>`.
    pub fn check(&self, name: &str) -> Check {
        self.readiness.check(format!("{}/{name}", self.service))
    }

    /// The service takes requests now. Until this is called the process is not ready.
    pub fn serving(&self) {
        self.ready.pass();
    }
}

/// Why a process cannot start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// Logs, traces or metrics.
    #[error(transparent)]
    Telemetry(#[from] TelemetryError),
    /// The admin server.
    #[error(transparent)]
    Admin(#[from] BindError),
}

/// The process.
#[derive(Debug)]
pub struct Host {
    telemetry: Telemetry,
    supervisor: Supervisor,
    readiness: Readiness,
    versions: Arc<RwLock<Vec<Version>>>,
    admin: AdminServer,
    drain_timeout: Duration,
}

impl Host {
    /// Sets up telemetry and the admin server, as `common` says. `name` is the service's, where
    /// there is one.
    pub async fn start(name: &str, version: &str, common: &Common) -> Result<Self, StartError> {
        let telemetry = Telemetry::init(name, version, common)?;
        Self::with_telemetry(telemetry, common).await
    }

    /// Like [`Host::start`], where the log of the process is set up already.
    pub async fn with_telemetry(telemetry: Telemetry, common: &Common) -> Result<Self, StartError> {
        let supervisor = Supervisor::new();
        let readiness = Readiness::default();
        let versions = Arc::new(RwLock::new(Vec::new()));
        let sources = Sources {
            supervisor: supervisor.clone(),
            readiness: readiness.clone(),
            metrics: telemetry.metrics().clone(),
            versions: versions.clone(),
        };
        let admin = AdminServer::start(common.admin.listen, sources).await?;
        let drain_timeout = Duration::from_millis(common.drain_timeout_ms);
        Ok(Self { telemetry, supervisor, readiness, versions, admin, drain_timeout })
    }

    /// Where the admin server listens.
    pub fn admin_address(&self) -> SocketAddr {
        self.admin.address()
    }

    /// Everything that runs; [`Supervisor::stop`] stops the process as a signal does.
    pub fn supervisor(&self) -> &Supervisor {
        &self.supervisor
    }

    /// The readiness of the process.
    pub fn readiness(&self) -> &Readiness {
        &self.readiness
    }

    /// The metrics of the process.
    pub fn metrics(&self) -> &Metrics {
        self.telemetry.metrics()
    }

    /// Starts a service.
    pub fn add<T, R, F>(
        &self,
        service: &str,
        version: &str,
        config: T,
        run: R,
    ) -> Result<(), TelemetryError>
    where
        T: ServiceConfig,
        R: FnOnce(ServiceContext, T) -> F,
        F: Future<Output = anyhow::Result<()>> + Send + 'static,
    {
        self.telemetry.add_service(service, version)?;
        self.versions
            .write()
            .push(Version { service: service.to_owned(), version: version.to_owned() });
        let tasks = self.supervisor.scope(service);
        let context = ServiceContext {
            service: service.into(),
            version: version.into(),
            config: config.as_ref().clone(),
            shutdown: tasks.shutdown(),
            tasks: tasks.clone(),
            metrics: self.telemetry.metrics().for_service(service),
            readiness: self.readiness.clone(),
            ready: self.readiness.check(service),
        };
        tasks.spawn_service(run(context, config));
        Ok(())
    }

    /// Runs until a signal, [`Supervisor::stop`] or a critical failure, then stops in order.
    pub async fn run(self, mut signals: Signals) -> Result<(), Stopped> {
        tokio::select! {
            signal = signals.next() => tracing::info!(signal, "draining"),
            () = self.supervisor.stop_asked() => tracing::info!("draining"),
        }
        let supervisor = self.supervisor.clone();
        let metrics = self.metrics().clone();
        tokio::select! {
            result = self.stop() => result,
            signal = signals.next() => {
                // The last handle would wait for a collector when dropped; an abort waits for
                // nobody, and the process ends anyway.
                std::mem::forget(metrics);
                Err(Stopped::Aborted { signal, left: supervisor.abort() })
            }
        }
    }

    async fn stop(self) -> Result<(), Stopped> {
        let deadline = Instant::now() + self.drain_timeout;
        self.readiness.drain();
        let result = self.supervisor.drain(self.drain_timeout).await;
        tracing::info!(clean = result.is_ok(), "drained");
        let left = deadline.saturating_duration_since(Instant::now()).max(FLUSH_LEAST);
        if let Err(why) = self.telemetry.flush(left).await {
            // What was lost is news about the past; the drain itself is what the exit says.
            tracing::warn!(%why, "the flush failed");
        }
        self.admin.stop().await;
        result
    }
}
