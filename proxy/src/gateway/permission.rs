//! Step 3: may the credential do what the request asks.

use http::request::Parts;

use super::access_log::Call;
use super::body::ProvingBody;
use super::destination::Destination;
use super::error::GatewayError;
use super::vigil::Vigil;
use super::{Lingering, Serving};
use crate::auth::{Circumstances, NotForEverybody, Permitted, Unrevoked, Unsigned};
use crate::s3::{self, Action, Asked, Deletions, MAX_DELETIONS_BYTES};

/// What `DeleteObjects` may need for an object that it lists.
const DELETES: [&str; 2] = ["s3:DeleteObject", "s3:DeleteObjectVersion"];

/// How the body of `DeleteObjects` is read.
pub(super) struct Reading<'r> {
    /// Even if policies have no say.
    pub(super) always: bool,
    pub(super) body: &'r mut ProvingBody<Lingering>,
    pub(super) vigil: &'r Vigil<'r>,
}

/// Who asks.
#[expect(
    clippy::large_enum_variant,
    reason = "the large variant is that of nearly every request, and boxing it would cost an allocation"
)]
pub(super) enum Asker<'g> {
    /// Whoever holds a credential.
    Signer(Unrevoked),
    /// Somebody, who may do these actions as everybody may.
    Anybody(Unsigned, &'g [&'static str]),
}

impl Asker<'_> {
    /// That what everybody may do on a route makes nothing public that lies on another one.
    pub(super) fn stays_on(&self, destination: &Destination<'_>) -> Result<(), NotForEverybody> {
        match self {
            Self::Anybody(..) if !destination.is_alone => Err(NotForEverybody::Denied),
            Self::Anybody(..) | Self::Signer(_) => Ok(()),
        }
    }
}

impl<'g> Serving<'g> {
    /// Asks the policies, if any have a say. What `DeleteObjects` is to delete stands in its body, which is then read
    /// to its end and its proof first, and comes out beside.
    pub(super) async fn authorize(
        self,
        asker: Asker<'_>,
        asked: Asked<'_>,
        circumstances: &Circumstances<'_>,
        reading: Reading<'_>,
    ) -> Result<(Permitted, Option<Deletions>), GatewayError> {
        let directory = self.gateway.identities.current();
        // What no list could make right is refused unread: nobody needs a credential to send one.
        if let (Asker::Anybody(_, actions), Action::DeleteObjects) = (&asker, asked.action)
            && !actions.iter().any(|action| DELETES.contains(action))
        {
            return Err(NotForEverybody::Denied.into());
        }
        let reads = match &asker {
            Asker::Signer(signer) => reading.always || signer.is_limited(directory.as_deref()),
            Asker::Anybody(..) => true,
        };
        let listed = match asked.action {
            Action::DeleteObjects if reads => {
                reading.body.keep(self.gateway.admission.list_body()?);
                Some(deletions(reading.body, reading.vigil).await?)
            }
            _ => None,
        };
        let asked = Asked { objects: listed.as_ref().map(|listed| &listed.objects[..]), ..asked };
        let permitted = match asker {
            Asker::Signer(signer) => signer.authorize(directory.as_deref(), &asked, circumstances)?,
            Asker::Anybody(unsigned, actions) => unsigned.authorize(actions, &asked, circumstances.now)?,
        };
        Ok((permitted, listed))
    }

    pub(super) fn circumstances(self, parts: &'g Parts, call: &'g Call) -> Circumstances<'g> {
        Circumstances {
            address: call.peer.ip(),
            tls: call.peer.tls,
            certificate: call.peer.certificate.as_deref().unwrap_or_default(),
            region: self.plan.endpoint.regions.first().map_or("", |region| region),
            headers: &parts.headers,
            now: call.now,
        }
    }
}

async fn deletions(body: &mut ProvingBody<Lingering>, vigil: &Vigil<'_>) -> Result<Deletions, GatewayError> {
    match vigil.patiently(body.content(MAX_DELETIONS_BYTES)).await {
        Some(Ok(Some(document))) => Ok(Deletions::parse(&document)?),
        Some(Ok(None)) => Err(GatewayError::Deletions(s3::MalformedDeletions)),
        Some(Err(_)) => Err(GatewayError::Body(vigil.verdict.clone())),
        None => Err(GatewayError::ClientStalled),
    }
}
