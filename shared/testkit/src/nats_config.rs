//! The configuration file of a nats-server under test.

use std::{fmt::Write, path::Path};

/// The largest message that the server takes, as Troupe's deployments set it.
const MAX_PAYLOAD_MB: u32 = 8;
/// What the server does by default; written out, so that benchmarks state it.
const DEFAULT_SYNC_INTERVAL: &str = "2m";

/// What differs between two servers, apart from folders and ports.
#[derive(Debug, Clone, Default)]
pub(crate) struct Choices {
    pub(crate) sync_always: bool,
    pub(crate) auth: String,
    pub(crate) extra: String,
    pub(crate) cluster: Option<Place>,
}

/// The server sets aside what every stream may grow to; by itself it would count with the disk that
/// happens to be free.
const MAX_FILE_STORE_GB: usize = 64;

/// A server's place in a cluster on this machine.
#[derive(Debug, Clone)]
pub(crate) struct Place {
    pub(crate) server_name: String,
    pub(crate) port: u16,
    /// The route ports of all members.
    pub(crate) members: Vec<u16>,
}

/// The file's text. `port` is `None` for one that the server picks.
pub(crate) fn text(folder: &Path, port: Option<u16>, choices: &Choices) -> String {
    let port = port.map_or_else(|| "-1".to_owned(), |port| port.to_string());
    let sync = if choices.sync_always { "always" } else { DEFAULT_SYNC_INTERVAL };
    let folder = folder.display();
    let mut text = format!(
        "host: \"127.0.0.1\"\nport: {port}\nports_file_dir: \"{folder}\"\n\
         max_payload: {MAX_PAYLOAD_MB}MB\n\
         jetstream {{ store_dir: \"{folder}/store\", sync_interval: \"{sync}\", \
         max_file_store: {MAX_FILE_STORE_GB}GB }}\n"
    );
    if let Some(Place { server_name, port, members }) = &choices.cluster {
        let routes: Vec<_> = members.iter().map(|m| format!("\"nats://127.0.0.1:{m}\"")).collect();
        let _ = writeln!(
            text,
            "server_name: \"{server_name}\"\ncluster {{ name: \"test\", host: \"127.0.0.1\", \
             port: {port}, routes: [{}] }}",
            routes.join(", ")
        );
    }
    let _ = writeln!(text, "{}\n{}", choices.auth, choices.extra);
    text
}
