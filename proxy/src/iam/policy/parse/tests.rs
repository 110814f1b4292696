//! What is taken, what is refused, and where it is said to be wrong.

use proptest::prelude::*;

use super::*;

const SOUND: &str = r#"{"Version":"2012-10-17","Id":"x","Statement":[{"Sid":"One","Effect":"Allow","Action":["s3:Get*","*"],
    "Resource":["arn:aws:s3:::b/${aws:username, 'a'}/*","*"],"Condition":{"NumericLessThan":{"s3:max-keys":10},
    "Bool":{"aws:SecureTransport":true},"ForAnyValue:StringLike":{"aws:TagKeys":["a","b"]}}},
    {"Effect":"Deny","NotAction":"s3:*","NotResource":"arn:*:s3:::b"}]}"#;

fn refusal(grammar: Grammar, text: &str) -> (String, String) {
    let error = statements(grammar, text).expect_err(text);
    (error.place().to_owned(), error.message())
}

/// One statement of an identity-based policy.
fn refused(statement: &str) -> (String, String) {
    refusal(Grammar::Identity, &format!(r#"{{"Version":"2012-10-17","Statement":[{statement}]}}"#))
}

#[test]
fn takes_everything_the_grammar_has() {
    assert_eq!(statements(Grammar::Identity, SOUND).unwrap().len(), 2);
    let trust = r#"{"Version":"2008-10-17","Statement":{"Sid":"","Effect":"Allow","Principal":{"AWS":["123456789012",
        "arn:aws:iam::123456789012:root","arn:aws-cn:iam::123456789012:user/p/a","arn:aws:iam::123456789012:role/r",
        "arn:aws:sts::123456789012:assumed-role/r/s","arn:aws:sts::123456789012:federated-user/f","AROAEXAMPLE000000000"],
        "Federated":"accounts.google.com","Service":["ec2.amazonaws.com"]},
        "Action":["sts:AssumeRole","sts:TagSession","STS:*"]}}"#;
    assert_eq!(statements(Grammar::Trust, trust).unwrap().len(), 1);
    let bucket = r#"{"Statement":{"Sid":"any text","Effect":"Deny","NotPrincipal":{"AWS":"*"},"Action":"s3:*",
        "Resource":"arn:aws:s3:::b"}}"#;
    assert_eq!(statements(Grammar::Resource, bucket).unwrap().len(), 1);
}

#[test]
fn says_what_is_wrong_with_a_document_and_where() {
    let one = r#""Effect":"Allow","Action":"s3:*","Resource":"*""#;
    for (text, place, message) in [
        ("", "", "This policy contains invalid Json"),
        ("{", "", "This policy contains invalid Json"),
        ("[]", "", "Syntax errors in policy"),
        ("{}", "", "Missing required field Statement"),
        (r#"{"Statement":[]}"#, "Statement", "Syntax errors in policy"),
        (r#"{"Statement":["x"]}"#, "Statement[0]", "Syntax errors in policy"),
        (&format!(r#"{{"Statement":{{{one}}},"Statements":1}}"#), "", "Unknown field Statements"),
        (&format!(r#"{{"statement":{{{one}}}}}"#), "", "Unknown field statement"),
        (&format!(r#"{{"Id":1,"Statement":{{{one}}}}}"#), "Id", "Syntax errors in policy"),
        (&format!(r#"{{"Version":"2012-10-18","Statement":{{{one}}}}}"#), "Version", "The policy version"),
        (&format!(r#"{{"Version":2012,"Statement":{{{one}}}}}"#), "Version", "The policy version"),
        (&format!(r#"{{"Statement":{{{one}}},"Statement":{{{one}}}}}"#), "", "occurs twice"),
        (&format!(r#"{{"Statement":{{"Effect":"Deny",{one}}}}}"#), "", "occurs twice"),
        (
            &format!(r#"{{"Statement":[{{"Sid":"A",{one}}},{{"Sid":"A",{one}}}]}}"#),
            "Statement[1].Sid",
            "must be unique",
        ),
    ] {
        let (at, said) = refusal(Grammar::Identity, text);
        assert!(at == place && said.contains(message), "{text}: {at}: {said}");
    }
}

#[test]
fn says_what_is_wrong_with_a_statement_and_where() {
    for (statement, place, message) in [
        (r#"{"Action":"s3:*","Resource":"*"}"#, "", "Missing required field Effect"),
        (r#"{"Effect":"allow","Action":"s3:*","Resource":"*"}"#, ".Effect", "The effect \"allow\""),
        (r#"{"Effect":"Allow","Resource":"*"}"#, "", "Policy statement must contain actions."),
        (r#"{"Effect":"Allow","Action":[],"Resource":"*"}"#, ".Action", "must contain actions."),
        (r#"{"Effect":"Allow","Action":"s3:*"}"#, "", "Policy statement must contain resources."),
        (r#"{"Effect":"Allow","Action":"s3:*","Resource":[]}"#, ".Resource", "must contain resources."),
        (r#"{"Effect":"Allow","Action":"*","NotAction":"*","Resource":"*"}"#, "", "exclude each other"),
        (r#"{"Effect":"Allow","Action":"*","NotResource":"*","Resource":"*"}"#, "", "exclude each other"),
        (r#"{"Effect":"Allow","Action":"GetObject","Resource":"*"}"#, ".Action[0]", "prefaced by a vendor"),
        (r#"{"Effect":"Allow","Action":["s3:*",1],"Resource":"*"}"#, ".Action[1]", "Syntax errors"),
        (r#"{"Effect":"Allow","Action":"s*:Get","Resource":"*"}"#, ".Action[0]", "Vendor s* is not valid"),
        (r#"{"Effect":"Allow","Action":"s3:Get Object","Resource":"*"}"#, ".Action[0]", "is no action"),
        (r#"{"Effect":"Allow","Action":"s3:","Resource":"*"}"#, ".Action[0]", "is no action"),
        (r#"{"Effect":"Allow","Action":"*","Resource":"bucket"}"#, ".Resource[0]", "must be in ARN format"),
        (r#"{"Effect":"Allow","Action":"*","Resource":"**"}"#, ".Resource[0]", "must be in ARN format"),
        (r#"{"Effect":"Allow","Action":"*","Resource":"arn::s3:::b"}"#, ".Resource[0]", "Partition \"\""),
        (
            r#"{"Effect":"Allow","Action":"*","Resource":"arn:gcp:s3:::b"}"#,
            ".Resource[0]",
            "Partition \"gcp\"",
        ),
        (r#"{"Effect":"Allow","Action":"*","Resource":"arn:aws:*:::b"}"#, ".Resource[0]", "fully qualified"),
        (r#"{"Effect":"Allow","Action":"*","Resource":"arn:aws::::b"}"#, ".Resource[0]", "fully qualified"),
        (
            r#"{"Effect":"Allow","Action":"*","Resource":"arn:aws:s3::${aws:PrincipalAccount}:b"}"#,
            ".Resource[0]",
            "before its fifth colon",
        ),
        (
            r#"{"Effect":"Allow","Action":"*","Resource":"arn:aws:s3:::${user}"}"#,
            ".Resource[0]",
            "\"${user}\" is not a policy variable",
        ),
        (
            r#"{"Effect":"Allow","Action":"*","Resource":"*","Principal":"*"}"#,
            "",
            "Policy document should not specify a principal.",
        ),
        (r#"{"Effect":"Allow","Action":"*","Resource":"*","Conditions":{}}"#, "", "Unknown field Conditions"),
        (
            r#"{"Effect":"Allow","Action":"*","Resource":"*","Sid":"a-b"}"#,
            ".Sid",
            "(SID) must be alpha-numeric",
        ),
        (r#"{"Effect":"Allow","Action":"*","Resource":"*","Condition":[]}"#, ".Condition", "Syntax errors"),
    ] {
        let (at, said) = refused(statement);
        let place = format!("Statement[0]{place}");
        assert!(at == place && said.contains(message), "{statement}: {at}: {said}");
    }
}

#[test]
fn says_what_is_wrong_with_a_condition_and_where() {
    for (condition, place, message) in [
        (r#"{"StringIs":{"aws:a":"b"}}"#, "StringIs", "Invalid Condition type : StringIs"),
        (r#"{"StringEquals":"b"}"#, "StringEquals", "Syntax errors in policy"),
        (r#"{"StringEquals":{"username":"b"}}"#, "StringEquals.username", "prefaced by a vendor"),
        (r#"{"StringEquals":{"aws:a":[]}}"#, "StringEquals.aws:a", "there is no value"),
        (r#"{"StringEquals":{"aws:a":["b",null]}}"#, "StringEquals.aws:a[1]", "Syntax errors"),
        (r#"{"StringEquals":{"aws:a":"${b"}}"#, "StringEquals.aws:a", "Invalid policy variable"),
        (r#"{"Bool":{"aws:a":1}}"#, "Bool.aws:a", "Invalid value for condition key aws:a: \"1\" is not"),
    ] {
        let statement =
            format!(r#"{{"Effect":"Allow","Action":"*","Resource":"*","Condition":{condition}}}"#);
        let (at, said) = refused(&statement);
        let place = format!("Statement[0].Condition.{place}");
        assert!(at == place && said.contains(message), "{condition}: {at}: {said}");
    }
}

#[test]
fn says_what_is_wrong_with_a_principal_and_where() {
    for principal in [
        r#""alice""#,
        r#"{"AWS":"alice"}"#,
        r#"{"AWS":"12345678901"}"#,
        r#"{"AWS":"arn:aws:iam::123456789012:user/*"}"#,
        r#"{"AWS":"arn:aws:iam::*:root"}"#,
        r#"{"AWS":"arn:aws:iam::123456789012:group/admins"}"#,
        r#"{"AWS":"arn:aws:iam::123456789012:user/"}"#,
        r#"{"AWS":"arn:aws:iam::123456789012:root/x"}"#,
        r#"{"AWS":"arn:aws:sts::123456789012:assumed-role/r"}"#,
        r#"{"AWS":"arn:aws:s3:::b"}"#,
        r#"{"Federated":"*"}"#,
        r#"{"Service":"*.amazonaws.com"}"#,
        r#"{"CanonicalUser":"79a59df900b949e55d96a1e698fbacedfd6e09d98eacf8f8d5218e7cd47ef2be"}"#,
    ] {
        let text = format!(
            r#"{{"Statement":{{"Effect":"Allow","Principal":{principal},"Action":"sts:AssumeRole"}}}}"#
        );
        let (at, said) = refusal(Grammar::Trust, &text);
        assert!(at.starts_with("Statement[0].Principal"), "{principal}: {at}");
        assert!(said.starts_with("Invalid principal in policy: "), "{principal}: {said}");
    }
}

#[test]
fn each_grammar_has_elements_of_its_own() {
    let principal = r#""Principal":{"AWS":"123456789012"}"#;
    for (grammar, statement, message) in [
        (Grammar::Trust, r#""Action":"sts:AssumeRole""#.to_owned(), "Missing required field Principal"),
        (
            Grammar::Trust,
            format!(r#"{principal},"Action":"sts:*","Resource":"*""#),
            "prohibited field Resource",
        ),
        (
            Grammar::Trust,
            format!(r#"{principal},"Action":"sts:*","NotResource":"*""#),
            "prohibited field NotResource",
        ),
        (Grammar::Trust, format!(r#"{principal},"Action":"*""#), "may only specify STS AssumeRole actions."),
        (
            Grammar::Trust,
            format!(r#"{principal},"Action":"s3:*""#),
            "may only specify STS AssumeRole actions.",
        ),
        (
            Grammar::Trust,
            r#""NotPrincipal":{"AWS":"123456789012"},"Action":"sts:*""#.to_owned(),
            "NotPrincipal with the effect Allow",
        ),
        (
            Grammar::Resource,
            r#""Action":"s3:*","Resource":"*""#.to_owned(),
            "Missing required field Principal",
        ),
        (Grammar::Resource, format!(r#"{principal},"Action":"s3:*""#), "must contain resources."),
    ] {
        let (_, said) = refusal(grammar, &format!(r#"{{"Statement":{{"Effect":"Allow",{statement}}}}}"#));
        assert!(said.contains(message), "{statement}: {said}");
    }
}

#[test]
fn the_older_version_takes_what_looks_like_a_variable_for_text() {
    let text = r#"{"Version":"2008-10-17","Statement":{"Effect":"Allow","Action":"*","Resource":"arn:aws:s3:::${x"}}"#;
    assert!(statements(Grammar::Identity, text).is_ok());
}

proptest! {
    #[test]
    fn any_text_is_a_policy_or_refused(text in ".{0,60}") {
        for grammar in [Grammar::Identity, Grammar::Trust, Grammar::Resource] {
            let _ = statements(grammar, &text);
        }
    }

    #[test]
    fn any_damage_to_a_policy_is_a_policy_or_refused(
        at in 0..SOUND.len(),
        length in 0_usize..12,
        put in "[\"{}\\[\\],:$*a-z0-9 ]{0,6}",
    ) {
        let end = (at + length).min(SOUND.len());
        let _ = statements(Grammar::Identity, &[&SOUND[..at], &put, &SOUND[end..]].concat());
    }
}
