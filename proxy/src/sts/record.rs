//! What the audit trail says of a request: what was asked and what came of it, without anything secret.

use http::StatusCode;
use http::header::USER_AGENT;
use ring::digest;
use serde_json::{Map, Value as Json, json};

use super::Incoming;
use super::parameters::Parameters;
use super::response::{Answer, Value};
use crate::audit::{Audit, Record};
use crate::fault::Fault;

/// Parameters that are told as they are. Every other one is told in another way, or not at all.
const PLAIN: [&str; 10] = [
    "RoleArn",
    "RoleSessionName",
    "DurationSeconds",
    "ExternalId",
    "SerialNumber",
    "SourceIdentity",
    "Name",
    "PrincipalArn",
    "ProviderId",
    "AccessKeyId",
];

/// Parameters whose values are told nowhere, not even where an error quotes them.
const SECRET: [&str; 3] = ["WebIdentityToken", "SAMLAssertion", "TokenCode"];

/// A record of a request of which nothing is known but where it comes from.
pub(super) fn begin(incoming: &Incoming<'_>, region: &str) -> Record {
    let user_agent = incoming.parts.headers.get(USER_AGENT).and_then(|value| value.to_str().ok());
    let mut record = Record::of_request(incoming.request_id, incoming.now);
    record.from(incoming.origin.address, user_agent).in_region(region);
    let certificate = incoming.origin.certificate;
    if !certificate.is_empty() {
        record.with("clientCertificate", certificate);
    }
    record
}

/// What was asked for.
pub(super) fn asked(parameters: &Parameters<'_>) -> Map<String, Json> {
    let plain = PLAIN.into_iter().filter_map(|name| Some((camel(name), json!(parameters.get(name)?))));
    let mut told: Map<_, _> = plain.collect();
    if let Some(policy) = parameters.get("Policy") {
        let hash = digest::digest(&digest::SHA256, policy.as_bytes());
        told.insert("policySha256".to_owned(), json!(sigv4::hex::encode(hash.as_ref())));
    }
    let list = |name| parameters.list(name).unwrap_or_default();
    let arns: Vec<_> =
        list("PolicyArns").iter().filter_map(|member| member.field("arn")).map(Json::from).collect();
    let tags: Map<_, _> = list("Tags")
        .iter()
        .filter_map(|tag| Some((tag.field("Key")?.to_owned(), json!(tag.field("Value")?))))
        .collect();
    let transitive: Vec<_> =
        list("TransitiveTagKeys").iter().filter_map(|member| member.value()).map(Json::from).collect();
    let lists = [
        ("policyArns", Json::from(arns)),
        ("principalTags", Json::Object(tags)),
        ("transitiveTagKeys", Json::from(transitive)),
    ];
    let empty = |value: &Json| {
        value.as_array().is_some_and(Vec::is_empty) || value.as_object().is_some_and(Map::is_empty)
    };
    told.extend(
        lists.into_iter().filter(|(_, value)| !empty(value)).map(|(name, value)| (name.to_owned(), value)),
    );
    told
}

/// What came of it. An error is told without the secrets it quotes.
pub(super) fn outcome(record: &mut Record, result: &Result<Answer, Fault>, parameters: &Parameters<'_>) {
    match result {
        Ok(answer) => record.answered(told(&answer.result)),
        Err(fault) => record.refused(fault.code, &redacted(&fault.message, parameters)),
    };
}

fn redacted(message: &str, parameters: &Parameters<'_>) -> String {
    let secrets =
        SECRET.into_iter().filter_map(|name| parameters.get(name)).filter(|value| !value.is_empty());
    secrets.fold(message.to_owned(), |message, secret| message.replace(secret, "***"))
}

/// Writes the record. In strict mode nothing is answered that is not recorded.
pub(super) async fn finish(
    audit: &Audit,
    record: Record,
    result: Result<Answer, Fault>,
) -> Result<Answer, Fault> {
    audit.record(record).await.map_err(|error| {
        tracing::error!(%error, "a request is not answered because it cannot be recorded");
        let message = "The request has failed due to a temporary failure of the server.";
        Fault::new(StatusCode::SERVICE_UNAVAILABLE, "ServiceUnavailable", message)
    })?;
    result
}

/// The members of an answer but for the secrets, which their type tells.
fn told(members: &[(&'static str, Value)]) -> Map<String, Json> {
    let tell = |(name, value): &(&'static str, Value)| {
        let value = match value {
            Value::Text(text) => json!(text),
            Value::Secret(_) => return None,
            Value::Time(time) => json!(time.to_string()),
            Value::Number(number) => json!(number),
            Value::Structure(members) => Json::Object(told(members)),
        };
        Some((camel(name), value))
    };
    members.iter().filter_map(tell).collect()
}

/// With a small initial, as CloudTrail writes names.
fn camel(name: &str) -> String {
    let mut name = name.to_owned();
    if let Some(initial) = name.get_mut(..1) {
        initial.make_ascii_lowercase();
    }
    name
}

#[cfg(test)]
mod tests {
    use super::*;

    fn with_parameters<T>(query: &str, told: impl FnOnce(&Parameters<'_>) -> T) -> T {
        let (parts, ()) = http::Request::get(format!("/?{query}")).body(()).unwrap().into_parts();
        told(&Parameters::read(&parts, b"").unwrap())
    }

    #[test]
    fn parameters_are_told_by_name_policies_by_hash_and_secrets_never() {
        let query = "RoleArn=arn&RoleSessionName=job&DurationSeconds=900&Policy=%7B%7D&PolicyArns.member.1.arn=p\
                     &Tags.member.1.Key=k&Tags.member.1.Value=v&TransitiveTagKeys.member.1=k\
                     &TokenCode=canary&WebIdentityToken=canary&SAMLAssertion=canary&X-Amz-Security-Token=canary\
                     &X-Amz-Signature=canary&Unheard=canary";
        assert_eq!(
            Json::Object(with_parameters(query, asked)),
            json!({
                "roleArn": "arn", "roleSessionName": "job", "durationSeconds": "900", "policyArns": ["p"],
                "policySha256": "44136fa355b3678a1146ad16f7e8649e94fb4fc21fe77e8310c060f61caaff8a",
                "principalTags": { "k": "v" }, "transitiveTagKeys": ["k"],
            })
        );
        assert!(with_parameters("Action=GetCallerIdentity", asked).is_empty());
    }

    #[test]
    fn an_error_that_quotes_a_secret_is_told_without_it() {
        let redact =
            |parameters: &Parameters<'_>| redacted("Value 'canary' at 'webIdentityToken'", parameters);
        let told = with_parameters("WebIdentityToken=canary&TokenCode=", redact);
        assert_eq!(told, "Value '***' at 'webIdentityToken'");
    }

    #[test]
    fn answers_are_told_without_secrets() {
        let secret = || Value::Secret(zeroize::Zeroizing::new("canary".to_owned()));
        let credentials = vec![("AccessKeyId", Value::Text("ASIA1".into())), ("SessionToken", secret())];
        let members =
            [("Credentials", Value::Structure(credentials)), ("PackedPolicySize", Value::Number(6))];
        let expected = json!({ "credentials": { "accessKeyId": "ASIA1" }, "packedPolicySize": 6 });
        assert_eq!(Json::Object(told(&members)), expected);
    }
}
