//! What a trust policy can ask about an assertion: the condition keys `saml:*`.
//!
//! Source: <https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_iam-condition-keys.html#condition-keys-saml>,
//! for attributes the tables of
//! <https://docs.aws.amazon.com/IAM/latest/UserGuide/id_roles_providers_create_saml_assertions.html#saml-attribute-mapping>

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use ring::digest;

use super::Assertion;

/// An assertion as a provider that is declared here makes it.
pub struct Claims<'a> {
    assertion: &'a Assertion,
    document: String,
    name_qualifier: String,
}

/// How many values a condition key has.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    Text,
    List,
}

/// Names of attributes, the condition key of each, and its kind.
const ATTRIBUTES: [(&str, &str, Kind); 30] = [
    ("urn:oid:1.3.6.1.4.1.5923.1.1.1.1", "saml:eduPersonAffiliation", Kind::List),
    ("urn:oid:1.3.6.1.4.1.5923.1.1.1.2", "saml:eduPersonNickname", Kind::List),
    ("urn:oid:1.3.6.1.4.1.5923.1.1.1.3", "saml:eduPersonOrgDN", Kind::Text),
    ("urn:oid:1.3.6.1.4.1.5923.1.1.1.4", "saml:eduPersonOrgUnitDN", Kind::List),
    ("urn:oid:1.3.6.1.4.1.5923.1.1.1.5", "saml:eduPersonPrimaryAffiliation", Kind::Text),
    ("urn:oid:1.3.6.1.4.1.5923.1.1.1.6", "saml:eduPersonPrincipalName", Kind::Text),
    ("urn:oid:1.3.6.1.4.1.5923.1.1.1.7", "saml:eduPersonEntitlement", Kind::List),
    ("urn:oid:1.3.6.1.4.1.5923.1.1.1.8", "saml:eduPersonPrimaryOrgUnitDN", Kind::Text),
    ("urn:oid:1.3.6.1.4.1.5923.1.1.1.9", "saml:eduPersonScopedAffiliation", Kind::List),
    ("urn:oid:1.3.6.1.4.1.5923.1.1.1.10", "saml:eduPersonTargetedID", Kind::List),
    ("urn:oid:1.3.6.1.4.1.5923.1.1.1.11", "saml:eduPersonAssurance", Kind::List),
    ("urn:oid:1.3.6.1.4.1.5923.1.2.1.2", "saml:eduOrgHomePageURI", Kind::List),
    ("urn:oid:1.3.6.1.4.1.5923.1.2.1.3", "saml:eduOrgIdentityAuthNPolicyURI", Kind::List),
    ("urn:oid:1.3.6.1.4.1.5923.1.2.1.4", "saml:eduOrgLegalName", Kind::List),
    ("urn:oid:1.3.6.1.4.1.5923.1.2.1.5", "saml:eduOrgSuperiorURI", Kind::List),
    ("urn:oid:1.3.6.1.4.1.5923.1.2.1.6", "saml:eduOrgWhitePagesURI", Kind::List),
    ("urn:oid:2.5.4.3", "saml:cn", Kind::List),
    ("http://schemas.xmlsoap.org/ws/2005/05/identity/claims/name", "saml:name", Kind::Text),
    ("http://schemas.xmlsoap.org/claims/CommonName", "saml:commonName", Kind::Text),
    ("http://schemas.xmlsoap.org/ws/2005/05/identity/claims/givenname", "saml:givenName", Kind::Text),
    ("http://schemas.xmlsoap.org/ws/2005/05/identity/claims/surname", "saml:surname", Kind::Text),
    ("http://schemas.xmlsoap.org/ws/2005/05/identity/claims/emailaddress", "saml:mail", Kind::Text),
    ("http://schemas.microsoft.com/ws/2008/06/identity/claims/primarygroupsid", "saml:uid", Kind::Text),
    ("2.5.4.3", "saml:commonName", Kind::Text),
    ("2.5.4.4", "saml:surname", Kind::Text),
    ("2.4.5.42", "saml:givenName", Kind::Text),
    ("2.5.4.45", "saml:x500UniqueIdentifier", Kind::Text),
    ("0.9.2342.19200300100.1.1", "saml:uid", Kind::Text),
    ("0.9.2342.19200300100.1.3", "saml:mail", Kind::Text),
    ("0.9.2342.19200300.100.1.45", "saml:organizationStatus", Kind::Text),
];

impl<'a> Claims<'a> {
    /// An assertion of the provider `name` of `account`.
    pub fn of(assertion: &'a Assertion, account: &str, name: &str) -> Self {
        let unique = format!("{}{account}/{name}", assertion.issuer);
        let hash = digest::digest(&digest::SHA1_FOR_LEGACY_USE_ONLY, unique.as_bytes());
        Self { assertion, document: format!("{account}/{name}"), name_qualifier: STANDARD.encode(hash) }
    }

    /// Base64 of the SHA-1 of issuer, account and provider: with the subject, it names somebody for good.
    ///
    /// Source: <https://docs.aws.amazon.com/STS/latest/APIReference/API_AssumeRoleWithSAML.html>
    pub fn name_qualifier(&self) -> &str {
        &self.name_qualifier
    }

    /// Every condition key with its values; of two under one name, the first counts.
    ///
    /// `saml:aud` is the recipient, as on AWS, and not the audience.
    pub fn condition_keys(&self) -> Vec<(String, Vec<String>)> {
        let assertion = self.assertion;
        let known = [
            ("saml:aud", assertion.recipient.as_str()),
            ("saml:iss", &assertion.issuer),
            ("saml:sub", &assertion.subject.name),
            ("saml:sub_type", assertion.subject.short_format()),
            ("saml:namequalifier", &self.name_qualifier),
            ("saml:doc", &self.document),
        ];
        let known = known.map(|(key, value)| (key.to_owned(), vec![value.to_owned()]));
        let mapped = assertion.attributes.iter().filter_map(|attribute| {
            let (_, key, kind) = ATTRIBUTES.iter().find(|(name, ..)| *name == attribute.name)?;
            let most = match kind {
                Kind::Text => 1,
                Kind::List => usize::MAX,
            };
            let values: Vec<_> = attribute.values.iter().take(most).cloned().collect();
            (!values.is_empty()).then(|| ((*key).to_owned(), values))
        });
        known.into_iter().chain(mapped).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::super::{Attribute, Subject};
    use super::*;
    use crate::clock::UnixMillis;

    fn assertion(attributes: Vec<Attribute>) -> Assertion {
        Assertion {
            id: "_a".into(),
            issuer: "https://idp.example/metadata".into(),
            subject: Subject {
                name: "alice".into(),
                format: "urn:oasis:names:tc:SAML:2.0:nameid-format:transient".into(),
            },
            recipient: "https://signin.aws.amazon.com/saml".into(),
            redeemable_until: UnixMillis(0),
            session_until: None,
            roles: Vec::new(),
            session_name: "alice".into(),
            session_duration: None,
            source_identity: None,
            tags: Vec::new(),
            transitive_tag_keys: Vec::new(),
            attributes,
        }
    }

    /// What a policy would see under a name.
    fn seen(claims: &Claims<'_>, name: &str) -> Option<Vec<String>> {
        claims.condition_keys().into_iter().find(|(key, _)| key == name).map(|(_, values)| values)
    }

    #[test]
    fn a_policy_can_ask_who_it_is_about_and_who_says_so() {
        let assertion = assertion(Vec::new());
        let claims = Claims::of(&assertion, "123456789012", "example");
        for (name, value) in [
            ("saml:aud", "https://signin.aws.amazon.com/saml"),
            ("saml:iss", "https://idp.example/metadata"),
            ("saml:sub", "alice"),
            ("saml:sub_type", "transient"),
            ("saml:doc", "123456789012/example"),
            // printf %s https://idp.example/metadata123456789012/example | openssl sha1 -binary | base64
            ("saml:namequalifier", "f2JuVJpVMnDKkBm91M1avtpLqxM="),
        ] {
            assert_eq!(seen(&claims, name), Some(vec![value.to_owned()]), "{name}");
        }
        assert_eq!(seen(&claims, "saml:cn"), None);
    }

    #[test]
    fn attributes_have_the_keys_and_kinds_of_aws() {
        let attribute = |name: &str, values: &[&str]| Attribute {
            name: name.into(),
            values: values.iter().map(|value| (*value).to_owned()).collect(),
        };
        let assertion = assertion(vec![
            attribute("urn:oid:1.3.6.1.4.1.5923.1.1.1.1", &["staff", "member"]),
            attribute("http://schemas.xmlsoap.org/ws/2005/05/identity/claims/emailaddress", &["a@b", "c@d"]),
            attribute("0.9.2342.19200300100.1.3", &["second@b"]),
            attribute("2.5.4.4", &[]),
            attribute("saml:sub", &["mallory"]),
        ]);
        let claims = Claims::of(&assertion, "123456789012", "example");
        assert_eq!(seen(&claims, "saml:eduPersonAffiliation"), Some(vec!["staff".into(), "member".into()]));
        assert_eq!(seen(&claims, "saml:mail"), Some(vec!["a@b".into()]));
        assert_eq!(seen(&claims, "saml:surname"), None);
        assert_eq!(seen(&claims, "saml:sub"), Some(vec!["alice".into()]));
    }
}
