//! A provider as an operator declares it. Everything that is ever fetched is named here, or by a document that was
//! fetched from here; a token names nothing.

use std::path::PathBuf;

use http::Uri;

/// An identity provider of one account.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Provider {
    /// The claim `iss` of its tokens, to the letter; an `https` URL.
    pub(crate) issuer: String,
    /// The audiences it may speak to us for.
    pub(crate) client_ids: Vec<String>,
    /// Where its keys are.
    pub(crate) keys: KeyLocation,
    /// The certificate authorities it is trusted by, PEM; `None`: those of the web.
    pub(crate) ca_file: Option<PathBuf>,
    /// Whether plain HTTP will do, to a loopback address: for development only.
    pub(crate) plain_loopback: bool,
}

/// Where the keys of a provider are.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) enum KeyLocation {
    /// Where `<issuer>/.well-known/openid-configuration` says.
    Discovery,
    /// A URL.
    Uri(Uri),
    /// A file, for providers that cannot be reached from here.
    File(PathBuf),
}

impl Provider {
    /// The issuer without its scheme, as ARNs and condition keys have it: `oidc.example.com/realm`.
    pub(crate) fn name(&self) -> &str {
        self.issuer.split_once("://").map_or(&self.issuer, |(_, name)| name)
    }
}
