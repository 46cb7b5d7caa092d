//! Batches: what several requests write together, in one message.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use bytes::Bytes;
use tokio::sync::Notify;

use crate::rules::notice::Notice;
use crate::rules::record::Record;

/// Bytes of records in one message; the rest of `MAX_MESSAGE_BYTES` is for its frame.
pub const MAX_BATCH_BYTES: usize = 7 * 1024 * 1024;
/// Records in one message, as long as they come from different requests.
pub const MAX_BATCH_RECORDS: usize = 4_096;

const PENDING: u64 = 0;
const LOST: u64 = u64::MAX;

/// Whether a batch was stored, for everybody who waits for it.
#[derive(Debug, Default)]
pub struct Fate {
    /// [`PENDING`], [`LOST`], or the sequence at which the batch was stored.
    state: AtomicU64,
    decided: Notify,
}

impl Fate {
    /// The batch is stored at a sequence, or it is not known to be.
    pub fn decide(&self, sequence: Option<u64>) {
        self.state.store(sequence.unwrap_or(LOST), Ordering::Release);
        self.decided.notify_waiters();
    }

    /// Waits until it is known; the sequence, if the batch is stored.
    pub async fn wait(&self) -> Option<u64> {
        loop {
            let decided = self.decided.notified();
            match self.state.load(Ordering::Acquire) {
                PENDING => decided.await,
                LOST => return None,
                sequence => return Some(sequence),
            }
        }
    }
}

/// Records that wait to be stored.
#[derive(Debug, Default)]
pub struct PendingBatch {
    records: Vec<u8>,
    count: usize,
    /// Nothing joins it any more.
    pub sealed: bool,
    /// The events that follow from them.
    pub notices: Vec<Notice>,
    /// Who waits for them.
    pub fate: Arc<Fate>,
}

impl PendingBatch {
    /// Whether there is nothing in it.
    pub fn is_empty(&self) -> bool {
        self.count == 0
    }

    /// Bytes of records.
    pub fn len(&self) -> usize {
        self.records.len()
    }

    /// Whether more would make it too large for one message.
    pub fn is_full(&self, more_bytes: usize) -> bool {
        self.sealed
            || (!self.is_empty()
                && (self.records.len() + more_bytes > MAX_BATCH_BYTES
                    || self.count >= MAX_BATCH_RECORDS))
    }

    /// Adds records that were encoded with [`encode`].
    pub fn push(&mut self, encoded: &[u8], count: usize, notices: Vec<Notice>) {
        if self.count > 0 {
            self.records.push(b',');
        }
        self.records.extend_from_slice(encoded);
        self.count += count;
        self.notices.extend(notices);
    }

    /// The message that is stored after the one at `after`.
    pub fn message(&self, id: &str, owner: &str, published: u64, after: u64) -> Bytes {
        let mut body = format!(
            r#"{{"v":1,"batch":"{id}","owner":"{owner}","published":{published},"after":{after},"records":["#
        )
        .into_bytes();
        body.extend_from_slice(&self.records);
        body.extend_from_slice(b"]}");
        body.into()
    }
}

/// The records of one request, separated by commas.
pub fn encode(records: &[Record]) -> Result<Vec<u8>, serde_json::Error> {
    let mut encoded = Vec::with_capacity(1_024 * records.len());
    for (index, record) in records.iter().enumerate() {
        if index > 0 {
            encoded.push(b',');
        }
        serde_json::to_writer(&mut encoded, record)?;
    }
    Ok(encoded)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rules::record::Batch;

    #[test]
    fn a_batch_reads_as_it_was_written() {
        let mut batch = PendingBatch::default();
        let records =
            [Record::Delivered { letters: vec![1] }, Record::Delivered { letters: vec![2, 3] }];
        batch.push(&encode(&records).unwrap(), 2, Vec::new());
        batch.push(&encode(&records[..1]).unwrap(), 1, Vec::new());
        let read: Batch = serde_json::from_slice(&batch.message("b", "o", 7, 6)).unwrap();
        assert_eq!((read.batch.as_str(), read.published, read.records.len()), ("b", 7, 3));
        let empty: Batch =
            serde_json::from_slice(&PendingBatch::default().message("b", "o", 0, 0)).unwrap();
        assert!(empty.records.is_empty());
    }
}
