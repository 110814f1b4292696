//! Under which circumstances a request comes, whoever makes it.

use std::net::IpAddr;

use http::HeaderMap;
use http::header::{REFERER, USER_AGENT};

use crate::clock::UnixMillis;
use crate::iam::policy::{Context, Name, Value};

/// What conditions may ask about any request.
#[derive(Clone, Copy, Debug)]
pub struct Circumstances<'a> {
    /// The address of whoever sent it.
    pub address: IpAddr,
    /// Whether it came encrypted.
    pub tls: bool,
    /// The names in the certificate of whoever sent it; none without one.
    pub certificate: &'a [String],
    /// The region that is asked.
    pub region: &'a str,
    /// As received.
    pub headers: &'a HeaderMap,
    /// When it came.
    pub now: UnixMillis,
}

impl<'a> Circumstances<'a> {
    /// A context that holds them and nothing else.
    pub fn context(&self) -> Context<'a> {
        let text = |name| self.headers.get(name).and_then(|value| value.to_str().ok()).map(Value::Text);
        let mut context = Context::default();
        context.set(Name::SourceIp, Value::Address(self.address));
        context.set(Name::SecureTransport, Value::Flag(self.tls));
        context.set(Name::ClientCertificate, Value::Strings(self.certificate));
        context.set(Name::RequestedRegion, Value::Text(self.region));
        context.set(Name::UserAgent, text(USER_AGENT));
        context.set(Name::Referer, text(REFERER));
        context.set(Name::CurrentTime, Value::Time(self.now));
        context.set(Name::EpochTime, Value::Number(self.now.timestamp().unix()));
        context.set(Name::ViaAwsService, Value::Flag(false));
        context
    }
}
