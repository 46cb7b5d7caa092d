//! Running the gateway in a process: connection, door, readiness, metrics, drain.

use std::sync::Arc;

use troupe_bus::{Bus, Settings};
use troupe_domain::Name;
use troupe_runtime::ServiceContext;
use troupe_runtime::requests::Requests;

use crate::NAME;
use crate::config::Config;
use crate::service::Gateway;

/// Runs the gateway until it is told to stop.
pub async fn run(context: ServiceContext, config: Config) -> anyhow::Result<()> {
    config.check().map_err(|fault| anyhow::anyhow!("configuration: {}", fault.message))?;
    let nats = &config.common.nats;
    let settings = Settings {
        url: nats.url.as_str().to_owned(),
        user: nats.user.clone(),
        password: nats.password.as_ref().map(|secret| secret.expose().to_owned()),
        credentials_file: nats.credentials_file.clone(),
    };
    let bus = Bus::connect(&settings, Name::parse(NAME)?).await?;
    let requests = Arc::new(Requests::new(&context.metrics));
    let gateway = Gateway::start(&bus, &config, Some(requests)).await?;
    tracing::info!(address = %gateway.address(), "MCP is spoken");
    for (name, help, read) in Gateway::gauges() {
        let look = gateway.look();
        context.metrics.observed_gauge(name, help, &[], move || read(&look) as f64);
    }
    context.serving();
    context.shutdown.cancelled().await;
    gateway.drain().await;
    bus.close().await;
    Ok(())
}
