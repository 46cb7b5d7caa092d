//! Which topics the caller follows.

use troupe_bus::Call;
use troupe_contract::registry::Empty;
use troupe_contract::routing::{TopicPatterns, TopicPatternsReply};
use troupe_domain::Fault;
use troupe_domain::limits::MAX_FILTER_NAMES;

use super::{Routing, answer_of, check_len, deadline};
use crate::rules::request::RoutingRequest;

/// `routing.subscribe`
pub async fn subscribe(
    routing: &Routing,
    call: Call<TopicPatterns>,
) -> Result<TopicPatternsReply, Fault> {
    let until = deadline(&call);
    let patterns = call.request.patterns;
    check_len("patterns", &patterns, "MAX_FILTER_NAMES", MAX_FILTER_NAMES)?;
    let request = RoutingRequest::Follow { agent: call.caller.clone(), patterns };
    let patterns = answer_of!(routing.ask(&call.caller, request, until).await?, Patterns)?;
    Ok(TopicPatternsReply { patterns })
}

/// `routing.unsubscribe`
pub async fn unsubscribe(
    routing: &Routing,
    call: Call<TopicPatterns>,
) -> Result<TopicPatternsReply, Fault> {
    let until = deadline(&call);
    let patterns = call.request.patterns;
    check_len("patterns", &patterns, "MAX_FILTER_NAMES", MAX_FILTER_NAMES)?;
    let request = RoutingRequest::Unfollow { agent: call.caller.clone(), patterns };
    let patterns = answer_of!(routing.ask(&call.caller, request, until).await?, Patterns)?;
    Ok(TopicPatternsReply { patterns })
}

/// `routing.subscriptions`
pub async fn subscriptions(
    routing: &Routing,
    call: Call<Empty>,
) -> Result<TopicPatternsReply, Fault> {
    let until = deadline(&call);
    let request = RoutingRequest::Following { agent: call.caller.clone() };
    let patterns = answer_of!(routing.ask(&call.caller, request, until).await?, Patterns)?;
    Ok(TopicPatternsReply { patterns })
}
