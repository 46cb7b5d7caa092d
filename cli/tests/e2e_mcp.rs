//! `troupe mcp`: what it prints, and a client over standard input and output.

mod support;

use std::process::Stdio;

use serde_json::{Value, json};
use support::{DEADLINE, Dev, TROUPE, text};
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader, Lines};
use tokio::process::{Child, ChildStdin, ChildStdout, Command};

/// A client that writes lines and reads lines.
struct Client {
    input: ChildStdin,
    output: Lines<BufReader<ChildStdout>>,
    child: Child,
    id: u64,
}

impl Client {
    fn start(dev: &Dev, agent: &str) -> Self {
        let mut child = Command::new(TROUPE)
            .args(["mcp", "stdio", "--agent", agent])
            .env("TROUPE_NATS_URL", dev.nats_url())
            .env_remove("TROUPE_NAME")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .unwrap();
        let (input, output) = (child.stdin.take().unwrap(), child.stdout.take().unwrap());
        Self { input, output: BufReader::new(output).lines(), child, id: 0 }
    }

    async fn tell(&mut self, message: Value) {
        self.input.write_all(format!("{message}\n").as_bytes()).await.unwrap();
    }

    async fn ask(&mut self, method: &str, params: Value) -> Value {
        self.id += 1;
        let id = self.id;
        self.tell(json!({"jsonrpc": "2.0", "id": id, "method": method, "params": params})).await;
        loop {
            let line = tokio::time::timeout(DEADLINE, self.output.next_line()).await;
            let line = line.expect("an answer in time").unwrap().expect("an answer");
            let message: Value = serde_json::from_str(&line).expect("nothing but JSON is written");
            if message["id"] == id {
                return message;
            }
        }
    }

    async fn tool(&mut self, name: &str, arguments: Value) -> Value {
        let answer = self.ask("tools/call", json!({"name": name, "arguments": arguments})).await;
        assert_eq!(answer["result"]["isError"], false, "{answer}");
        answer["result"]["structuredContent"].clone()
    }
}

#[tokio::test]
async fn e2e_a_client_over_standard_input_and_output_works_and_ends() {
    let dev = Dev::start().await;
    let mut client = Client::start(&dev, "ann");
    let hello = json!({"protocolVersion": "2025-11-25", "capabilities": {},
        "clientInfo": {"name": "test", "version": "1"}});
    let hello = client.ask("initialize", hello).await;
    assert_eq!(hello["result"]["serverInfo"]["name"], "troupe-gateway", "{hello}");
    client.tell(json!({"jsonrpc": "2.0", "method": "notifications/initialized"})).await;
    let joined = client.tool("agent_register", json!({"role": "implementer"})).await;
    assert_eq!(joined["agent_id"], "ann");
    let ids = dev.submit("tasks: [{key: a, title: By hand, role: implementer}]").await;
    let taken = client.tool("task_next", json!({"wait_ms": 20_000})).await;
    assert_eq!(taken["task"]["task_id"], ids["a"]);
    let done = json!({"task_id": ids["a"], "epoch": taken["task"]["epoch"], "result": "by ann"});
    client.tool("task_complete", done).await;
    let task = dev.until(&ids["a"], "completed").await;
    assert_eq!((&task["claimed_by"], &task["result"]), (&json!("ann"), &json!("by ann")));
    let Client { input, mut child, .. } = client;
    drop(input);
    let status = tokio::time::timeout(DEADLINE, child.wait()).await.expect("an end in time");
    assert!(status.unwrap().success());
}

#[tokio::test]
async fn e2e_the_lines_that_connect_clients_are_printed_without_a_fleet() {
    let run = async |args: &[&str]| {
        let output = Command::new(TROUPE).args(args).stdin(Stdio::null()).output().await.unwrap();
        assert!(output.status.success(), "{}", text(&output));
        String::from_utf8(output.stdout).unwrap()
    };
    let all = run(&["mcp"]).await;
    assert!(
        all.contains("claude mcp add --transport http troupe 'http://127.0.0.1:7071/mcp'"),
        "{all}"
    );
    let one =
        run(&["mcp", "config", "--client", "json", "--token", "t", "--url", "https://x/mcp"]).await;
    let config: Value = serde_json::from_str(&one).unwrap();
    let server = &config["mcpServers"]["troupe"];
    assert_eq!(server["url"], "https://x/mcp");
    assert_eq!(server["headers"]["Authorization"], "Bearer t");
    let (first, second) = (
        run(&["mcp", "token", "--agent", "ann", "--json"]).await,
        run(&["mcp", "token", "--agent", "ann", "--json"]).await,
    );
    let first: Value = serde_json::from_str(&first).unwrap();
    assert_eq!((&first["agent"], first["sha256"].as_str().unwrap().len()), (&json!("ann"), 64));
    assert!(!second.contains(first["token"].as_str().unwrap()));
}
