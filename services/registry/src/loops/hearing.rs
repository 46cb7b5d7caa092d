//! Hearing heartbeats and pulses, and finding who is silent.
//!
//! Invariant: heartbeats that have arrived are taken in before a pulse is, and a pulse comes back over
//! the connection after every heartbeat that the server got before it: nobody is judged while his
//! heartbeat waits. While no pulse comes back, nobody is judged at all.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use tokio::sync::mpsc;
use tokio::time::MissedTickBehavior;
use troupe_bus::connect::ConnectError;
use troupe_bus::events::{Heard, Listener};
use troupe_contract::registry::{Heartbeat, HeartbeatRequest};
use troupe_contract::{Endpoint, Service, subject};
use troupe_domain::agent::Silence;
use troupe_domain::{AgentId, Name};

use crate::loops::owning::Peers;
use crate::rules::declare::check_running;
use crate::rules::fleet::Hearing;
use crate::service::Registry;

/// What this replica listens to.
#[derive(Debug)]
pub struct Ears {
    heartbeats: Listener,
    pulses: Listener,
}

impl Ears {
    /// Begins to listen.
    pub async fn open(registry: &Registry) -> Result<Self, ConnectError> {
        let bus = &registry.bus;
        let heartbeats = subject::operation(Service::Registry, Heartbeat::OPERATION);
        Ok(Self {
            heartbeats: bus.listen(&heartbeats).await?,
            pulses: bus.listen(&subject::presence(Service::Registry)).await?,
        })
    }
}

/// Hears until the connection is closed; hands verdicts to `verdicts`.
pub async fn run(
    registry: Arc<Registry>,
    mut ears: Ears,
    verdicts: mpsc::Sender<(AgentId, Silence)>,
) {
    let pulse_ms = registry.fleet.read().detector.pulse_interval_ms();
    let mut timer = tokio::time::interval(Duration::from_millis(pulse_ms));
    timer.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let me = registry.store.replica().clone();
    let mut peers = Peers::new(me.clone(), pulse_ms);
    loop {
        tokio::select! {
            biased;
            heartbeat = ears.heartbeats.next() => match heartbeat {
                Some(heartbeat) => take_heartbeat(&registry, &heartbeat),
                None => return,
            },
            pulse = ears.pulses.next() => {
                let Some(pulse) = pulse else { return };
                let from = std::str::from_utf8(&pulse.body).ok().and_then(|t| Name::parse(t).ok());
                let Some(from) = from else { continue };
                let mine = from == me;
                peers.heard(from, registry.store.now_ms());
                if mine {
                    take_pulse(&registry, &peers, &verdicts);
                }
            }
            _ = timer.tick() => {
                let body = me.as_str().to_owned().into();
                registry.bus.tell(subject::presence(Service::Registry), body).await;
            }
        }
    }
}

fn take_heartbeat(registry: &Registry, heartbeat: &Heard) {
    let Some(caller) = subject::caller_of(&heartbeat.subject) else { return };
    let empty = heartbeat.body.is_empty();
    let request = if empty {
        Ok(HeartbeatRequest::default())
    } else {
        heartbeat.decode::<HeartbeatRequest>()
    };
    let Ok(request) = request else { return };
    let running = request.running_task_ids.as_deref();
    if check_running(running).is_err() {
        return;
    }
    let (now, now_ms) = (registry.store.now(), registry.store.now_ms());
    let session = request.session_id.as_ref();
    let heard = registry.fleet.write().heard(&caller, session, running, now, now_ms);
    if heard == Hearing::Heard {
        registry.heartbeats.fetch_add(1, Ordering::Relaxed);
    }
}

fn take_pulse(registry: &Registry, peers: &Peers, verdicts: &mpsc::Sender<(AgentId, Silence)>) {
    let now_ms = registry.store.now_ms();
    let (gap, due) = {
        let detector = &mut registry.fleet.write().detector;
        (detector.pulse(now_ms), detector.due())
    };
    if gap {
        tracing::warn!("this replica was paused or cut off; silence meanwhile does not count");
    }
    for (agent, silence) in due {
        if matches!(silence, Silence::Missed(_)) && !peers.is_mine(&agent, now_ms) {
            continue;
        }
        if verdicts.try_send((agent, silence)).is_err() {
            // Given again: a verdict stands until the agent's status changes.
            tracing::debug!("too many verdicts wait");
        }
    }
}
