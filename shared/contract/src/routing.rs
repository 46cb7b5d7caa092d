//! The endpoints of messaging and semantic routing.
//!
//! Types by what they are about: [`messaging`], [`sessions`], [`intents`].

use crate::Service;
use crate::endpoint::endpoints;
use crate::registry::Empty;

pub mod intents;
pub mod messaging;
pub mod sessions;

pub use intents::*;
pub use messaging::*;
pub use sessions::*;

endpoints! { Service::Routing;
    /// Sends a message to an agent, a topic, everybody, or whoever can act on it.
    Send = "send" (troupe_domain::message::MessageSpec) -> Sent, Everyone;
    /// Takes messages out of the caller's mailbox for a while, waiting for one for as long as asked.
    Inbox = "inbox" (InboxRequest) -> InboxReply, Everyone;
    /// Says what became of messages that were taken: done, seen, again, refused or handed on.
    Ack = "ack" (AckRequest) -> AckReply, Everyone;
    /// Lists what could not be delivered to the caller, or sent by it, and why.
    DeadLetters = "dead_letters" (DeadLettersRequest) -> DeadLetterPage, Everyone;
    /// Follows topics.
    Subscribe = "subscribe" (TopicPatterns) -> TopicPatternsReply, Everyone;
    /// Follows topics no more.
    Unsubscribe = "unsubscribe" (TopicPatterns) -> TopicPatternsReply, Everyone;
    /// Lists what the caller follows.
    Subscriptions = "subscriptions" (Empty) -> TopicPatternsReply, Everyone;
    /// Says who can act on an intent, and why.
    Resolve = "resolve" (ResolveRequest) -> Resolution, Everyone;
    /// Declares a route, or changes it.
    RoutePut = "route_put" (Route) -> RouteReply, Everyone;
    /// Removes a route.
    RouteDelete = "route_delete" (RouteRef) -> RouteDeleted, Everyone;
    /// Lists routes by id, page by page.
    RouteList = "route_list" (RouteListRequest) -> RoutePage, Everyone;
    /// Fits the thresholds of routes to labelled examples.
    Fit = "fit" (FitRequest) -> FitReply, Everyone;
    /// Tells how a decision turned out, so that routing learns.
    Feedback = "feedback" (FeedbackRequest) -> FeedbackReply, Everyone;
    /// Opens a session.
    SessionOpen = "session_open" (SessionSpec) -> SessionReply, Everyone;
    /// Joins a session.
    SessionJoin = "session_join" (SessionRef) -> SessionReply, Everyone;
    /// Leaves a session.
    SessionLeave = "session_leave" (SessionLeaveRequest) -> SessionReply, Everyone;
    /// Takes a turn in a session.
    SessionSay = "session_say" (SayRequest) -> Said, Everyone;
    /// Ends a session.
    SessionClose = "session_close" (SessionCloseRequest) -> SessionReply, Everyone;
    /// Reads one session.
    SessionGet = "session_get" (SessionRef) -> SessionReply, Everyone;
    /// Lists sessions by id, page by page.
    SessionList = "session_list" (SessionFilter) -> SessionPage, Everyone;
    /// Reads the transcript of a session, page by page.
    SessionTranscript = "session_transcript" (TranscriptRequest) -> TranscriptPage, Everyone;
    /// Counts messages, mailboxes, sessions and decisions.
    RoutingStats = "stats" (Empty) -> RoutingStatistics, Everyone;
    /// Says how many messages wait for agents; for the registry's heartbeats.
    Pending = "pending" (PendingRequest) -> PendingReply, Services;
}
