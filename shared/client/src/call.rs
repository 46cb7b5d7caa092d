//! A connection under a name, and the calls that go over it.

use std::sync::Arc;

use bytes::Bytes;
use troupe_bus::connect::ConnectError;
use troupe_bus::{Bus, CallOptions, Settings};
use troupe_contract::endpoint::EndpointEntry;
use troupe_contract::{Endpoint, subject};
use troupe_domain::{Fault, Name};

use crate::desk::Desk;
use crate::{AgentSession, Declaration};

/// A connection to a fleet under a name. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Troupe {
    bus: Bus,
    /// Requests of this connection that wait for their responses.
    pub(crate) desk: Arc<Desk>,
}

impl Troupe {
    /// Connects as `name`, which must be the name that the credentials allow.
    pub async fn connect(settings: &Settings, name: Name) -> Result<Self, ConnectError> {
        Bus::connect(settings, name).await.map(Self::over)
    }

    /// The same over a connection that is there already.
    pub fn over(bus: Bus) -> Self {
        Self { bus, desk: Arc::default() }
    }

    /// The connection itself: to listen to events, or to close it.
    pub fn bus(&self) -> &Bus {
        &self.bus
    }

    /// The name under which every call goes out.
    pub fn name(&self) -> &Name {
        self.bus.name()
    }

    /// Calls an endpoint. `deadline_exceeded` means that the outcome is unknown.
    pub async fn call<E: Endpoint>(&self, request: &E::Request) -> Result<E::Reply, Fault> {
        self.bus.call::<E>(request).await
    }

    /// Calls an endpoint with a timeout or a command id of its own.
    pub async fn call_with<E: Endpoint>(
        &self,
        request: &E::Request,
        options: &CallOptions,
    ) -> Result<E::Reply, Fault> {
        self.bus.call_with::<E>(request, options).await
    }

    /// Calls an endpoint that is known only as data, with a JSON body as it is.
    pub async fn call_entry(
        &self,
        entry: &EndpointEntry,
        body: Bytes,
        options: &CallOptions,
    ) -> Result<Bytes, Fault> {
        let listened = subject::operation(entry.service, entry.operation);
        let place = listened.trim_end_matches('*');
        self.bus.call_raw(&format!("{place}{}", self.name()), body, options).await
    }

    /// Joins the fleet as the agent of this connection's name.
    pub async fn join(&self, declaration: Declaration) -> Result<AgentSession, Fault> {
        AgentSession::begin(self.clone(), declaration).await
    }
}
