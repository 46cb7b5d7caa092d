//! What an endpoint is: an operation of a service, with its request, reply and audience.

use schemars::{JsonSchema, Schema, SchemaGenerator};
use serde::{Serialize, de::DeserializeOwned};

/// A service, by the token that stands for it in subjects.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Service {
    /// The fleet's directory.
    Registry,
    /// Tasks.
    Work,
    /// Messages and intents.
    Routing,
    /// Plans and other shared objects.
    Plan,
    /// How far tasks are, and milestones.
    Progress,
    /// What the fleet remembers.
    Memory,
}

impl Service {
    /// Every service.
    pub const ALL: [Self; 6] =
        [Self::Registry, Self::Work, Self::Routing, Self::Plan, Self::Progress, Self::Memory];

    /// The token in subjects.
    pub const fn token(self) -> &'static str {
        match self {
            Self::Registry => "registry",
            Self::Work => "work",
            Self::Routing => "routing",
            Self::Plan => "plan",
            Self::Progress => "progress",
            Self::Memory => "memory",
        }
    }

    /// The name in a sentence.
    pub const fn title(self) -> &'static str {
        match self {
            Self::Registry => "the registry",
            Self::Work => "work distribution",
            Self::Routing => "semantic routing",
            Self::Plan => "plan sync",
            Self::Progress => "progress",
            Self::Memory => "memory",
        }
    }

    /// The name in telemetry and in `$SRV.INFO`.
    pub const fn full_name(self) -> &'static str {
        match self {
            Self::Registry => "troupe-registry",
            Self::Work => "troupe-work-distribution",
            Self::Routing => "troupe-semantic-routing",
            Self::Plan => "troupe-plan-sync",
            Self::Progress => "troupe-progress",
            Self::Memory => "troupe-memory",
        }
    }
}

/// Who may call an endpoint.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Audience {
    /// Every named caller: agents, people, services.
    Everyone,
    /// Services only.
    Services,
}

/// An operation, declared once.
pub trait Endpoint: Send + Sync + 'static {
    /// What the caller sends. Unknown fields are refused.
    type Request: Serialize + DeserializeOwned + JsonSchema + Send + 'static;
    /// What the caller gets.
    type Reply: Serialize + DeserializeOwned + JsonSchema + Send + 'static;
    /// Who answers.
    const SERVICE: Service;
    /// The token in subjects.
    const OPERATION: &'static str;
    /// One sentence.
    const SUMMARY: &'static str;
    /// Who may call.
    const AUDIENCE: Audience;
    /// Whether calls may travel in batches ([`crate::batch`]): short ones, that never wait for others.
    const BATCHED: bool = false;
}

/// An endpoint as data, for everything that is generated.
#[derive(Debug, Clone, Copy)]
pub struct EndpointEntry {
    /// Who answers.
    pub service: Service,
    /// The token in subjects.
    pub operation: &'static str,
    /// One sentence.
    pub summary: &'static str,
    /// Who may call.
    pub audience: Audience,
    /// The schema of the request.
    pub request: fn(&mut SchemaGenerator) -> Schema,
    /// The schema of the reply.
    pub reply: fn(&mut SchemaGenerator) -> Schema,
}

impl EndpointEntry {
    /// The entry of an endpoint.
    pub const fn of<E: Endpoint>() -> Self {
        Self {
            service: E::SERVICE,
            operation: E::OPERATION,
            summary: E::SUMMARY,
            audience: E::AUDIENCE,
            request: |generator| generator.subschema_for::<E::Request>(),
            reply: |generator| generator.subschema_for::<E::Reply>(),
        }
    }
}

/// Declares the endpoints of one service, and `ENDPOINTS`, the list of them.
macro_rules! endpoints {
    ($service:expr; $($(#[doc = $summary:literal])+ $name:ident = $operation:literal
        ($request:ty) -> $reply:ty, $audience:ident $(, batched = $batched:literal)?;)+) => {
        $(
            $(#[doc = $summary])+
            #[derive(Debug, Clone, Copy)]
            pub struct $name;
            impl $crate::Endpoint for $name {
                type Request = $request;
                type Reply = $reply;
                const SERVICE: $crate::Service = $service;
                const OPERATION: &'static str = $operation;
                const SUMMARY: &'static str = concat!($($summary),+).trim_ascii();
                const AUDIENCE: $crate::Audience = $crate::Audience::$audience;
                $(const BATCHED: bool = $batched;)?
            }
        )+
        /// Every endpoint of this service.
        pub const ENDPOINTS: &[$crate::endpoint::EndpointEntry] =
            &[$($crate::endpoint::EndpointEntry::of::<$name>()),+];
    };
}
pub(crate) use endpoints;
