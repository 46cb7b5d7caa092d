//! Work: taking a task, ending it, making one, looking at them.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use troupe_contract::work::{
    Cancel, Claim, ClaimResult, Complete, Completed, Create, Created, Fail, GetTask, ListTasks,
    Release, TaskIds, TaskPage, TaskReceipt, Verify,
};
use troupe_domain::{AgentId, Fault, TaskId, TaskStatus};

use super::short::{TaskInHand, TaskLine, TaskPageOfOne};
use super::{Custom, Effect, Face, Operation, Tool, Visit, waiting};

/// What an epoch is, wherever one is asked for.
const EPOCH: &str = "The number `epoch` that task_next or task_claim gave you with the task.";

pub(super) fn tools() -> Vec<Tool> {
    vec![
        Tool::custom::<Next>(),
        Tool::operation::<ClaimOne>(),
        Tool::operation::<Done>(),
        Tool::operation::<Failed>(),
        Tool::operation::<GiveBack>(),
        Tool::operation::<Make>(),
        Tool::operation::<Get>(),
        Tool::operation::<List>(),
        Tool::operation::<Judge>(),
        Tool::operation::<CallOff>(),
    ]
}

struct Next;

#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct NextArguments {
    /// How long to wait for a task if none is there, in milliseconds; 0 is not at all.
    #[serde(default)]
    wait_ms: u64,
}

#[derive(Debug, Serialize, JsonSchema)]
struct Given {
    /// The task, which only you hold now; absent if none fits.
    #[serde(skip_serializing_if = "Option::is_none")]
    task: Option<TaskInHand>,
    /// What to do now.
    next_step: &'static str,
}

impl Custom for Next {
    type Arguments = NextArguments;
    type Output = Given;
    const FACE: Face = Face {
        name: "task_next",
        title: "Take the next task",
        about: "Take the best task for your role and capabilities, and start it. From then on only \
                you hold it: keep its task_id and epoch, do the work, report with progress_report, \
                and end it with task_complete, task_fail or task_release. Register first.",
        effect: Effect::Adds,
        attends: true,
        hidden: &[],
        notes: &[],
    };

    async fn run(visit: &Visit, arguments: NextArguments) -> Result<Given, Fault> {
        let task = waiting::next(visit, arguments.wait_ms).await?.map(TaskInHand::from);
        let next_step = match task {
            Some(_) => "Do the work, then call task_complete with this task_id and epoch.",
            None => {
                "No task fits you right now. Call task_next again with wait_ms to wait for one."
            }
        };
        Ok(Given { task, next_step })
    }
}

struct ClaimOne;

#[derive(Debug, Serialize, JsonSchema)]
struct Claimed {
    /// Whether you hold the task now.
    success: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    task: Option<TaskInHand>,
    /// Why not.
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<String>,
    /// Who holds it, if somebody does.
    #[serde(skip_serializing_if = "Option::is_none")]
    held_by: Option<AgentId>,
}

impl From<ClaimResult> for Claimed {
    fn from(result: ClaimResult) -> Self {
        Self {
            success: result.success,
            task: result.task.map(Into::into),
            reason: result.reason,
            held_by: result.conflict.and_then(|conflict| conflict.claimed_by),
        }
    }
}

impl Operation for ClaimOne {
    type Endpoint = Claim;
    type Output = Claimed;
    const FACE: Face = Face {
        name: "task_claim",
        title: "Take one task by its id",
        about: "Take one particular task by its id. Losing a race is an answer, not an error: \
                success is false and says who was first. Prefer task_next unless you were told which \
                task.",
        effect: Effect::Settles,
        attends: true,
        hidden: &[],
        notes: &[("expected_epoch", "Only if the task still has this epoch, as you read it.")],
    };
}

struct Done;

#[derive(Debug, Serialize, JsonSchema)]
struct Ended {
    task_id: TaskId,
    /// `completed`, or `reported` where somebody else must verify it first.
    status: TaskStatus,
    /// The next task, which you hold and have started, where you asked for one.
    #[serde(skip_serializing_if = "Option::is_none")]
    next: Option<TaskInHand>,
}

impl From<Completed> for Ended {
    fn from(done: Completed) -> Self {
        Self { task_id: done.task_id, status: done.status, next: done.next.map(Into::into) }
    }
}

impl Operation for Done {
    type Endpoint = Complete;
    type Output = Ended;
    const FACE: Face = Face {
        name: "task_complete",
        title: "Complete a task",
        about: "Report that a task which you hold is done, with its result. The result is what tasks \
                that depend on this one are given: make it complete and short. If the task asks for \
                evidence, give it; somebody else will then verify it.",
        effect: Effect::Settles,
        attends: true,
        hidden: &[],
        notes: &[
            ("epoch", EPOCH),
            (
                "result",
                "What came out, any JSON. At most 256 KiB: put large things elsewhere and \
                        name where.",
            ),
            (
                "evidence",
                "What shows it: commands that you ran with their exit codes, artifacts with \
                          their SHA-256, observations.",
            ),
            ("next", "true takes your next task along with this call."),
        ],
    };
}

struct Failed;

impl Operation for Failed {
    type Endpoint = Fail;
    type Output = TaskReceipt;
    const FACE: Face = Face {
        name: "task_fail",
        title: "Report that a task failed",
        about: "Report that you could not do a task which you hold. It is tried again by somebody, \
                later, unless you say that trying again does not help.",
        effect: Effect::Settles,
        attends: true,
        hidden: &[],
        notes: &[
            ("epoch", EPOCH),
            (
                "error",
                "What went wrong and what you tried, so that the next one need not repeat it.",
            ),
            ("retryable", "false if nobody can succeed with the task as it stands."),
        ],
    };
}

struct GiveBack;

impl Operation for GiveBack {
    type Endpoint = Release;
    type Output = TaskReceipt;
    const FACE: Face = Face {
        name: "task_release",
        title: "Give a task back",
        about: "Give a task which you hold back to the queue, unharmed: it counts as no failure. Do \
                this when you must stop, or when it is not for you.",
        effect: Effect::Settles,
        attends: true,
        hidden: &[],
        notes: &[("epoch", EPOCH)],
    };
}

struct Make;

impl Operation for Make {
    type Endpoint = Create;
    type Output = Created;
    const FACE: Face = Face {
        name: "task_create",
        title: "Create a task",
        about: "Create a task for somebody in the fleet. Say in title and description (or prompt) \
                all that is needed: whoever takes it has not seen your conversation. Name a role and \
                capabilities so that the right one takes it, and what it depends on.",
        effect: Effect::Adds,
        attends: false,
        hidden: &["key", "backoff", "lease_ms", "metadata", "max_retries"],
        notes: &[
            (
                "depends_on",
                "Ids of tasks that must end first; their results are given to this one.",
            ),
            (
                "idempotency_key",
                "Creating twice under one key creates once. Choose one if you might \
                                 repeat the call.",
            ),
        ],
    };
}

struct Get;

impl Operation for Get {
    type Endpoint = GetTask;
    type Output = TaskPageOfOne;
    const FACE: Face = Face {
        name: "task_get",
        title: "Read a task",
        about: "Read one task: what it asks, where it is, who holds it, what came out, what went \
                wrong.",
        effect: Effect::Reads,
        attends: false,
        hidden: &[],
        notes: &[],
    };
}

struct List;

#[derive(Debug, Serialize, JsonSchema)]
struct Lines {
    tasks: Vec<TaskLine>,
    /// Give this as `after` for the next page; absent on the last.
    #[serde(skip_serializing_if = "Option::is_none")]
    next_after: Option<TaskId>,
}

impl From<TaskPage> for Lines {
    fn from(page: TaskPage) -> Self {
        Self {
            tasks: page.tasks.iter().map(|task| TaskLine::from(&**task)).collect(),
            next_after: page.next_after,
        }
    }
}

impl Operation for List {
    type Endpoint = ListTasks;
    type Output = Lines;
    const FACE: Face = Face {
        name: "task_list",
        title: "List tasks",
        about: "List tasks by status, priority, role, holder, graph or parent; every filter that you \
                give must match. With claimed_by set to your own name and statuses claimed and \
                in_progress it shows what you hold, if you lost track.",
        effect: Effect::Reads,
        attends: false,
        hidden: &[],
        notes: &[
            ("limit", "At most so many; 100 where none is named. Ask for few."),
            ("after", "The `next_after` of the page before."),
        ],
    };
}

struct Judge;

impl Operation for Judge {
    type Endpoint = Verify;
    type Output = TaskReceipt;
    const FACE: Face = Face {
        name: "task_verify",
        title: "Verify a reported task",
        about: "Accept or reject what somebody else reported as done (status `reported`). Check the \
                evidence yourself: run the commands, look at the artifacts. A rejection says why and \
                sends the task back to the queue. You cannot verify your own work.",
        effect: Effect::Settles,
        attends: true,
        hidden: &[],
        notes: &[("epoch", "The task's epoch, as task_get shows it.")],
    };
}

struct CallOff;

impl Operation for CallOff {
    type Endpoint = Cancel;
    type Output = TaskIds;
    const FACE: Face = Face {
        name: "task_cancel",
        title: "Call a task off",
        about: "Call a task off, with everything that depends on it. Whoever holds it is told to \
                stop. This cannot be taken back: be sure that nobody needs it.",
        effect: Effect::Removes,
        attends: false,
        hidden: &[],
        notes: &[],
    };
}
