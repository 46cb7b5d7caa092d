//! The flags that every binary understands. They are the last layer, so they win.

use std::path::PathBuf;

use super::error::ConfigError;

/// Flags of every service; flatten them into a larger command with `#[command(flatten)]`.
#[derive(Clone, Debug, Default, clap::Args)]
pub struct CommonFlags {
    /// A configuration file, TOML or YAML by its extension
    #[arg(long, value_name = "FILE", env = "TROUPE_CONFIG")]
    pub config: Option<PathBuf>,
    /// The NATS servers, separated by commas (nats.url)
    #[arg(long, value_name = "URL")]
    pub nats_url: Option<String>,
    /// Where /livez, /readyz, /metrics and /version are served (admin.listen)
    #[arg(long, value_name = "ADDRESS")]
    pub admin_listen: Option<String>,
    /// json or pretty (log.format)
    #[arg(long, value_name = "FORMAT")]
    pub log_format: Option<String>,
    /// Sets any key, such as drain_timeout_ms=5000; may be repeated
    #[arg(long = "set", value_name = "KEY=VALUE")]
    pub set: Vec<String>,
    /// Prints the configuration in effect, without secrets, and ends
    #[arg(long)]
    pub print_config: bool,
}

impl CommonFlags {
    /// The keys and values that were given, in order; a typed flag beats `--set`.
    pub fn overrides(&self) -> Result<Vec<(String, String)>, ConfigError> {
        let mut all = Vec::with_capacity(self.set.len() + 3);
        for given in &self.set {
            let Some((key, value)) = given.split_once('=') else {
                return Err(ConfigError::Flag { given: given.clone() });
            };
            all.push((key.trim().to_owned(), value.to_owned()));
        }
        let typed = [
            ("nats.url", &self.nats_url),
            ("admin.listen", &self.admin_listen),
            ("log.format", &self.log_format),
        ];
        for (key, value) in typed {
            all.extend(value.clone().map(|value| (key.to_owned(), value)));
        }
        Ok(all)
    }
}
