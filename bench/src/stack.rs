//! The stack that is measured: a real nats-server, and the services in this process.
//!
//! Each service runs on a runtime of its own, whose threads carry its name, so that the kernel counts
//! its time apart from that of the agents, and so that it can vanish without the others.

use anyhow::{Context, Result};
use tokio::runtime::{Builder, Runtime};
use troupe_bus::{Bus, Settings};
use troupe_domain::Name;
use troupe_testkit::NatsServer;
use troupe_work_distribution::Config;

/// The name of the registry's threads.
const REGISTRY: &str = "registry";
/// The name of work distribution's threads.
const WORK: &str = "work";
/// The name of the agents' threads.
pub(crate) const AGENTS: &str = "agents";
/// The name under which the server's time is told.
pub(crate) const NATS: &str = "nats-server";

/// A runtime whose threads carry `name`.
pub(crate) fn runtime(name: &str) -> Result<Runtime> {
    Builder::new_multi_thread().thread_name(name).enable_all().build().context("a runtime")
}

/// A service, on its runtime.
#[derive(Debug)]
pub(crate) struct Running<S> {
    service: Option<S>,
    // Taken in the end: a runtime must not be waited for where others run.
    runtime: Option<Runtime>,
}

impl<S: Send + 'static> Running<S> {
    pub(crate) async fn start<F>(name: &str, starting: F) -> Result<Self>
    where
        F: Future<Output = Result<S>> + Send + 'static,
    {
        let runtime = runtime(name)?;
        let starting = runtime.spawn(starting);
        let mut running = Self { service: None, runtime: Some(runtime) };
        running.service = Some(starting.await.with_context(|| format!("{name} panicked"))??);
        Ok(running)
    }

    pub(crate) async fn drain<F>(mut self, drain: impl FnOnce(S) -> F) -> Result<()>
    where
        F: Future<Output = ()> + Send + 'static,
    {
        let (service, runtime) = (self.service.take(), self.runtime.as_ref());
        let (Some(service), Some(runtime)) = (service, runtime) else { return Ok(()) };
        runtime.spawn(drain(service)).await.context("a service panicked while it drained")
    }
}

impl<S> Drop for Running<S> {
    fn drop(&mut self) {
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_background();
        }
    }
}

/// The running stack.
#[derive(Debug)]
pub(crate) struct Stack {
    // In this order, so that the services end before their server.
    work: Option<Running<troupe_work_distribution::Replica>>,
    registry: Running<troupe_registry::Replica>,
    config: Config,
    pub(crate) nats: NatsServer,
}

impl Stack {
    /// Starts everything, and waits until it is ready.
    pub(crate) async fn start(sync_always: bool, config: Config) -> Result<Self> {
        let mut builder = NatsServer::builder();
        if sync_always {
            builder = builder.sync_always();
        }
        let nats = builder.start().await?;
        let registry = start_registry(nats.url()).await?;
        let mut stack = Self { work: None, registry, config, nats };
        stack.start_work().await?;
        Ok(stack)
    }

    /// Starts work distribution, and waits until it owns every shard.
    pub(crate) async fn start_work(&mut self) -> Result<()> {
        let (url, config) = (self.nats.url(), self.config.clone());
        let work = Running::start(WORK, async move {
            let bus = connect(&url, troupe_work_distribution::NAME).await?;
            let work = troupe_work_distribution::Replica::start(&bus, &config, None).await?;
            work.ready().await;
            Ok(work)
        });
        self.work = Some(work.await?);
        Ok(())
    }

    /// Ends work distribution in order.
    pub(crate) async fn stop_work(&mut self) -> Result<()> {
        let Some(work) = self.work.take() else { return Ok(()) };
        work.drain(troupe_work_distribution::Replica::drain).await
    }

    /// Lets work distribution vanish from one moment to the next, connection and all.
    pub(crate) fn lose_work(&mut self) {
        self.work = None;
    }

    /// Ends everything in order.
    pub(crate) async fn stop(mut self) -> Result<()> {
        self.stop_work().await?;
        self.registry.drain(troupe_registry::Replica::drain).await
    }

    /// Long polls that wait.
    pub(crate) fn waiting_polls(&self) -> usize {
        let service = self.work.as_ref().and_then(|work| work.service.as_ref());
        service.map_or(0, troupe_work_distribution::Replica::waiting_polls)
    }

    /// The processes beside this one, for the account of processor time.
    pub(crate) fn others(&self) -> [(&'static str, u32); 1] {
        [(NATS, self.nats.pid())]
    }
}

/// Starts the registry.
pub(crate) async fn start_registry(url: String) -> Result<Running<troupe_registry::Replica>> {
    let starting = async move {
        let bus = connect(&url, troupe_registry::NAME).await?;
        let settings = troupe_registry::Config::default().settings();
        Ok(troupe_registry::Replica::start(&bus, &settings, None).await?)
    };
    Running::start(REGISTRY, Box::pin(starting)).await
}

/// A connection under `name`.
pub(crate) async fn connect(url: &str, name: &str) -> Result<Bus> {
    let settings = Settings { url: url.to_owned(), ..Settings::default() };
    Ok(Bus::connect(&settings, Name::parse(name)?).await?)
}
