//! Signs of life for callers that send none themselves.
//!
//! A model thinks between two calls, for minutes; MCP has nothing by which it would say that it is
//! still there. So whoever works through the gateway is kept alive by it, for as long as it calls
//! something now and then. Invariants: nobody is kept alive whom nobody heard from for the silence
//! that is allowed; when the gateway dies, so do its signs of life, and leases end by themselves.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use tokio::task::JoinHandle;
use tokio::time::Instant;
use troupe_bus::CallOptions;
use troupe_client::{Patience, insist};
use troupe_contract::registry::{
    Heartbeat, HeartbeatRequest, HeartbeatResponse, Register, RegisterAgent, Registered,
};
use troupe_domain::{AgentId, Code, Fault, Name};

use super::Member;

/// How long joining is tried.
const JOIN_PATIENCE: Duration = Duration::from_secs(15);
/// How long one sign of life waits for its answer.
const BEAT_TIMEOUT: Duration = Duration::from_secs(5);
/// A sign of life that did not get through is sent again after this.
const BEAT_RETRY: Duration = Duration::from_secs(2);
/// The shortest gap between two.
const SHORTEST_GAP: Duration = Duration::from_millis(100);

/// Bounds of the attendance.
#[derive(Debug, Clone, Copy)]
pub(crate) struct AttendanceSettings {
    /// Whoever calls nothing for so long is kept alive no more.
    pub(crate) silence: Duration,
    /// Callers that are kept alive at once.
    pub(crate) max_attended: usize,
}

/// Who is kept alive.
#[derive(Debug)]
pub(crate) struct Attendance {
    settings: AttendanceSettings,
    present: Mutex<HashMap<AgentId, Present>>,
}

#[derive(Debug)]
struct Present {
    session_id: Option<Name>,
    heard_at: Arc<Mutex<Instant>>,
    beating: JoinHandle<()>,
}

impl Drop for Present {
    fn drop(&mut self) {
        self.beating.abort();
    }
}

impl Attendance {
    pub(crate) fn new(settings: AttendanceSettings) -> Arc<Self> {
        Arc::new(Self { settings, present: Mutex::default() })
    }

    pub(crate) fn silence_allowed_ms(&self) -> u64 {
        u64::try_from(self.settings.silence.as_millis()).unwrap_or(u64::MAX)
    }

    /// How many are kept alive.
    pub(crate) fn count(&self) -> usize {
        self.present.lock().len()
    }

    /// The caller has just asked for something.
    pub(crate) fn heard(&self, agent: &AgentId) {
        if let Some(present) = self.present.lock().get(agent) {
            *present.heard_at.lock() = Instant::now();
        }
    }

    /// Joins the fleet for the caller, who is kept alive from now on. The same life goes on where it
    /// has joined through here before: what it has in its hands stays there.
    pub(crate) async fn join(
        self: &Arc<Self>,
        member: &Arc<Member>,
        mut declaration: RegisterAgent,
    ) -> Result<Registered, Fault> {
        let agent = member.troupe().name().clone();
        declaration.session_id =
            self.present.lock().get(&agent).and_then(|present| present.session_id.clone());
        let patience = Patience::within(JOIN_PATIENCE);
        let registered = insist::<Register>(member.troupe(), &declaration, None, patience).await?;
        let interval = Duration::from_millis(registered.heartbeat_interval_ms);
        self.keep(member, Some(registered.agent.session_id.clone()), interval)?;
        Ok(registered)
    }

    /// Keeps a caller alive that is at work and has joined somewhere else, such as through another
    /// gateway or before this one was started. Who has not joined is told so.
    pub(crate) async fn attend(self: &Arc<Self>, member: &Arc<Member>) -> Result<(), Fault> {
        let agent = member.troupe().name();
        if self.present.lock().contains_key(agent) {
            return Ok(());
        }
        match beat(member, None).await {
            Ok(answer) => self.keep(member, None, Duration::from_millis(answer.next_heartbeat_ms)),
            Err(fault) if fault.code == Code::NotFound => Err(Fault::precondition(
                "you have not joined the fleet: call agent_register with your role first",
            )),
            Err(fault) => Err(fault),
        }
    }

    /// The caller has left.
    pub(crate) fn leave(&self, agent: &AgentId) {
        self.present.lock().remove(agent);
    }

    /// Keeps nobody alive any more.
    pub(crate) fn end(&self) {
        self.present.lock().clear();
    }

    fn keep(
        self: &Arc<Self>,
        member: &Arc<Member>,
        session_id: Option<Name>,
        interval: Duration,
    ) -> Result<(), Fault> {
        let agent = member.troupe().name().clone();
        let mut present = self.present.lock();
        if !present.contains_key(&agent) && present.len() >= self.settings.max_attended {
            return Err(Fault::exhausted("max_attended", self.settings.max_attended));
        }
        let heard_at = Arc::new(Mutex::new(Instant::now()));
        let round = Round {
            attendance: Arc::downgrade(self),
            member: member.clone(),
            session_id: session_id.clone(),
            heard_at: heard_at.clone(),
            silence: self.settings.silence,
        };
        let beating = tokio::spawn(round.run(interval));
        present.insert(agent, Present { session_id, heard_at, beating });
        Ok(())
    }
}

/// The signs of life of one caller.
struct Round {
    attendance: std::sync::Weak<Attendance>,
    member: Arc<Member>,
    session_id: Option<Name>,
    heard_at: Arc<Mutex<Instant>>,
    silence: Duration,
}

impl Round {
    async fn run(self, interval: Duration) {
        let mut wait = interval;
        loop {
            tokio::time::sleep(wait.max(SHORTEST_GAP)).await;
            if self.heard_at.lock().elapsed() > self.silence {
                break;
            }
            wait = match beat(&self.member, self.session_id.clone()).await {
                Ok(answer) => Duration::from_millis(answer.next_heartbeat_ms),
                Err(fault) if is_over(fault.code) => break,
                Err(fault) => {
                    tracing::debug!(%fault, "a sign of life did not get through");
                    BEAT_RETRY
                }
            };
        }
        let agent = self.member.troupe().name();
        tracing::info!(%agent, "is kept alive no more");
        if let Some(attendance) = self.attendance.upgrade() {
            let mut present = attendance.present.lock();
            // A later round of the same agent is not this one's to end.
            if present.get(agent).is_some_and(|it| Arc::ptr_eq(&it.heard_at, &self.heard_at)) {
                present.remove(agent);
            }
        }
    }
}

/// Another process lives under the name, it left, or it may not be here.
const fn is_over(code: Code) -> bool {
    matches!(code, Code::Conflict | Code::NotFound | Code::PermissionDenied)
}

async fn beat(member: &Member, session_id: Option<Name>) -> Result<HeartbeatResponse, Fault> {
    // Without a list of tasks it renews every lease of the agent: another gateway may have handed
    // out the task that it works on.
    let request = HeartbeatRequest { session_id, ..HeartbeatRequest::default() };
    let options = CallOptions::within(BEAT_TIMEOUT);
    member.troupe().call_with::<Heartbeat>(&request, &options).await
}
