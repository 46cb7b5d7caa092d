//! Sessions: opening, joining, speaking, leaving, ending.

use troupe_bus::Call;
use troupe_contract::routing::{
    Said, SayRequest, SessionCloseRequest, SessionLeaveRequest, SessionRef, SessionReply,
    SessionSpec,
};
use troupe_domain::limits::MAX_CLOCK_ENTRIES;
use troupe_domain::session::conversation::Opening;
use troupe_domain::session::{DEFAULT_SESSION_IDLE_MS, SessionId, Turn};
use troupe_domain::{Fault, Name};

use super::{Routing, answer_of, check_len, deadline};
use crate::rules::request::RoutingRequest;

impl Routing {
    /// Asks a session for something that gives it as it is afterwards.
    async fn session(
        &self,
        id: &SessionId,
        request: RoutingRequest,
        until: tokio::time::Instant,
    ) -> Result<SessionReply, Fault> {
        let session = answer_of!(self.ask(id, request, until).await?, Session)?;
        Ok(SessionReply { session: *session })
    }
}

/// `routing.session_open`
pub async fn open(routing: &Routing, call: Call<SessionSpec>) -> Result<SessionReply, Fault> {
    let until = deadline(&call);
    let Call { caller: by, request: spec, command_id, .. } = call;
    check_len("participants", &spec.participants, "MAX_CLOCK_ENTRIES", MAX_CLOCK_ENTRIES)?;
    let id = match spec.id {
        Some(id) => id,
        None => routing.id_of_session(&by, command_id.as_deref())?,
    };
    let mut participants = spec.participants;
    if !participants.contains(&by) {
        participants.insert(0, by.clone());
    }
    let opening = Opening {
        id: id.clone(),
        kind: spec.kind,
        title: spec.title,
        by,
        at: routing.world.now(),
        idle_ms: spec.idle_ms.unwrap_or(DEFAULT_SESSION_IDLE_MS),
        anyone_may_join: spec.anyone_may_join,
        turn_order: spec.turn_order,
        participants,
    };
    routing.session(&id, RoutingRequest::SessionOpen { opening }, until).await
}

impl Routing {
    /// Sessions have one space of names: a key of one caller must not lead to another's session.
    fn id_of_session(&self, by: &Name, command_id: Option<&str>) -> Result<SessionId, Fault> {
        match command_id {
            Some(key) => self.id_for(Some(&format!("session {by} {key}"))),
            None => self.id_for(None),
        }
    }
}

/// `routing.session_join`
pub async fn join(routing: &Routing, call: Call<SessionRef>) -> Result<SessionReply, Fault> {
    let until = deadline(&call);
    let id = call.request.session_id;
    let request = RoutingRequest::SessionJoin { id: id.clone(), who: call.caller };
    routing.session(&id, request, until).await
}

/// `routing.session_leave`
pub async fn leave(
    routing: &Routing,
    call: Call<SessionLeaveRequest>,
) -> Result<SessionReply, Fault> {
    let until = deadline(&call);
    let SessionLeaveRequest { session_id: id, reason } = call.request;
    let request = RoutingRequest::SessionLeave { id: id.clone(), who: call.caller, reason };
    routing.session(&id, request, until).await
}

/// `routing.session_close`
pub async fn close(
    routing: &Routing,
    call: Call<SessionCloseRequest>,
) -> Result<SessionReply, Fault> {
    let until = deadline(&call);
    let SessionCloseRequest { session_id: id, outcome, reason } = call.request;
    let who = call.caller;
    let request = RoutingRequest::SessionClose { id: id.clone(), who, outcome, reason };
    routing.session(&id, request, until).await
}

/// `routing.session_say`
pub async fn say(routing: &Routing, call: Call<SayRequest>) -> Result<Said, Fault> {
    let until = deadline(&call);
    let Call { caller, request, command_id, trace, .. } = call;
    let id = request.session_id;
    let turn_id = match request.turn_id {
        Some(id) => id,
        None => routing.id_for(command_id.as_deref())?,
    };
    let turn = Turn {
        id: turn_id,
        by: caller,
        class: request.class,
        subject: request.subject,
        body: request.body,
        // An empty one stands for everything that was heard so far.
        clock: request.vector_clock.unwrap_or_default(),
        said_at: routing.world.now(),
        trace,
    };
    let request = RoutingRequest::SessionSay { id: id.clone(), turn };
    answer_of!(routing.ask(&id, request, until).await?, Said)
}
