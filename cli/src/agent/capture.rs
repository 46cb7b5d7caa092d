//! What a program writes, within bounds.
//!
//! Standard output is kept up to what a result may be, and read on beyond it, so that the program is
//! never blocked by us. Standard error goes to the log line by line, and its end is kept for the
//! error of a failed task.

use sha2::{Digest, Sha256};
use tokio::io::{AsyncRead, AsyncReadExt};
use troupe_domain::limits::MAX_RESULT_BYTES;

/// The end of standard error that goes into a task's error.
const KEPT_ERROR_BYTES: usize = 4 * 1024;
/// The longest line of standard error in the log; longer ones are broken.
const MAX_LOG_LINE_BYTES: usize = 4 * 1024;
const CHUNK_BYTES: usize = 8 * 1024;

/// Standard output.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub(crate) struct Captured {
    /// The first [`MAX_RESULT_BYTES`] of it.
    pub(crate) bytes: Vec<u8>,
    /// How much there was.
    pub(crate) total_bytes: u64,
    /// SHA-256 of all of it, hexadecimal.
    pub(crate) sha256: String,
}

impl Captured {
    pub(crate) fn is_too_large(&self) -> bool {
        self.total_bytes > MAX_RESULT_BYTES as u64
    }
}

/// Reads standard output to its end.
pub(crate) async fn output(mut from: impl AsyncRead + Unpin) -> Captured {
    let mut captured = Captured::default();
    let mut digest = Sha256::new();
    let mut chunk = [0; CHUNK_BYTES];
    while let Ok(count @ 1..) = from.read(&mut chunk).await {
        let new = &chunk[..count];
        digest.update(new);
        captured.total_bytes += count as u64;
        let room = MAX_RESULT_BYTES.saturating_sub(captured.bytes.len());
        captured.bytes.extend_from_slice(&new[..count.min(room)]);
    }
    captured.sha256 = hex(&digest.finalize());
    captured
}

/// Reads standard error to its end, hands every line to `log`, and returns the last of it.
pub(crate) async fn errors(mut from: impl AsyncRead + Unpin, mut log: impl FnMut(&str)) -> String {
    let mut line = Vec::new();
    let mut kept: Vec<u8> = Vec::new();
    let mut chunk = [0; CHUNK_BYTES];
    while let Ok(count @ 1..) = from.read(&mut chunk).await {
        for &byte in &chunk[..count] {
            if byte == b'\n' || line.len() >= MAX_LOG_LINE_BYTES {
                log(String::from_utf8_lossy(&line).trim_end());
                line.clear();
            }
            if byte != b'\n' {
                line.push(byte);
            }
        }
        kept.extend_from_slice(&chunk[..count]);
        let surplus = kept.len().saturating_sub(KEPT_ERROR_BYTES);
        kept.drain(..surplus);
    }
    if !line.is_empty() {
        log(String::from_utf8_lossy(&line).trim_end());
    }
    String::from_utf8_lossy(&kept).trim().to_owned()
}

/// Bytes as hexadecimal digits.
pub(crate) fn hex(bytes: &[u8]) -> String {
    use std::fmt::Write;
    bytes.iter().fold(String::new(), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn output_beyond_the_limit_is_counted_and_not_kept() {
        let long = vec![b'x'; MAX_RESULT_BYTES + 3];
        let captured = output(&long[..]).await;
        assert_eq!(captured.bytes.len(), MAX_RESULT_BYTES);
        assert!(captured.is_too_large());
        let empty = output(&b""[..]).await;
        assert_eq!(
            empty.sha256,
            "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
        );
    }

    #[tokio::test]
    async fn errors_are_logged_by_line_and_their_end_is_kept() {
        let mut lines = Vec::new();
        let kept = errors(&b"one\ntwo\xff\nlast"[..], |line| lines.push(line.to_owned())).await;
        assert_eq!(lines, ["one", "two\u{fffd}", "last"]);
        assert!(kept.ends_with("last"));
        let long = vec![b'y'; 3 * MAX_LOG_LINE_BYTES];
        let mut longest = 0;
        let kept = errors(&long[..], |line| longest = longest.max(line.len())).await;
        assert_eq!((longest, kept.len()), (MAX_LOG_LINE_BYTES, KEPT_ERROR_BYTES));
    }
}
