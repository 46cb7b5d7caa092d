//! The wiring: door, connections, signs of life, what is followed; start and drain.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context;
use rmcp::ServerHandler;
use tokio::net::TcpListener;
use tokio::task::JoinHandle;
use troupe_bus::Bus;
use troupe_client::Settings;
use troupe_domain::Name;
use troupe_runtime::CancellationToken;
use troupe_runtime::requests::Requests;

use crate::config::Config;
use crate::fleet::{Attendance, AttendanceSettings, ConnectionSettings, Connections};
use crate::http::{self, Bounded, Door};
use crate::identity::{Caller, Identity};
use crate::mcp::{Answering, Callers, Mcp};
use crate::resources::Hub;

/// How often idle connections are looked for and the file of callers is read.
const SWEEP_INTERVAL: Duration = Duration::from_secs(2);
/// How long requests may go on after the gateway was told to stop.
const LAST_REQUESTS: Duration = Duration::from_secs(5);

/// A gateway that answers.
#[derive(Debug)]
pub struct Gateway {
    address: SocketAddr,
    door: Arc<Door>,
    connections: Arc<Connections>,
    attendance: Arc<Attendance>,
    hub: Arc<Hub>,
    stop: CancellationToken,
    serving: JoinHandle<()>,
    sweeping: JoinHandle<()>,
    listening: JoinHandle<()>,
}

/// What the gauges look at.
#[derive(Debug, Clone)]
pub(crate) struct Look {
    door: Arc<Door>,
    connections: Arc<Connections>,
    attendance: Arc<Attendance>,
    hub: Arc<Hub>,
}

/// A gauge: its name, what it says, and where it looks.
pub(crate) type Gauge = (&'static str, &'static str, fn(&Look) -> usize);

impl Gateway {
    /// Listens, and answers whoever is let in. `bus` is the gateway's own connection, for events.
    pub async fn start(
        bus: &Bus,
        config: &Config,
        requests: Option<Arc<Requests>>,
    ) -> anyhow::Result<Self> {
        Self::start_with(bus, config, requests, |answers| answers).await
    }

    /// The same with something around what answers, such as the names that a conformance suite asks
    /// for.
    pub async fn start_with<H: ServerHandler>(
        bus: &Bus,
        config: &Config,
        requests: Option<Arc<Requests>>,
        around: impl Fn(Mcp) -> H + Send + Sync + 'static,
    ) -> anyhow::Result<Self> {
        let mcp = &config.mcp;
        let connections = Arc::new(Connections::new(ConnectionSettings {
            max_connections: mcp.max_connections,
            idle: Duration::from_millis(mcp.connection_idle_ms),
        }));
        let attendance = Attendance::new(AttendanceSettings {
            silence: Duration::from_millis(mcp.silence_ms),
            max_attended: mcp.max_attended,
        });
        let hub = Arc::new(Hub::default());
        let listening = tokio::spawn(hear(hub.clone(), bus.clone()));
        let door = Arc::new(Door::new(identity(config)?, mcp));
        let callers = Callers::Http(connections.clone());
        let answering = Answering::new(callers, attendance.clone(), hub.clone(), mcp, requests);
        let stop = CancellationToken::new();
        let router = http::router(door.clone(), mcp, stop.clone(), move || {
            around(Mcp::new(answering.clone()))
        });
        let listener = TcpListener::bind(mcp.listen)
            .await
            .with_context(|| format!("cannot listen on {} (mcp.listen)", mcp.listen))?;
        let address = listener.local_addr()?;
        let listener = Bounded::new(listener, mcp.max_sockets);
        let head_within = Duration::from_millis(mcp.head_within_ms);
        let serving = tokio::spawn(http::serve(listener, router, head_within, stop.clone()));
        let sweeping = tokio::spawn(sweep(door.clone(), connections.clone()));
        Ok(Self { address, door, connections, attendance, hub, stop, serving, sweeping, listening })
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// The URL under which MCP is spoken.
    pub fn url(&self) -> String {
        format!("http://{}{}", self.address, http::PATH)
    }

    pub(crate) fn look(&self) -> Look {
        Look {
            door: self.door.clone(),
            connections: self.connections.clone(),
            attendance: self.attendance.clone(),
            hub: self.hub.clone(),
        }
    }

    pub(crate) fn gauges() -> [Gauge; 4] {
        [
            ("troupe_mcp_sessions", "Sessions that are open.", |look| look.door.sessions.count()),
            ("troupe_mcp_connections", "Connections for callers.", |look| look.connections.open()),
            ("troupe_mcp_attended", "Callers that are kept alive.", |look| look.attendance.count()),
            ("troupe_mcp_followed", "Resources that are followed.", |look| look.hub.followed()),
        ]
    }

    /// Takes no new requests, lets those that are there end, and ends the signs of life. What callers
    /// hold stays theirs for as long as their leases last, or another gateway keeps them alive.
    pub async fn drain(mut self) {
        self.stop.cancel();
        if tokio::time::timeout(LAST_REQUESTS, &mut self.serving).await.is_err() {
            self.serving.abort();
        }
        self.sweeping.abort();
        self.listening.abort();
        self.attendance.end();
        self.connections.close().await;
    }
}

fn identity(config: &Config) -> anyhow::Result<Identity> {
    let url = config.common.nats.url.as_str().to_owned();
    if let Some(file) = &config.mcp.callers_file {
        return Ok(Identity::of_file(file.clone(), url)?);
    }
    let nats = &config.common.nats;
    Ok(Identity::Loopback(Caller {
        agent: Name::parse(&config.mcp.dev_name)?,
        settings: Settings {
            url,
            user: nats.user.clone(),
            password: nats.password.as_ref().map(|secret| secret.expose().to_owned()),
            credentials_file: nats.credentials_file.clone(),
        },
    }))
}

async fn hear(hub: Arc<Hub>, bus: Bus) {
    if let Err(why) = hub.listen(bus).await {
        tracing::error!(%why, "nobody is told of what changes");
    }
}

async fn sweep(door: Arc<Door>, connections: Arc<Connections>) {
    loop {
        tokio::time::sleep(SWEEP_INTERVAL).await;
        connections.sweep();
        let door = door.clone();
        // Files are read where that may take its time.
        let read = tokio::task::spawn_blocking(move || door.identity.refresh()).await;
        if let Err(why) = read {
            tracing::error!(%why, "reading the callers has failed");
        }
    }
}
