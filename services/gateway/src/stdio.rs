//! MCP over standard input and output: one client, which is one agent, over one connection.

use std::sync::Arc;
use std::time::Duration;

use anyhow::Context;
use rmcp::ServiceExt;
use tokio::io::{AsyncRead, AsyncWrite};
use troupe_client::Troupe;

use crate::config::McpConfig;
use crate::fleet::{Attendance, AttendanceSettings, Member};
use crate::mcp::{Answering, Callers, Mcp};
use crate::resources::Hub;

/// The client is there for as long as it holds the other end; this is longer than any.
const SILENCE: Duration = Duration::from_secs(365 * 24 * 60 * 60);

/// Speaks MCP over this process's standard input and output until the input ends. Nothing else may
/// be written to standard output.
pub async fn serve(troupe: Troupe) -> anyhow::Result<()> {
    Box::pin(serve_over(troupe, tokio::io::stdin(), tokio::io::stdout())).await
}

/// The same over any pair of streams.
pub async fn serve_over<R, W>(troupe: Troupe, input: R, output: W) -> anyhow::Result<()>
where
    R: AsyncRead + Send + Unpin + 'static,
    W: AsyncWrite + Send + Unpin + 'static,
{
    let bounds = McpConfig::default();
    let hub = Arc::new(Hub::default());
    let attendance = Attendance::new(AttendanceSettings { silence: SILENCE, max_attended: 1 });
    let callers = Callers::One(Member::over(troupe.clone()));
    let answering = Answering::new(callers, attendance.clone(), hub.clone(), &bounds, None);
    let listening = tokio::spawn(hub.listen(troupe.bus().clone()));
    let service = Mcp::new(answering)
        .serve((input, output))
        .await
        .context("the client did not begin as MCP asks")?;
    service.waiting().await?;
    listening.abort();
    attendance.end();
    troupe.bus().close().await;
    Ok(())
}
