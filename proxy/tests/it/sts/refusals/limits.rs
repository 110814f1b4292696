//! Lengths, characters and bounds of single parameters.

use super::Who::Alice;
use super::*;

/// One violation of one parameter: what is passed, what the text names, and what it asks for.
fn violation(form: String, value: &str, member: &str, must: &str) -> Row {
    let message = format!(
        "1 validation error detected: Value '{value}' at '{member}' failed to satisfy constraint: Member must {must}"
    );
    row(Alice, form, VALIDATION, message)
}

fn null(form: String, member: &str) -> Row {
    let message = format!(
        "1 validation error detected: Value null at '{member}' failed to satisfy constraint: Member must not be null"
    );
    row(Alice, form, VALIDATION, message)
}

const SHORT: &str = "have length greater than or equal to";
const LONG: &str = "have length less than or equal to";
const PATTERN: &str = "satisfy regular expression pattern:";

pub(super) fn rows() -> Vec<Row> {
    [assume_role(), tags(), policies(), other_operations(), not_numbers(), several()]
        .into_iter()
        .flatten()
        .collect()
}

fn assume_role() -> Vec<Row> {
    let name = format!("{PATTERN} [\\w+=,.@-]*");
    let external = format!("{PATTERN} [\\w+=,.@:\\/-]*");
    let (long64, long1224) = ("n".repeat(65), "x".repeat(1_225));
    let long_arn = format!("arn:aws:iam::123456789012:role/{}", "r".repeat(2_048));
    let serial = "9".repeat(257);
    let cases: Vec<(&str, &str, &str, String)> = vec![
        ("RoleArn", "arn:aws:iam", "roleArn", format!("{SHORT} 20")),
        ("RoleArn", "", "roleArn", format!("{SHORT} 20")),
        ("RoleArn", &long_arn, "roleArn", format!("{LONG} 2048")),
        ("RoleSessionName", "a", "roleSessionName", format!("{SHORT} 2")),
        ("RoleSessionName", "", "roleSessionName", format!("{SHORT} 2")),
        ("RoleSessionName", &long64, "roleSessionName", format!("{LONG} 64")),
        ("RoleSessionName", "Session1:2", "roleSessionName", name.clone()),
        ("RoleSessionName", "two words", "roleSessionName", name.clone()),
        ("RoleSessionName", "a/b", "roleSessionName", name.clone()),
        ("RoleSessionName", "größe", "roleSessionName", name.clone()),
        ("DurationSeconds", "899", "durationSeconds", "have value greater than or equal to 900".into()),
        ("DurationSeconds", "0", "durationSeconds", "have value greater than or equal to 900".into()),
        ("DurationSeconds", "-1", "durationSeconds", "have value greater than or equal to 900".into()),
        ("DurationSeconds", "43201", "durationSeconds", "have value less than or equal to 43200".into()),
        ("ExternalId", "x", "externalId", format!("{SHORT} 2")),
        ("ExternalId", &long1224, "externalId", format!("{LONG} 1224")),
        ("ExternalId", "a b", "externalId", external.clone()),
        ("ExternalId", "a#b", "externalId", external),
        ("SourceIdentity", "x", "sourceIdentity", format!("{SHORT} 2")),
        ("SourceIdentity", &long64, "sourceIdentity", format!("{LONG} 64")),
        ("SourceIdentity", "aws:alice", "sourceIdentity", name.clone()),
        ("SourceIdentity", "a b", "sourceIdentity", name),
        ("SerialNumber", "12345678", "serialNumber", format!("{SHORT} 9")),
        ("SerialNumber", &serial, "serialNumber", format!("{LONG} 256")),
        ("SerialNumber", "123 456 789", "serialNumber", format!("{PATTERN} [\\w+=/:,.@-]*")),
        ("TokenCode", "12345", "tokenCode", format!("{SHORT} 6")),
        ("TokenCode", "1234567", "tokenCode", format!("{LONG} 6")),
        ("TokenCode", "12345a", "tokenCode", format!("{PATTERN} [\\d]*")),
    ];
    let mut rows: Vec<Row> = cases
        .iter()
        .map(|(parameter, value, member, must)| violation(assume(&[(parameter, value)]), value, member, must))
        .collect();
    rows.push(null(assume(&[("RoleArn", ABSENT)]), "roleArn"));
    rows.push(null(assume(&[("RoleSessionName", ABSENT)]), "roleSessionName"));
    rows.push(violation(
        assume(&[
            ("ProvidedContexts.member.1.ProviderArn", READER),
            ("ProvidedContexts.member.1.ContextAssertion", "x"),
        ]),
        "***",
        "providedContexts.1.member.contextAssertion",
        &format!("{SHORT} 4"),
    ));
    rows
}

fn tags() -> Vec<Row> {
    let tag = |key: &str, value: &str| assume(&[("Tags.member.1.Key", key), ("Tags.member.1.Value", value)]);
    let (long_key, long_value) = ("k".repeat(129), "v".repeat(257));
    let (key, value) = ("tags.1.member.key", "tags.1.member.value");
    let pattern = format!("{PATTERN} [\\p{{L}}\\p{{Z}}\\p{{N}}_.:/=+\\-@]");
    let each = "satisfy constraint: [Member must have length less than or equal to 128, Member must have length greater \
                than or equal to 1, Member must satisfy regular expression pattern: [\\p{L}\\p{Z}\\p{N}_.:/=+\\-@]+]";
    let numbered: Vec<(String, String)> = (1..=51)
        .flat_map(|n| {
            [
                (format!("Tags.member.{n}.Key"), format!("k{n}")),
                (format!("Tags.member.{n}.Value"), String::new()),
            ]
        })
        .collect();
    let many: Vec<(&str, &str)> =
        numbered.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
    let keys: Vec<String> = (1..=51).map(|n| format!("k{n}")).collect();
    vec![
        violation(tag("", "v"), "", key, &format!("{SHORT} 1")),
        violation(tag(&long_key, "v"), &long_key, key, &format!("{LONG} 128")),
        violation(tag("a*", "v"), "a*", key, &format!("{pattern}+")),
        violation(tag("a,b", "v"), "a,b", key, &format!("{pattern}+")),
        violation(tag("k", &long_value), &long_value, value, &format!("{LONG} 256")),
        violation(tag("k", "<v>"), "<v>", value, &format!("{pattern}*")),
        null(assume(&[("Tags.member.1.Key", "k")]), value),
        null(assume(&[("Tags.member.1.Value", "v")]), key),
        violation(assume(&many), &format!("[{}]", keys.join(", ")), "tags", &format!("{LONG} 50")),
        violation(assume(&[("TransitiveTagKeys.member.1", "")]), "[]", "transitiveTagKeys", each),
        violation(assume(&[("TransitiveTagKeys.member.1", "a*")]), "[a*]", "transitiveTagKeys", each),
        violation(
            assume(&[("TransitiveTagKeys.member.1", &long_key)]),
            &format!("[{long_key}]"),
            "transitiveTagKeys",
            each,
        ),
    ]
}

fn policies() -> Vec<Row> {
    let arn = "arn:aws:iam::aws:policy/AmazonS3ReadOnlyAccess";
    let names: Vec<String> = (1..=11).map(|n| format!("PolicyArns.member.{n}.arn")).collect();
    let eleven: Vec<(&str, &str)> = names.iter().map(|name| (name.as_str(), arn)).collect();
    let document = format!("{PATTERN} [\\u0009\\u000A\\u000D\\u0020-\\u00FF]+");
    vec![
        violation(assume(&[("Policy", "")]), "", "policy", &format!("{SHORT} 1")),
        violation(assume(&[("Policy", "{\u{142}}")]), "{\u{142}}", "policy", &document),
        violation(
            assume(&[("PolicyArns.member.1.arn", "arn:aws")]),
            "arn:aws",
            "policyArns.1.member.arn",
            &format!("{SHORT} 20"),
        ),
        null(assume(&[("PolicyArns.member.1.Arn", arn)]), "policyArns.1.member.arn"),
        violation(
            assume(&eleven),
            &format!("[{}]", [arn; 11].join(", ")),
            "policyArns",
            &format!("{LONG} 10"),
        ),
    ]
}

fn other_operations() -> Vec<Row> {
    let federate = |parameters: &[(&str, &str)]| form("GetFederationToken", parameters);
    let session = |parameters: &[(&str, &str)]| form("GetSessionToken", parameters);
    let info = |id: &str| form("GetAccessKeyInfo", &[("AccessKeyId", id)]);
    let (long_name, long_policy, long_id) = ("n".repeat(33), " ".repeat(2_049), "A".repeat(129));
    let least = "have value greater than or equal to 900";
    let most = "have value less than or equal to 129600";
    let (name, seconds) = ("name", "durationSeconds");
    vec![
        null(federate(&[]), name),
        violation(federate(&[("Name", "a")]), "a", name, &format!("{SHORT} 2")),
        violation(federate(&[("Name", &long_name)]), &long_name, name, &format!("{LONG} 32")),
        violation(federate(&[("Name", "a b")]), "a b", name, &format!("{PATTERN} [\\w+=,.@-]*")),
        violation(federate(&[("Name", "bob"), ("DurationSeconds", "899")]), "899", seconds, least),
        violation(federate(&[("Name", "bob"), ("DurationSeconds", "129601")]), "129601", seconds, most),
        violation(
            federate(&[("Name", "bob"), ("Policy", &long_policy)]),
            &long_policy,
            "policy",
            &format!("{LONG} 2048"),
        ),
        violation(session(&[("DurationSeconds", "899")]), "899", seconds, least),
        violation(session(&[("DurationSeconds", "129601")]), "129601", seconds, most),
        violation(session(&[("TokenCode", "1")]), "1", "tokenCode", &format!("{SHORT} 6")),
        violation(session(&[("SerialNumber", "1")]), "1", "serialNumber", &format!("{SHORT} 9")),
        null(form("GetAccessKeyInfo", &[]), "accessKeyId"),
        violation(info("AKIA"), "AKIA", "accessKeyId", &format!("{SHORT} 16")),
        violation(info(&long_id), &long_id, "accessKeyId", &format!("{LONG} 128")),
        violation(
            info("AKIA-EXAMPLE-0001"),
            "AKIA-EXAMPLE-0001",
            "accessKeyId",
            &format!("{PATTERN} [\\w]*"),
        ),
    ]
}

fn not_numbers() -> Vec<Row> {
    let refused =
        |form| row(Alice, form, (400, "MalformedInput"), "DurationSeconds must be a 32-bit integer");
    let duration = |value| assume(&[("DurationSeconds", value)]);
    let mut rows: Vec<Row> = ["", "abc", "1.5e3", "900.0", " 900", "2147483648", "٩٠٠"]
        .map(|value| refused(duration(value)))
        .into();
    for name in ["Tags.member.0.Key", "Tags.member.01.Key", "Tags.member.x.Key", "Tags.member..Key"] {
        let message = format!("{name} is not a valid index");
        rows.push(row(Alice, assume(&[(name, "k")]), (400, "MalformedInput"), message));
    }
    rows
}

fn several() -> Vec<Row> {
    let two = "2 validation errors detected: Value 'a' at 'roleSessionName' failed to satisfy constraint: Member must \
               have length greater than or equal to 2; Value 'b' at 'externalId' failed to satisfy constraint: Member \
               must have length greater than or equal to 2";
    let both = "2 validation errors detected: Value '!' at 'roleSessionName' failed to satisfy constraint: Member must \
                have length greater than or equal to 2; Value '!' at 'roleSessionName' failed to satisfy constraint: \
                Member must satisfy regular expression pattern: [\\w+=,.@-]*";
    let null = "2 validation errors detected: Value null at 'roleArn' failed to satisfy constraint: Member must not be \
                null; Value null at 'roleSessionName' failed to satisfy constraint: Member must not be null";
    vec![
        row(Alice, assume(&[("RoleSessionName", "a"), ("ExternalId", "b")]), VALIDATION, two),
        row(Alice, assume(&[("RoleSessionName", "!")]), VALIDATION, both),
        row(Alice, assume(&[("RoleArn", ABSENT), ("RoleSessionName", ABSENT)]), VALIDATION, null),
    ]
}
