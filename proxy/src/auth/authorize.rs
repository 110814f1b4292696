//! Step 3 of a request: has the credential been revoked, may it do what it asks.
//!
//! Revocation is asked first and of every request; what is left is [`Unrevoked`], and may do nothing yet. STS decides
//! for itself what it may do, S3 by [`Unrevoked::authorize`].

use std::sync::Arc;
use std::{fmt, iter};

use sigv4::{Mechanism, PayloadMode, ReplayKey, SignedNames, Timestamp};

use super::{Authenticated, Circumstances, Nobody, Standing, Unsigned};
use crate::iam::directory::Directory;
use crate::iam::policy::{Decision, Layer, Name, Request, Value, evaluate};
use crate::iam::{Arn, Credential};
use crate::s3::{Asked, Facts, Need, Unclear};
use crate::store::{Headers, Record, RevokedBy, Store};

/// A request that may be forwarded. The upstream takes nothing else. Made by [`Unrevoked::authorize`] and
/// [`Unsigned::authorize`], and of a browser's question by [`Unsigned::preflight`].
#[must_use]
pub struct Permitted {
    /// `None`: nobody signed, and everybody may.
    signer: Option<Unrevoked>,
    /// Whether nobody stands behind it at all, so that it goes on as nobody's.
    preflight: bool,
}

impl Permitted {
    /// Made by [`Unsigned::authorize`] only.
    pub(super) fn anonymous(_: Unsigned) -> Self {
        Self { signer: None, preflight: false }
    }

    /// Made by [`Unsigned::preflight`] only.
    pub(super) fn preflight(_: Unsigned) -> Self {
        Self { signer: None, preflight: true }
    }

    /// Whether it is a browser's question, which the backend answers to nobody in particular.
    pub fn is_preflight(&self) -> bool {
        self.preflight
    }

    /// The credential that signed. `None`: nobody did, and everybody may.
    pub fn credential(&self) -> Option<&Credential> {
        self.signer.as_ref().map(Unrevoked::credential)
    }

    /// Headers that describe its owner, as `describe` writes them, which is asked once for a credential. `None`: nobody
    /// signed.
    pub fn described(&self, describe: impl FnOnce(&Credential) -> Headers) -> Option<&Headers> {
        self.signer.as_ref().map(|signer| signer.record.described(describe))
    }

    /// Whether a signature covers the header `name`.
    pub fn signs(&self, name: &str) -> bool {
        self.signer.as_ref().is_some_and(|signer| signer.signed_headers.contains(name))
    }

    /// By what the request is known if it comes again, and when it was signed. `None` for what is there to be used
    /// many times, as on AWS: presigned requests and forms, until they expire; and for what nobody signed.
    pub fn replayable(&self) -> Option<(ReplayKey, Timestamp)> {
        let signer = self.signer.as_ref().filter(|signer| signer.mechanism == Mechanism::Header)?;
        signer.replay_key.zip(signer.signed_at)
    }
}

/// A request that is signed by a credential nobody has revoked. Made by [`unrevoked`] only.
#[must_use]
pub struct Unrevoked {
    record: Arc<Record>,
    mechanism: Mechanism,
    signed_headers: SignedNames,
    replay_key: Option<ReplayKey>,
    signed_at: Option<Timestamp>,
}

/// An authenticated request that is refused.
#[must_use]
pub struct Denied {
    record: Arc<Record>,
    /// Why.
    pub why: Refusal,
}

/// Why an authenticated request is refused.
#[derive(Debug)]
pub enum Refusal {
    /// The credential has been revoked.
    Revoked(RevokedBy),
    /// It cannot be said what is asked.
    Unclear(Unclear),
    /// Policies do not permit it.
    NotPermitted(Box<NotPermitted>),
}

/// What is not permitted, and by what.
#[derive(Debug)]
pub struct NotPermitted {
    /// What was asked.
    pub need: Need,
    /// The layer that forbids or does not allow it.
    pub layer: Layer,
    /// The statement that forbids it; `None`: no statement allows it.
    pub denied_by: Option<DenyingStatement>,
}

/// A statement as operators find it in their policies.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DenyingStatement {
    /// Name or ARN of its policy.
    pub policy: String,
    /// From 0.
    pub index: usize,
    /// Its `Sid`.
    pub sid: Option<String>,
}

impl fmt::Debug for Denied {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Denied({} by {:?})", self.credential().access_key_id, self.why)
    }
}

impl Denied {
    /// The credential that signed.
    pub fn credential(&self) -> &Credential {
        self.record.credential()
    }

    /// The same, to be kept.
    pub fn record(&self) -> &Arc<Record> {
        &self.record
    }
}

/// Asks the revocation index, on every request, whatever the cache held.
///
/// What must be proved about the body comes out beside: the body is read on its own.
pub fn unrevoked(store: &Store, authenticated: Authenticated) -> Result<(Unrevoked, PayloadMode), Denied> {
    let (record, verified, signed_at) = authenticated.into_parts();
    match store.revoked(record.credential()) {
        Some(by) => Err(Denied { record, why: Refusal::Revoked(by) }),
        None => {
            let (mechanism, replay_key) = (verified.mechanism(), verified.replay_key());
            let (payload, signed_headers) = verified.into_parts();
            Ok((Unrevoked { record, mechanism, signed_headers, replay_key, signed_at }, payload))
        }
    }
}

impl Unrevoked {
    /// The credential that signed.
    pub fn credential(&self) -> &Credential {
        self.record.credential()
    }

    /// Who that is.
    ///
    /// # Errors
    /// As [`Standing::of`].
    pub fn standing<'a>(&'a self, directory: Option<&'a Directory>) -> Result<Standing<'a>, Nobody> {
        Standing::of(&self.record, directory)
    }

    /// Whether policies have a say in what the credential may do. Where they do not, nobody needs to know what
    /// exactly a request asks.
    pub fn is_limited(&self, directory: Option<&Directory>) -> bool {
        self.standing(directory).map_or(true, |standing| !standing.is_unlimited())
    }

    /// Asks the policies that speak about the credential.
    ///
    /// Every permission that the request needs must be given: `CopyObject` must be allowed to read its source. Buckets
    /// count as owned by the account of whoever asks. Without a directory and without session policies everything is
    /// permitted; for the root of an account everything is.
    pub fn authorize(
        self,
        directory: Option<&Directory>,
        asked: &Asked<'_>,
        circumstances: &Circumstances<'_>,
    ) -> Result<Permitted, Denied> {
        match self.refusal(directory, asked, circumstances) {
            None => Ok(Permitted { signer: Some(self), preflight: false }),
            Some(why) => Err(Denied { record: self.record, why }),
        }
    }

    fn refusal(
        &self,
        directory: Option<&Directory>,
        asked: &Asked<'_>,
        circumstances: &Circumstances<'_>,
    ) -> Option<Refusal> {
        let standing = self.standing(directory);
        if standing.as_ref().is_ok_and(Standing::is_unlimited) {
            return None;
        }
        let principal = &self.credential().principal;
        let partition = Arn::parse(&principal.arn).map_or("aws", |arn| arn.partition);
        let needs = match asked.needs(partition) {
            Ok(needs) => needs,
            Err(unclear) => return Some(Refusal::Unclear(unclear)),
        };
        // No request needs nothing, and one that seems to is not understood: nobody would be asked.
        let Some(first) = needs.first() else { return Some(Refusal::Unclear(Unclear::Unnamed)) };
        let standing = match standing {
            Ok(standing) => standing,
            Err(Nobody) => {
                let need = first.clone();
                let (layer, denied_by) = (Layer::Identity, None);
                return Some(Refusal::NotPermitted(Box::new(NotPermitted { need, layer, denied_by })));
            }
        };
        let facts = match asked.facts(self.mechanism, circumstances.now) {
            Ok(facts) => facts,
            Err(unclear) => return Some(Refusal::Unclear(unclear)),
        };
        let otherwise = facts.without_empty_segments();
        let mut readings = iter::once(&facts).chain(&otherwise);
        readings.find_map(|facts| self.not_permitted(&needs, facts, &standing, circumstances))
    }

    /// The first permission that is not given.
    fn not_permitted(
        &self,
        needs: &[Need],
        facts: &Facts,
        standing: &Standing<'_>,
        circumstances: &Circumstances<'_>,
    ) -> Option<Refusal> {
        let principal = &self.credential().principal;
        let tags = facts.tags();
        let mut context = circumstances.context();
        standing.describe(&mut context, circumstances.now);
        facts.describe(&tags, &mut context);
        context.set(Name::ResourceAccount, Value::Text(&principal.account));
        context.set(Name::S3ResourceAccount, Value::Text(&principal.account));
        let (requester, layers) = (standing.requester(), standing.layers(None));
        needs.iter().find_map(|need| {
            let mut context = context;
            context.set(Name::S3VersionId, need.version.as_deref().map(Value::Text));
            let request = Request {
                requester,
                action: need.action,
                resource: &need.resource,
                resource_account: &principal.account,
                context: &context,
            };
            let (layer, denied_by) = match evaluate(&request, &layers) {
                Decision::Allow(_) => return None,
                Decision::ImplicitDeny(layer) => (layer, None),
                Decision::ExplicitDeny(by) => {
                    let (policy, sid) = (by.policy().to_owned(), by.sid().map(str::to_owned));
                    (by.layer, Some(DenyingStatement { policy, index: by.index(), sid }))
                }
            };
            Some(Refusal::NotPermitted(Box::new(NotPermitted { need: need.clone(), layer, denied_by })))
        })
    }
}
