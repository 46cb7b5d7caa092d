//! Streams: made as declared, and checked when they are already there.

use std::time::Duration;

use async_nats::jetstream::ErrorCode;
use async_nats::jetstream::context::{GetStreamError, GetStreamErrorKind};
use async_nats::jetstream::stream::{
    Config, DiscardPolicy, RetentionPolicy, StorageType, SubjectTransform,
};
use troupe_contract::stream::{StreamSpec, WhenFull};

use crate::connect::{Bus, ConnectError};
use crate::log::StreamLog;

/// How long to keep trying while the server is electing or still reading its store.
const READY_WITHIN: Duration = Duration::from_secs(30);

impl Bus {
    /// Makes the stream if it is not there, and opens it as a log. A stream that exists with other
    /// facts in its metadata is refused: it was made for another layout.
    pub async fn open_stream(
        &self,
        spec: &StreamSpec,
        replicas: usize,
    ) -> Result<StreamLog, ConnectError> {
        let wrong = |why: String| ConnectError::Unsuitable { url: spec.name.clone(), why };
        let end = tokio::time::Instant::now() + READY_WITHIN;
        let stream = loop {
            match self.jetstream.get_or_create_stream(config(spec, replicas)).await {
                Ok(stream) => break stream,
                Err(why) if tokio::time::Instant::now() > end => {
                    return Err(wrong(format!("cannot open the stream: {why}")));
                }
                Err(why) => {
                    tracing::warn!(stream = spec.name, %why, "the stream is not ready");
                    tokio::time::sleep(Duration::from_millis(250)).await;
                }
            }
        };
        let have = &stream.cached_info().config;
        for (key, wanted) in &spec.metadata {
            let found = have.metadata.get(*key).map_or("nothing", String::as_str);
            if found != wanted {
                return Err(wrong(format!("{key} is {found} in the stream and {wanted} here")));
            }
        }
        Ok(StreamLog::new(self.clone(), stream))
    }

    /// Removes a stream that an earlier version made, if nothing is in it. One that holds messages is
    /// refused: whoever runs the fleet decides what becomes of them.
    pub async fn retire_stream(&self, name: &str) -> Result<(), ConnectError> {
        let wrong = |why: String| ConnectError::Unsuitable { url: name.to_owned(), why };
        let stream = match self.jetstream.get_stream(name).await {
            Ok(stream) => stream,
            Err(why) if is_missing(&why) => return Ok(()),
            Err(why) => return Err(wrong(format!("cannot look at the stream: {why}"))),
        };
        let messages = stream.cached_info().state.messages;
        if messages > 0 {
            return Err(wrong(format!(
                "the stream is of an earlier version and holds {messages} messages; read what is \
                 needed of it, remove it with `nats stream rm {name}`, and start again"
            )));
        }
        let removed = self.jetstream.delete_stream(name).await;
        removed.map_err(|why| wrong(format!("cannot remove the stream: {why}")))?;
        tracing::info!(stream = name, "a stream of an earlier version was empty and is removed");
        Ok(())
    }
}

fn is_missing(why: &GetStreamError) -> bool {
    matches!(why.kind(), GetStreamErrorKind::JetStream(error)
        if error.error_code() == ErrorCode::STREAM_NOT_FOUND)
}

fn config(spec: &StreamSpec, replicas: usize) -> Config {
    Config {
        name: spec.name.clone(),
        description: Some(spec.description.clone()),
        subjects: spec.subjects.clone(),
        retention: RetentionPolicy::Limits,
        storage: StorageType::File,
        num_replicas: replicas,
        max_messages_per_subject: spec.max_messages_per_subject,
        max_bytes: spec.max_bytes,
        max_age: Duration::from_secs(spec.max_age_s),
        // Events come in large rounds; one acknowledgement for a round is enough.
        allow_batch_publish: spec.when_full == WhenFull::DropOldest,
        duplicate_window: Duration::from_secs(spec.duplicate_window_s),
        discard: match spec.when_full {
            WhenFull::Refuse => DiscardPolicy::New,
            WhenFull::DropOldest => DiscardPolicy::Old,
        },
        subject_transform: spec.transform.as_ref().map(|transform| SubjectTransform {
            source: transform.source.clone(),
            destination: transform.destination.clone(),
        }),
        metadata: spec.metadata.iter().map(|(k, v)| ((*k).to_owned(), v.clone())).collect(),
        ..Config::default()
    }
}
