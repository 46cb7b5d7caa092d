//! What every session and request has in common: the tools, the callers' connections, what is
//! followed.

use std::sync::Arc;
use std::time::Duration;

use axum::http::request::Parts;
use rmcp::RoleServer;
use rmcp::model::{
    CallToolRequestParams, CallToolResponse, CompleteRequestParams, CompleteResult, ErrorData,
    Extensions, GetPromptRequestParams, GetPromptResponse, ListResourcesResult,
    ReadResourceResponse, Reference,
};
use rmcp::service::RequestContext;
use tokio::time::Instant;
use troupe_domain::{Code, Fault};
use troupe_runtime::requests::Requests;

use super::{shapes, tracing_of};
use crate::completion::{self, Meaning};
use crate::config::McpConfig;
use crate::fleet::{Attendance, Connections, Member};
use crate::identity::Caller;
use crate::prompts;
use crate::resources::{self, Hub, ResourceId};
use crate::tools::{Toolbox, Visit};

/// Whose calls these are.
#[derive(Debug)]
pub(crate) enum Callers {
    /// One agent's, over its own connection.
    One(Arc<Member>),
    /// Those whom the door let in.
    Http(Arc<Connections>),
}

/// What answers.
#[derive(Debug)]
pub(crate) struct Answering {
    pub(super) toolbox: Toolbox,
    pub(super) hub: Arc<Hub>,
    pub(super) max_followed: usize,
    callers: Callers,
    attendance: Arc<Attendance>,
    max_wait: Duration,
    requests: Option<Arc<Requests>>,
}

type Context = RequestContext<RoleServer>;

impl Answering {
    pub(crate) fn new(
        callers: Callers,
        attendance: Arc<Attendance>,
        hub: Arc<Hub>,
        config: &McpConfig,
        requests: Option<Arc<Requests>>,
    ) -> Arc<Self> {
        Arc::new(Self {
            toolbox: Toolbox::new(),
            hub,
            max_followed: config.max_subscriptions,
            callers,
            attendance,
            max_wait: Duration::from_millis(config.max_wait_ms),
            requests,
        })
    }

    /// The visit of whoever made this request.
    async fn visit(&self, extensions: &Extensions) -> Result<Visit, Fault> {
        let member = match &self.callers {
            Callers::One(member) => member.clone(),
            Callers::Http(connections) => {
                let caller =
                    extensions.get::<Parts>().and_then(|parts| parts.extensions.get::<Caller>());
                // The door names everybody: this is a defect, and nobody is let through.
                let caller = caller
                    .ok_or_else(|| Fault::new(Code::PermissionDenied, "a request of nobody"))?;
                connections.member(caller).await?
            }
        };
        self.attendance.heard(member.troupe().name());
        Ok(Visit { member, attendance: self.attendance.clone(), max_wait: self.max_wait })
    }

    /// `tools/call`
    pub(super) async fn call(
        &self,
        request: CallToolRequestParams,
        context: &Context,
    ) -> Result<CallToolResponse, ErrorData> {
        let Some(tool) = self.toolbox.get(&request.name) else {
            return Err(shapes::no_tool(&request.name));
        };
        let name = tool.face.name;
        let began = Instant::now();
        let work = Box::pin(async {
            let visit = self.visit(&context.extensions).await?;
            let outcome = tool.call(&visit, request.arguments.unwrap_or_default()).await;
            // What took long was no silence.
            self.attendance.heard(visit.troupe().name());
            outcome
        });
        let outcome = tracing_of::call(name, context, work).await;
        self.count(name, began, outcome.as_ref().err());
        Ok(shapes::outcome(outcome))
    }

    /// `resources/list`
    pub(super) async fn resources(
        &self,
        cursor: Option<&str>,
        context: &Context,
    ) -> Result<ListResourcesResult, ErrorData> {
        let page = async {
            let visit = self.visit(&context.extensions).await?;
            resources::list(&visit, cursor).await
        };
        page.await.map(shapes::page).map_err(|fault| shapes::error(&fault))
    }

    /// `resources/read`
    pub(super) async fn read(
        &self,
        uri: &str,
        context: &Context,
    ) -> Result<ReadResourceResponse, ErrorData> {
        let resource = ResourceId::parse(uri).map_err(|_| shapes::no_resource(uri))?;
        let read = Box::pin(async {
            let visit = self.visit(&context.extensions).await?;
            resources::read(&visit, &resource).await
        });
        match tracing_of::call("resources/read", context, read).await {
            Ok(value) => Ok(shapes::contents(uri, &value)),
            Err(fault) if fault.code == Code::NotFound => Err(shapes::no_resource(uri)),
            Err(fault) => Err(shapes::error(&fault)),
        }
    }

    /// `prompts/get`
    pub(super) async fn prompt(
        &self,
        request: GetPromptRequestParams,
        context: &Context,
    ) -> Result<GetPromptResponse, ErrorData> {
        let text = async {
            let visit = self.visit(&context.extensions).await?;
            prompts::text(&visit, &request.name, &request.arguments.unwrap_or_default()).await
        };
        text.await.map(shapes::prompt).map_err(|fault| shapes::error(&fault))
    }

    /// `completion/complete`
    pub(super) async fn complete(
        &self,
        request: CompleteRequestParams,
        context: &Context,
    ) -> Result<CompleteResult, ErrorData> {
        let meaning = match &request.r#ref {
            Reference::Prompt(_) => Meaning::of_argument(&request.argument.name),
            Reference::Resource(template) => Meaning::of_template(&template.uri),
            _ => Meaning::Text,
        };
        let found = async {
            let visit = self.visit(&context.extensions).await?;
            completion::suggestions(&visit, meaning, &request.argument.value).await
        };
        found.await.map(shapes::completion).map_err(|fault| shapes::error(&fault))
    }

    fn count(&self, name: &'static str, began: Instant, fault: Option<&Fault>) {
        if let Some(requests) = &self.requests {
            let seconds = began.elapsed().as_secs_f64();
            requests.record(name, seconds, fault.map(|fault| fault.code.as_str()));
        }
    }
}
