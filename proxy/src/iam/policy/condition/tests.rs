//! The table of operators.

use super::super::context::{Tags, Value};
use super::super::key::{Name, TagFamily};
use super::*;

const IP: &str = "203.0.113.7";

fn known() -> Context<'static> {
    let mut context = Context::default();
    context.set(Name::UserName, Value::Text("alice"));
    context.set(Name::S3MaxKeys, Value::Number(10));
    context.set(Name::SecureTransport, Value::Flag(true));
    context.set(Name::SourceIp, Value::Address(IP.parse().unwrap()));
    context.set(Name::CurrentTime, Value::Time(UnixMillis(1_767_323_045_678)));
    context.set(Name::EpochTime, Value::Number(1_767_323_045));
    context.set(Name::SourceArn, Value::Text("arn:aws:sns:eu-west-1:123456789012:topic"));
    context.set(Name::S3Prefix, Value::Text(""));
    context.set(Name::StsTransitiveTagKeys, Value::Texts(&["team", "stage"]));
    context.set_tags(TagFamily::Request, Tags::Pairs(&[("team", "blue"), ("stage", "test")]));
    context.set_others(&[
        ("example:Digest", Value::Text("AAEC")),
        ("example:Limit", Value::Text("10.50")),
        ("example:Since", Value::Text("2026-01-02T03:04:05Z")),
        ("example:From", Value::Text("2001:db8::7")),
        ("example:Odd", Value::Text("odd")),
        ("example:None", Value::Texts(&[])),
    ]);
    context
}

fn holds(operator: &str, key: &str, values: &[&str]) -> bool {
    let operator = Operator::parse(operator).unwrap_or_else(|| panic!("{operator}"));
    let condition = operator.condition(Key::parse(key).unwrap(), values, true).unwrap();
    condition.holds(&known())
}

/// Rows: operator, key, values by `|`, whether it holds.
fn table(rows: &[(&str, &str, &str, bool)]) {
    for (operator, key, values, expected) in rows {
        let values: Vec<&str> = values.split('|').collect();
        assert_eq!(holds(operator, key, &values), *expected, "{operator} {key} {values:?}");
    }
}

#[test]
fn texts_are_compared_as_documented() {
    table(&[
        ("StringEquals", "aws:username", "alice", true),
        ("StringEquals", "AWS:UserName", "bob|alice", true),
        ("StringEquals", "aws:username", "Alice", false),
        ("StringEquals", "aws:username", "al*", false),
        ("StringEquals", "aws:username", "${aws:username}", true),
        ("StringNotEquals", "aws:username", "bob", true),
        ("StringNotEquals", "aws:username", "bob|alice", false),
        ("StringEqualsIgnoreCase", "aws:username", "ALICE", true),
        ("StringNotEqualsIgnoreCase", "aws:username", "ALICE", false),
        ("StringNotEqualsIgnoreCase", "aws:username", "bob", true),
        ("StringLike", "aws:username", "x|a?i*", true),
        ("StringLike", "aws:username", "A*", false),
        ("StringNotLike", "aws:username", "x|a?i*", false),
        ("StringNotLike", "aws:username", "b*", true),
        ("StringEquals", "aws:RequestTag/TEAM", "blue", true),
        ("StringEquals", "s3:prefix", "", true),
        ("StringEquals", "s3:max-keys", "10", true),
        ("StringEquals", "aws:SecureTransport", "true", true),
        ("StringLike", "aws:SourceIp", "203.0.113.*", true),
        ("StringEquals", "aws:CurrentTime", "2026-01-02T03:04:05Z", true),
    ]);
}

#[test]
fn numbers_dates_flags_and_bytes_are_compared_as_documented() {
    table(&[
        ("NumericEquals", "s3:max-keys", "9|10.0", true),
        ("NumericNotEquals", "s3:max-keys", "9|10.0", false),
        ("NumericLessThan", "s3:max-keys", "10", false),
        ("NumericLessThan", "s3:max-keys", "10.1", true),
        ("NumericLessThanEquals", "s3:max-keys", "10", true),
        ("NumericGreaterThan", "s3:max-keys", "10", false),
        ("NumericGreaterThanEquals", "s3:max-keys", "10", true),
        ("NumericEquals", "example:Limit", "10.5", true),
        ("NumericEquals", "example:Odd", "10", false),
        ("NumericNotEquals", "example:Odd", "10", true),
        ("DateEquals", "example:Since", "1767323045", true),
        ("DateEquals", "aws:EpochTime", "2026-01-02T04:04:05+01:00", true),
        ("DateEquals", "aws:CurrentTime", "2026-01-02T03:04:05.678Z", true),
        ("DateNotEquals", "aws:CurrentTime", "2026-01-02T03:04:05Z", true),
        ("DateLessThan", "aws:CurrentTime", "2026-01-02T03:04:05.679Z", true),
        ("DateLessThan", "aws:CurrentTime", "2026-01-02T03:04:05.678Z", false),
        ("DateLessThanEquals", "aws:CurrentTime", "2026-01-02T03:04:05.678Z", true),
        ("DateGreaterThan", "aws:CurrentTime", "2026-01-02", true),
        ("DateGreaterThanEquals", "aws:CurrentTime", "2027", false),
        ("DateEquals", "example:Odd", "2026", false),
        ("Bool", "aws:SecureTransport", "True", true),
        ("Bool", "aws:SecureTransport", "false", false),
        ("Bool", "example:Odd", "true", false),
        ("BinaryEquals", "example:Digest", "AAEC", true),
        ("BinaryEquals", "example:Digest", "AAED", false),
    ]);
}

#[test]
fn addresses_and_arns_are_compared_as_documented() {
    table(&[
        ("IpAddress", "aws:SourceIp", "203.0.113.0/24", true),
        ("IpAddress", "aws:SourceIp", "203.0.113.8|203.0.113.7", true),
        ("IpAddress", "aws:SourceIp", "2001:db8::/32", false),
        ("NotIpAddress", "aws:SourceIp", "203.0.113.0/24", false),
        ("NotIpAddress", "aws:SourceIp", "10.0.0.0/8|192.168.0.0/16", true),
        ("IpAddress", "example:From", "2001:db8::/32", true),
        ("IpAddress", "example:Odd", "0.0.0.0/0", false),
        ("ArnEquals", "aws:SourceArn", "arn:aws:sns:*:123456789012:topic", true),
        ("ArnLike", "aws:SourceArn", "arn:aws:sns:*:topic", false),
        ("ArnNotEquals", "aws:SourceArn", "arn:aws:sns:*:123456789012:topic", false),
        ("ArnNotLike", "aws:SourceArn", "arn:aws:s3:::topic", true),
        ("ArnLike", "example:Odd", "arn:aws:sns:*:*:*", false),
        ("ArnNotLike", "example:Odd", "arn:aws:sns:*:*:*", true),
    ]);
}

#[test]
fn a_missing_key_means_what_the_operator_says() {
    table(&[
        ("StringEquals", "aws:userid", "x", false),
        ("StringNotEquals", "aws:userid", "x", true),
        ("StringNotLike", "aws:userid", "*", true),
        ("StringEqualsIfExists", "aws:userid", "x", true),
        ("StringEqualsIfExists", "aws:username", "x", false),
        ("NumericLessThan", "aws:MultiFactorAuthAge", "5", false),
        ("NumericNotEquals", "aws:MultiFactorAuthAge", "5", true),
        ("NumericLessThanIfExists", "aws:MultiFactorAuthAge", "5", true),
        ("DateLessThan", "aws:TokenIssueTime", "2030", false),
        ("DateNotEquals", "aws:TokenIssueTime", "2030", true),
        ("Bool", "aws:MultiFactorAuthPresent", "false", false),
        ("BoolIfExists", "aws:MultiFactorAuthPresent", "false", true),
        ("IpAddress", "aws:absent", "0.0.0.0/0", false),
        ("NotIpAddress", "aws:absent", "0.0.0.0/0", true),
        ("ArnLike", "aws:PrincipalArn", "*", false),
        ("ArnNotLike", "aws:PrincipalArn", "*", true),
        ("BinaryEquals", "example:absent", "AAEC", false),
        ("Null", "aws:userid", "true", true),
        ("Null", "aws:userid", "false", false),
        ("Null", "aws:username", "False", true),
        ("Null", "aws:username", "true|false", true),
        ("Null", "example:None", "true", true),
        ("Null", "s3:prefix", "false", true),
    ]);
}

#[test]
fn several_values_are_qualified() {
    table(&[
        ("ForAllValues:StringEquals", "aws:TagKeys", "team|stage|more", true),
        ("ForAllValues:StringEquals", "aws:TagKeys", "team", false),
        ("ForAllValues:StringLike", "sts:TransitiveTagKeys", "t*|s*", true),
        ("ForAllValues:StringNotEquals", "aws:TagKeys", "more", true),
        ("ForAllValues:StringNotEquals", "aws:TagKeys", "team", false),
        ("ForAllValues:StringEquals", "aws:userid", "x", true),
        ("ForAllValues:StringEquals", "s3:prefix", "x", true),
        ("ForAllValues:StringEquals", "example:None", "x", true),
        ("ForAnyValue:StringEquals", "aws:TagKeys", "team", true),
        ("ForAnyValue:StringEquals", "aws:TagKeys", "more", false),
        ("ForAnyValue:StringNotEquals", "aws:TagKeys", "team", true),
        ("ForAnyValue:StringNotEquals", "aws:TagKeys", "team|stage", false),
        ("ForAnyValue:StringEquals", "aws:userid", "x", false),
        ("ForAnyValue:StringNotEquals", "aws:userid", "x", false),
        ("ForAnyValue:StringEquals", "s3:prefix", "", false),
        ("ForAnyValue:StringEqualsIfExists", "aws:userid", "x", true),
        ("ForAnyValue:IpAddress", "aws:SourceIp", "203.0.113.0/24", true),
        ("ForAllValues:NumericLessThan", "s3:max-keys", "100", true),
        ("StringEquals", "aws:TagKeys", "team|stage", false),
        ("StringNotEquals", "aws:TagKeys", "more", false),
    ]);
}

#[test]
fn there_are_no_other_operators() {
    for text in [
        "",
        "stringEquals",
        "StringEqual",
        "BoolNotEquals",
        "NullIfExists",
        "ForAllValues:Null",
        "ForAnyValues:StringEquals",
        "StringEquals:ForAnyValue",
        "IfExists",
        "ForAllValues:",
        "NotArnLike",
        "NumericLike",
    ] {
        assert_eq!(Operator::parse(text), None, "{text}");
    }
}

#[test]
fn a_value_that_its_operator_cannot_compare_is_refused() {
    for (operator, value) in [
        ("NumericEquals", "ten"),
        ("NumericEquals", "${aws:username}"),
        ("DateLessThan", "tomorrow"),
        ("Bool", "yes"),
        ("Null", "1"),
        ("BinaryEquals", "A"),
        ("IpAddress", "203.0.113.0/33"),
        ("IpAddress", "example.com"),
        ("StringEquals", "${aws:username"),
        ("ArnLike", "${username}"),
    ] {
        let key = Key::parse("aws:username").unwrap();
        let refused = Operator::parse(operator).unwrap().condition(key, &[value], true);
        assert!(refused.is_err(), "{operator} {value}");
    }
}
