//! What can be asked of the load generator.

use std::path::PathBuf;

use clap::{Parser, ValueEnum};

/// Replays signed requests against a gateway and says what they cost it.
///
/// Exits with 1 if any answer was not the expected one.
#[derive(Clone, Debug, Parser)]
#[command(name = "load")]
pub struct Options {
    /// http://host:port or https://host:port.
    pub target: String,
    /// What is done to the objects.
    #[arg(long, value_enum, default_value = "get")]
    pub method: Method,
    /// Bytes of each object.
    #[arg(long, default_value_t = 1024)]
    pub size: usize,
    /// How uploads are signed.
    #[arg(long, value_enum, default_value = "unsigned")]
    pub payload: Payload,
    /// Bytes of each signed chunk.
    #[arg(long, default_value_t = 64 * 1024)]
    pub chunk: usize,
    /// Different objects; each has a request of its own.
    #[arg(long, default_value_t = 1024)]
    pub objects: usize,
    /// Connections at the same time.
    #[arg(long, default_value_t = 32)]
    pub connections: usize,
    /// Requests at the same time on each connection, by HTTP/2. With 0 it is HTTP/1.1.
    #[arg(long, default_value_t = 0)]
    pub streams: usize,
    /// A new connection for every request, with a full handshake: nothing is resumed.
    #[arg(long)]
    pub reconnect: bool,
    /// Requests a second, whether answers keep up or not. Latency then counts from when a request was due; the timer
    /// has steps of a millisecond. Without a rate each connection asks again as soon as it has its answer.
    #[arg(long)]
    pub rate: Option<f64>,
    /// Opens so many connections, asks once on each, and tells what the gateway's memory grew by; nothing else.
    #[arg(long)]
    pub idle: Option<usize>,
    /// Only tells how long the SHA-256 of an object takes here, by the library that the gateway has it from.
    #[arg(long)]
    pub hash: bool,
    /// Seconds that count.
    #[arg(long, default_value_t = 5.0)]
    pub seconds: f64,
    /// Seconds before those.
    #[arg(long, default_value_t = 1.0)]
    pub warmup: f64,
    /// PEM file with the authority of the gateway's certificate.
    #[arg(long)]
    pub ca: Option<PathBuf>,
    /// A process whose CPU time and memory are told, with its children; more than once for several.
    #[arg(long)]
    pub pid: Vec<u32>,
    /// Whose requests they are.
    #[arg(long, default_value = crate::head::ACCESS_KEY_ID)]
    pub access_key_id: String,
    /// Signs them. A secret for benches, as other users of the machine can read it.
    #[arg(long, default_value = crate::head::SECRET_ACCESS_KEY)]
    pub secret_access_key: String,
    /// The session token, if the key is a session's.
    #[arg(long)]
    pub session_token: Option<String>,
    /// The region they are signed for.
    #[arg(long, default_value = crate::head::REGION)]
    pub region: String,
    /// One JSON object instead of text.
    #[arg(long)]
    pub json: bool,
}

/// What is done to objects.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Method {
    /// They are read.
    Get,
    /// They are written.
    Put,
}

impl Method {
    /// As it stands in the request.
    pub fn name(self) -> &'static str {
        match self {
            Self::Get => "GET",
            Self::Put => "PUT",
        }
    }
}

/// How the body of an upload is signed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Payload {
    /// `UNSIGNED-PAYLOAD`.
    Unsigned,
    /// Its SHA-256 in the head.
    Hash,
    /// `STREAMING-AWS4-HMAC-SHA256-PAYLOAD`.
    Chunks,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_options_are_sound() {
        use clap::CommandFactory;
        Options::command().debug_assert();
    }
}
