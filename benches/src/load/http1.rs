//! The least HTTP/1.1 that can carry a load: whole requests go out as they are, answers have a `Content-Length`.

use std::io;

use tokio::io::{AsyncReadExt, AsyncWriteExt};

use super::connection::{Stream, Target};
use super::plan::Wire;

/// As much as is read at once.
const BUFFER: usize = 256 << 10;
const MAX_HEADERS: usize = 64;

/// A connection, between two requests.
pub(super) struct Connection {
    stream: Box<dyn Stream>,
    buffer: Vec<u8>,
}

/// An answer, its body read and dropped.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Answer {
    pub(super) status: u16,
    /// Bytes of the body.
    pub(super) length: u64,
    /// Whether the connection ends here.
    pub(super) close: bool,
}

impl Connection {
    pub(super) async fn open(target: &Target) -> io::Result<Self> {
        Ok(Self::over(target.connect().await?))
    }

    fn over(stream: Box<dyn Stream>) -> Self {
        Self { stream, buffer: vec![0; 4 << 10] }
    }

    /// Sends a request and waits for the end of its answer. `moved` is told of bytes of content and heads as they go.
    pub(super) async fn exchange(&mut self, wire: &Wire, moved: &impl Fn(usize)) -> io::Result<Answer> {
        self.send(&wire.first, moved).await?;
        self.send(&wire.rest, moved).await?;
        self.stream.flush().await?;
        let mut filled = 0;
        let (answer, head) = loop {
            if filled == self.buffer.len() {
                return Err(io::Error::other("an answer's head is too large"));
            }
            let read = self.stream.read(&mut self.buffer[filled..]).await?;
            if read == 0 {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
            moved(read);
            filled += read;
            if let Some(parsed) = parse(&self.buffer[..filled])? {
                break parsed;
            }
        };
        let mut rest = answer
            .length
            .checked_sub((filled - head) as u64)
            .ok_or_else(|| io::Error::other("an answer is longer than it says"))?;
        if rest > 0 && self.buffer.len() < BUFFER {
            self.buffer.resize(BUFFER, 0);
        }
        while rest > 0 {
            let most = usize::try_from(rest).map_or(BUFFER, |rest| rest.min(BUFFER));
            let read = self.stream.read(&mut self.buffer[..most]).await?;
            if read == 0 {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
            moved(read);
            rest -= read as u64;
        }
        Ok(answer)
    }

    async fn send(&mut self, mut bytes: &[u8], moved: &impl Fn(usize)) -> io::Result<()> {
        while !bytes.is_empty() {
            let written = self.stream.write(bytes).await?;
            moved(written);
            bytes = &bytes[written..];
        }
        Ok(())
    }
}

/// The head of an answer and its length, once it is complete.
fn parse(bytes: &[u8]) -> io::Result<Option<(Answer, usize)>> {
    let mut headers = [httparse::EMPTY_HEADER; MAX_HEADERS];
    let mut response = httparse::Response::new(&mut headers);
    let httparse::Status::Complete(head) = response.parse(bytes).map_err(io::Error::other)? else {
        return Ok(None);
    };
    let mut length = None;
    let mut close = false;
    for header in response.headers.iter() {
        if header.name.eq_ignore_ascii_case("content-length") {
            length = std::str::from_utf8(header.value).ok().and_then(|text| text.parse().ok());
        } else if header.name.eq_ignore_ascii_case("connection") {
            close = header.value.eq_ignore_ascii_case(b"close");
        }
    }
    let status = response.code.unwrap_or_default();
    let length =
        length.ok_or_else(|| io::Error::other(format!("an answer ({status}) does not say its length")))?;
    Ok(Some((Answer { status, length, close }, head)))
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;

    use super::*;

    async fn answered(answer: &'static [u8]) -> io::Result<Answer> {
        let (ours, mut theirs) = tokio::io::duplex(64);
        let server = async move {
            let mut request = [0; 8];
            theirs.read_exact(&mut request).await.unwrap();
            assert_eq!(&request, b"headbody");
            // In pieces that cut the head.
            for piece in answer.chunks(7) {
                theirs.write_all(piece).await.unwrap();
            }
        };
        let wire = Wire { first: Bytes::from_static(b"head"), rest: Bytes::from_static(b"body") };
        let mut connection = Connection::over(Box::new(ours));
        tokio::join!(connection.exchange(&wire, &|_| ()), server).0
    }

    #[tokio::test]
    async fn an_answer_is_read_to_its_end() {
        let answer =
            answered(b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\nConnection: close\r\n\r\nhello").await;
        assert_eq!(answer.unwrap(), Answer { status: 200, length: 5, close: true });
    }

    #[tokio::test]
    async fn an_answer_that_is_cut_or_unmeasured_is_an_error() {
        assert!(answered(b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhell").await.is_err());
        assert!(answered(b"HTTP/1.1 200 OK\r\n\r\nhello").await.is_err());
    }
}
