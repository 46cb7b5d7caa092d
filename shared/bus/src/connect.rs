//! The connection: one NATS client with a name, and a private inbox that belongs to that name.

use std::sync::Arc;
use std::time::Duration;

use async_nats::jetstream;
use futures::StreamExt;
use troupe_contract::subject;
use troupe_domain::Name;

use crate::gather::Gathering;

/// Messages that may wait in one subscription before the server is told to slow down.
pub const SUBSCRIPTION_CAPACITY_MESSAGES: usize = 65_536;
/// Commands that may wait for the socket.
pub const CLIENT_CAPACITY_COMMANDS: usize = 16_384;
/// How long a first connection may take.
pub const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
/// How long a request waits where nobody said.
pub const DEFAULT_REQUEST_TIMEOUT: Duration = Duration::from_secs(5);

/// How to reach the server, and as whom.
#[derive(Clone, Default)]
pub struct Settings {
    /// `nats://host:port`, several separated by commas.
    pub url: String,
    /// User name, where the server asks for one.
    pub user: Option<String>,
    /// Its password.
    pub password: Option<String>,
    /// A file with NATS credentials (JWT and seed).
    pub credentials_file: Option<std::path::PathBuf>,
}

impl std::fmt::Debug for Settings {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Settings").field("url", &self.url).finish_non_exhaustive()
    }
}

/// Why there is no connection.
#[derive(Debug, thiserror::Error)]
pub enum ConnectError {
    /// The server cannot be reached or refuses us.
    #[error("cannot connect to NATS at {url}: {why}")]
    Unreachable {
        /// Where.
        url: String,
        /// Why.
        why: String,
    },
    /// The server is there and lacks what Troupe needs.
    #[error("NATS at {url}: {why}")]
    Unsuitable {
        /// Where.
        url: String,
        /// Why.
        why: String,
    },
}

/// A connection under a name. Cheap to clone.
#[derive(Clone)]
pub struct Bus {
    pub(crate) client: async_nats::Client,
    pub(crate) jetstream: jetstream::Context,
    pub(crate) name: Name,
    pub(crate) gathering: Arc<Gathering>,
}

impl std::fmt::Debug for Bus {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Bus").field("name", &self.name).finish_non_exhaustive()
    }
}

impl Bus {
    /// Connects under `name`, which becomes the last token of every request.
    pub async fn connect(settings: &Settings, name: Name) -> Result<Self, ConnectError> {
        let unreachable =
            |why: String| ConnectError::Unreachable { url: settings.url.clone(), why };
        let mut options = async_nats::ConnectOptions::new()
            .name(name.as_str())
            .custom_inbox_prefix(subject::inbox_prefix(&name))
            .connection_timeout(CONNECT_TIMEOUT)
            .request_timeout(Some(DEFAULT_REQUEST_TIMEOUT))
            .subscription_capacity(SUBSCRIPTION_CAPACITY_MESSAGES)
            .client_capacity(CLIENT_CAPACITY_COMMANDS)
            .reconnect_delay_callback(|attempt| {
                Duration::from_millis(20_u64.saturating_mul(1 << attempt.min(6)).min(1_000))
            })
            .event_callback(|event| async move {
                match event {
                    async_nats::Event::Connected => tracing::debug!("connected to NATS"),
                    other => tracing::warn!(event = %other, "NATS connection"),
                }
            });
        if let (Some(user), Some(password)) = (&settings.user, &settings.password) {
            options = options.user_and_password(user.clone(), password.clone());
        }
        if let Some(file) = &settings.credentials_file {
            let text = tokio::fs::read_to_string(file)
                .await
                .map_err(|why| unreachable(format!("{}: {why}", file.display())))?;
            options = options.credentials(&text).map_err(|why| unreachable(why.to_string()))?;
        }
        let urls: Vec<&str> = settings.url.split(',').map(str::trim).collect();
        let client = options.connect(urls).await.map_err(|why| unreachable(why.to_string()))?;
        let jetstream = jetstream::new(client.clone());
        Ok(Self { jetstream, client, name, gathering: Arc::default() })
    }

    /// The name under which this connection speaks.
    pub fn name(&self) -> &Name {
        &self.name
    }

    /// Refuses a server that is too old or has no JetStream, so that a wrong set-up is seen at once.
    pub async fn check_server(&self) -> Result<(), ConnectError> {
        let info = self.client.server_info();
        let url = format!("{}:{}", info.host, info.port);
        if !self.client.is_server_compatible(2, 14, 0) {
            let why = format!("version {} is too old, 2.14 or newer is needed", info.version);
            return Err(ConnectError::Unsuitable { url, why });
        }
        if let Err(why) = self.jetstream.query_account().await {
            let why = format!("JetStream is not enabled or does not answer ({why})");
            return Err(ConnectError::Unsuitable { url, why });
        }
        Ok(())
    }

    /// Returns when the server has everything that was sent before on this connection, such as
    /// subscriptions: what another connection publishes after that is heard.
    pub async fn round_trip(&self) -> Result<(), ConnectError> {
        let unreachable = |why: &dyn std::fmt::Display| ConnectError::Unreachable {
            url: self.name.to_string(),
            why: why.to_string(),
        };
        let inbox = self.client.new_inbox();
        let mut echo =
            self.client.subscribe(inbox.clone()).await.map_err(|why| unreachable(&why))?;
        self.client.publish(inbox, "".into()).await.map_err(|why| unreachable(&why))?;
        match tokio::time::timeout(DEFAULT_REQUEST_TIMEOUT, echo.next()).await {
            Ok(Some(_)) => Ok(()),
            _ => Err(unreachable(&"the server does not answer")),
        }
    }

    /// Whether the connection is up right now.
    pub fn is_connected(&self) -> bool {
        self.client.connection_state() == async_nats::connection::State::Connected
    }

    /// Sends what is buffered and closes the connection.
    pub async fn close(&self) {
        if let Err(why) = self.client.drain().await {
            tracing::debug!(%why, "draining the NATS connection");
        }
    }
}
