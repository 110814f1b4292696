//! Reads what an identity provider signed, and checks that it is for this relying party, now.
//!
//! Callers hand in trees that [`super::signature`] read from verified bytes. The two checks of a response before
//! that, of its status and for encryption, only ever refuse.
//!
//! Source: sections 2 and 3.2 of <https://docs.oasis-open.org/security/saml/v2.0/saml-core-2.0-os.pdf>, section
//! 4.1.4 of <https://docs.oasis-open.org/security/saml/v2.0/saml-profiles-2.0-os.pdf>

use super::document::{Element, Repeated};
use super::{ASSERTION, IdentityProvider, PROTOCOL, SamlError, parse_time};
use crate::clock::UnixMillis;

use SamlError::Content;

/// How long after its issue an assertion can be redeemed, in milliseconds.
const REDEEMABLE: i64 = 5 * 60 * 1000;
/// How far the clock of an identity provider may be ahead, in milliseconds. Limits in the past get no such grace.
const SKEW: i64 = 60 * 1000;

const SUCCESS: &str = "urn:oasis:names:tc:SAML:2.0:status:Success";
const BEARER: &str = "urn:oasis:names:tc:SAML:2.0:cm:bearer";
/// What no `Format` of a `NameID` means.
const UNSPECIFIED: &str = "urn:oasis:names:tc:SAML:1.1:nameid-format:unspecified";
/// What precedes the names of the attributes that AWS gives a meaning.
const AWS_ATTRIBUTES: &str = "https://aws.amazon.com/SAML/Attributes/";

/// Whom an assertion has to be for.
///
/// A `*` in an entry stands for one label of a host name: `https://*.signin.aws.amazon.com/saml`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RelyingParty {
    /// One of these must be in every `AudienceRestriction`.
    pub audiences: Vec<Box<str>>,
    /// One of these must be the `Recipient`.
    pub recipients: Vec<Box<str>>,
}

impl Default for RelyingParty {
    /// The names of AWS, for which identity providers come prepared.
    fn default() -> Self {
        let endpoint: Box<str> = "https://signin.aws.amazon.com/saml".into();
        let regional: Box<str> = "https://*.signin.aws.amazon.com/saml".into();
        Self {
            audiences: vec![endpoint.clone(), regional.clone(), "urn:amazon:webservices".into()],
            recipients: vec![endpoint, regional, "https://signin.aws.amazon.com/static/saml".into()],
        }
    }
}

/// What an identity provider asserts about somebody.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Assertion {
    /// Unique among the assertions of its issuer.
    pub id: String,
    /// The entity id of the identity provider.
    pub issuer: String,
    /// Whom it is about.
    pub subject: Subject,
    /// Where it was sent; one of [`RelyingParty::recipients`].
    pub recipient: String,
    /// From this time on it cannot be redeemed.
    pub redeemable_until: UnixMillis,
    /// When the session at the identity provider ends (`SessionNotOnOrAfter`).
    pub session_until: Option<UnixMillis>,
    /// ARNs of the roles that may be assumed, each with that of the provider to name.
    pub roles: Vec<(String, String)>,
    /// `RoleSessionName`.
    pub session_name: String,
    /// `SessionDuration`, in seconds.
    pub session_duration: Option<u32>,
    /// `SourceIdentity`.
    pub source_identity: Option<String>,
    /// `PrincipalTag:*`: keys and values in the order of the assertion. Neither is checked against limits.
    pub tags: Vec<(String, String)>,
    /// `TransitiveTagKeys`.
    pub transitive_tag_keys: Vec<String>,
    /// All attributes, those above included.
    pub attributes: Vec<Attribute>,
}

/// Whom an assertion is about.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Subject {
    /// The `NameID`.
    pub name: String,
    /// Its `Format`, a URI.
    pub format: String,
}

impl Subject {
    /// The format without the prefix of SAML 2.0: `persistent`, `transient`; another one as it is.
    pub fn short_format(&self) -> &str {
        self.format.strip_prefix("urn:oasis:names:tc:SAML:2.0:nameid-format:").unwrap_or(&self.format)
    }
}

/// An attribute of an assertion.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Attribute {
    /// `Name`.
    pub name: String,
    /// The values that are text.
    pub values: Vec<String>,
}

impl Assertion {
    /// Whether it says that `role` may be assumed by `provider`, both ARNs.
    pub fn grants(&self, role: &str, provider: &str) -> bool {
        self.roles.iter().any(|pair| pair.0 == role && pair.1 == provider)
    }
}

/// Refuses the response of an identity provider that did not authenticate anybody.
pub(super) fn check_status(response: &Element) -> Result<(), SamlError> {
    if !response.is(PROTOCOL, "Response") {
        return Err(Content("the root is no Response of SAML 2.0"));
    }
    let status = only(response, PROTOCOL, "Status", "a response has one Status")?;
    let code = only(status, PROTOCOL, "StatusCode", "a Status has one StatusCode")?;
    if code.attribute("Value") == Some(SUCCESS) { Ok(()) } else { Err(SamlError::Rejected) }
}

/// Refuses a response in which something is encrypted.
pub(super) fn refuse_encryption(response: &Element) -> Result<(), SamlError> {
    const ENCRYPTED: [&str; 3] = ["EncryptedAssertion", "EncryptedID", "EncryptedAttribute"];
    let mut encrypted = false;
    response.walk(&mut |element| {
        encrypted |= *element.namespace == *ASSERTION && ENCRYPTED.contains(&&*element.local);
    });
    if encrypted { Err(SamlError::Encrypted) } else { Ok(()) }
}

/// Reads a response that was signed as a whole.
pub(super) fn read_response(
    response: &Element,
    provider: &IdentityProvider,
    party: &RelyingParty,
    now: UnixMillis,
) -> Result<Assertion, SamlError> {
    check_status(response)?;
    if response.attribute("Version") != Some("2.0") {
        return Err(Content("the version of the response is not 2.0"));
    }
    let issuer = at_most_one(response, ASSERTION, "Issuer", "a response has one Issuer")?;
    if issuer.is_some_and(|issuer| trimmed(issuer) != Some(&provider.entity_id)) {
        return Err(SamlError::Issuer);
    }
    let destination = response.attribute("Destination").filter(|url| !url.is_empty());
    if destination.is_some_and(|url| !matches_any(&party.recipients, url)) {
        return Err(SamlError::Recipient);
    }
    let assertion = only(response, ASSERTION, "Assertion", "a response has one Assertion")?;
    read_assertion(assertion, provider, party, now)
}

/// Reads an assertion that was signed, alone or with the response around it.
pub(super) fn read_assertion(
    assertion: &Element,
    provider: &IdentityProvider,
    party: &RelyingParty,
    now: UnixMillis,
) -> Result<Assertion, SamlError> {
    if !assertion.is(ASSERTION, "Assertion") || assertion.attribute("Version") != Some("2.0") {
        return Err(Content("the assertion is none of SAML 2.0"));
    }
    let id = assertion.attribute("ID").filter(|id| !id.is_empty());
    let issuer = only(assertion, ASSERTION, "Issuer", "an assertion has one Issuer")?;
    let issuer = trimmed(issuer).filter(|issuer| *issuer == provider.entity_id).ok_or(SamlError::Issuer)?;
    let issued = time(assertion, "IssueInstant")?.ok_or(Content("an assertion has an IssueInstant"))?;
    if now.plus(SKEW) < issued {
        return Err(SamlError::Early);
    }
    if now >= issued.plus(REDEEMABLE) {
        return Err(SamlError::Stale);
    }
    let subject = at_most_one(assertion, ASSERTION, "Subject", "an assertion has one Subject")?;
    let subject = subject.ok_or(SamlError::Subject)?;
    let (recipient, confirmed_until) = confirmation(subject, party, now)?;
    let conditions_until = conditions(assertion, party, now)?;
    let session_until = session_end(assertion, now)?;
    let attributes = attributes(assertion)?;
    let until = [confirmed_until, issued.plus(REDEEMABLE)].into_iter().chain(conditions_until).min();
    Ok(Assertion {
        id: id.ok_or(Content("an assertion has an ID"))?.to_owned(),
        issuer: issuer.to_owned(),
        subject: name_id(subject)?,
        recipient,
        redeemable_until: until.unwrap_or(now),
        session_until,
        roles: roles(&attributes)?,
        session_name: session_name(&attributes)?,
        session_duration: session_duration(&attributes)?,
        source_identity: source_identity(&attributes)?,
        tags: tags(&attributes)?,
        transitive_tag_keys: aws_values(&attributes, "TransitiveTagKeys").map(str::to_owned).collect(),
        attributes,
    })
}

fn name_id(subject: &Element) -> Result<Subject, SamlError> {
    let name_id = at_most_one(subject, ASSERTION, "NameID", "a Subject has one NameID")?;
    let name_id = name_id.ok_or(SamlError::Subject)?;
    let name = name_id.text().ok_or(Content("a NameID is text"))?;
    if name.trim_ascii().is_empty() {
        return Err(SamlError::Subject);
    }
    let format = name_id.attribute("Format").unwrap_or(UNSPECIFIED);
    Ok(Subject { name: name.to_owned(), format: format.to_owned() })
}

/// Checks the one confirmation of a bearer, and returns its recipient and its end.
fn confirmation(
    subject: &Element,
    party: &RelyingParty,
    now: UnixMillis,
) -> Result<(String, UnixMillis), SamlError> {
    let confirmation =
        only(subject, ASSERTION, "SubjectConfirmation", "a Subject has one SubjectConfirmation")?;
    if confirmation.attribute("Method") != Some(BEARER) {
        return Err(Content("the method of a SubjectConfirmation is bearer"));
    }
    let data =
        only(confirmation, ASSERTION, "SubjectConfirmationData", "a bearer has one SubjectConfirmationData")?;
    let until = window(data, now)?.ok_or(Content("SubjectConfirmationData have NotOnOrAfter"))?;
    let recipient = data.attribute("Recipient").ok_or(Content("SubjectConfirmationData have a Recipient"))?;
    if !matches_any(&party.recipients, recipient) {
        return Err(SamlError::Recipient);
    }
    Ok((recipient.to_owned(), until))
}

/// Checks the conditions, all of which must be understood, and returns their end.
fn conditions(
    assertion: &Element,
    party: &RelyingParty,
    now: UnixMillis,
) -> Result<Option<UnixMillis>, SamlError> {
    let conditions = at_most_one(assertion, ASSERTION, "Conditions", "an assertion has one Conditions")?;
    let conditions = conditions.ok_or(SamlError::Audience)?;
    let until = window(conditions, now)?;
    let mut restricted = false;
    for condition in conditions.elements() {
        if condition.is(ASSERTION, "AudienceRestriction") {
            let mut audiences = condition.all(ASSERTION, "Audience").filter_map(trimmed);
            if !audiences.any(|audience| matches_any(&party.audiences, audience)) {
                return Err(SamlError::Audience);
            }
            restricted = true;
        } else if !condition.is(ASSERTION, "OneTimeUse") && !condition.is(ASSERTION, "ProxyRestriction") {
            // Both say what is done anyway: an assertion is redeemed once and never passed on.
            return Err(Content("there is a condition that is not understood"));
        }
    }
    if restricted { Ok(until) } else { Err(SamlError::Audience) }
}

/// Checks `NotBefore` and `NotOnOrAfter` of an element, and returns the latter.
fn window(element: &Element, now: UnixMillis) -> Result<Option<UnixMillis>, SamlError> {
    if time(element, "NotBefore")?.is_some_and(|from| now.plus(SKEW) < from) {
        return Err(SamlError::Early);
    }
    let until = time(element, "NotOnOrAfter")?;
    if until.is_some_and(|until| now >= until) { Err(SamlError::Expired) } else { Ok(until) }
}

/// The end of the session at the identity provider; if it tells several, the first.
fn session_end(assertion: &Element, now: UnixMillis) -> Result<Option<UnixMillis>, SamlError> {
    let mut end: Option<UnixMillis> = None;
    let mut authenticated = false;
    for statement in assertion.all(ASSERTION, "AuthnStatement") {
        authenticated = true;
        let until = time(statement, "SessionNotOnOrAfter")?;
        end = end.into_iter().chain(until).min();
    }
    if !authenticated {
        return Err(Content("an assertion has an AuthnStatement"));
    }
    if end.is_some_and(|end| now >= end) { Err(SamlError::Expired) } else { Ok(end) }
}

fn attributes(assertion: &Element) -> Result<Vec<Attribute>, SamlError> {
    let mut attributes = Vec::new();
    let statements = assertion.all(ASSERTION, "AttributeStatement");
    for attribute in statements.flat_map(|statement| statement.all(ASSERTION, "Attribute")) {
        let name = attribute.attribute("Name").ok_or(Content("an Attribute has a Name"))?;
        let values = attribute.all(ASSERTION, "AttributeValue");
        let values: Vec<_> = if name.starts_with(AWS_ATTRIBUTES) {
            let text = |value: &Element| value.text().map(str::to_owned);
            values.map(text).collect::<Option<_>>().ok_or(Content("attributes of AWS are text"))?
        } else {
            values.filter_map(|value| value.text().map(str::to_owned)).collect()
        };
        attributes.push(Attribute { name: name.to_owned(), values });
    }
    Ok(attributes)
}

/// The values of one of the attributes that AWS gives a meaning.
fn aws_values<'a>(attributes: &'a [Attribute], name: &'a str) -> impl Iterator<Item = &'a str> {
    let named = attributes.iter().filter(move |attribute| {
        attribute.name.strip_prefix(AWS_ATTRIBUTES).is_some_and(|found| found == name)
    });
    named.flat_map(|attribute| attribute.values.iter().map(String::as_str))
}

/// The only value of such an attribute; `several` if there are more.
fn aws_value<'a>(
    attributes: &'a [Attribute],
    name: &'a str,
    several: SamlError,
) -> Result<Option<&'a str>, SamlError> {
    let mut values = aws_values(attributes, name);
    let value = values.next();
    if values.next().is_some() { Err(several) } else { Ok(value) }
}

/// Pairs of a role and a provider, which may stand in either order.
fn roles(attributes: &[Attribute]) -> Result<Vec<(String, String)>, SamlError> {
    let mut roles = Vec::new();
    for value in aws_values(attributes, "Role") {
        let pair = value.split_once(',').map(|(a, b)| (a.trim_ascii(), b.trim_ascii()));
        let (a, b) = pair.ok_or(Content("a Role is two ARNs with a comma between"))?;
        let is_provider = |arn: &str| arn.contains(":saml-provider/");
        let (role, provider) = match (is_provider(a), is_provider(b)) {
            (false, true) => (a, b),
            (true, false) => (b, a),
            _ => return Err(Content("a Role is the ARN of a role and that of a SAML provider")),
        };
        roles.push((role.to_owned(), provider.to_owned()));
    }
    if roles.is_empty() { Err(Content("there is no attribute Role")) } else { Ok(roles) }
}

fn session_name(attributes: &[Attribute]) -> Result<String, SamlError> {
    let name = aws_value(attributes, "RoleSessionName", SamlError::SessionName)?;
    let name = name.ok_or(SamlError::NoSessionName)?;
    if is_session_name(name) { Ok(name.to_owned()) } else { Err(SamlError::SessionName) }
}

fn source_identity(attributes: &[Attribute]) -> Result<Option<String>, SamlError> {
    let identity = aws_value(attributes, "SourceIdentity", SamlError::SourceIdentity)?;
    match identity {
        Some(identity) if !is_session_name(identity) => Err(SamlError::SourceIdentity),
        // `:` is not among the characters, so none begins with `aws:`.
        identity => Ok(identity.map(str::to_owned)),
    }
}

fn is_session_name(name: &str) -> bool {
    (2..=64).contains(&name.len())
        && name.bytes().all(|b| b.is_ascii_alphanumeric() || b"_+=,.@-".contains(&b))
}

fn session_duration(attributes: &[Attribute]) -> Result<Option<u32>, SamlError> {
    let wrong = Content("SessionDuration is a number of seconds from 900 to 43200");
    let duration = aws_value(attributes, "SessionDuration", wrong.clone())?;
    let seconds =
        |text: &str| text.trim_ascii().parse().ok().filter(|seconds| (900..=43_200).contains(seconds));
    duration.map(|text| seconds(text).ok_or(wrong)).transpose()
}

fn tags(attributes: &[Attribute]) -> Result<Vec<(String, String)>, SamlError> {
    let mut tags = Vec::new();
    for attribute in attributes {
        let key =
            attribute.name.strip_prefix(AWS_ATTRIBUTES).and_then(|name| name.strip_prefix("PrincipalTag:"));
        match (key, attribute.values.as_slice()) {
            (None, _) => {}
            (Some(key), [value]) => tags.push((key.to_owned(), value.clone())),
            (Some(_), _) => return Err(Content("a PrincipalTag has one value")),
        }
    }
    Ok(tags)
}

/// Whether a text is one of `patterns`, in which `*` stands for one label of a host name.
fn matches_any(patterns: &[Box<str>], text: &str) -> bool {
    patterns.iter().any(|pattern| match pattern.split_once('*') {
        None => **pattern == *text,
        Some((before, after)) => {
            let label = text.strip_prefix(before).and_then(|rest| rest.strip_suffix(after));
            let legal = |label: &str| label.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-');
            label.is_some_and(|label| !label.is_empty() && legal(label))
        }
    })
}

fn time(element: &Element, attribute: &str) -> Result<Option<UnixMillis>, SamlError> {
    let time = |text| parse_time(text).ok_or(Content("a time is not one in UTC"));
    element.attribute(attribute).map(time).transpose()
}

/// Text without the white space around it.
fn trimmed(element: &Element) -> Option<&str> {
    element.text().map(str::trim_ascii)
}

fn at_most_one<'a>(
    parent: &'a Element,
    namespace: &str,
    local: &str,
    rule: &'static str,
) -> Result<Option<&'a Element>, SamlError> {
    parent.at_most_one(namespace, local).map_err(|Repeated| Content(rule))
}

fn only<'a>(
    parent: &'a Element,
    namespace: &str,
    local: &str,
    rule: &'static str,
) -> Result<&'a Element, SamlError> {
    at_most_one(parent, namespace, local, rule)?.ok_or(Content(rule))
}
