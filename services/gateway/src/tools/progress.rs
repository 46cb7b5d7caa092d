//! How far things are.

use troupe_contract::progress::{ProgressSummary, Report, ReportReceipt, Summary};

use super::{Effect, Face, Operation, Tool};

pub(super) fn tools() -> Vec<Tool> {
    vec![Tool::operation::<Tell>(), Tool::operation::<Sum>()]
}

struct Tell;

impl Operation for Tell {
    type Endpoint = Report;
    type Output = ReportReceipt;
    const FACE: Face = Face {
        name: "progress_report",
        title: "Report progress",
        about: "Say how far a task which you hold is, and what blocks it. Report when something \
                worth knowing changed, at least every few minutes of work. When you name blockers, the \
                suggestions in the answer are what the fleet remembers about such things. The answer \
                stale_epoch means that you lost the task.",
        effect: Effect::Settles,
        attends: true,
        hidden: &["metadata", "details"],
        notes: &[
            ("epoch", "The number `epoch` that task_next or task_claim gave you with the task."),
            (
                "percentage",
                "How far it is, 0 to 100. A lower one than before needs a \
                            regression_reason.",
            ),
            ("message", "What is done and what comes next, in a sentence."),
            ("blockers", "What you wait for; each in a few words. Others see it."),
        ],
    };
}

struct Sum;

impl Operation for Sum {
    type Endpoint = Summary;
    type Output = ProgressSummary;
    const FACE: Face = Face {
        name: "progress_summary",
        title: "Sum progress up",
        about: "How far a graph, a plan, the parts of a task, a milestone or some tasks are. Name at \
                most one kind; without any it is the whole fleet.",
        effect: Effect::Reads,
        attends: false,
        hidden: &[],
        notes: &[],
    };
}
