//! What people and agents teach: routes that they declare, and how decisions turned out.
//!
//! Invariant: a change of a route is durable before anybody is told that it is made; and feedback adds
//! to what a route learned, it never changes what somebody declared.

use tokio::time::{Instant, timeout_at};
use troupe_contract::routing::{
    FeedbackReply, FeedbackRequest, Route, RouteDeleted, RouteListRequest, RoutePage, RouteRef,
    RouteReply, RouteTarget,
};
use troupe_domain::limits::MAX_PAGE_ROWS;
use troupe_domain::{AgentId, Code, Fault, Name};

use super::events;
use super::knowledge::Knowledge;
use super::memory::Routed;
use super::peers::Tell;
use super::understanding::key_of;
use crate::rules::catalogue::target_of;
use crate::rules::performance::Outcome;
use crate::rules::routes::{Feedback, Lesson, key_of as key_of_target};
use crate::rules::utterance;
use crate::store::routes::{Changed, Decision};

/// Rows of a page where nobody says how many.
const PAGE_ROWS: usize = 100;

/// Ends what takes longer than the caller waits.
pub(super) async fn in_time<T>(
    deadline: Instant,
    work: impl Future<Output = Result<T, Fault>>,
) -> Result<T, Fault> {
    timeout_at(deadline, work).await.unwrap_or_else(|_| {
        let what = "not done in time; the outcome is unknown and is resolved by reading";
        Err(Fault::new(Code::DeadlineExceeded, what))
    })
}

impl Knowledge {
    pub(super) async fn put_route(
        &self,
        caller: &AgentId,
        route: Route,
    ) -> Result<RouteReply, Fault> {
        let id = route.id.clone();
        let changed = self
            .routes
            .change(&id, caller, |table, now| {
                let former = table.get(&id);
                let created = former.is_none_or(|former| former.offered);
                if former.is_some_and(|former| !former.offered && former.declared == route) {
                    return Ok(Decision::Keep(false));
                }
                let entry = table.declaring(route.clone(), None, now)?;
                Ok(Decision::Write(Box::new(entry), created))
            })
            .await?;
        self.tell_of_route(&id, caller, false, &changed);
        Ok(RouteReply { route, created: changed.value })
    }

    pub(super) async fn delete_route(
        &self,
        caller: &AgentId,
        request: RouteRef,
    ) -> Result<RouteDeleted, Fault> {
        let id = request.route_id;
        let changed = self
            .routes
            .change(&id, caller, |table, _| {
                let there = table.get(&id).is_some_and(|route| !route.offered);
                Ok(if there { Decision::Remove(true) } else { Decision::Keep(false) })
            })
            .await?;
        self.tell_of_route(&id, caller, true, &changed);
        Ok(RouteDeleted { removed: changed.value })
    }

    pub(super) fn list_routes(&self, request: &RouteListRequest) -> Result<RoutePage, Fault> {
        let limit = request.limit.unwrap_or(PAGE_ROWS);
        if !(1..=MAX_PAGE_ROWS).contains(&limit) {
            return Err(Fault::invalid("limit", format!("must be within 1 and {MAX_PAGE_ROWS}")));
        }
        Ok(self.routes.look(|table| {
            let rows = table.page(request.after.as_ref(), limit + 1);
            let more = rows.len() > limit;
            let mut routes: Vec<Route> = Vec::with_capacity(limit.min(rows.len()));
            routes.extend(rows.into_iter().take(limit).map(|row| row.declared.clone()));
            let last = routes.last().map(|route| route.id.clone());
            RoutePage { routes, next_after: last.filter(|_| more) }
        }))
    }

    fn tell_of_route<T>(&self, id: &Name, by: &AgentId, removed: bool, changed: &Changed<T>) {
        let Some((sequence, at)) = changed.written else { return };
        let event = events::of_route(id, by, removed, sequence, at);
        if self.events.try_send(event).is_err() {
            tracing::warn!(route = id.as_str(), "an event of the route is not told");
        }
    }

    /// Where `route` leads now.
    pub(super) fn target(&self, route: &Name) -> Result<RouteTarget, Fault> {
        let target = self.routes.look(|table| {
            let roster = self.roster.read();
            target_of(route.as_str(), table, roster.offers())
        });
        target.ok_or_else(|| Fault::not_found("route", route))
    }

    pub(super) async fn hear_feedback(
        &self,
        caller: &AgentId,
        mut request: FeedbackRequest,
    ) -> Result<FeedbackReply, Fault> {
        let role = self.roster.read().get(&request.agent_id).map(|row| row.role.clone());
        let role = role.ok_or_else(|| Fault::not_found("agent", &request.agent_id))?;
        if let Some(text) = &request.text {
            utterance::check("text", text)?;
        }
        self.complete(&mut request).await;
        let taken = request.route_id.as_ref().map(|route| self.target(route)).transpose()?;
        if let Some(right) = &request.right_route_id {
            self.target(right)?;
        }
        let key = taken.as_ref().map_or(&role, key_of_target);
        let outcome = Outcome {
            success: request.success,
            latency_us: request.latency_ms.unwrap_or_default().saturating_mul(1_000),
        };
        self.tell_feedback(caller, &request);
        let change = self.flow.lock().judged(&request.agent_id, key, outcome, self.now());
        if let Some(change) = change {
            self.breaker_changed(change);
        }
        let Some(text) = &request.text else { return Ok(FeedbackReply { learnt: false }) };
        let misled = request.right_route_id.is_some() && request.right_route_id != request.route_id;
        if misled || !request.success {
            self.was_wrong(text).await;
        }
        let mut learnt = false;
        let right = request.right_route_id.as_ref();
        let right = right.or(request.route_id.as_ref().filter(|_| request.success));
        if let Some(right) = right {
            learnt |= self.learn(caller, right, text, true).await?.changes();
        }
        if let Some(wrong) = request.route_id.as_ref().filter(|_| misled) {
            learnt |= self.learn(caller, wrong, text, false).await?.changes();
        }
        Ok(FeedbackReply { learnt })
    }

    /// What the message wanted, and the route that it took, where only the message is named. What is
    /// too long to be learned is not.
    async fn complete(&self, request: &mut FeedbackRequest) {
        let Some(message) = request.message_id.as_ref() else { return };
        if request.text.is_some() && request.route_id.is_some() {
            return;
        }
        let known = self.memory.lock().routed(message);
        let known = match (known, &self.shared) {
            (None, Some(shared)) => shared.routed(message).await,
            (known, _) => known,
        };
        let Some(Routed { text, route }) = known else { return };
        // A route that is gone since then has nothing to learn.
        let there = route.filter(|route| self.target(route).is_ok());
        request.route_id = request.route_id.take().or(there);
        let learnable = Some(text).filter(|text| utterance::check("text", text).is_ok());
        request.text = request.text.take().or(learnable);
    }

    /// A text does or does not belong to a route.
    async fn learn(
        &self,
        caller: &AgentId,
        route: &Name,
        text: &str,
        accepted: bool,
    ) -> Result<Lesson, Fault> {
        let changed = self
            .routes
            .change(route, caller, |table, now| {
                let feedback = Feedback {
                    route: route.clone(),
                    text: text.to_owned(),
                    accepted,
                    source: caller.clone(),
                };
                let (entry, lesson) = table.learning(feedback, now)?;
                Ok(if lesson.changes() {
                    Decision::Write(Box::new(entry), lesson)
                } else {
                    Decision::Keep(lesson)
                })
            })
            .await?;
        Ok(changed.value)
    }

    /// What was answered to `text` was wrong: no replica answers it so again from memory.
    async fn was_wrong(&self, text: &str) {
        let Some(model) = self.school.model() else { return };
        let key = key_of(&self.generation(&model.id), text);
        let entry = self.memory.lock().wrong(&key);
        self.tell(Tell::Wrong(entry.clone()));
        if let Some(shared) = &self.shared {
            shared.remove(&entry).await;
        }
    }
}
