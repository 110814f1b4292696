//! Step 1 of a request with its limits: nothing is looked up for an address that has failed too often, and a request
//! that came through trusted proxies may be signed for the host that these were asked for.

use std::net::IpAddr;
use std::sync::Arc;

use http::HeaderValue;
use http::header::HOST;
use http::request::Parts;
use sigv4::{Endpoint, Head, PostError, SignedRequest, VerifyError};

use super::{Admission, Limit, Refused};
use crate::auth::{self, Arrival, AuthError, Authenticated, FormAuthError};
use crate::clock::UnixMillis;
use crate::config::Source;
use crate::store::{Record, Store};

/// A request that claims to be signed.
#[derive(Clone, Copy, Debug)]
pub struct Attempt<'a> {
    /// Its head.
    pub parts: &'a Parts,
    /// What it must be signed for.
    pub endpoint: &'a Endpoint,
    /// When it came.
    pub now: UnixMillis,
    /// The whole body, where the signature covers it.
    pub body: Option<&'a [u8]>,
    /// Where it comes from.
    pub address: IpAddr,
    /// Hosts that trusted proxies say it was sent to.
    pub hosts: &'a [HeaderValue],
}

/// A request that is signed.
#[must_use]
pub struct Proved {
    /// By whom.
    pub authenticated: Authenticated,
    /// For which host; `None`: the one that stands in the request. It is the one to read the request by.
    pub host: Option<HeaderValue>,
}

/// Why a request goes no further.
#[derive(Debug, thiserror::Error)]
pub enum NotAdmitted {
    /// Who asked is not proved.
    #[error(transparent)]
    Auth(#[from] AuthError),
    /// Nobody looked.
    #[error(transparent)]
    Refused(#[from] Refused),
}

impl Admission {
    /// Parses the head, looks the credential up, verifies: by the host that was received and, only if the signature
    /// does not hold for it, by each of the others.
    pub async fn authenticate(&self, store: &Store, attempt: Attempt<'_>) -> Result<Proved, NotAdmitted> {
        let Attempt { parts, endpoint, now, body, address, hosts } = attempt;
        let signed = SignedRequest::parse(Head::from_parts(parts), endpoint, now.timestamp())
            .map_err(AuthError::from)?;
        self.may_try(address, Some(signed.access_key_id()))?;
        let verdict = async {
            let arrival = Arrival { at: now, from: address };
            let record =
                auth::look_up(store, signed.access_key_id(), signed.session_token(), arrival).await?;
            let verdict = auth::authenticate_with(signed, record.clone(), now, body);
            match verdict {
                Ok(authenticated) => Ok(Proved { authenticated, host: None }),
                Err(error) if is_mismatch(&error) && !hosts.is_empty() => {
                    by_another_host(attempt, record.as_ref()).ok_or(error)
                }
                Err(error) => Err(error),
            }
        };
        let verdict = verdict.await;
        match &verdict {
            Ok(proved) => self.succeeded(address, proved.authenticated.credential().access_key_id.as_str()),
            Err(error) => self.failed(address, error),
        }
        Ok(verdict?)
    }

    /// Whether a request from `address` may be looked at. It names `access_key_id`, if that is known already.
    pub fn may_try(&self, address: IpAddr, access_key_id: Option<&str>) -> Result<(), Refused> {
        let in_force = self.in_force.load();
        let (Some(failures), source) = (&in_force.failures, Source::of(address)) else { return Ok(()) };
        match failures.look(source) {
            Err(wait) if !access_key_id.is_some_and(|id| self.known.contains_key(&self.pair(source, id))) => {
                Err(self.refused(Limit::Failures, wait))
            }
            Ok(()) | Err(_) => Ok(()),
        }
    }

    /// Takes a token for a request that should not have been tried.
    pub fn failed(&self, address: IpAddr, error: &AuthError) {
        let counts = match error {
            AuthError::UnknownAccessKey(_)
            | AuthError::MissingToken(_)
            | AuthError::InvalidToken
            | AuthError::Verify { .. } => true,
            // Known before anything is looked up, or nobody's fault.
            AuthError::Parse(_) | AuthError::ExpiredToken | AuthError::Elsewhere(_) | AuthError::Store(_) => {
                false
            }
        };
        if counts {
            self.take_failure(address);
        }
    }

    /// As [`failed`](Self::failed), for a form.
    pub fn form_failed(&self, address: IpAddr, error: &FormAuthError) {
        match error {
            FormAuthError::Credential(error) => self.failed(address, error),
            FormAuthError::Form { source: PostError::SignatureMismatch(_), .. } => self.take_failure(address),
            FormAuthError::Form { .. } => {}
        }
    }

    fn take_failure(&self, address: IpAddr) {
        if let Some(failures) = &self.in_force.load().failures {
            // Without a token left there is none to take.
            let _ = failures.take(Source::of(address));
        }
    }

    pub(super) fn succeeded(&self, address: IpAddr, access_key_id: &str) {
        if self.in_force.load().failures.is_some() {
            let pair = self.pair(Source::of(address), access_key_id);
            if !self.known.contains_key(&pair) {
                self.known.insert(pair, ());
            }
        }
    }

    fn pair(&self, source: Source, access_key_id: &str) -> u64 {
        std::hash::BuildHasher::hash_one(&self.seed, (source, access_key_id))
    }
}

fn is_mismatch(error: &AuthError) -> bool {
    matches!(error, AuthError::Verify { source: VerifyError::SignatureMismatch(_), .. })
}

/// The same request, had it been received with one of the other hosts.
fn by_another_host(attempt: Attempt<'_>, record: Option<&Arc<Record>>) -> Option<Proved> {
    let Attempt { parts, endpoint, now, body, address: _, hosts } = attempt;
    hosts.iter().find_map(|host| {
        let mut headers = parts.headers.clone();
        headers.insert(HOST, host.clone());
        let head = Head { headers: &headers, authority: None, ..Head::from_parts(parts) };
        let signed = SignedRequest::parse(head, endpoint, now.timestamp()).ok()?;
        let authenticated = auth::authenticate_with(signed, record.cloned(), now, body).ok()?;
        Some(Proved { authenticated, host: Some(host.clone()) })
    })
}
