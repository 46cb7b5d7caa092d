//! The stack that is measured: a real nats-server and a real valkey-server, and the services in this
//! process, each on a runtime of its own.

use anyhow::{Context, Result};
use troupe_runtime::config::Address;
use troupe_semantic_routing::{Config, Replica};
use troupe_testkit::{NatsServer, ValkeyServer};

use crate::stack::{NATS, Running, connect, start_registry};

/// The name of semantic routing's threads.
const ROUTING: &str = "routing";
/// The name under which the hot tier's time is told.
const VALKEY: &str = "valkey-server";

/// The running stack.
#[derive(Debug)]
pub(super) struct Stack {
    // In this order, so that the services end before their servers.
    routing: Option<Running<Replica>>,
    registry: Running<troupe_registry::Replica>,
    pub(super) nats: NatsServer,
    valkey: ValkeyServer,
}

impl Stack {
    /// Starts everything, and waits until it is ready.
    pub(super) async fn start(config: Config) -> Result<Self> {
        let valkey = ValkeyServer::builder().start().await?;
        let nats = NatsServer::builder().start().await?;
        let registry = start_registry(nats.url()).await?;
        let mut stack = Self { routing: None, registry, nats, valkey };
        stack.start_routing(config).await?;
        Ok(stack)
    }

    async fn start_routing(&mut self, mut config: Config) -> Result<()> {
        let valkey = Address::new(self.valkey.url()).map_err(anyhow::Error::msg)?;
        config.common.redis.url = Some(valkey);
        let url = self.nats.url();
        let starting = async move {
            let bus = connect(&url, troupe_semantic_routing::NAME).await?;
            let routing = Replica::start(&bus, &config, None).await?;
            routing.ready().await;
            Ok(routing)
        };
        let routing = Running::start(ROUTING, Box::pin(starting));
        self.routing = Some(routing.await.context("semantic routing")?);
        Ok(())
    }

    async fn stop_routing(&mut self) -> Result<()> {
        let Some(routing) = self.routing.take() else { return Ok(()) };
        routing.drain(Replica::drain).await
    }

    /// Ends everything in order.
    pub(super) async fn stop(mut self) -> Result<()> {
        self.stop_routing().await?;
        self.registry.drain(troupe_registry::Replica::drain).await
    }

    /// The processes beside this one, for the account of processor time.
    pub(super) fn others(&self) -> [(&'static str, u32); 2] {
        [(NATS, self.nats.pid()), (VALKEY, self.valkey.pid())]
    }
}
