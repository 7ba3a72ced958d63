//! Reading a request's body within limits of size, memory and time.

use axum::body::{Body, HttpBody as _};
use http_body_util::BodyExt;
use std::sync::atomic::{AtomicUsize, Ordering};
use tokio::time::{Instant, timeout_at};

/// The largest review that is read. The API server takes objects up to 3 MiB, and a review has two of them.
const MAX_BODY: usize = 32 << 20;
/// Of a body that will not be parsed, this much is kept to find the review's uid, which API servers put first.
/// It is not counted with the rest, so it must be little.
const BEGINNING: usize = 4 << 10;
/// Room made ahead for a body: most need no more.
const ROOM: usize = 64 << 10;
/// All bodies in memory together, in bytes.
const MAX_TOGETHER: usize = 256 << 20;

/// How many bytes of bodies are in memory, over all requests.
#[derive(Debug, Default)]
pub(super) struct Together(AtomicUsize);

/// What arrived of a body. Dropping it gives its memory back.
#[derive(Debug)]
pub(super) struct Arrived<'a> {
    /// The whole body, or its beginning.
    pub(super) bytes: Vec<u8>,
    /// Why it is not the whole; `None` if it is.
    pub(super) cut: Option<Cut>,
    /// Bytes that came, kept or not.
    length: usize,
    /// Bytes of `together` that are ours.
    counted: usize,
    together: &'a Together,
}

/// Why a body is not there as a whole.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Cut {
    /// Longer than [`MAX_BODY`].
    TooLarge,
    /// Not there in time.
    Late,
    /// Bodies take too much memory already, or too many requests are being decided.
    Shed,
    /// The connection broke.
    Broken,
}

impl Together {
    /// Reads a body until it ends or the deadline is there.
    ///
    /// A body that is too long is still read to its end, unless that takes too long: a client that is
    /// interrupted while it writes may never look at the answer.
    pub(super) async fn read(&self, body: Body, deadline: Instant) -> Arrived<'_> {
        let announced = body.size_hint().lower();
        let mut arrived = Arrived { bytes: Vec::new(), cut: None, length: 0, counted: 0, together: self };
        if announced > MAX_BODY as u64 {
            arrived.cut = Some(Cut::TooLarge);
        } else {
            arrived.bytes.reserve(usize::try_from(announced).unwrap_or(ROOM).min(ROOM));
        }
        match timeout_at(deadline, arrived.fill(body)).await {
            Ok(Ok(())) => {}
            Ok(Err(_)) => arrived.cut = Some(Cut::Broken),
            // Too long stays too long, however long it takes.
            Err(_) if arrived.cut == Some(Cut::TooLarge) => {}
            Err(_) => arrived.cut = Some(Cut::Late),
        }
        arrived
    }
}

impl Arrived<'_> {
    async fn fill(&mut self, mut body: Body) -> Result<(), axum::Error> {
        while let Some(frame) = body.frame().await {
            if let Ok(data) = frame?.into_data() {
                self.take(&data);
            }
        }
        Ok(())
    }

    fn take(&mut self, data: &[u8]) {
        self.length += data.len();
        if self.length > MAX_BODY && self.cut != Some(Cut::TooLarge) {
            self.keep_beginning(Cut::TooLarge);
        }
        if self.cut.is_none() {
            self.counted += data.len();
            if self.together.0.fetch_add(data.len(), Ordering::Relaxed) + data.len() > MAX_TOGETHER {
                self.keep_beginning(Cut::Shed);
            }
        }
        let room = if self.cut.is_some() { BEGINNING.saturating_sub(self.bytes.len()) } else { data.len() };
        self.bytes.extend_from_slice(data.get(..room).unwrap_or(data));
    }

    fn keep_beginning(&mut self, cut: Cut) {
        self.cut = Some(cut);
        self.bytes.truncate(BEGINNING);
        self.bytes.shrink_to_fit();
        self.give_back();
    }

    fn give_back(&mut self) {
        self.together.0.fetch_sub(std::mem::take(&mut self.counted), Ordering::Relaxed);
    }
}

impl Drop for Arrived<'_> {
    fn drop(&mut self) {
        self.give_back();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    async fn check(body: Body, expect: Option<Cut>, kept: usize) {
        let together = Together::default();
        let deadline = Instant::now() + Duration::from_secs(5);
        let arrived = together.read(body, deadline).await;
        assert_eq!((arrived.cut, arrived.bytes.len()), (expect, kept));
        drop(arrived);
        assert_eq!(together.0.load(Ordering::Relaxed), 0, "memory is given back");
    }

    #[tokio::test]
    async fn bodies_are_kept_within_limits() {
        check(Body::from("whole"), None, 5).await;
        check(Body::from(vec![b' '; MAX_BODY]), None, MAX_BODY).await;
        check(Body::from(vec![b' '; MAX_BODY + 1]), Some(Cut::TooLarge), BEGINNING).await;
    }

    #[tokio::test]
    async fn memory_is_bounded_over_all_requests() {
        let together = Together(AtomicUsize::new(MAX_TOGETHER - 3));
        let deadline = Instant::now() + Duration::from_secs(5);
        let arrived = together.read(Body::from("four"), deadline).await;
        assert_eq!((arrived.cut, arrived.bytes.as_slice()), (Some(Cut::Shed), b"four".as_slice()));
    }
}
