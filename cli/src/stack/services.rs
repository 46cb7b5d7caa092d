//! The services of the stack, configured for one machine.

use anyhow::{Result, anyhow};
use troupe_runtime::Host;
use troupe_runtime::config::{Address, Admin, Common, Nats, Redis};

use super::StackOptions;

/// Tells every service where the servers are.
pub(crate) fn point(
    common: &mut Common,
    nats_url: &str,
    redis_url: &str,
    http_port: u16,
) -> Result<()> {
    let address = |url: &str| Address::new(url).map_err(|why| anyhow!("{url}: {why}"));
    common.nats = Nats { url: address(nats_url)?, ..Nats::default() };
    common.redis = Redis { url: Some(address(redis_url)?) };
    common.admin = Admin { listen: (std::net::Ipv4Addr::LOCALHOST, http_port).into() };
    Ok(())
}

/// Starts every service; gives the URL under which MCP is spoken.
pub(crate) fn add_all(host: &Host, common: &Common, options: &StackOptions) -> Result<String> {
    let registry = troupe_registry::Config {
        common: common.clone(),
        timing: options.timing,
        ..troupe_registry::Config::default()
    };
    host.add(troupe_registry::NAME, troupe_registry::VERSION, registry, troupe_registry::run)?;
    let mut work = troupe_work_distribution::Config {
        common: common.clone(),
        ..troupe_work_distribution::Config::default()
    };
    if let Some(shards) = options.shards {
        work.shards = shards;
    }
    host.add(
        troupe_work_distribution::NAME,
        troupe_work_distribution::VERSION,
        work,
        troupe_work_distribution::run,
    )?;
    let mut routing = troupe_semantic_routing::Config {
        common: common.clone(),
        ..troupe_semantic_routing::Config::default()
    };
    if let Some(shards) = options.shards {
        routing.shards = shards;
    }
    host.add(
        troupe_semantic_routing::NAME,
        troupe_semantic_routing::VERSION,
        routing,
        troupe_semantic_routing::run,
    )?;
    let mut plans = troupe_plan_sync::Config {
        common: common.clone(),
        archive: troupe_plan_sync::config::ArchiveConfig {
            folder: Some(options.data_dir.join("archive")),
            ..Default::default()
        },
        ..troupe_plan_sync::Config::default()
    };
    if let Some(shards) = options.shards {
        plans.shards = shards;
    }
    host.add(troupe_plan_sync::NAME, troupe_plan_sync::VERSION, plans, troupe_plan_sync::run)?;
    let progress =
        troupe_progress::Config { common: common.clone(), ..troupe_progress::Config::default() };
    host.add(troupe_progress::NAME, troupe_progress::VERSION, progress, troupe_progress::run)?;
    let mut memory = troupe_memory::Config {
        common: common.clone(),
        cold: troupe_memory::config::ColdConfig {
            folder: Some(options.data_dir.join("memory")),
            ..Default::default()
        },
        ..troupe_memory::Config::default()
    };
    if let Some(shards) = options.shards {
        memory.shards = shards;
    }
    host.add(troupe_memory::NAME, troupe_memory::VERSION, memory, troupe_memory::run)?;
    add_gateway(host, common, options.mcp_port)
}

/// On loopback, where everybody is one named caller.
fn add_gateway(host: &Host, common: &Common, port: u16) -> Result<String> {
    let mut config =
        troupe_gateway::Config { common: common.clone(), ..troupe_gateway::Config::default() };
    let mut listen = config.mcp.listen;
    listen.set_port(port);
    if port == 0 {
        // Where it listens must be known before it runs.
        listen = std::net::TcpListener::bind(listen)?.local_addr()?;
    }
    config.mcp.listen = listen;
    host.add(troupe_gateway::NAME, troupe_gateway::VERSION, config, troupe_gateway::run)?;
    Ok(format!("http://{listen}/mcp"))
}
