//! Request bodies that cannot end well unproved.
//!
//! [`ProvingBody`] sits between client and backend. It hands bytes on as they come, but always keeps the last
//! piece back until the payload verifier has seen the end and proved every byte. A body that fails its proof
//! ends in an error instead, so that hyper cuts the upstream connection in the middle of the request and the
//! backend never sees a complete one.
//!
//! The verdict is left in a [`Verdict`] beside the body: when the upstream call fails because the body did,
//! the client must learn what was wrong with its body and not that a backend was unreachable. Nothing else in
//! the gateway talks sideways like this.

use std::collections::VecDeque;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::{Bytes, BytesMut};
use http_body::{Body, Frame, SizeHint};
use sigv4::{PayloadError, PayloadVerifier, Reframer};

use super::verdict::{Outcome, Verdict};
use crate::admission::Ticket;

/// So many bytes of the wire are decoded at once where they are held.
const SLICE: usize = 4 << 10;

/// What reaches the backend.
#[derive(Debug)]
pub(super) enum Framing {
    /// The bytes as the client sent them, framing included.
    Raw,
    /// The content, without the client's framing.
    Decoded,
    /// The content in chunks with a trailing checksum.
    Reframed(Reframer),
}

/// Why a request body ended early.
#[derive(Debug, thiserror::Error)]
pub(super) enum BodyError {
    /// The body is not what was signed. The error itself is in the [`Verdict`].
    #[error("the request body is not what was signed")]
    Unproved,
    /// The client went away.
    #[error("the client stopped sending: {0}")]
    Client(#[source] Box<dyn std::error::Error + Send + Sync>),
}

/// A request body on its way to the backend.
pub(super) struct ProvingBody<B> {
    inner: B,
    state: State,
    /// Pieces for the backend. While the proof is outstanding the last one stays here.
    ready: VecDeque<Bytes>,
    /// Scratch for what the verifier decodes.
    decoded: VecDeque<Bytes>,
    /// Where somebody wants to read all of it first.
    held: Option<Held>,
    /// What it takes while it is here.
    place: Option<Ticket>,
    framing: Framing,
    length: Option<u64>,
    /// Most bytes of the wire.
    most: Option<u64>,
    verdict: Verdict,
}

/// A body that is read to its end before any of it is sent. Copied together: a piece takes as much memory beside its
/// bytes as a client can make of it, and clients choose how small pieces are.
#[derive(Default)]
struct Held {
    /// As the client sent it, where the backend gets it like that.
    wire: BytesMut,
    /// As it was decoded.
    content: BytesMut,
    /// The content once it is proved.
    document: Bytes,
}

#[expect(clippy::large_enum_variant, reason = "every body begins as the large variant, in a box of its own")]
enum State {
    Proving(PayloadVerifier),
    Proved,
    Failed,
}

impl<B> ProvingBody<B>
where
    B: Body<Data = Bytes> + Unpin,
    B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
{
    /// `length` is the exact number of bytes the backend is promised, `None` when nobody knows. Boxed, since the verifier
    /// is large and the body is handed on from one part of the gateway to the next.
    pub(super) fn new(
        inner: B,
        verifier: PayloadVerifier,
        framing: Framing,
        length: Option<u64>,
    ) -> Box<Self> {
        Box::new(Self {
            inner,
            state: State::Proving(verifier),
            ready: VecDeque::new(),
            decoded: VecDeque::new(),
            held: None,
            place: None,
            framing,
            length,
            most: None,
            verdict: Verdict::new(),
        })
    }

    /// Refuses the body once more than `most` bytes of it have come, framing included.
    pub(super) fn limit(&mut self, most: u64) {
        self.most = Some(most);
    }

    /// Takes this place for as long as the body lives.
    pub(super) fn keep(&mut self, place: Ticket) {
        self.place = Some(place);
    }

    /// Where the outcome will be left.
    pub(super) fn verdict(&self) -> Verdict {
        self.verdict.clone()
    }

    /// Reads until there is something to send that does not complete the body, or until the body is proved.
    ///
    /// A body without content would be complete with the request head: it must be proved before the backend
    /// hears of it. The other bodies lose nothing, as their first piece is needed first anyway.
    pub(super) async fn prime(&mut self) -> Result<(), BodyError> {
        std::future::poll_fn(|context| {
            loop {
                if self.sendable() || !matches!(self.state, State::Proving(_)) {
                    return Poll::Ready(Ok(()));
                }
                ready!(self.advance(context))?;
            }
        })
        .await
    }

    /// Reads the body to its proof and hands over what it says; all of it stays here for the backend. `None`: it is
    /// longer than `most` bytes.
    pub(super) async fn content(&mut self, most: usize) -> Result<Option<Bytes>, BodyError> {
        self.held = Some(Held::default());
        let read = std::future::poll_fn(|context| {
            loop {
                let length = self.held.as_ref().map_or(0, |held| held.content.len() + held.document.len());
                if length > most || self.verdict.received() > 2 * most as u64 {
                    return Poll::Ready(Ok(false));
                }
                if !matches!(self.state, State::Proving(_)) {
                    return Poll::Ready(Ok(true));
                }
                ready!(self.advance(context))?;
            }
        })
        .await?;
        Ok(self.held.take().filter(|_| read).map(|held| held.document))
    }

    /// Sends `content` in place of what the client sent, all of which has been read and proved.
    pub(super) fn replace(&mut self, content: Bytes) {
        if matches!(self.state, State::Proved) {
            self.length = Some(content.len() as u64);
            self.ready = VecDeque::from([content]);
        }
    }

    /// Whether the front piece may be sent: any piece may once all is proved, any but the last before.
    fn sendable(&self) -> bool {
        match self.state {
            State::Proving(_) => self.ready.len() > 1,
            State::Proved => !self.ready.is_empty(),
            State::Failed => false,
        }
    }

    /// Takes one step: receives a frame, or concludes the proof at the end.
    fn advance(&mut self, context: &mut Context<'_>) -> Poll<Result<(), BodyError>> {
        let polled = Pin::new(&mut self.inner).poll_frame(context);
        self.verdict.wait_for_client(polled.is_pending());
        match ready!(polled) {
            // Trailer fields of the transfer coding are dropped: nothing signs them.
            Some(Ok(frame)) => Poll::Ready(frame.into_data().map_or(Ok(()), |data| self.receive(data))),
            Some(Err(error)) => {
                self.fail(Outcome::ClientGone);
                Poll::Ready(Err(BodyError::Client(error.into())))
            }
            None => Poll::Ready(self.conclude()),
        }
    }

    fn receive(&mut self, data: Bytes) -> Result<(), BodyError> {
        self.verdict.saw(data.len());
        if let Some(most) = self.most.filter(|most| self.verdict.received() > *most) {
            self.fail(Outcome::TooLarge { most });
            return Err(BodyError::Unproved);
        }
        if self.held.is_some() {
            return self.hold(data);
        }
        let State::Proving(verifier) = &mut self.state else { return Ok(()) };
        if let Err(error) = verifier.push(data.clone(), &mut self.decoded) {
            return Err(self.refuse(error));
        }
        match &mut self.framing {
            Framing::Raw => {
                self.decoded.clear();
                self.ready.push_back(data);
            }
            Framing::Decoded => self.ready.append(&mut self.decoded),
            Framing::Reframed(reframer) => {
                self.decoded.drain(..).for_each(|piece| reframer.push(piece, &mut self.ready));
            }
        }
        self.ready.retain(|piece| !piece.is_empty());
        Ok(())
    }

    /// Receives what is read here first. By the slice, so that what is decoded is never many pieces at once.
    fn hold(&mut self, mut data: Bytes) -> Result<(), BodyError> {
        let (State::Proving(verifier), Some(held)) = (&mut self.state, &mut self.held) else {
            return Ok(());
        };
        if matches!(self.framing, Framing::Raw) {
            held.wire.extend_from_slice(&data);
        }
        while !data.is_empty() {
            let slice = data.split_to(data.len().min(SLICE));
            if let Err(error) = verifier.push(slice, &mut self.decoded) {
                return Err(self.refuse(error));
            }
            self.decoded.drain(..).for_each(|piece| held.content.extend_from_slice(&piece));
        }
        Ok(())
    }

    /// Hands on what was held.
    fn release(&mut self) {
        let Some(held) = &mut self.held else { return };
        held.document = std::mem::take(&mut held.content).freeze();
        match &mut self.framing {
            Framing::Raw => self.ready.push_back(std::mem::take(&mut held.wire).freeze()),
            Framing::Decoded => self.ready.push_back(held.document.clone()),
            Framing::Reframed(reframer) => reframer.push(held.document.clone(), &mut self.ready),
        }
        self.ready.retain(|piece| !piece.is_empty());
    }

    fn conclude(&mut self) -> Result<(), BodyError> {
        let State::Proving(verifier) = std::mem::replace(&mut self.state, State::Failed) else {
            return Ok(());
        };
        let proof = match verifier.finish() {
            Ok(proof) => proof,
            Err(error) => return Err(self.refuse(error)),
        };
        self.release();
        if let Framing::Reframed(reframer) = std::mem::replace(&mut self.framing, Framing::Decoded) {
            // The checksum was announced in the head and is part of the proof, or there would be none.
            let Some(checksum) = &proof.trailer else {
                self.fail(Outcome::ClientGone);
                return Err(BodyError::Unproved);
            };
            reframer.finish(checksum, &mut self.ready);
        }
        self.state = State::Proved;
        self.verdict.settle(Outcome::Proved);
        Ok(())
    }

    fn refuse(&mut self, error: PayloadError) -> BodyError {
        self.fail(Outcome::Refused(error));
        BodyError::Unproved
    }

    fn fail(&mut self, outcome: Outcome) {
        self.state = State::Failed;
        self.ready.clear();
        self.held = None;
        self.verdict.settle(outcome);
    }
}

impl<B> Drop for ProvingBody<B> {
    fn drop(&mut self) {
        self.verdict.settle(Outcome::Abandoned);
    }
}

impl<B> Body for ProvingBody<B>
where
    B: Body<Data = Bytes> + Unpin,
    B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
{
    type Data = Bytes;
    type Error = BodyError;

    fn poll_frame(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        let this = self.get_mut();
        loop {
            if this.sendable() {
                return Poll::Ready(this.ready.pop_front().map(|piece| Ok(Frame::data(piece))));
            }
            match this.state {
                State::Proved => return Poll::Ready(None),
                State::Failed => return Poll::Ready(Some(Err(BodyError::Unproved))),
                State::Proving(_) => {
                    if let Err(error) = ready!(this.advance(context)) {
                        return Poll::Ready(Some(Err(error)));
                    }
                }
            }
        }
    }

    fn is_end_stream(&self) -> bool {
        matches!(self.state, State::Proved) && self.ready.is_empty()
    }

    fn size_hint(&self) -> SizeHint {
        self.length.map_or_else(SizeHint::default, SizeHint::with_exact)
    }
}

#[cfg(test)]
mod tests {
    use http::HeaderMap;
    use ring::digest::{SHA256, digest};
    use sigv4::{Head, PayloadHead, PayloadMode};

    use super::*;

    /// A client that sends these pieces and then ends, or goes away.
    struct Client {
        pieces: VecDeque<&'static [u8]>,
        gone: bool,
    }

    impl Body for Client {
        type Data = Bytes;
        type Error = std::io::Error;

        fn poll_frame(
            mut self: Pin<&mut Self>,
            _: &mut Context<'_>,
        ) -> Poll<Option<Result<Frame<Bytes>, std::io::Error>>> {
            Poll::Ready(match self.pieces.pop_front() {
                Some(piece) => Some(Ok(Frame::data(Bytes::from_static(piece)))),
                None if self.gone => Some(Err(std::io::ErrorKind::ConnectionReset.into())),
                None => None,
            })
        }
    }

    fn body(method: &str, pieces: &[&'static [u8]], signed: &[u8]) -> Box<ProvingBody<Client>> {
        let mode = PayloadMode::Sha256(digest(&SHA256, signed).as_ref().try_into().unwrap());
        let length: usize = pieces.iter().map(|piece| piece.len()).sum();
        let mut headers = HeaderMap::new();
        headers.insert("content-length", length.into());
        let head = Head { method, path: b"/", query: None, headers: &headers, authority: None };
        let head = PayloadHead::parse(&head, &mode).unwrap();
        let client = Client { pieces: pieces.iter().copied().collect(), gone: false };
        ProvingBody::new(client, PayloadVerifier::new(mode, head), Framing::Decoded, Some(length as u64))
    }

    /// Everything the backend would see, and whether the body ended well.
    async fn drain(body: &mut ProvingBody<Client>) -> (Vec<u8>, Result<(), BodyError>) {
        let mut seen = Vec::new();
        loop {
            match std::future::poll_fn(|context| Pin::new(&mut *body).poll_frame(context)).await {
                Some(Ok(frame)) => seen.extend_from_slice(&frame.into_data().unwrap()),
                Some(Err(error)) => return (seen, Err(error)),
                None => return (seen, Ok(())),
            }
        }
    }

    #[tokio::test]
    async fn a_signed_body_arrives_whole() {
        let mut body = body("PUT", &[b"one", b"", b"two", b"three"], b"onetwothree");
        let (seen, end) = drain(&mut body).await;
        assert_eq!(seen, b"onetwothree");
        assert!(end.is_ok() && body.verdict().refused().is_none() && !body.verdict().failed());
        assert_eq!(body.verdict().received(), 11);
    }

    #[tokio::test]
    async fn an_unsigned_body_never_arrives_whole() {
        for pieces in [&[&b"onetwothreX"[..]][..], &[b"one", b"two", b"threX"], &[b"X", b"netwothree"]] {
            let mut body = body("PUT", pieces, b"onetwothree");
            let (seen, end) = drain(&mut body).await;
            assert!(seen.len() < 11, "the last piece is kept back");
            assert!(matches!(end, Err(BodyError::Unproved)));
            assert!(body.verdict().refused().is_some() && body.verdict().failed());
        }
    }

    #[tokio::test]
    async fn an_empty_body_is_proved_before_the_backend_hears_of_it() {
        assert!(body("PUT", &[], b"").prime().await.is_ok());
        assert!(body("PUT", &[], b"something").prime().await.is_err());
    }

    #[tokio::test]
    async fn a_client_that_goes_away_leaves_an_incomplete_request() {
        let mut body = body("PUT", &[b"one", b"two"], b"onetwo");
        body.inner.gone = true;
        let (seen, end) = drain(&mut body).await;
        assert_eq!(seen, b"one");
        assert!(matches!(end, Err(BodyError::Client(_))));
        assert!(body.verdict().failed() && body.verdict().refused().is_none());
    }

    #[tokio::test]
    async fn a_body_that_is_dropped_before_its_end_is_not_proved() {
        let mut whole = body("PUT", &[b"one", b"two"], b"onetwo");
        let verdict = whole.verdict();
        drain(&mut whole).await.1.unwrap();
        drop(whole);
        assert!(verdict.proved().await);

        let mut left = body("PUT", &[b"one", b"two"], b"onetwo");
        let verdict = left.verdict();
        left.prime().await.unwrap();
        drop(left);
        assert!(!verdict.proved().await && !verdict.failed());
    }

    #[tokio::test]
    async fn what_is_read_first_takes_the_memory_of_its_bytes() {
        let (letters, long) = ([&b"a"[..]; 1_000], [b'a'; 1_000]);
        for framing in [Framing::Raw, Framing::Decoded] {
            let mut body = body("POST", &letters, &long);
            body.framing = framing;
            assert_eq!(body.content(1_000).await.unwrap().unwrap(), long[..]);
            assert_eq!(body.ready.len(), 1, "one piece");
            assert!(body.ready.capacity() + body.decoded.capacity() < 100);
            let (seen, end) = drain(&mut body).await;
            assert!(end.is_ok() && seen == long);
        }
        assert!(body("POST", &letters, &long).content(999).await.unwrap().is_none());
        assert!(body("POST", &letters, b"something").content(1_000).await.is_err());
    }

    #[tokio::test]
    async fn priming_does_not_read_ahead() {
        let mut body = body("PUT", &[b"one", b"two", b"three"], b"onetwothree");
        body.prime().await.unwrap();
        assert_eq!(body.inner.pieces.len(), 1, "one piece to send, one kept back");
    }
}
