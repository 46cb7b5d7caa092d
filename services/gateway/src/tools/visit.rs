//! One call of a client: under whose name it goes, and how long it may take.

use std::sync::Arc;
use std::time::Duration;

use troupe_bus::CallOptions;
use troupe_bus::port::{System, World};
use troupe_client::{Patience, Troupe, insist};
use troupe_contract::Endpoint;
use troupe_domain::Fault;

use super::Effect;
use crate::fleet::{Attendance, Member};

/// How long one call over the bus may take, with what is sent again.
const CALL_PATIENCE: Duration = Duration::from_secs(15);
/// How long a call waits that is not sent again.
const CALL_TIMEOUT: Duration = Duration::from_secs(10);

/// One call of a client.
#[derive(Debug)]
pub(crate) struct Visit {
    pub(crate) member: Arc<Member>,
    pub(crate) attendance: Arc<Attendance>,
    /// The longest that a tool may wait for something to happen.
    pub(crate) max_wait: Duration,
}

impl Visit {
    /// The connection of whoever calls.
    pub(crate) fn troupe(&self) -> &Troupe {
        self.member.troupe()
    }

    /// Calls an endpoint; again while nobody hears, where that changes nothing.
    pub(crate) async fn ask<E: Endpoint>(
        &self,
        request: &E::Request,
        effect: Effect,
    ) -> Result<E::Reply, Fault> {
        let command_id = Some(System.ulid().to_string());
        match effect {
            Effect::Reads | Effect::Settles => {
                let patience = Patience::within(CALL_PATIENCE);
                insist::<E>(self.troupe(), request, command_id, patience).await
            }
            Effect::Adds | Effect::Removes => {
                let options = CallOptions { command_id, ..CallOptions::within(CALL_TIMEOUT) };
                self.troupe().call_with::<E>(request, &options).await
            }
        }
    }

    /// Whoever calls is at work: the fleet's directory hears of it for as long as it goes on.
    pub(crate) async fn attend(&self) -> Result<(), Fault> {
        self.attendance.attend(&self.member).await
    }
}
