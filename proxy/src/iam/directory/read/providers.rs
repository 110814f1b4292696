//! Identity providers: what can be said about them without asking them.

use std::sync::Arc;

use super::super::entity::{OidcKeys, OidcProvider, SamlProvider};
use super::super::files::Owner;
use super::super::settings;
use super::{File, MAX_POLICY_NAME, Reader, Sorted};
use crate::iam::saml::IdentityProvider;

const MAX_CLIENT_IDS: usize = 100;
const MAX_CLIENT_ID: usize = 255;

impl Reader<'_, '_> {
    pub(super) fn providers(&mut self, sorted: &Sorted<'_>) {
        for (owner, file) in &sorted.oidc {
            self.name(file.0, owner.name, MAX_POLICY_NAME);
            self.oidc_provider(owner, *file);
        }
        for (owner, file) in &sorted.saml {
            self.name(file.0, owner.name, MAX_POLICY_NAME);
            self.saml_provider(owner, *file);
        }
    }

    fn oidc_provider(&mut self, owner: &Owner<'_>, (path, content): File<'_>) {
        let settings: settings::OidcProvider = match settings::parse(content) {
            Ok(settings) => settings,
            Err((line, message)) => return self.fault(path, line, message),
        };
        let Some(issuer) = without_scheme(&settings.url) else {
            return self.fault(path, None, "url: is not https://host[:port][/path]");
        };
        let arn = format!("arn:aws:iam::{}:oidc-provider/{issuer}", owner.account);
        self.client_ids(path, &settings.client_ids);
        let ca = match &settings.ca_file {
            Some(file) => self.referenced(path, "ca_file", file).map(Arc::from),
            None => None,
        };
        let keys = self.oidc_keys(path, &settings);
        let provider = OidcProvider {
            arn: arn.clone(),
            account: owner.account.to_owned(),
            url: settings.url,
            client_ids: settings.client_ids,
            ca,
            keys,
        };
        if self.directory.oidc_providers.insert(arn, provider).is_some() {
            self.fault(path, None, "url: another provider of the account has it");
        }
    }

    fn client_ids(&mut self, path: &str, ids: &[String]) {
        let good = |id: &String| (1..=MAX_CLIENT_ID).contains(&id.len());
        if !(1..=MAX_CLIENT_IDS).contains(&ids.len()) || !ids.iter().all(good) {
            let problem = format!("1 to {MAX_CLIENT_IDS} of 1 to {MAX_CLIENT_ID} characters are needed");
            self.fault(path, None, format!("client_ids: {problem}"));
        }
    }

    fn oidc_keys(&mut self, path: &str, settings: &settings::OidcProvider) -> OidcKeys {
        match (&settings.jwks_file, &settings.jwks_url) {
            (None, None) => OidcKeys::Discovered,
            (Some(file), None) => {
                let document = self.referenced(path, "jwks_file", file).unwrap_or_default();
                OidcKeys::Document(document.into())
            }
            (None, Some(url)) => {
                if without_scheme(url).is_none() {
                    self.fault(path, None, "jwks_url: is not https://host[:port][/path]");
                }
                OidcKeys::Url(url.clone())
            }
            (Some(_), Some(_)) => {
                self.fault(path, None, "jwks_url: stands beside jwks_file: one of them is too many");
                OidcKeys::Discovered
            }
        }
    }

    fn saml_provider(&mut self, owner: &Owner<'_>, (path, content): File<'_>) {
        let metadata = match std::str::from_utf8(content).map(IdentityProvider::parse) {
            Ok(Ok(metadata)) => metadata,
            Ok(Err(error)) => return self.fault(path, None, error.to_string()),
            Err(_) => return self.fault(path, None, "is not UTF-8"),
        };
        let arn = format!("arn:aws:iam::{}:saml-provider/{}", owner.account, owner.name);
        let provider = SamlProvider {
            arn: arn.clone(),
            account: owner.account.to_owned(),
            name: owner.name.to_owned(),
            metadata,
        };
        self.directory.saml_providers.insert(arn, provider);
    }
}

/// What follows the scheme of a URL without user, query or fragment. Plain HTTP never leaves this machine.
fn without_scheme(url: &str) -> Option<&str> {
    let uri: http::Uri = url.parse().ok()?;
    let (at, scheme) = (uri.authority()?, uri.scheme_str()?);
    let host = at.host().trim_matches(['[', ']']);
    let loopback =
        host == "localhost" || host.parse().is_ok_and(|address: std::net::IpAddr| address.is_loopback());
    let good = (scheme == "https" || scheme == "http" && loopback)
        && !host.is_empty()
        && !at.as_str().contains('@')
        && !url.contains(['?', '#']);
    url.split_once("://").map(|(_, rest)| rest).filter(|_| good)
}
