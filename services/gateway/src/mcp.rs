//! What MCP asks, answered: tools, resources, prompts, subscriptions.
//!
//! Invariants: whose call it is comes with each request, never from the session or the message; what
//! the client gives up is dropped at once, with what it held; a fault of the fleet is an answer that
//! a model can read, and an error of the protocol is for what is no call at all.

mod answering;
mod following;
mod shapes;
mod tracing_of;

use std::sync::Arc;

use parking_lot::Mutex;
use rmcp::model::{
    CallToolRequestParams, CallToolResponse, CompleteRequestParams, CompleteResult, ErrorData,
    GetPromptRequestParams, GetPromptResponse, ListPromptsResult, ListResourceTemplatesResult,
    ListResourcesResult, ListToolsResult, PaginatedRequestParams, ReadResourceRequestParams,
    ReadResourceResponse, ServerConfig, SubscribeRequestParams, SubscriptionFilter, Tool,
    UnsubscribeRequestParams,
};
use rmcp::service::{RequestContext, SubscriptionContext};
use rmcp::{RoleServer, ServerHandler};

pub(crate) use answering::{Answering, Callers};
use following::Following;

use crate::resources::ResourceId;

/// What answers one session, or one request where there are no sessions.
#[derive(Debug)]
pub struct Mcp {
    answering: Arc<Answering>,
    /// What the client of this session follows, in the revision with sessions.
    following: Mutex<Option<Following>>,
}

impl Mcp {
    pub(crate) fn new(answering: Arc<Answering>) -> Self {
        Self { answering, following: Mutex::default() }
    }
}

type Context = RequestContext<RoleServer>;

#[allow(deprecated)] // subscriptions of the older revision
impl ServerHandler for Mcp {
    fn get_info(&self) -> ServerConfig {
        shapes::info()
    }

    async fn list_tools(
        &self,
        _request: Option<PaginatedRequestParams>,
        _context: Context,
    ) -> Result<ListToolsResult, ErrorData> {
        Ok(shapes::tools(&self.answering.toolbox))
    }

    fn get_tool(&self, name: &str) -> Option<Tool> {
        self.answering.toolbox.get(name).map(shapes::tool)
    }

    async fn call_tool(
        &self,
        request: CallToolRequestParams,
        context: Context,
    ) -> Result<CallToolResponse, ErrorData> {
        let cancelled = context.ct.clone();
        tokio::select! {
            answer = self.answering.call(request, &context) => answer,
            () = cancelled.cancelled() => Err(shapes::given_up()),
        }
    }

    async fn list_resources(
        &self,
        request: Option<PaginatedRequestParams>,
        context: Context,
    ) -> Result<ListResourcesResult, ErrorData> {
        let cursor = request.and_then(|request| request.cursor);
        self.answering.resources(cursor.as_deref(), &context).await
    }

    async fn list_resource_templates(
        &self,
        _request: Option<PaginatedRequestParams>,
        _context: Context,
    ) -> Result<ListResourceTemplatesResult, ErrorData> {
        Ok(shapes::templates())
    }

    async fn read_resource(
        &self,
        request: ReadResourceRequestParams,
        context: Context,
    ) -> Result<ReadResourceResponse, ErrorData> {
        self.answering.read(&request.uri, &context).await
    }

    async fn subscribe(
        &self,
        request: SubscribeRequestParams,
        context: Context,
    ) -> Result<(), ErrorData> {
        let resource = parsed(&request.uri)?;
        let mut following = self.following.lock();
        let following = following.get_or_insert_with(|| {
            let watcher = self.answering.hub.watcher(self.answering.max_followed);
            Following::start(watcher, context.peer.clone())
        });
        following.follow(resource).map_err(|fault| shapes::error(&fault))
    }

    async fn unsubscribe(
        &self,
        request: UnsubscribeRequestParams,
        _context: Context,
    ) -> Result<(), ErrorData> {
        let resource = parsed(&request.uri)?;
        if let Some(following) = self.following.lock().as_ref() {
            following.unfollow(&resource);
        }
        Ok(())
    }

    fn accepted_subscription_filter(
        &self,
        requested: &SubscriptionFilter,
    ) -> Option<SubscriptionFilter> {
        let uris = requested.resource_subscriptions.iter().flatten();
        let known = uris.filter(|uri| ResourceId::parse(uri).is_ok()).cloned();
        let mut accepted = SubscriptionFilter::default();
        accepted.resource_subscriptions = Some(known.take(self.answering.max_followed).collect());
        Some(accepted)
    }

    async fn listen(&self, context: SubscriptionContext) -> Result<(), ErrorData> {
        let watcher = self.answering.hub.watcher(self.answering.max_followed);
        for uri in context.accepted().resource_subscriptions.iter().flatten() {
            watcher.follow(parsed(uri)?).map_err(|fault| shapes::error(&fault))?;
        }
        following::tell(&watcher, &context).await;
        Ok(())
    }

    async fn list_prompts(
        &self,
        _request: Option<PaginatedRequestParams>,
        _context: Context,
    ) -> Result<ListPromptsResult, ErrorData> {
        Ok(shapes::prompts())
    }

    async fn get_prompt(
        &self,
        request: GetPromptRequestParams,
        context: Context,
    ) -> Result<GetPromptResponse, ErrorData> {
        self.answering.prompt(request, &context).await
    }

    async fn complete(
        &self,
        request: CompleteRequestParams,
        context: Context,
    ) -> Result<CompleteResult, ErrorData> {
        self.answering.complete(request, &context).await
    }
}

fn parsed(uri: &str) -> Result<ResourceId, ErrorData> {
    ResourceId::parse(uri).map_err(|_| shapes::no_resource(uri))
}
