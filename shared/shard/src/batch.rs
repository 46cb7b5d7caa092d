//! Batches: what several requests write together, in one message.
//!
//! Invariant: what one request writes is in one message, so that it is stored whole or not at all;
//! only what is too large for any message is spread over several.

use std::collections::VecDeque;
use std::io::Write;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use bytes::Bytes;
use serde::{Deserialize, Serialize};
use tokio::sync::Notify;

use crate::notice::Notice;

/// Bytes of records in one message; the rest of `MAX_MESSAGE_BYTES` is for its frame.
pub const MAX_BATCH_BYTES: usize = 7 * 1024 * 1024;
/// Records in one message, as long as they come from different requests.
pub const MAX_BATCH_RECORDS: usize = 4_096;
/// The owner that a farewell names: from here on the shard has none.
pub const NOBODY: &str = "";
/// Room that a batch takes when its first record comes.
const FIRST_BYTES: usize = 4 * 1024;
/// The frame of a message, about.
const FRAME_BYTES: usize = 192;

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

/// One message of the log, as it is read.
#[derive(Debug, Deserialize)]
pub struct Batch<R> {
    /// Unique: a writer that does not know whether its message was stored looks for it.
    pub batch: String,
    /// Who wrote it; [`NOBODY`] in the last message of an owner that let the shard go.
    pub owner: String,
    /// Every event of the batches up to this sequence was published.
    #[serde(default)]
    pub published: u64,
    /// The message of the log that this one follows, so that a reader knows that it missed none.
    #[serde(default)]
    pub after: Option<u64>,
    /// What happened, in order.
    pub records: Vec<R>,
}

/// Records that wait to be stored.
#[derive(Debug, Default)]
pub struct PendingBatch {
    /// JSON, separated by commas.
    records: Vec<u8>,
    count: usize,
    /// Nothing joins it any more.
    sealed: bool,
    /// The events that follow from the records.
    pub notices: Vec<Notice>,
    /// Who waits for them.
    pub fate: Arc<Fate>,
}

impl PendingBatch {
    /// Adds a record.
    pub fn push<R: Serialize>(&mut self, record: &R) -> Result<(), serde_json::Error> {
        if self.count > 0 {
            self.records.push(b',');
        } else {
            self.records.reserve(FIRST_BYTES);
        }
        serde_json::to_writer(&mut self.records, record)?;
        self.count += 1;
        Ok(())
    }

    /// Takes back what was pushed since it had so many bytes and records.
    fn shorten(&mut self, (bytes, count): (usize, usize)) {
        self.records.truncate(bytes);
        self.count = count;
    }

    fn size(&self) -> (usize, usize) {
        (self.records.len(), self.count)
    }

    fn is_too_large(&self) -> bool {
        self.records.len() > MAX_BATCH_BYTES
    }

    /// The message that is stored after the one at `after`.
    pub fn message(&self, id: &str, owner: &str, published: u64, after: u64) -> Bytes {
        let mut body = Vec::with_capacity(FRAME_BYTES + self.records.len());
        // Writing to memory does not fail.
        let _ = write!(
            body,
            r#"{{"v":1,"batch":"{id}","owner":"{owner}","published":{published},"after":{after},"records":["#
        );
        body.extend_from_slice(&self.records);
        body.extend_from_slice(b"]}");
        body.into()
    }
}

/// Batches that wait to be stored, in order.
#[derive(Debug, Default)]
pub struct Pending {
    batches: VecDeque<PendingBatch>,
}

impl Pending {
    /// Takes over the records of one request with their notices, of which each record has
    /// `notices_of` it. Gives their fate. What cannot be written is not taken, and an error: the
    /// state no longer is what the log says.
    pub fn push<R: Serialize>(
        &mut self,
        records: &mut Vec<R>,
        notices: &mut Vec<Notice>,
        notices_of: impl Fn(&R) -> usize,
    ) -> Result<Arc<Fate>, serde_json::Error> {
        let batch = self.open();
        let before = batch.size();
        let pushed = records.iter().try_for_each(|record| batch.push(record));
        if pushed.is_err() || batch.is_too_large() {
            batch.shorten(before);
            pushed?;
            if before.1 == 0 {
                return self.push_each(records, notices, notices_of);
            }
            self.batches.push_back(PendingBatch::default());
            return self.push(records, notices, notices_of);
        }
        batch.notices.append(notices);
        records.clear();
        Ok(batch.fate.clone())
    }

    /// A cascade that is too large for one message goes in several: what follows from the first can
    /// be drawn again from the state, should the others be lost.
    fn push_each<R: Serialize>(
        &mut self,
        records: &mut Vec<R>,
        notices: &mut Vec<Notice>,
        notices_of: impl Fn(&R) -> usize,
    ) -> Result<Arc<Fate>, serde_json::Error> {
        for record in records.drain(..) {
            let mut batch = self.open();
            let before = batch.size();
            batch.push(&record)?;
            if batch.is_too_large() && before.1 > 0 {
                batch.shorten(before);
                self.batches.push_back(PendingBatch::default());
                batch = self.open();
                batch.push(&record)?;
            }
            // Each event goes with the record that it tells of: its id is that record's place.
            let told = notices_of(&record).min(notices.len());
            batch.notices.extend(notices.drain(..told));
        }
        let last = self.batches.back().map(|batch| batch.fate.clone());
        Ok(last.unwrap_or_default())
    }

    /// The last batch, if more may join it, or else a new one.
    fn open(&mut self) -> &mut PendingBatch {
        let full = |batch: &PendingBatch| batch.sealed || batch.count >= MAX_BATCH_RECORDS;
        let last = match self.batches.len() {
            len if len > 0 && !full(&self.batches[len - 1]) => len - 1,
            len => {
                self.batches.push_back(PendingBatch::default());
                len
            }
        };
        &mut self.batches[last]
    }

    /// The fate of a message that is still to be sent, be it an empty one.
    pub fn confirm(&mut self) -> Arc<Fate> {
        self.open().fate.clone()
    }

    /// The fate of everything so far; nothing joins it any more.
    pub fn seal(&mut self) -> Arc<Fate> {
        if self.batches.is_empty() {
            self.batches.push_back(PendingBatch::default());
        }
        let last = self.batches.len() - 1;
        self.batches[last].sealed = true;
        self.batches[last].fate.clone()
    }

    /// The fate of the last batch, if there is one.
    pub fn last(&self) -> Option<&Arc<Fate>> {
        self.batches.back().map(|batch| &batch.fate)
    }

    /// The batch that is stored next.
    pub fn pop(&mut self) -> Option<PendingBatch> {
        self.batches.pop_front()
    }

    /// Bytes that wait.
    pub fn bytes(&self) -> usize {
        self.batches.iter().map(|batch| batch.records.len()).sum()
    }
}

#[cfg(test)]
mod tests {
    use troupe_domain::{Name, Timestamp};

    use super::*;

    fn notice(index: usize) -> Notice {
        Notice {
            entity: "text",
            id: Name::parse(&format!("n{index}")).unwrap(),
            event: "written",
            at: Timestamp::from_millis(0),
            trace: None,
            body: Bytes::new(),
            told: None,
        }
    }

    /// What is read of each batch, with how many notices it has.
    fn drain(pending: &mut Pending) -> Vec<(Vec<String>, usize)> {
        let batches = std::iter::from_fn(|| pending.pop());
        batches
            .map(|pending| {
                let message = pending.message("b", "o", 7, 6);
                let batch: Batch<String> = serde_json::from_slice(&message).unwrap();
                assert_eq!((batch.owner.as_str(), batch.published, batch.after), ("o", 7, Some(6)));
                (batch.records, pending.notices.len())
            })
            .collect()
    }

    fn push(pending: &mut Pending, records: &[&str]) -> Arc<Fate> {
        let mut records: Vec<String> = records.iter().map(|text| (*text).to_owned()).collect();
        let mut notices: Vec<Notice> = (0..records.len()).map(notice).collect();
        let fate = pending.push(&mut records, &mut notices, |_| 1).unwrap();
        assert!(records.is_empty() && notices.is_empty());
        fate
    }

    #[test]
    fn requests_share_a_batch_until_it_is_sealed() {
        let mut pending = Pending::default();
        let first = push(&mut pending, &["a", "b"]);
        assert!(Arc::ptr_eq(&first, &push(&mut pending, &["c"])));
        assert!(Arc::ptr_eq(&first, &pending.seal()));
        assert!(!Arc::ptr_eq(&first, &push(&mut pending, &["d"])));
        let read = drain(&mut pending);
        let texts = |texts: &[&str]| texts.iter().map(|t| (*t).to_owned()).collect::<Vec<_>>();
        assert_eq!(read, [(texts(&["a", "b", "c"]), 3), (texts(&["d"]), 1)]);
    }

    #[test]
    fn a_request_stays_in_one_message_and_only_what_fits_none_is_spread() {
        let mut pending = Pending::default();
        let third = "x".repeat(MAX_BATCH_BYTES / 3);
        push(&mut pending, &["small"]);
        push(&mut pending, &[&third, &third]);
        let last = push(&mut pending, &[&third, &third, &third, &third]);
        assert!(Arc::ptr_eq(&last, pending.last().unwrap()));
        let sizes: Vec<_> =
            drain(&mut pending).into_iter().map(|(records, told)| (records.len(), told)).collect();
        assert_eq!(sizes, [(3, 3), (2, 2), (2, 2)]);
    }

    #[test]
    fn what_cannot_be_written_leaves_nothing_behind() {
        let mut pending = Pending::default();
        push(&mut pending, &["a"]);
        let odd = std::collections::BTreeMap::from([((), 1)]);
        let mut records = vec![Ok("b"), Err(odd)];
        assert!(pending.push(&mut records, &mut Vec::new(), |_| 0).is_err());
        assert_eq!(drain(&mut pending), [(vec!["a".to_owned()], 1)]);
    }
}
