//! Every operation of the registry against a real server.

mod stage;

use serde_json::json;
use stage::{Stage, ask, beat, call, get, join, name, patient, refused, register};
use troupe_contract::event::AgentEventKind::{
    AgentRegistered, AgentStatusChanged, AgentUnregistered,
};
use troupe_contract::registry::{
    Children, Deregister, Discover, FindByCapability, Heartbeat, Life, ListAgents, Liveness,
    Register, RegistryStats, UpdateStatus,
};
use troupe_domain::{Agent, AgentStatus, Code};

fn ids(agents: &[Agent]) -> Vec<&str> {
    agents.iter().map(|agent| agent.id.as_str()).collect()
}

#[tokio::test]
async fn an_agent_joins_says_what_it_does_and_leaves() {
    let stage = Stage::start().await;
    let replica = stage.replica(patient()).await;
    let me = stage.bus("me").await;

    let joined = register(
        &me,
        json!({
            "role": "implementer", "domain": "the parser", "capabilities": ["rust:0.9"],
            "surface": "cli", "max_concurrent_tasks": 3, "metadata": {"model": "x"},
        }),
    )
    .await;
    assert!(joined.created);
    assert_eq!(joined.heartbeat_interval_ms, patient().heartbeat_interval_ms);
    assert_eq!(joined.agent.persona.as_deref(), Some("the parser"));
    assert_eq!(joined.agent.status, AgentStatus::Active);

    let answer = call::<Heartbeat>(&me, json!({"status": "busy", "current_task_ids": ["t1"]}))
        .await
        .unwrap();
    assert!(answer.accepted);
    assert_eq!(answer.next_heartbeat_ms, patient().heartbeat_interval_ms);
    assert_eq!(answer.pending_messages, None, "no semantic routing is there to ask");
    assert_eq!(answer.pending_tasks, None, "no work distribution is there to ask");

    let seen = get(&me, "me").await.unwrap();
    assert_eq!((seen.status, seen.current_task_ids), (AgentStatus::Busy, vec![name("t1")]));
    assert!(seen.last_heartbeat >= joined.agent.last_heartbeat);

    let idle =
        call::<UpdateStatus>(&me, json!({"status": "IDLE", "reason": "done"})).await.unwrap();
    assert_eq!(idle.agent.status, AgentStatus::Idle);

    assert!(call::<Deregister>(&me, json!({"reason": "bye"})).await.unwrap().removed);
    assert!(!call::<Deregister>(&me, json!({})).await.unwrap().removed, "twice is once");
    assert_eq!(get(&me, "me").await.unwrap_err().code, Code::NotFound);
    assert!(join(&me).await.created, "it may come back");
    replica.drain().await;

    assert_eq!(
        stage.kinds("me").await,
        [
            AgentRegistered,
            AgentStatusChanged,
            AgentStatusChanged,
            AgentUnregistered,
            AgentRegistered
        ]
    );
    let told = stage.events().await;
    assert_eq!(told[2].reason.as_deref(), Some("done"));
    assert_eq!(told[3].reason.as_deref(), Some("bye"));
    assert!(told.iter().all(|event| event.agent.is_some()));
}

#[tokio::test]
async fn nobody_speaks_for_another_and_a_wrong_field_is_named() {
    let stage = Stage::start().await;
    let replica = stage.replica(patient()).await;
    let me = stage.bus("me").await;
    let cases = [
        ("register", json!({"role": "auditor", "id": "you"}), "permission_denied", "id"),
        ("deregister", json!({"id": "you"}), "permission_denied", "id"),
        ("register", json!({}), "invalid_argument", "body"),
        ("register", json!({"role": "a.b"}), "invalid_argument", "role"),
        ("register", json!({"role": "auditor", "status": "crashed"}), "invalid_argument", "status"),
        ("register", json!({"role": "auditor", "status": "asleep"}), "invalid_argument", "status"),
        (
            "register",
            json!({"role": "auditor", "max_concurrent_tasks": 0}),
            "invalid_argument",
            "max_concurrent_tasks",
        ),
        (
            "register",
            json!({"role": "auditor", "parent_agent_id": "me"}),
            "invalid_argument",
            "parent_agent_id",
        ),
        (
            "register",
            json!({"role": "auditor", "parent_agent_id": "nobody"}),
            "invalid_argument",
            "parent_agent_id",
        ),
        (
            "register",
            json!({"role": "auditor", "persona": "x".repeat(20_000)}),
            "resource_exhausted",
            "persona",
        ),
        ("register", json!({"role": "auditor", "metadata": []}), "invalid_argument", "metadata"),
        (
            "register",
            json!({"role": "auditor", "capabilities": ["rust:7"]}),
            "invalid_argument",
            "capabilities[0].proficiency",
        ),
        ("heartbeat", json!({"status": "offline"}), "invalid_argument", "status"),
        (
            "heartbeat",
            json!({"running_task_ids": vec!["t"; 2_000]}),
            "resource_exhausted",
            "running_task_ids",
        ),
        ("heartbeat", json!({}), "not_found", ""),
        ("update_status", json!({"status": "idle"}), "not_found", ""),
        ("update_status", json!({"status": "crashed"}), "invalid_argument", "status"),
        ("get", json!({"agent_id": "nobody"}), "not_found", ""),
        ("children", json!({"agent_id": "nobody"}), "not_found", ""),
        ("list", json!({"limit": 0}), "invalid_argument", "limit"),
        ("list", json!({"limit": 1_001}), "resource_exhausted", "limit"),
        ("discover", json!({"capabilities": ["a", "a"]}), "invalid_argument", "capabilities[1]"),
        ("discover", json!({"colour": "red"}), "invalid_argument", "colour"),
        (
            "find_by_capability",
            json!({"capability": "rust", "min_proficiency": 2}),
            "invalid_argument",
            "min_proficiency",
        ),
        ("liveness", json!({"agent_ids": vec!["a"; 1_001]}), "resource_exhausted", "agent_ids"),
    ];
    for (operation, body, code, field) in cases {
        let shown =
            format!("{operation} {}", body.to_string().chars().take(80).collect::<String>());
        assert_eq!(
            refused(&me, operation, body).await,
            (code.to_owned(), field.to_owned()),
            "{shown}"
        );
    }
    assert!(join(&me).await.created, "and it still serves");
    replica.drain().await;
}

#[tokio::test]
async fn a_new_life_ends_the_former_one_and_a_repeated_command_is_one_registration() {
    let stage = Stage::start().await;
    let replica = stage.replica(patient()).await;
    let me = stage.bus("me").await;
    let first = join(&me).await.agent.session_id;
    let renewed = register(&me, json!({"role": "implementer", "session_id": first})).await;
    assert!(!renewed.created && renewed.agent.session_id == first);

    let second = join(&me).await;
    assert!(!second.created && second.agent.session_id != first);
    let former = refused(&me, "heartbeat", json!({"session_id": first})).await;
    assert_eq!(former, ("conflict".to_owned(), "session_id".to_owned()));
    let current = json!({"session_id": second.agent.session_id});
    assert!(call::<Heartbeat>(&me, current).await.unwrap().accepted);

    let options =
        troupe_bus::CallOptions { command_id: Some("c1".to_owned()), ..Default::default() };
    let request = serde_json::from_value(json!({"role": "auditor"})).unwrap();
    let you = stage.bus("you").await;
    let one = you.call_with::<Register>(&request, &options).await.unwrap();
    let two = you.call_with::<Register>(&request, &options).await.unwrap();
    assert!(one.created && two.created);
    assert_eq!(one.agent.session_id, two.agent.session_id);
    replica.drain().await;
    assert_eq!(stage.kinds("you").await, [AgentRegistered]);
    assert_eq!(stage.kinds("me").await.len(), 2, "a renewal that says nothing new is no event");
}

#[tokio::test]
async fn agents_are_found_by_every_filter() {
    let stage = Stage::start().await;
    let replica = stage.replica(patient()).await;
    let boss = stage.bus("boss").await;
    register(&boss, json!({"role": "coordinator"})).await;
    for (id, role, skill, surface, running) in [
        ("a", "auditor", "rust:0.9", "cli", 2),
        ("b", "auditor", "rust:0.4", "web", 0),
        ("c", "planner", "rust:0.7", "slack", 1),
    ] {
        let bus = stage.bus(id).await;
        register(
            &bus,
            json!({"role": role, "capabilities": [skill, "git"], "surface": surface,
            "max_concurrent_tasks": 4, "parent_agent_id": "boss"}),
        )
        .await;
        let running: Vec<String> = (0..running).map(|n| format!("{id}{n}")).collect();
        call::<Heartbeat>(&bus, json!({"running_task_ids": running})).await.unwrap();
    }
    for (filter, wanted) in [
        (json!({}), vec!["b", "boss", "c", "a"]),
        (json!({"roles": ["auditor"]}), vec!["b", "a"]),
        (json!({"capabilities": ["rust:0.5"]}), vec!["c", "a"]),
        (
            json!({"capabilities": [{"name": "rust", "min_proficiency": 0.5}, "git"], "surfaces": ["cli"]}),
            vec!["a"],
        ),
        (json!({"exclude_agent_ids": ["b", "boss"]}), vec!["c", "a"]),
        (json!({"statuses": ["crashed", "offline"]}), vec![]),
        (json!({"active_within_ms": 60_000, "roles": ["planner"]}), vec!["c"]),
    ] {
        let found = call::<Discover>(&boss, filter.clone()).await.unwrap();
        assert_eq!(ids(&found.agents), wanted, "{filter}");
        assert_eq!(found.total, wanted.len());
    }
    let cut = call::<Discover>(&boss, json!({"limit": 1})).await.unwrap();
    assert_eq!((ids(&cut.agents), cut.total), (vec!["b"], 4));

    let able = call::<FindByCapability>(&boss, json!({"name": "rust", "min_proficiency": 0.5}))
        .await
        .unwrap();
    assert_eq!(ids(&able.agents), ["a", "c"]);

    let children = call::<Children>(&boss, json!({"id": "boss"})).await.unwrap();
    assert_eq!(ids(&children.agents), ["a", "b", "c"]);
    assert_eq!(
        get(&boss, "boss").await.unwrap().child_agent_ids,
        [name("a"), name("b"), name("c")]
    );
    let cycle =
        refused(&boss, "register", json!({"role": "coordinator", "parent_agent_id": "a"})).await;
    assert_eq!(cycle, ("invalid_argument".to_owned(), "parent_agent_id".to_owned()));

    let page = call::<ListAgents>(&boss, json!({"limit": 3})).await.unwrap();
    assert_eq!((ids(&page.agents), page.next_after), (vec!["a", "b", "boss"], Some(name("boss"))));
    let rest = call::<ListAgents>(&boss, json!({"limit": 3, "after": "boss"})).await.unwrap();
    assert_eq!((ids(&rest.agents), rest.next_after), (vec!["c"], None));

    let stats = call::<RegistryStats>(&boss, json!({})).await.unwrap();
    assert_eq!((stats.total_agents, stats.running_tasks, stats.capacity), (4, 3, 13));
    assert_eq!(
        (stats.by_status[&AgentStatus::Active], stats.by_status[&AgentStatus::Crashed]),
        (4, 0)
    );
    assert_eq!((stats.by_role[&name("auditor")], stats.by_capability[&name("git")]), (2, 3));

    let alive = call::<Liveness>(&boss, json!({"agent_ids": ["a", "nobody"]})).await.unwrap();
    assert_eq!((alive.agents[0].life, alive.agents[1].life), (Life::Alive, Life::Gone));
    assert_eq!(alive.agents[0].running_task_ids.as_ref().unwrap().len(), 2);
    replica.drain().await;
}

#[tokio::test]
async fn junk_is_answered_and_harms_nobody() {
    let stage = Stage::start().await;
    let replica = stage.replica(patient()).await;
    let me = stage.bus("me").await;
    join(&me).await;
    for entry in troupe_contract::registry::ENDPOINTS {
        for junk in [json!(7), json!("x"), json!([[[]]]), json!({"\u{0}": 1}), json!(null)] {
            let fault = ask(&me, entry.operation, junk.clone()).await.expect_err(entry.operation);
            assert_eq!(fault.code, Code::InvalidArgument, "{} {junk}", entry.operation);
        }
    }
    assert!(beat(&me).await.unwrap().accepted);
    replica.drain().await;
}
