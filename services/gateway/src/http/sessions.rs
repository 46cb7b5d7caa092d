//! Sessions of clients that speak the revision that has them: whose they are, and how many.
//!
//! Invariant: a session has exactly one owner from the moment at which its id is made; nobody else
//! can learn whether it exists.

use std::collections::HashMap;
use std::time::Duration;

use futures::Stream;
use parking_lot::Mutex;
use rmcp::model::{ClientJsonRpcMessage, ServerJsonRpcMessage};
use rmcp::transport::streamable_http_server::session::local::{
    LocalSessionManager, LocalSessionManagerError, SessionConfig,
};
use rmcp::transport::streamable_http_server::session::{
    ServerSseMessage, SessionId, SessionManager,
};
use troupe_domain::AgentId;

use crate::config::McpConfig;

/// The header that names a session.
pub(super) const SESSION_HEADER: &str = "mcp-session-id";

tokio::task_local! {
    /// Whose request it is in which a session begins.
    static OPENER: AgentId;
}

/// The sessions of one gateway.
#[derive(Debug)]
pub(crate) struct Sessions {
    local: LocalSessionManager,
    owners: Mutex<HashMap<SessionId, AgentId>>,
    max_sessions: usize,
}

/// Why a session did not begin, or go on.
#[derive(Debug, thiserror::Error)]
pub(crate) enum SessionError {
    /// There are as many as there may be.
    #[error("the limit max_sessions is {0}")]
    TooMany(usize),
    /// It is not known whose it would be.
    #[error("a session begins with a request of somebody who was let in")]
    Nobody,
    /// What the transport says.
    #[error(transparent)]
    Local(#[from] LocalSessionManagerError),
}

impl Sessions {
    pub(super) fn new(config: &McpConfig) -> Self {
        let mut local = LocalSessionManager::default();
        let mut bounds = SessionConfig::default();
        bounds.keep_alive = Some(Duration::from_millis(config.session_idle_ms));
        local.session_config = bounds;
        Self { local, owners: Mutex::default(), max_sessions: config.max_sessions }
    }

    /// Runs a request in which a session may begin.
    pub(super) async fn opened_by<F: Future>(&self, agent: AgentId, request: F) -> F::Output {
        OPENER.scope(agent, request).await
    }

    pub(super) fn belongs_to(&self, session: &str, agent: &AgentId) -> bool {
        self.owners.lock().get(session).is_some_and(|owner| owner == agent)
    }

    pub(super) fn forget(&self, session: &str) {
        self.owners.lock().remove(session);
    }

    /// How many there are.
    pub(crate) fn count(&self) -> usize {
        self.owners.lock().len()
    }
}

impl SessionManager for Sessions {
    type Error = SessionError;
    type Transport = <LocalSessionManager as SessionManager>::Transport;

    async fn create_session(&self) -> Result<(SessionId, Self::Transport), SessionError> {
        let owner = OPENER.try_with(Clone::clone).map_err(|_| SessionError::Nobody)?;
        if self.count() >= self.max_sessions {
            return Err(SessionError::TooMany(self.max_sessions));
        }
        let (id, transport) = self.local.create_session().await?;
        self.owners.lock().insert(id.clone(), owner);
        Ok((id, transport))
    }

    async fn initialize_session(
        &self,
        id: &SessionId,
        message: ClientJsonRpcMessage,
    ) -> Result<ServerJsonRpcMessage, SessionError> {
        Ok(self.local.initialize_session(id, message).await?)
    }

    async fn has_session(&self, id: &SessionId) -> Result<bool, SessionError> {
        Ok(self.local.has_session(id).await?)
    }

    async fn close_session(&self, id: &SessionId) -> Result<(), SessionError> {
        self.forget(id);
        Ok(self.local.close_session(id).await?)
    }

    async fn create_stream(
        &self,
        id: &SessionId,
        message: ClientJsonRpcMessage,
    ) -> Result<impl Stream<Item = ServerSseMessage> + Send + 'static, SessionError> {
        Ok(self.local.create_stream(id, message).await?)
    }

    async fn accept_message(
        &self,
        id: &SessionId,
        message: ClientJsonRpcMessage,
    ) -> Result<(), SessionError> {
        Ok(self.local.accept_message(id, message).await?)
    }

    async fn create_standalone_stream(
        &self,
        id: &SessionId,
    ) -> Result<impl Stream<Item = ServerSseMessage> + Send + 'static, SessionError> {
        Ok(self.local.create_standalone_stream(id).await?)
    }

    async fn resume(
        &self,
        id: &SessionId,
        last_event_id: String,
    ) -> Result<impl Stream<Item = ServerSseMessage> + Send + 'static, SessionError> {
        Ok(self.local.resume(id, last_event_id).await?)
    }
}
