//! Three nats-servers with one JetStream between them, on this machine.

use anyhow::{Result, anyhow};

use crate::{
    nats::{NatsBuilder, NatsServer},
    nats_config::Place,
    ports::free_port,
};

/// Enough for streams with three replicas, which go on with one node gone.
pub const CLUSTER_NODES: usize = 3;
/// Route ports cannot be left to the servers, so a conflict means another try.
const START_ATTEMPTS: usize = 5;

/// A running cluster; each node can be killed, paused and restarted by itself.
#[derive(Debug)]
pub struct Cluster {
    nodes: Vec<NatsServer>,
}

impl Cluster {
    /// Starts all nodes with the defaults and waits until each one's JetStream answers, which
    /// includes the election of a leader: seconds, not milliseconds.
    pub async fn start() -> Result<Self> {
        Self::start_with(NatsServer::builder).await
    }

    /// The same, with `node` called for each node's configuration.
    pub async fn start_with(node: impl Fn() -> NatsBuilder) -> Result<Self> {
        let mut last = anyhow!("no attempt was made");
        for _ in 0..START_ATTEMPTS {
            match Self::attempt(&node).await {
                Ok(cluster) => return Ok(cluster),
                Err(error) => last = error,
            }
        }
        Err(last.context(format!("no cluster in {START_ATTEMPTS} attempts")))
    }

    async fn attempt(node: &impl Fn() -> NatsBuilder) -> Result<Self> {
        let members: Vec<u16> = (0..CLUSTER_NODES).map(|_| free_port()).collect();
        let mut nodes = Vec::with_capacity(CLUSTER_NODES);
        for (index, port) in members.iter().copied().enumerate() {
            let server_name = format!("node-{index}");
            let place = Place { server_name, port, members: members.clone() };
            nodes.push(node().cluster(place).launch().await?);
        }
        for node in &nodes {
            node.ready().await?;
        }
        Ok(Self { nodes })
    }

    /// The nodes.
    pub fn nodes(&self) -> &[NatsServer] {
        &self.nodes
    }

    /// Every node's URL, separated by commas, as a client takes them.
    pub fn urls(&self) -> String {
        self.nodes.iter().map(NatsServer::url).collect::<Vec<_>>().join(",")
    }
}
