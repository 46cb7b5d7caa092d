//! Serving several calls that came in one message: each is carried out as if it had come alone.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use futures::StreamExt;
use futures::future::BoxFuture;
use futures::stream::FuturesUnordered;
use serde::Serialize;
use troupe_contract::batch::{
    BatchAnswer, BatchCall, BatchOutcome, BatchReply, BatchRequest, MAX_BATCH_CALLS,
};
use troupe_contract::{Endpoint, headers};
use troupe_domain::limits::MAX_MESSAGE_BYTES;
use troupe_domain::{Fault, Json, Name, TraceContext};

use super::{Answering, Asked, Call, caller_of, carry_out};
use crate::gather::MAX_BATCH_BYTES;
use crate::wire;

/// Answers wait so long for the others of their message, and then go.
const PATIENCE: Duration = Duration::from_millis(20);

type CarryOut =
    Arc<dyn Fn(Name, BatchCall) -> BoxFuture<'static, Result<Json, Fault>> + Send + Sync>;

/// What frames an answer in a message.
const FRAME_BYTES: usize = 1_024;

fn encode<T: Serialize>(reply: &T) -> Result<Json, Fault> {
    let json = Json::of(reply).map_err(|why| wire::unwritable(&why))?;
    if json.len() > MAX_MESSAGE_BYTES - FRAME_BYTES {
        return Err(Fault::exhausted("MAX_MESSAGE_BYTES", MAX_MESSAGE_BYTES));
    }
    Ok(json)
}

/// The operations that may come in batches.
#[derive(Default)]
pub(super) struct Batched(BTreeMap<&'static str, CarryOut>);

impl Batched {
    pub(super) fn add<E, H, F>(&mut self, answering: &Arc<Answering>, handler: &Arc<H>)
    where
        E: Endpoint,
        H: Fn(Call<E::Request>) -> F + Send + Sync + 'static,
        F: Future<Output = Result<E::Reply, Fault>> + Send + 'static,
    {
        let (answering, handler) = (answering.clone(), handler.clone());
        let carry_one: CarryOut = Arc::new(move |caller, call: BatchCall| {
            let (answering, handler) = (answering.clone(), handler.clone());
            Box::pin(async move {
                let asked = Asked {
                    caller: Ok(caller),
                    body: call.request.get().as_bytes(),
                    deadline_ms: call.deadline_ms,
                    command_id: call.command_id.as_deref(),
                    // As in a header: what is not well-formed counts as absent.
                    trace: call.trace.as_ref().and_then(|trace| {
                        TraceContext::parse(&trace.traceparent, trace.tracestate.as_deref())
                    }),
                };
                carry_out::<E, H, F, _>(&answering, &*handler, asked, encode).await
            })
        });
        self.0.insert(E::OPERATION, carry_one);
    }

    async fn carry_out(&self, caller: Name, call: BatchCall) -> BatchOutcome {
        let Some(operation) = self.0.get(&*call.operation) else {
            let known: Vec<&str> = self.0.keys().copied().collect();
            let why = format!("must be one of {} (got {:?})", known.join(", "), call.operation);
            return BatchOutcome::Fault(Fault::invalid("operation", why));
        };
        match operation(caller, call).await {
            Ok(reply) => BatchOutcome::Reply(reply),
            Err(fault) => BatchOutcome::Fault(fault),
        }
    }
}

fn read(message: &async_nats::Message) -> Result<(Name, BatchRequest), Fault> {
    let caller = caller_of(message)?;
    // Each call has one of its own; a wrong one of the whole is a mistake all the same.
    troupe_domain::task::spec::check_idempotency_key(super::header(message, headers::MSG_ID))?;
    let request: BatchRequest = wire::decode(&message.payload)?;
    match request.calls.len() {
        0 => Err(Fault::invalid("calls", "must not be empty")),
        1..=MAX_BATCH_CALLS => Ok((caller, request)),
        _ => Err(Fault::exhausted("MAX_BATCH_CALLS", MAX_BATCH_CALLS).with("field", "calls")),
    }
}

/// Carries out every call of `message`, and answers: together as far as they are done together.
pub(super) async fn answer(batched: &Batched, answering: &Answering, message: async_nats::Message) {
    let began = std::time::Instant::now();
    let (caller, request) = match read(&message) {
        Ok(read) => read,
        Err(fault) => {
            answering.record(Some(&fault), began);
            return answering.reply(&message, Err(fault)).await;
        }
    };
    let calls = request.calls.into_iter().enumerate();
    let mut open: FuturesUnordered<_> = calls
        .map(|(call, asked)| {
            let caller = caller.clone();
            async move { BatchAnswer { call, outcome: batched.carry_out(caller, asked).await } }
        })
        .collect();
    let patience = tokio::time::sleep(PATIENCE);
    tokio::pin!(patience);
    let (mut answers, mut bytes, mut patient) = (Vec::new(), 0, true);
    loop {
        let next = tokio::select! {
            biased;
            next = open.next() => next,
            () = &mut patience, if patient => {
                patient = false;
                if !answers.is_empty() {
                    send(answering, &message, std::mem::take(&mut answers)).await;
                    bytes = 0;
                }
                continue;
            }
        };
        let Some(next) = next else { break };
        let size = match &next.outcome {
            BatchOutcome::Reply(json) => json.len(),
            BatchOutcome::Fault(fault) => fault.message.len(),
        };
        if bytes + size > MAX_BATCH_BYTES && !answers.is_empty() {
            send(answering, &message, std::mem::take(&mut answers)).await;
            bytes = 0;
        }
        answers.push(next);
        bytes += size;
        if !patient {
            send(answering, &message, std::mem::take(&mut answers)).await;
            bytes = 0;
        }
    }
    answering.record(None, began);
    if !answers.is_empty() {
        send(answering, &message, answers).await;
    }
}

async fn send(answering: &Answering, message: &async_nats::Message, answers: Vec<BatchAnswer>) {
    answering.reply(message, wire::encode(&BatchReply { answers })).await;
}
