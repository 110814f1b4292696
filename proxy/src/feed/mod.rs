//! The shared log: how events travel between gateways through NATS JetStream.
//!
//! ```text
//! append ──► <prefix>.log.session.<hash>      ┐  stream <prefix>_log: everything, in one order, for 40 hours
//!            <prefix>.log.state.key.<hash>    ├────────────────────────────────────────────► tail, by sequence
//!            <prefix>.log.state.mark.<hash>   ┘  │ sourced by the server
//!                                                ▼
//!                      stream <prefix>_state: the last message of each key and each mark that matters ──► compacted
//! packs ───► <prefix>.pack ─ stream <prefix>_packs: the log once more, many messages in one ─────────────► packs
//! beats ───► <prefix>.beat.*                     core messages: the list of marks, and who has applied how much
//! ```
//!
//! - `message`: the form of one event: subject, CloudEvents attributes as headers, sealed body.
//! - `publish`: putting events into the log.
//! - `streams`: what the streams must be like; they are created or checked.
//! - `retained`: revocations that only the compacted stream still holds.
//! - `tail`: reading in order: what is compacted first, then the log.
//! - `packs`: the log, many messages in one, for who has much to read.
//! - `beat`: what is said again and again, so that silence is noticed and a lost revocation comes back.
//! - `connection`: addresses, credentials, TLS.
//!
//! A gateway that knows nothing, or was away for longer than the log reaches back, reads what `<prefix>_state` holds
//! from before the log's first message, and then the log: together the whole truth in its one order. Applying it is
//! the store's business.
//!
//! Bodies of issuances and long-term keys are sealed and authenticated under the sealing keys. Revocations hold no
//! secret and so have no seal: whoever may publish to the subjects can revoke. The server's permissions guard that.

mod beat;
mod connection;
mod message;
mod packs;
mod publish;
mod retained;
mod streams;
mod tail;

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use async_nats::connection::State;
use async_nats::jetstream::{self, Context};

pub(crate) use beat::{Beat, Checkpoint, MarkList, Presence};
pub(crate) use message::{Outgoing, PlainMark, message_id};
pub(crate) use packs::{Listed, SealedPack};
pub(crate) use publish::Ack;
pub(crate) use streams::Bounds;
pub(crate) use tail::{Delivered, Tail};

use crate::config;
use crate::iam::random_bytes;
use streams::Names;

/// How long one attempt to store an event waits for its acknowledgement.
const ACK_WAIT: Duration = Duration::from_secs(2);

/// A connection to the shared log; clones share it. It reconnects by itself for as long as it lives.
#[derive(Clone)]
pub struct Feed(Arc<Inner>);

struct Inner {
    context: Context,
    names: Names,
    options: config::Feed,
    name: String,
}

/// What is wrong between this gateway and the shared log. Clones are cheap; nothing secret is in it.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum FeedError {
    /// A file of credentials or certificates.
    #[error("{0}")]
    Setup(String),
    /// A stream is not what it must be.
    #[error("stream {stream}: {problem}")]
    Stream {
        /// Which stream.
        stream: String,
        /// What is wrong with it, and what it should be.
        problem: String,
    },
    /// No answer, or none that helps: worth another attempt.
    #[error("the shared log does not answer: {0}")]
    Unreachable(String),
    /// The log refuses the event.
    #[error("the shared log does not take the event: {0}")]
    Refused(String),
}

/// Without what it logs in with.
impl fmt::Debug for Feed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Feed({})", self.0.names.log)
    }
}

impl Feed {
    /// Prepares the connection and begins to connect; whether there is a server shows when it is used.
    pub async fn connect(options: &config::Feed) -> Result<Self, FeedError> {
        let name = match &options.gateway {
            Some(name) => name.clone(),
            None => random_name()?,
        };
        let client = connection::connect(options, &name).await?;
        let mut context = jetstream::new(client);
        context.set_timeout(ACK_WAIT);
        let names = Names::new(&options.prefix);
        Ok(Self(Arc::new(Inner { context, names, options: options.clone(), name })))
    }

    /// The same for who is no gateway, and must not be taken for the one that has the configuration's name.
    pub async fn connect_to_look(options: &config::Feed) -> Result<Self, FeedError> {
        Self::connect(&config::Feed { gateway: None, ..options.clone() }).await
    }

    /// What this gateway was told about the log.
    pub(crate) fn options(&self) -> &config::Feed {
        &self.0.options
    }

    /// What this gateway calls itself.
    pub(crate) fn name(&self) -> &str {
        &self.0.name
    }

    /// Creates or checks the streams; which log it is and how far it reaches.
    pub(crate) async fn prepare(&self) -> Result<Bounds, FeedError> {
        streams::prepare(&self.0.context, &self.0.names, &self.0.options).await
    }

    /// Which log it is and how far it reaches now.
    pub(crate) async fn bounds(&self) -> Result<Bounds, FeedError> {
        streams::bounds(&self.0.context, &self.0.names).await
    }

    fn check_connected(&self) -> Result<(), FeedError> {
        match self.0.context.client().connection_state() {
            State::Connected => Ok(()),
            State::Pending | State::Disconnected => Err(FeedError::Unreachable("not connected".to_owned())),
        }
    }
}

fn random_name() -> Result<String, FeedError> {
    let random = random_bytes::<4>().map_err(|error| FeedError::Setup(error.to_string()))?;
    Ok(format!("gateway-{}", sigv4::hex::encode(&*random)))
}
