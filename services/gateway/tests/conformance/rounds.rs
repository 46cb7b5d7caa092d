//! The suite's tools that need an answer of the client before they have theirs.
#![allow(deprecated)] // what the suite still asks for
#![allow(clippy::single_match_else, clippy::unnecessary_wraps)] // an arm for each round

use rmcp::RoleServer;
use rmcp::model::*;
use rmcp::service::RequestContext;
use serde_json::{Value, json};

/// The tools.
pub(crate) const TOOLS: [&str; 8] = [
    "test_input_required_result_elicitation",
    "test_input_required_result_sampling",
    "test_input_required_result_list_roots",
    "test_input_required_result_request_state",
    "test_input_required_result_multiple_inputs",
    "test_input_required_result_multi_round",
    "test_input_required_result_tampered_state",
    "test_input_required_result_capabilities",
];
/// The prompt.
pub(crate) const PROMPT: &str = "test_input_required_result_prompt";
/// States that were given out, as the suite's tools know them again.
const STATES: [&str; 3] = ["state-1", "state-2", "state-3"];

fn elicitation(message: &str, field: &str, kind: &str) -> InputRequest {
    let schema = json!({
        "type": "object",
        "properties": {field: {"type": kind}},
        "required": [field],
    });
    InputRequest::Elicitation(ElicitRequest::new(ElicitRequestParams::FormElicitationParams {
        meta: None,
        message: message.to_owned(),
        requested_schema: serde_json::from_value(schema).unwrap(),
    }))
}

fn sampling(text: &str, max_tokens: u32) -> InputRequest {
    let asked = vec![SamplingMessage::user_text(text)];
    InputRequest::CreateMessage(CreateMessageRequest::new(CreateMessageRequestParams::new(
        asked, max_tokens,
    )))
}

fn roots() -> InputRequest {
    InputRequest::ListRoots(ListRootsRequest::default())
}

fn asks(
    requests: impl IntoIterator<Item = (&'static str, InputRequest)>,
    state: Option<&str>,
) -> InputRequiredResult {
    let requests = requests.into_iter().map(|(key, request)| (key.to_owned(), request)).collect();
    InputRequiredResult::new(Some(requests), state.map(Into::into))
}

fn done(text: impl Into<String>) -> Result<CallToolResponse, ErrorData> {
    Ok(CallToolResult::success(vec![ContentBlock::text(text.into())]).into())
}

/// The answer of one of these tools; none if it is not one.
pub(crate) fn called(
    request: &CallToolRequestParams,
    context: &RequestContext<RoleServer>,
) -> Option<Result<CallToolResponse, ErrorData>> {
    let responses = request.input_responses.as_ref();
    let response = |key: &str| responses.and_then(|all| all.get(key)).map(|it| json!(it));
    let state = request.request_state.as_deref();
    let name = request.name.as_ref();
    if name == "test_streaming_elicitation" {
        return Some(
            Ok(asks([("user_name", elicitation("Name?", "name", "string"))], None).into()),
        );
    }
    TOOLS.contains(&name).then(|| match name {
        "test_input_required_result_elicitation" => {
            let given = response("user_name");
            match given.as_ref().and_then(|it| it["content"]["name"].as_str()) {
                Some(name) => done(format!("Hello, {name}!")),
                None => {
                    let asked = elicitation("What is your name?", "name", "string");
                    Ok(asks([("user_name", asked)], None).into())
                }
            }
        }
        "test_input_required_result_sampling" => match response("capital_question") {
            Some(said) => done(said["content"]["text"].as_str().unwrap_or_default()),
            None => {
                let asked = sampling("What is the capital of France?", 100);
                Ok(asks([("capital_question", asked)], None).into())
            }
        },
        "test_input_required_result_list_roots" => match response("client_roots") {
            Some(given) => done(format!("The roots are {}", given["roots"])),
            None => Ok(asks([("client_roots", roots())], None).into()),
        },
        "test_input_required_result_request_state" => match (response("confirm"), state) {
            (Some(_), Some(state)) if state == STATES[0] => done("state-ok"),
            (Some(_), _) => Err(tampered()),
            (None, _) => {
                let asked = elicitation("Please confirm", "ok", "boolean");
                Ok(asks([("confirm", asked)], Some(STATES[0])).into())
            }
        },
        "test_input_required_result_tampered_state" => match state {
            Some(state) if state == STATES[0] => done("state-ok"),
            Some(_) => Err(tampered()),
            None => {
                let asked = elicitation("Please confirm", "ok", "boolean");
                Ok(asks([("confirm", asked)], Some(STATES[0])).into())
            }
        },
        "test_input_required_result_multiple_inputs" => several(&response, state),
        "test_input_required_result_multi_round" => match state {
            Some(state) if state == STATES[1] => done("Done after two rounds."),
            Some(state) if state == STATES[0] => {
                let asked = elicitation("Step 2: What is your favorite color?", "color", "string");
                Ok(asks([("step2", asked)], Some(STATES[1])).into())
            }
            Some(_) => Err(tampered()),
            None => {
                let asked = elicitation("Step 1: What is your name?", "name", "string");
                Ok(asks([("step1", asked)], Some(STATES[0])).into())
            }
        },
        _ => capable(context),
    })
}

fn several(
    response: &impl Fn(&str) -> Option<Value>,
    state: Option<&str>,
) -> Result<CallToolResponse, ErrorData> {
    let all =
        ["user_name", "greeting", "client_roots"].into_iter().all(|key| response(key).is_some());
    if all && state == Some(STATES[2]) {
        return done("All three came.");
    }
    let asked = [
        ("user_name", elicitation("What is your name?", "name", "string")),
        ("greeting", sampling("Generate a greeting", 50)),
        ("client_roots", roots()),
    ];
    Ok(asks(asked, Some(STATES[2])).into())
}

/// Asks only for what the client said that it can do.
fn capable(context: &RequestContext<RoleServer>) -> Result<CallToolResponse, ErrorData> {
    let declared = context.client_capabilities().unwrap_or_default();
    let mut asked = Vec::new();
    if declared.elicitation.is_some() {
        asked.push(("user_name", elicitation("What is your name?", "name", "string")));
    }
    if declared.sampling.is_some() {
        asked.push(("greeting", sampling("Generate a greeting", 50)));
    }
    if asked.is_empty() {
        return done("Nothing to ask with.");
    }
    Ok(asks(asked, None).into())
}

fn tampered() -> ErrorData {
    ErrorData::invalid_params("this state was not given out here", None)
}

/// The answer of the prompt; none if it is another one.
pub(crate) fn prompted(request: &GetPromptRequestParams) -> Option<GetPromptResponse> {
    if request.name != PROMPT {
        return None;
    }
    let given = request.input_responses.as_ref().and_then(|all| all.get("user_context"));
    let Some(given) = given.map(|it| json!(it)) else {
        let asked = elicitation("What context should the prompt use?", "context", "string");
        return Some(asks([("user_context", asked)], None).into());
    };
    let text = format!("Context: {}", given["content"]["context"].as_str().unwrap_or_default());
    Some(GetPromptResult::new(vec![PromptMessage::new_text(Role::User, text)]).into())
}
