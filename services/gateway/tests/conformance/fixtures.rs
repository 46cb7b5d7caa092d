//! What the suite asks for by name, around what the gateway answers with.
#![allow(deprecated)] // what the suite still asks for

use std::sync::Arc;
use std::time::Duration;

use rmcp::model::*;
use rmcp::service::{RequestContext, SubscriptionContext};
use rmcp::{RoleServer, ServerHandler};
use serde_json::{Value, json};
use troupe_gateway::Mcp;

use crate::rounds;

/// One red pixel.
const IMAGE: &str = "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mP8z8BQDwAEhQGAhKmMIQAAAABJRU5ErkJggg==";
/// Silence.
const SOUND: &str = "UklGRiQAAABXQVZFZm10IBAAAAABAAEAQB8AAEAfAAABAAgAZGF0YQAAAAA=";
/// Between two notifications of one call.
const PAUSE: Duration = Duration::from_millis(50);
const LOG_LEVEL_KEY: &str = "io.modelcontextprotocol/logLevel";

type Context = RequestContext<RoleServer>;

/// The gateway, with the suite's names around it.
#[derive(Debug)]
pub(crate) struct Fixtures {
    gateway: Mcp,
}

impl Fixtures {
    pub(crate) fn around(gateway: Mcp) -> Self {
        Self { gateway }
    }
}

fn object(value: Value) -> Arc<JsonObject> {
    match value {
        Value::Object(map) => Arc::new(map),
        _ => Arc::default(),
    }
}

fn tool(name: &'static str, schema: Value) -> Tool {
    Tool::new(name, format!("The suite's {name}."), object(schema))
}

fn tools() -> Vec<Tool> {
    let plain = || json!({"type": "object", "properties": {}});
    let with = |name: &str| json!({"type": "object", "properties": {name: {"type": "string"}}, "required": [name]});
    let mut tools: Vec<Tool> = [
        "test_simple_text",
        "test_image_content",
        "test_audio_content",
        "test_embedded_resource",
        "test_multiple_content_types",
        "test_tool_with_logging",
        "test_error_handling",
        "test_tool_with_progress",
        "test_elicitation_sep1034_defaults",
        "test_elicitation_sep1330_enums",
        "test_missing_capability",
        "test_streaming_elicitation",
        "test_logging_tool",
        "test_reconnection",
    ]
    .into_iter()
    .chain(rounds::TOOLS)
    .map(|name| tool(name, plain()))
    .collect();
    tools.push(tool("test_sampling", with("prompt")));
    tools.push(tool("test_elicitation", with("message")));
    tools.push(tool("json_schema_2020_12_tool", rich_schema()));
    tools
}

fn rich_schema() -> Value {
    json!({
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "type": "object",
        "$defs": {"address": {
            "$anchor": "addressDef",
            "type": "object",
            "properties": {"street": {"type": "string"}, "city": {"type": "string"}},
        }},
        "properties": {
            "name": {"type": "string"},
            "address": {"$ref": "#/$defs/address"},
            "contactMethod": {"type": "string", "enum": ["phone", "email"]},
            "phone": {"type": "string"},
            "email": {"type": "string"},
        },
        "allOf": [{"anyOf": [{"required": ["phone"]}, {"required": ["email"]}]}],
        "if": {"properties": {"contactMethod": {"const": "phone"}}, "required": ["contactMethod"]},
        "then": {"required": ["phone"]},
        "else": {"required": ["email"]},
        "additionalProperties": false,
    })
}

fn text(text: impl Into<String>) -> CallToolResponse {
    CallToolResult::success(vec![ContentBlock::text(text.into())]).into()
}

fn resource(uri: &str, kind: &str, text: &str) -> ResourceContents {
    ResourceContents::text(text, uri).with_mime_type(kind)
}

async fn log(context: &Context, text: &str) {
    let what = LoggingMessageNotificationParam::new(LoggingLevel::Info, json!(text));
    context.peer.notify_logging_message(what).await.unwrap();
}

async fn elicited(context: &Context, message: &str, schema: Value) -> Result<String, ErrorData> {
    let requested_schema = serde_json::from_value(schema).unwrap();
    let asked = ElicitRequestParams::FormElicitationParams {
        meta: None,
        message: message.to_owned(),
        requested_schema,
    };
    let answer = context.peer.create_elicitation(asked).await;
    let answer = answer.map_err(|why| ErrorData::internal_error(why.to_string(), None))?;
    let action = serde_json::to_value(&answer.action).unwrap();
    Ok(format!("action={}, content={}", action.as_str().unwrap(), json!(answer.content)))
}

/// The answer of a tool of the suite; none if it is not one.
async fn called(
    request: &CallToolRequestParams,
    context: &Context,
) -> Option<Result<CallToolResponse, ErrorData>> {
    if let Some(answer) = rounds::called(request, context) {
        return Some(answer);
    }
    let argument = |name: &str| {
        let given = request.arguments.as_ref().and_then(|arguments| arguments.get(name));
        given.and_then(Value::as_str).unwrap_or_default().to_owned()
    };
    let answer = match request.name.as_ref() {
        "test_simple_text" => Ok(text("This is a simple text response for testing.")),
        "json_schema_2020_12_tool" => Ok(text(argument("name"))),
        "test_reconnection" => Ok(text("Reconnection test completed")),
        "test_image_content"
        | "test_audio_content"
        | "test_embedded_resource"
        | "test_multiple_content_types" => Ok(content(&request.name)),
        "test_error_handling" => {
            let why = ContentBlock::text("This tool intentionally returns an error for testing");
            Ok(CallToolResult::error(vec![why]).into())
        }
        "test_tool_with_logging" => {
            for line in
                ["Tool execution started", "Tool processing data", "Tool execution completed"]
            {
                log(context, line).await;
                tokio::time::sleep(PAUSE).await;
            }
            Ok(text("Logged."))
        }
        "test_logging_tool" => {
            if context.meta.get(LOG_LEVEL_KEY).is_some() {
                log(context, "The client asked for this.").await;
            }
            Ok(text("Done."))
        }
        "test_tool_with_progress" => progressed(context).await,
        "test_missing_capability" => {
            let declared = context.client_capabilities().unwrap_or_default();
            match declared.sampling {
                Some(_) => Ok(text("The client can sample.")),
                None => Err(ErrorData::missing_required_client_capability(
                    ClientCapabilities::builder().enable_sampling().build(),
                )),
            }
        }
        "test_sampling" => sampled(context, &argument("prompt")).await,
        "test_elicitation" => {
            let schema = json!({
                "type": "object",
                "properties": {
                    "username": {"type": "string", "description": "User's response"},
                    "email": {"type": "string", "description": "User's email address"},
                },
                "required": ["username", "email"],
            });
            let said = elicited(context, &argument("message"), schema).await;
            said.map(|said| text(format!("User response: {said}")))
        }
        "test_elicitation_sep1034_defaults" => {
            let said = elicited(context, "All have defaults.", defaults()).await;
            said.map(|said| text(format!("Elicitation completed: {said}")))
        }
        "test_elicitation_sep1330_enums" => {
            let said = elicited(context, "Choose.", enums()).await;
            said.map(|said| text(format!("Elicitation completed: {said}")))
        }
        _ => return None,
    };
    Some(answer)
}

fn content(name: &str) -> CallToolResponse {
    let image = || ContentBlock::image(IMAGE, "image/png");
    let blocks = match name {
        "test_image_content" => vec![image()],
        "test_audio_content" => vec![ContentBlock::Audio(AudioContent::new(SOUND, "audio/wav"))],
        "test_embedded_resource" => {
            let inside = "This is an embedded resource content.";
            vec![ContentBlock::resource(resource("test://embedded-resource", "text/plain", inside))]
        }
        _ => {
            let inside = r#"{"test":"data","value":123}"#;
            let uri = "test://mixed-content-resource";
            vec![
                ContentBlock::text("Multiple content types test:"),
                image(),
                ContentBlock::resource(resource(uri, "application/json", inside)),
            ]
        }
    };
    CallToolResult::success(blocks).into()
}

async fn progressed(context: &Context) -> Result<CallToolResponse, ErrorData> {
    for progress in [0.0, 50.0, 100.0] {
        if let Some(token) = context.meta.get_progress_token() {
            let what = ProgressNotificationParam::new(token, progress).with_total(100.0);
            context.peer.notify_progress(what).await.unwrap();
        }
        tokio::time::sleep(PAUSE).await;
    }
    Ok(text("Done."))
}

async fn sampled(context: &Context, prompt: &str) -> Result<CallToolResponse, ErrorData> {
    let asked = CreateMessageRequestParams::new(vec![SamplingMessage::user_text(prompt)], 100);
    let answer = context.peer.create_message(asked).await;
    let answer = answer.map_err(|why| ErrorData::internal_error(why.to_string(), None))?;
    let said = json!(answer.message.content);
    let said = said[0]["text"].as_str().or(said["text"].as_str()).unwrap_or_default();
    Ok(text(format!("LLM response: {said}")))
}

fn defaults() -> Value {
    json!({"type": "object", "properties": {
        "name": {"type": "string", "default": "John Doe"},
        "age": {"type": "integer", "default": 30},
        "score": {"type": "number", "default": 95.5},
        "status": {"type": "string", "enum": ["active", "inactive", "pending"], "default": "active"},
        "verified": {"type": "boolean", "default": true},
    }})
}

fn enums() -> Value {
    let titled = |pairs: [(&str, &str); 3]| {
        json!(pairs.map(|(value, title)| json!({"const": value, "title": title})))
    };
    let options =
        [("value1", "First Option"), ("value2", "Second Option"), ("value3", "Third Option")];
    let choices =
        [("value1", "First Choice"), ("value2", "Second Choice"), ("value3", "Third Choice")];
    json!({"type": "object", "properties": {
        "untitledSingle": {"type": "string", "enum": ["option1", "option2", "option3"]},
        "titledSingle": {"type": "string", "oneOf": titled(options)},
        "legacyEnum": {
            "type": "string",
            "enum": ["opt1", "opt2", "opt3"],
            "enumNames": ["Option One", "Option Two", "Option Three"],
        },
        "untitledMulti": {
            "type": "array",
            "items": {"type": "string", "enum": ["option1", "option2", "option3"]},
        },
        "titledMulti": {"type": "array", "items": {"anyOf": titled(choices)}},
    }})
}

/// What is read at a URI of the suite; none if it is not one.
fn contents(uri: &str) -> Option<ResourceContents> {
    if let Some(id) = uri.strip_prefix("test://template/").and_then(|it| it.strip_suffix("/data")) {
        let data = json!({"id": id, "templateTest": true, "data": format!("Data for ID: {id}")});
        return Some(resource(uri, "application/json", &data.to_string()));
    }
    match uri {
        "test://static-text" => {
            Some(resource(uri, "text/plain", "This is the content of the static text resource."))
        }
        "test://static-binary" => {
            Some(ResourceContents::blob(IMAGE, uri).with_mime_type("image/png"))
        }
        "test://watched-resource" => Some(resource(uri, "text/plain", "Watched.")),
        _ => None,
    }
}

fn prompts() -> Vec<Prompt> {
    let argument = |name: &str| PromptArgument::new(name).with_required(true);
    let prompt = |name: &str, arguments: Vec<PromptArgument>| {
        Prompt::new(name, Some("A prompt of the suite."), Some(arguments))
    };
    vec![
        prompt("test_simple_prompt", Vec::new()),
        prompt("test_prompt_with_arguments", vec![argument("arg1"), argument("arg2")]),
        prompt("test_prompt_with_embedded_resource", vec![argument("resourceUri")]),
        prompt("test_prompt_with_image", Vec::new()),
        prompt(rounds::PROMPT, Vec::new()),
    ]
}

/// The messages of a prompt of the suite; none if it is not one.
fn prompted(request: &GetPromptRequestParams) -> Option<GetPromptResponse> {
    if let Some(answer) = rounds::prompted(request) {
        return Some(answer);
    }
    let argument = |name: &str| {
        let given = request.arguments.as_ref().and_then(|arguments| arguments.get(name));
        given.and_then(Value::as_str).unwrap_or_default().to_owned()
    };
    let says = |text: &str| PromptMessage::new_text(Role::User, text);
    let messages = match request.name.as_ref() {
        "test_simple_prompt" => vec![says("This is a simple prompt for testing.")],
        "test_prompt_with_arguments" => {
            let (one, other) = (argument("arg1"), argument("arg2"));
            vec![says(&format!("Prompt with arguments: arg1='{one}', arg2='{other}'"))]
        }
        "test_prompt_with_embedded_resource" => {
            let inside = "Embedded resource content for testing.";
            let block =
                ContentBlock::resource(resource(&argument("resourceUri"), "text/plain", inside));
            vec![
                PromptMessage::new(Role::User, block),
                says("Please process the embedded resource above."),
            ]
        }
        "test_prompt_with_image" => vec![
            PromptMessage::new(Role::User, ContentBlock::image(IMAGE, "image/png")),
            says("Please analyze the image above."),
        ],
        _ => return None,
    };
    Some(GetPromptResult::new(messages).into())
}

impl ServerHandler for Fixtures {
    fn get_info(&self) -> ServerConfig {
        let mut info = self.gateway.get_info();
        // For scenarios of what the gateway itself has no use for.
        info.capabilities.logging = Some(JsonObject::new());
        info
    }

    async fn list_tools(
        &self,
        request: Option<PaginatedRequestParams>,
        context: Context,
    ) -> Result<ListToolsResult, ErrorData> {
        let mut listed = self.gateway.list_tools(request, context).await?;
        listed.tools.extend(tools());
        Ok(listed)
    }

    fn get_tool(&self, name: &str) -> Option<Tool> {
        let own = tools().into_iter().find(|tool| tool.name == name);
        own.or_else(|| self.gateway.get_tool(name))
    }

    async fn call_tool(
        &self,
        request: CallToolRequestParams,
        context: Context,
    ) -> Result<CallToolResponse, ErrorData> {
        match called(&request, &context).await {
            Some(answer) => answer,
            None => self.gateway.call_tool(request, context).await,
        }
    }

    async fn list_resources(
        &self,
        request: Option<PaginatedRequestParams>,
        context: Context,
    ) -> Result<ListResourcesResult, ErrorData> {
        let mut listed = self.gateway.list_resources(request, context).await?;
        let own = [("test://static-text", "text/plain"), ("test://static-binary", "image/png")];
        let own = own.map(|(uri, kind)| Resource::new(uri, uri).with_mime_type(kind));
        listed.resources.splice(0..0, own);
        Ok(listed)
    }

    async fn list_resource_templates(
        &self,
        request: Option<PaginatedRequestParams>,
        context: Context,
    ) -> Result<ListResourceTemplatesResult, ErrorData> {
        let mut listed = self.gateway.list_resource_templates(request, context).await?;
        listed.resource_templates.push(ResourceTemplate::new("test://template/{id}/data", "data"));
        Ok(listed)
    }

    async fn read_resource(
        &self,
        request: ReadResourceRequestParams,
        context: Context,
    ) -> Result<ReadResourceResponse, ErrorData> {
        match contents(&request.uri) {
            Some(contents) => Ok(ReadResourceResult::new(vec![contents])
                .with_ttl_ms(0)
                .with_cache_scope(CacheScope::Private)
                .into()),
            None => self.gateway.read_resource(request, context).await,
        }
    }

    async fn subscribe(
        &self,
        request: SubscribeRequestParams,
        context: Context,
    ) -> Result<(), ErrorData> {
        match contents(&request.uri) {
            Some(_) => Ok(()),
            None => self.gateway.subscribe(request, context).await,
        }
    }

    async fn unsubscribe(
        &self,
        request: UnsubscribeRequestParams,
        context: Context,
    ) -> Result<(), ErrorData> {
        match contents(&request.uri) {
            Some(_) => Ok(()),
            None => self.gateway.unsubscribe(request, context).await,
        }
    }

    fn accepted_subscription_filter(
        &self,
        requested: &SubscriptionFilter,
    ) -> Option<SubscriptionFilter> {
        self.gateway.accepted_subscription_filter(requested)
    }

    async fn listen(&self, context: SubscriptionContext) -> Result<(), ErrorData> {
        self.gateway.listen(context).await
    }

    async fn list_prompts(
        &self,
        request: Option<PaginatedRequestParams>,
        context: Context,
    ) -> Result<ListPromptsResult, ErrorData> {
        let mut listed = self.gateway.list_prompts(request, context).await?;
        listed.prompts.extend(prompts());
        Ok(listed)
    }

    async fn get_prompt(
        &self,
        request: GetPromptRequestParams,
        context: Context,
    ) -> Result<GetPromptResponse, ErrorData> {
        match prompted(&request) {
            Some(answer) => Ok(answer),
            None => self.gateway.get_prompt(request, context).await,
        }
    }

    async fn complete(
        &self,
        request: CompleteRequestParams,
        context: Context,
    ) -> Result<CompleteResult, ErrorData> {
        self.gateway.complete(request, context).await
    }

    async fn set_level(
        &self,
        _request: SetLevelRequestParams,
        _context: Context,
    ) -> Result<(), ErrorData> {
        Ok(())
    }
}
