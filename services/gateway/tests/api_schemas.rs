//! What a tool gives back is as it declares: clients check it, and drop what is not.

mod stage;

use serde_json::{Value, json};
use stage::{Client, Stage, given};

/// What is wrong with `value` by `schema`, as far as the schemas of tools go.
fn violation(schema: &Value, value: &Value, at: &str) -> Option<String> {
    for key in ["anyOf", "oneOf"] {
        if let Some(forms) = schema[key].as_array() {
            let fits = forms.iter().any(|form| violation(form, value, at).is_none());
            return (!fits).then(|| format!("{at}: fits no form of {forms:?}: {value}"));
        }
    }
    let kind = match value {
        Value::Null => "null",
        Value::Bool(_) => "boolean",
        Value::Number(number) if number.is_f64() => "number",
        Value::Number(_) => "integer",
        Value::String(_) => "string",
        Value::Array(_) => "array",
        Value::Object(_) => "object",
    };
    let named = match &schema["type"] {
        Value::String(one) => vec![one.as_str()],
        Value::Array(several) => several.iter().filter_map(Value::as_str).collect(),
        _ => Vec::new(),
    };
    let fits = |name: &&str| *name == kind || (*name == "number" && kind == "integer");
    if !named.is_empty() && !named.iter().any(fits) {
        return Some(format!("{at}: {kind} is none of {named:?}"));
    }
    if schema["enum"].as_array().is_some_and(|known| !known.contains(value)) {
        return Some(format!("{at}: {value} is none of {}", schema["enum"]));
    }
    let required = schema["required"].as_array().into_iter().flatten().filter_map(Value::as_str);
    if let Some(missing) =
        required.into_iter().find(|name| kind == "object" && value.get(name).is_none())
    {
        return Some(format!("{at}: {missing} is missing"));
    }
    let fields = value.as_object().into_iter().flatten();
    let rows = value.as_array().into_iter().flatten();
    let empty = Value::Null;
    let inside = fields.map(|(name, it)| {
        let own = &schema["properties"][name];
        (
            if own.is_null() { &schema["additionalProperties"] } else { own },
            it,
            format!("{at}.{name}"),
        )
    });
    let inside = inside.chain(rows.map(|it| (&schema["items"], it, format!("{at}[]"))));
    let described = inside.filter(|(schema, ..)| schema.is_object() && *schema != &empty);
    described.into_iter().find_map(|(schema, it, at)| violation(schema, it, &at))
}

/// Calls a tool; what comes back is as declared.
async fn call(client: &Client, tools: &Value, tool: &str, arguments: Value) -> Value {
    let answer = client.tool(tool, arguments).await;
    let content = given(&answer).clone();
    let listed = tools.as_array().unwrap().iter().find(|it| it["name"] == tool).unwrap();
    let wrong = violation(&listed["outputSchema"], &content, tool);
    assert_eq!(wrong, None, "{content}\n{}", listed["outputSchema"]);
    content
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_comes_back_is_as_declared() {
    let stage = Stage::start().await;
    let (ann, bob) = (stage.client("ann"), stage.client("bob"));
    let tools = ann.rpc("tools/list", json!({})).await["result"]["tools"].clone();
    let ann = |tool: &'static str, arguments: Value| {
        let (ann, tools) = (ann.clone(), tools.clone());
        async move { call(&ann, &tools, tool, arguments).await }
    };
    ann("agent_register", json!({"role": "implementer", "capabilities": ["rust"]})).await;
    given(&bob.tool("agent_register", json!({"role": "auditor"})).await);
    ann("agent_find", json!({})).await;
    ann("agent_get", json!({"agent_id": "bob"})).await;
    ann("task_next", json!({})).await;
    let made = ann("task_create", json!({"title": "one", "required_role": "implementer"})).await;
    ann("task_list", json!({})).await;
    ann("task_get", json!({"task_id": made["task_id"]})).await;
    let task = ann("task_next", json!({"wait_ms": 10_000})).await["task"].clone();
    let hold = json!({"task_id": task["task_id"], "epoch": task["epoch"]});
    let mut report = hold.clone();
    report["percentage"] = json!(50);
    ann("progress_report", report).await;
    ann("progress_summary", json!({})).await;
    ann("task_release", hold).await;
    let claimed = ann("task_claim", json!({"task_id": made["task_id"]})).await;
    let epoch = &claimed["task"]["epoch"];
    let done = json!({"task_id": made["task_id"], "epoch": epoch, "result": [1], "next": true});
    ann("task_complete", done).await;
    ann("task_get", json!({"task_id": made["task_id"]})).await;

    let plan = json!({"plan_id": "p", "name": "Plan", "items": [{"item_id": "a", "title": "A"}]});
    ann("plan_create", plan).await;
    ann("plan_list", json!({})).await;
    let note = json!({"add_note": {"item_id": "a", "text": "a remark"}});
    for edit in [json!({"add_item": {"item": {"title": "B"}}}), note] {
        ann("plan_edit", json!({"plan_id": "p", "edit": edit})).await;
    }
    ann("plan_get", json!({"plan_id": "p"})).await;
    ann("plan_dispatch", json!({"plan_id": "p"})).await;

    ann("message_inbox", json!({})).await;
    ann("message_send", json!({"to": "bob", "body": {"any": "thing"}})).await;
    given(&bob.tool("message_send", json!({"to": "ann", "body": "hello"})).await);
    let letters = ann("message_inbox", json!({"wait_ms": 10_000})).await;
    let letter = &letters["messages"][0];
    let ack = json!({"message_id": letter["message_id"], "attempt": letter["attempt"]});
    ann("message_ack", json!({"messages": [ack]})).await;

    // A request finds whoever is named, who answers while the call waits.
    let asking = tokio::spawn(ann("ask_by_intent", json!({"intent": "what is it?", "to": "bob"})));
    let asked = loop {
        let heard = bob.tool("message_inbox", json!({"wait_ms": 5_000})).await;
        let letters = given(&heard)["messages"].as_array().unwrap().clone();
        assert_ne!(letters, Vec::<Value>::new(), "nothing came within five seconds");
        if let Some(asked) = letters.iter().find(|letter| letter["type"] == "request") {
            break asked.clone();
        }
        // What ann says next comes when what she said before is settled.
        let acks = letters.iter().map(
            |letter| json!({"message_id": letter["message_id"], "attempt": letter["attempt"]}),
        );
        given(&bob.tool("message_ack", json!({"messages": acks.collect::<Vec<_>>()})).await);
    };
    let said = json!({"to": "ann", "in_reply_to": asked["message_id"], "body": "it is this"});
    given(&bob.tool("message_send", said).await);
    let answered = asking.await.unwrap();
    assert_eq!((&answered["by"], &answered["body"]), (&json!("bob"), &json!("it is this")));
    ann("agent_leave", json!({})).await;
}

#[test]
fn a_wrong_answer_is_seen() {
    let schema = json!({"type": "object", "required": ["a"], "properties": {
        "a": {"type": ["integer", "null"]}, "b": {"type": "array", "items": {"enum": ["x"]}}}});
    assert_eq!(violation(&schema, &json!({"a": null, "b": ["x"]}), "it"), None);
    for wrong in [json!({}), json!({"a": "1"}), json!({"a": 1, "b": ["y"]}), json!([])] {
        assert!(violation(&schema, &wrong, "it").is_some(), "{wrong}");
    }
}
