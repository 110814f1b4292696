//! The least HTTP/1.1 that asks a gateway something: whole requests as bytes, answers with a `Content-Length`.

use std::net::SocketAddr;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use super::Failure;

/// A connection, between two requests.
pub(super) struct Wire {
    stream: TcpStream,
    buffer: Vec<u8>,
}

/// A status, and what the body says.
pub(super) struct Answer {
    pub(super) status: u16,
    pub(super) body: Vec<u8>,
}

impl Wire {
    pub(super) async fn open(address: SocketAddr) -> Result<Self, Failure> {
        let stream = TcpStream::connect(address).await?;
        stream.set_nodelay(true)?;
        Ok(Self { stream, buffer: vec![0; 64 << 10] })
    }

    /// Sends a request and waits for the end of its answer.
    pub(super) async fn exchange(&mut self, request: &[u8]) -> Result<Answer, Failure> {
        self.stream.write_all(request).await?;
        let mut got = Vec::new();
        loop {
            let read = self.stream.read(&mut self.buffer).await?;
            if read == 0 {
                return Err("the gateway closed the connection".into());
            }
            got.extend_from_slice(&self.buffer[..read]);
            if let Some((status, head, length)) = parse(&got)?
                && got.len() >= head + length
            {
                return Ok(Answer { status, body: got.split_off(head) });
            }
        }
    }

    pub(super) async fn get(&mut self, path: &str) -> Result<Answer, Failure> {
        self.exchange(format!("GET {path} HTTP/1.1\r\nhost: localhost\r\n\r\n").as_bytes()).await
    }

    pub(super) async fn post(&mut self, path: &str, media_type: &str, body: &str) -> Result<Answer, Failure> {
        let length = body.len();
        let head = format!(
            "POST {path} HTTP/1.1\r\nhost: localhost\r\ncontent-type: {media_type}\r\ncontent-length: {length}\r\n\r\n"
        );
        let answer = self.exchange(&[head.as_bytes(), body.as_bytes()].concat()).await?;
        if answer.status != 200 {
            let body = String::from_utf8_lossy(&answer.body);
            return Err(format!("{path} answered {}: {body}", answer.status).into());
        }
        Ok(answer)
    }
}

/// Status, and bytes of head and body; `None`: the head is not whole yet.
fn parse(bytes: &[u8]) -> Result<Option<(u16, usize, usize)>, Failure> {
    let mut headers = [httparse::EMPTY_HEADER; 64];
    let mut response = httparse::Response::new(&mut headers);
    let httparse::Status::Complete(head) = response.parse(bytes)? else { return Ok(None) };
    let length = response.headers.iter().find(|header| header.name.eq_ignore_ascii_case("content-length"));
    let length = length.map_or(Ok("0"), |header| std::str::from_utf8(header.value))?.parse()?;
    Ok(Some((response.code.unwrap_or_default(), head, length)))
}
