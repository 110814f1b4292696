//! Parameters that are well formed each and yet not right.

use super::Who::{Alice, RoleSession};
use super::*;

pub(super) fn rows() -> Vec<Row> {
    [tags(), policies(), arns(), durations(), reading()].into_iter().flatten().collect()
}

fn tags() -> Vec<Row> {
    const INVALID: (u16, &str) = (400, "InvalidParameterValue");
    let twice = "Duplicate tag keys found. Please note that Tag keys are case insensitive.";
    let stray = "The specified transitive tag key must be included in the requested tags.";
    let reserved = "Tag keys that begin with aws: are reserved for internal use.";
    let conflict = "One of the specified transitive tag keys can't be set because it conflicts with a transitive tag \
                    key from the calling session.";
    let two = |one: &str, other: &str| {
        assume(&[
            ("Tags.member.1.Key", one),
            ("Tags.member.1.Value", "a"),
            ("Tags.member.2.Key", other),
            ("Tags.member.2.Value", "b"),
        ])
    };
    let one = |key: &str, transitive: &str| {
        assume(&[
            ("Tags.member.1.Key", key),
            ("Tags.member.1.Value", "a"),
            ("TransitiveTagKeys.member.1", transitive),
        ])
    };
    let next = |key: &str| {
        let arn = "arn:aws:iam::123456789012:role/next";
        assume(&[("RoleArn", arn), ("Tags.member.1.Key", key), ("Tags.member.1.Value", "prod")])
    };
    let federate = form(
        "GetFederationToken",
        &[
            ("Name", "bob"),
            ("Tags.member.1.Key", "a"),
            ("Tags.member.1.Value", ""),
            ("Tags.member.2.Key", "A"),
            ("Tags.member.2.Value", ""),
        ],
    );
    vec![
        row(Alice, two("team", "team"), INVALID, twice),
        row(Alice, two("team", "Team"), INVALID, twice),
        row(Alice, two("größe", "GRÖßE"), INVALID, twice),
        row(Alice, federate, INVALID, twice),
        row(Alice, one("team", "cost"), INVALID, stray),
        row(Alice, assume(&[("TransitiveTagKeys.member.1", "cost")]), INVALID, stray),
        row(Alice, two("aws:team", "x"), INVALID, reserved),
        row(Alice, two("AWS:team", "x"), INVALID, reserved),
        row(RoleSession, next("Env"), INVALID, conflict),
        row(RoleSession, next("env"), INVALID, conflict),
    ]
}

fn policies() -> Vec<Row> {
    let with = |policy: &str| assume(&[("Policy", policy)]);
    let managed = |arn: &str| assume(&[("PolicyArns.member.1.arn", arn)]);
    let unknown = |arn: &str| {
        row(Alice, managed(arn), VALIDATION, format!("Policy {arn} does not exist or is not attachable."))
    };
    let invalid = |arn: &str| row(Alice, managed(arn), VALIDATION, format!("{arn} is invalid"));
    let mut rows = vec![
        unknown("arn:aws:iam::123456789012:policy/none"),
        unknown("arn:aws:iam::999999999999:policy/none"),
        unknown("arn:aws:iam::aws:policy/NoSuchPolicy"),
        invalid("arn:aws:iam::123456789012:role/reader"),
        invalid("arn:aws:s3:::a-bucket-of-mine"),
        invalid("this is not an arn at all"),
        row(
            Alice,
            form(
                "GetFederationToken",
                &[("Name", "bob"), ("PolicyArns.member.1.arn", "arn:aws:iam::aws:policy/None")],
            ),
            VALIDATION,
            "Policy arn:aws:iam::aws:policy/None does not exist or is not attachable.",
        ),
    ];
    let malformed =
        |policy: &str, message: &str| row(Alice, with(policy), (400, "MalformedPolicyDocument"), message);
    rows.extend(MALFORMED.map(|(policy, message)| malformed(policy, message)));
    // A policy of 4,097 characters that is good but for its size.
    let filler = " ".repeat(4_097 - LONG_POLICY.len());
    let large = format!("{LONG_POLICY}{filler}");
    rows.push(row(
        Alice,
        with(&large),
        (400, "PackedPolicyTooLarge"),
        "Packed size of session policy and session tags consumes 101% of allotted space.",
    ));
    rows
}

const LONG_POLICY: &str = r#"{"Statement":{"Effect":"Allow","Action":"s3:*","Resource":"*"}}"#;

const MALFORMED: [(&str, &str); 6] = [
    (r#"{"Version":"2012-10-17"}"#, "Missing required field Statement"),
    (
        r#"{"Version":"2013","Statement":{"Effect":"Allow","Action":"*","Resource":"*"}}"#,
        "The policy version \"2013\" is neither \"2012-10-17\" nor \"2008-10-17\"",
    ),
    (
        r#"{"Statement":{"Effect":"Permit","Action":"*","Resource":"*"}}"#,
        "The effect \"Permit\" is neither \"Allow\" nor \"Deny\"",
    ),
    (
        r#"{"Statement":{"Effect":"Allow","Action":"*","Resource":"*","Principal":"*"}}"#,
        "Policy document should not specify a principal.",
    ),
    (r#"{"Statement":{"Effect":"Allow","Resource":"*"}}"#, "Policy statement must contain actions."),
    (r#"{"Statement":{"Effect":"Allow","Action":"*"}}"#, "Policy statement must contain resources."),
];

fn arns() -> Vec<Row> {
    let invalid =
        |arn: &str| row(Alice, assume(&[("RoleArn", arn)]), VALIDATION, format!("{arn} is invalid"));
    let provider = "arn:aws:iam::aws:contextProvider/IdentityCenter";
    let context = assume(&[
        ("ProvidedContexts.member.1.ProviderArn", provider),
        ("ProvidedContexts.member.1.ContextAssertion", "an-assertion"),
    ]);
    vec![
        invalid("arn:aws:iam::123456789012:user/alice"),
        invalid("arn:aws:iam::123456789012:root/reader"),
        invalid("arn:aws:iam::12345678901:role/reader"),
        invalid("arn:aws:iam:us-east-1:123456789012:role/reader"),
        invalid("arn:aws:sts::123456789012:assumed-role/reader/s1"),
        invalid("arn:aws:s3:::bucket/with/a/long/key"),
        invalid("role/reader in account 123456789012"),
        row(Alice, context, VALIDATION, format!("{provider} is invalid")),
    ]
}

fn durations() -> Vec<Row> {
    let next = |seconds: &str| {
        assume(&[("RoleArn", "arn:aws:iam::123456789012:role/next"), ("DurationSeconds", seconds)])
    };
    let beyond = "The requested DurationSeconds exceeds the MaxSessionDuration set for this role.";
    let chained =
        "The requested DurationSeconds exceeds the 1 hour session limit for roles assumed by role chaining.";
    vec![
        row(Alice, assume(&[("DurationSeconds", "3601")]), VALIDATION, beyond),
        row(Alice, assume(&[("DurationSeconds", "43200")]), VALIDATION, beyond),
        row(RoleSession, next("3601"), VALIDATION, chained),
        row(RoleSession, next("43200"), VALIDATION, chained),
    ]
}

/// Requests that cannot be read in one way only, and operations that are not there.
fn reading() -> Vec<Row> {
    let twice = |form: &str| {
        row(Alice, form.to_owned(), (400, "InvalidQueryParameter"), "A parameter was provided more than once")
    };
    let unknown = |action: &str| {
        let message = format!("Could not find operation {action} for version 2011-06-15");
        row(Alice, form(action, &[]), (400, "InvalidAction"), message)
    };
    let broken = |end: &str| {
        let form = format!("{}&{end}", assume(&[]));
        row(Alice, form, (400, "MalformedQueryString"), "The query string contains a syntax error")
    };
    vec![
        twice(&format!("{}&RoleSessionName=s2", assume(&[]))),
        twice(&format!("{}&rolesessionname=s2", assume(&[]))),
        twice(&format!("{}&Action=GetCallerIdentity", assume(&[]))),
        broken("Policy=%"),
        broken("Policy=%zz"),
        broken("Policy=%ff"),
        unknown("AssumeRoot"),
        unknown("GetDelegatedAccessToken"),
        unknown("GetWebIdentityToken"),
        unknown("DecodeAuthorizationMessage"),
        unknown("assumerole"),
        unknown("ListBuckets"),
        row(Alice, "Version=2011-06-15".into(), (400, "MissingAction"), "Missing Action"),
        row(
            Alice,
            "Action=AssumeRole&Version=2010-05-08".into(),
            (400, "InvalidAction"),
            "Could not find operation AssumeRole for version 2010-05-08",
        ),
    ]
}
