//! `troupe mcp`: connect clients that speak MCP, and be one over standard input and output.

use std::process::ExitCode;

use anyhow::{Result, bail};
use clap::{Args, Subcommand, ValueEnum};
use serde_json::json;
use troupe_bus::port::{System, World};
use troupe_domain::Name;

use crate::args::Global;
use crate::output;

/// Where `troupe dev` and a gateway speak MCP.
const DEFAULT_URL: &str = "http://127.0.0.1:7071/mcp";
/// The name of the server in clients.
const SERVER: &str = "troupe";
/// What stands where a token belongs and none was given.
const NO_TOKEN: &str = "<token>";

/// Connect clients that speak MCP.
#[derive(Debug, Args)]
pub(crate) struct McpArgs {
    #[command(subcommand)]
    command: Option<McpCommand>,
    #[command(flatten)]
    config: ConfigArgs,
}

#[derive(Debug, Subcommand)]
enum McpCommand {
    /// Print the configuration of a client (also without a subcommand).
    Config(ConfigArgs),
    /// Speak MCP over standard input and output, as the agent that is named.
    Stdio {
        /// The agent to be [default: the name of the connection].
        #[arg(long, value_name = "NAME")]
        agent: Option<Name>,
    },
    /// Make a bearer token for an agent, and its line for the gateway's file of callers.
    Token {
        /// The agent that the token stands for.
        #[arg(long, value_name = "NAME")]
        agent: Name,
    },
}

#[derive(Debug, Clone, Args)]
struct ConfigArgs {
    /// For which client; all that are known where none is named.
    #[arg(long, value_enum)]
    client: Option<Client>,
    /// Where the gateway speaks MCP.
    #[arg(long, value_name = "URL", default_value = DEFAULT_URL)]
    url: String,
    /// The bearer token; none on loopback in development.
    #[arg(long, value_name = "TOKEN", conflicts_with = "stdio_agent")]
    token: Option<String>,
    /// Over standard input and output instead, as this agent.
    #[arg(long, value_name = "NAME")]
    stdio_agent: Option<Name>,
}

/// Clients whose configuration is known.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Client {
    /// A command for Claude Code.
    ClaudeCode,
    /// A link or a file for Cursor: .cursor/mcp.json.
    Cursor,
    /// A command for VS Code.
    VsCode,
    /// A command for Codex.
    Codex,
    /// A command for Gemini CLI.
    Gemini,
    /// What most other clients read.
    Json,
}

impl Client {
    const ALL: [Self; 6] =
        [Self::ClaudeCode, Self::Cursor, Self::VsCode, Self::Codex, Self::Gemini, Self::Json];

    const fn title(self) -> &'static str {
        match self {
            Self::ClaudeCode => "Claude Code",
            Self::Cursor => "Cursor (.cursor/mcp.json)",
            Self::VsCode => "VS Code",
            Self::Codex => "Codex (~/.codex/config.toml)",
            Self::Gemini => "Gemini CLI",
            Self::Json => "other clients",
        }
    }

    /// One line.
    fn line(self, args: &ConfigArgs) -> String {
        match &args.stdio_agent {
            Some(agent) => self.stdio_line(agent),
            None => self.http_line(&args.url, args.token.as_deref()),
        }
    }

    fn http_line(self, url: &str, token: Option<&str>) -> String {
        let header = token.map(|token| format!("Bearer {token}"));
        match self {
            Self::ClaudeCode => {
                let header = header.map_or(String::new(), |it| {
                    format!(" --header {}", quoted(&format!("Authorization: {it}")))
                });
                format!("claude mcp add --transport http {SERVER} {}{header}", quoted(url))
            }
            Self::Gemini => {
                let header = header.map_or(String::new(), |it| {
                    format!(" --header {}", quoted(&format!("Authorization: {it}")))
                });
                format!("gemini mcp add --transport http{header} {SERVER} {}", quoted(url))
            }
            Self::VsCode => {
                let mut server = json!({"name": SERVER, "type": "http", "url": url});
                if let Some(header) = header {
                    server["headers"] = json!({"Authorization": header});
                }
                format!("code --add-mcp {}", quoted(&server.to_string()))
            }
            Self::Codex => {
                let header = header.map_or(String::new(), |it| {
                    format!(", http_headers = {{ Authorization = {} }}", json!(it))
                });
                format!("mcp_servers.{SERVER} = {{ url = {}{header} }}", json!(url))
            }
            Self::Cursor | Self::Json => {
                let mut server = json!({"type": "http", "url": url});
                if let Some(header) = header {
                    server["headers"] = json!({"Authorization": header});
                }
                json!({"mcpServers": {SERVER: server}}).to_string()
            }
        }
    }

    fn stdio_line(self, agent: &Name) -> String {
        let arguments = ["mcp", "stdio", "--agent", agent.as_str()];
        let command = format!("troupe {}", arguments.join(" "));
        match self {
            Self::ClaudeCode => format!("claude mcp add {SERVER} -- {command}"),
            Self::Gemini => format!("gemini mcp add {SERVER} {command}"),
            Self::VsCode => {
                let server = json!({"name": SERVER, "command": "troupe", "args": arguments});
                format!("code --add-mcp {}", quoted(&server.to_string()))
            }
            Self::Codex => format!("codex mcp add {SERVER} -- {command}"),
            Self::Cursor | Self::Json => {
                json!({"mcpServers": {SERVER: {"command": "troupe", "args": arguments}}})
                    .to_string()
            }
        }
    }
}

/// As one word of a shell.
fn quoted(text: &str) -> String {
    format!("'{}'", text.replace('\'', r"'\''"))
}

impl McpArgs {
    /// Whether it speaks MCP itself, for which it needs the fleet.
    pub(crate) const fn speaks(&self) -> bool {
        matches!(self.command, Some(McpCommand::Stdio { .. }))
    }
}

/// What is told without the fleet.
pub(crate) fn tell(global: &Global, args: &McpArgs) -> Result<ExitCode> {
    match &args.command {
        Some(McpCommand::Config(config)) => print(global, config),
        Some(McpCommand::Token { agent }) => token(global, agent),
        Some(McpCommand::Stdio { .. }) | None => print(global, &args.config),
    }
}

/// Speaks MCP until the client ends it.
pub(crate) async fn speak(global: &Global, args: McpArgs) -> Result<ExitCode> {
    let agent = match args.command {
        Some(McpCommand::Stdio { agent }) => agent,
        _ => None,
    };
    let troupe = match agent {
        Some(agent) if global.name.as_ref().is_some_and(|name| *name != agent) => {
            bail!("--agent {agent} and --name are two names for one caller: give one")
        }
        Some(agent) => global.connect_as(agent).await?,
        None => global.connect().await?,
    };
    troupe_gateway::stdio::serve(troupe).await?;
    Ok(ExitCode::SUCCESS)
}

fn print(global: &Global, args: &ConfigArgs) -> Result<ExitCode> {
    if global.json {
        output::json_line(&serde_json::from_str::<serde_json::Value>(&Client::Json.line(args))?)?;
        return Ok(ExitCode::SUCCESS);
    }
    if let Some(client) = args.client {
        output::line(&client.line(args))?;
        return Ok(ExitCode::SUCCESS);
    }
    for client in Client::ALL {
        output::line(&format!("# {}\n{}\n", client.title(), client.line(args)))?;
    }
    if args.token.is_none() && args.stdio_agent.is_none() && args.url != DEFAULT_URL {
        output::line(&format!(
            "# A gateway beyond this machine asks for a token: add --token {NO_TOKEN}, which \
             `troupe mcp token` makes."
        ))?;
    }
    Ok(ExitCode::SUCCESS)
}

fn token(global: &Global, agent: &Name) -> Result<ExitCode> {
    // 320 bits of the system's chance, told once.
    let chance: [u128; 4] = std::array::from_fn(|_| System.random());
    let token =
        chance.iter().fold("troupe_".to_owned(), |token, part| token + &format!("{part:020x}"));
    let sha256 = troupe_gateway::sha256_of(&token);
    if global.json {
        output::json_line(&json!({"agent": agent, "token": token, "sha256": sha256}))?;
    } else {
        output::line(&format!(
            "the token, which is shown this once:\n{token}\n\nits line in the file of callers (add \
             the agent's NATS password where NATS asks for one):\n- {{sha256: \"{sha256}\", agent: \
             {agent}}}"
        ))?;
    }
    Ok(ExitCode::SUCCESS)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn args() -> ConfigArgs {
        ConfigArgs { client: None, url: DEFAULT_URL.to_owned(), token: None, stdio_agent: None }
    }

    #[test]
    fn every_client_gets_one_line_with_all_that_it_needs() {
        let agent = Name::parse("ann").unwrap();
        let http = ConfigArgs { token: Some("t'1".to_owned()), ..args() };
        let stdio = ConfigArgs { stdio_agent: Some(agent), ..args() };
        for client in Client::ALL {
            let line = client.line(&http);
            assert_eq!(line.lines().count(), 1, "{line}");
            assert!(line.contains(DEFAULT_URL) && line.contains("Bearer t"), "{line}");
            assert!(!client.line(&args()).contains("Bearer"));
            let line = client.line(&stdio);
            assert!(line.contains("stdio") && line.contains("ann"), "{line}");
        }
        assert_eq!(quoted("it's"), r"'it'\''s'");
    }
}
