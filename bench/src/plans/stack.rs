//! The stack that is measured: a real nats-server, and plan sync on a runtime of its own.

use anyhow::Result;
use troupe_plan_sync::{Config, Replica};
use troupe_testkit::NatsServer;

use crate::stack::{NATS, Running, connect};

/// The name of the service's threads.
const PLANS: &str = "plan-sync";

/// The running stack.
pub(super) struct PlanStack {
    // In this order, so that the service ends before its server.
    service: Running<Replica>,
    nats: NatsServer,
}

impl PlanStack {
    pub(super) async fn start() -> Result<Self> {
        let nats = NatsServer::start().await?;
        let url = nats.url();
        let starting = async move {
            let bus = connect(&url, troupe_plan_sync::NAME).await?;
            let replica = Replica::start(&bus, &Config::default(), None).await?;
            replica.ready().await;
            Ok(replica)
        };
        Ok(Self { service: Running::start(PLANS, Box::pin(starting)).await?, nats })
    }

    pub(super) fn url(&self) -> String {
        self.nats.url()
    }

    /// The processes beside this one, for the account of processor time.
    pub(super) fn others(&self) -> [(&'static str, u32); 1] {
        [(NATS, self.nats.pid())]
    }

    pub(super) async fn stop(self) -> Result<()> {
        self.service.drain(Replica::drain).await
    }
}
