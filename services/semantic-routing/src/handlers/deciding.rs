//! Routing by intent: who can act, declared routes, what was learnt.

use troupe_bus::Call;
use troupe_contract::routing::{
    FeedbackReply, FeedbackRequest, FitReply, FitRequest, Resolution, ResolveRequest, Route,
    RouteDeleted, RouteListRequest, RoutePage, RouteRef, RouteReply,
};
use troupe_domain::Fault;

use super::{Routing, deadline};

/// `routing.resolve`
pub async fn resolve(routing: &Routing, call: Call<ResolveRequest>) -> Result<Resolution, Fault> {
    let until = deadline(&call);
    routing.intents.resolve(&call.caller, call.request, until).await
}

/// `routing.route_put`
pub async fn route_put(routing: &Routing, call: Call<Route>) -> Result<RouteReply, Fault> {
    let until = deadline(&call);
    routing.intents.route_put(&call.caller, call.request, until).await
}

/// `routing.route_delete`
pub async fn route_delete(routing: &Routing, call: Call<RouteRef>) -> Result<RouteDeleted, Fault> {
    let until = deadline(&call);
    routing.intents.route_delete(&call.caller, call.request, until).await
}

/// `routing.route_list`
pub async fn route_list(
    routing: &Routing,
    call: Call<RouteListRequest>,
) -> Result<RoutePage, Fault> {
    routing.intents.route_list(&call.request)
}

/// `routing.fit`
pub async fn fit(routing: &Routing, call: Call<FitRequest>) -> Result<FitReply, Fault> {
    let until = deadline(&call);
    routing.intents.fit(&call.caller, call.request, until).await
}

/// `routing.feedback`
pub async fn feedback(
    routing: &Routing,
    call: Call<FeedbackRequest>,
) -> Result<FeedbackReply, Fault> {
    let until = deadline(&call);
    routing.intents.feedback(&call.caller, call.request, until).await
}
