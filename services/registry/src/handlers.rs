//! The endpoints: parse, one call, reply. One file for each group of operations.

mod finding;
mod heartbeat;
mod leaving;
mod reading;
mod registering;
mod status;

use std::sync::Arc;

use troupe_bus::connect::ConnectError;
use troupe_bus::serve::{Observer, Serving};
use troupe_bus::{Call, Server};
use troupe_contract::{Endpoint, Service, registry as contract};
use troupe_domain::{AgentId, Code, Fault};

use crate::service::Registry;

/// Serves every endpoint of the registry.
pub async fn serve(
    registry: &Arc<Registry>,
    observer: Option<Observer>,
) -> Result<Serving, ConnectError> {
    let mut server = Server::new(&registry.bus, Service::Registry, env!("CARGO_PKG_VERSION"));
    if let Some(observer) = observer {
        server = server.observed_by(observer);
    }
    let mut door = Door { server, registry: registry.clone() };
    door.open::<contract::Register, _, _>(registering::register).await?;
    door.open::<contract::Deregister, _, _>(leaving::deregister).await?;
    door.open::<contract::Heartbeat, _, _>(heartbeat::heartbeat).await?;
    door.open::<contract::UpdateStatus, _, _>(status::update_status).await?;
    door.open::<contract::GetAgent, _, _>(reading::get).await?;
    door.open::<contract::ListAgents, _, _>(reading::list).await?;
    door.open::<contract::Children, _, _>(reading::children).await?;
    door.open::<contract::Discover, _, _>(finding::discover).await?;
    door.open::<contract::FindByCapability, _, _>(finding::find_by_capability).await?;
    door.open::<contract::RegistryStats, _, _>(reading::stats).await?;
    door.open::<contract::Liveness, _, _>(reading::liveness).await?;
    door.server.start().await
}

struct Door {
    server: Server,
    registry: Arc<Registry>,
}

impl Door {
    async fn open<E, H, F>(&mut self, handler: H) -> Result<(), ConnectError>
    where
        E: Endpoint,
        H: Fn(Arc<Registry>, Call<E::Request>) -> F + Send + Sync + 'static,
        F: Future<Output = Result<E::Reply, Fault>> + Send + 'static,
    {
        let registry = self.registry.clone();
        self.server.endpoint::<E, _, _>(move |call| handler(registry.clone(), call)).await
    }
}

/// The fault for a caller that is not in the directory.
fn not_registered(id: &AgentId) -> Fault {
    Fault::new(Code::NotFound, format!("{id} is not registered: register first"))
        .with("id", id.to_string())
}
