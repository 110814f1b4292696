//! OpenID Connect: who a web identity token speaks for, proved by its provider's keys.
//!
//! ```text
//! UnverifiedToken::parse ──► issuer ──► a declared OidcProvider   the token never names a URL
//!        │                                 │ ProviderKeys         fetched, fresh, bounded
//!        └──────────── verify ◄────────────┘                      the key says by which algorithms
//!                        │ Claims
//!                     accept ──► WebIdentity                      times, audience, tags
//! ```
//!
//! # Why this is not a library's
//!
//! `jsonwebtoken`, the obvious choice, has no backend for `ring`. One can be written, but that is every line of the
//! cryptography below, installed for the whole process at run time, where leaving it out is a panic; and what
//! it adds is the splitting at two dots, with a reader that takes the last of two equal names, does not look at
//! `crit`, and leaves it to its caller which algorithms a key is for. Everything an attacker tries happens in just these
//! places, so they are better read here, where each is a few lines with a test beside it.

mod algorithm;
mod claims;
mod error;
mod fetch;
mod json;
mod jwks;
mod keys;
#[cfg(test)]
mod tests;
mod token;

use crate::clock::UnixMillis;
use crate::iam::directory::OidcProvider;
use crate::metrics::Metrics;
use keys::ProviderKeys;
use token::UnverifiedToken;

pub(crate) use claims::WebIdentity;
pub(crate) use error::TokenError;

/// Verifies web identity tokens; keeps the keys of the providers it needed.
pub(crate) struct WebIdentityVerifier {
    keys: ProviderKeys,
}

impl WebIdentityVerifier {
    /// Nothing is fetched before the first token.
    pub(crate) fn new(metrics: &Metrics) -> Self {
        Self { keys: ProviderKeys::new(metrics) }
    }

    /// Who `token` speaks for. `provider_of` finds the declared provider of an issuer.
    pub(crate) async fn verify<'p>(
        &self,
        token: &str,
        provider_of: impl FnOnce(&str) -> Option<&'p OidcProvider>,
        now: UnixMillis,
    ) -> Result<WebIdentity, TokenError> {
        let token = UnverifiedToken::parse(token)?;
        let provider = provider_of(token.issuer())
            .filter(|provider| provider.url == token.issuer())
            .ok_or_else(|| TokenError::UnknownProvider(token.issuer().to_owned()))?;
        let held = self.keys.get(provider, now).await?;
        let claims = match token.verify(&held.keys) {
            Err(TokenError::UnknownKey) => match self.keys.newer(provider, &held, now).await? {
                Some(newer) => token.verify(&newer.keys)?,
                None => return Err(TokenError::UnknownKey),
            },
            verified => verified?,
        };
        claims.accept(provider, now)
    }
}
