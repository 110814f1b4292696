//! Step 3: may the credential do what the request asks.

use http::request::Parts;

use super::access_log::Call;
use super::body::ProvingBody;
use super::error::GatewayError;
use super::{Gateway, Lingering};
use crate::auth::{Circumstances, Permitted, Unrevoked};
use crate::s3::{self, Action, Asked, MAX_DELETIONS_BYTES, ObjectVersion};

impl Gateway {
    /// Asks the policies, if any have a say. What `DeleteObjects` is to delete stands in its body, which is then read
    /// to its end and its proof first.
    pub(super) async fn authorize(
        &self,
        unrevoked: Unrevoked,
        asked: Asked<'_>,
        circumstances: &Circumstances<'_>,
        body: &mut ProvingBody<Lingering>,
    ) -> Result<Permitted, GatewayError> {
        let directory = self.identities.current();
        let listed = match asked.action {
            Action::DeleteObjects if unrevoked.is_limited(directory.as_deref()) => {
                Some(self.deletions(body).await?)
            }
            _ => None,
        };
        let asked = Asked { objects: listed.as_deref(), ..asked };
        Ok(unrevoked.authorize(directory.as_deref(), &asked, circumstances)?)
    }

    pub(super) fn circumstances<'a>(&'a self, parts: &'a Parts, call: &Call) -> Circumstances<'a> {
        Circumstances {
            address: call.peer.address.ip(),
            tls: call.peer.tls,
            region: self.endpoint.regions.first().map_or("", |region| region),
            headers: &parts.headers,
            now: call.now,
        }
    }

    async fn deletions(&self, body: &mut ProvingBody<Lingering>) -> Result<Vec<ObjectVersion>, GatewayError> {
        let verdict = body.verdict();
        match self.patiently(body.content(MAX_DELETIONS_BYTES), &verdict).await {
            Some(Ok(Some(document))) => Ok(s3::deletions(&document)?),
            Some(Ok(None)) => Err(GatewayError::Deletions(s3::MalformedDeletions)),
            Some(Err(_)) => Err(GatewayError::Body(verdict)),
            None => Err(GatewayError::ClientStalled),
        }
    }
}
