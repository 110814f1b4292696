//! Forms: their signature and their policy.

use sigv4::{CredentialFault, PolicyFault, PostError, Presented, SignedForm};

use crate::forms::{Refusal, Upload, endpoint, read};
use crate::sample::{SECRET, assert_refused, now};

/// What the policy of an upload lets through: `ok`, or what S3 would say after "Policy Condition failed: ".
fn outcome(upload: &Upload) -> String {
    match upload.verify() {
        Ok(_) => "ok".to_owned(),
        Err(Refusal::Post(PostError::ConditionFailed { condition })) => condition.as_str().to_owned(),
        Err(Refusal::Post(PostError::ExtraField { name })) => format!("extra {}", name.as_str()),
        Err(other) => format!("{other:?}"),
    }
}

#[test]
fn accepts_a_form_that_is_what_its_policy_allows() {
    let upload = Upload::allowed(r#"["content-length-range", 1, 100]"#);
    let form = upload.verify().unwrap();
    assert_eq!((form.key(), form.field("x-amz-date")), ("cat.jpg", Some("20260312T081530Z")));
    let (file, _) = upload.receive().unwrap();
    assert_eq!(file, upload.file);
}

#[test]
fn accepts_the_example_of_the_documentation() {
    // https://docs.aws.amazon.com/AmazonS3/latest/API/sigv4-post-example.html
    const POLICY: &str = "eyAiZXhwaXJhdGlvbiI6ICIyMDE1LTEyLTMwVDEyOjAwOjAwLjAwMFoiLA0KICAiY29uZGl0aW9ucyI6IFsNCiAgICB7ImJ1Y2tldCI6ICJzaWd2NGV4YW1wbGVidWNrZXQifSwNCiAgICBbInN0YXJ0cy13aXRoIiwgIiRrZXkiLCAidXNlci91c2VyMS8iXSwNCiAgICB7ImFjbCI6ICJwdWJsaWMtcmVhZCJ9LA0KICAgIHsic3VjY2Vzc19hY3Rpb25fcmVkaXJlY3QiOiAiaHR0cDovL3NpZ3Y0ZXhhbXBsZWJ1Y2tldC5zMy5hbWF6b25hd3MuY29tL3N1Y2Nlc3NmdWxfdXBsb2FkLmh0bWwifSwNCiAgICBbInN0YXJ0cy13aXRoIiwgIiRDb250ZW50LVR5cGUiLCAiaW1hZ2UvIl0sDQogICAgeyJ4LWFtei1tZXRhLXV1aWQiOiAiMTQzNjUxMjM2NTEyNzQifSwNCiAgICB7IngtYW16LXNlcnZlci1zaWRlLWVuY3J5cHRpb24iOiAiQUVTMjU2In0sDQogICAgWyJzdGFydHMtd2l0aCIsICIkeC1hbXotbWV0YS10YWciLCAiIl0sDQoNCiAgICB7IngtYW16LWNyZWRlbnRpYWwiOiAiQUtJQUlPU0ZPRE5ON0VYQU1QTEUvMjAxNTEyMjkvdXMtZWFzdC0xL3MzL2F3czRfcmVxdWVzdCJ9LA0KICAgIHsieC1hbXotYWxnb3JpdGhtIjogIkFXUzQtSE1BQy1TSEEyNTYifSwNCiAgICB7IngtYW16LWRhdGUiOiAiMjAxNTEyMjlUMDAwMDAwWiIgfQ0KICBdDQp9";
    const SIGNATURE: &str = "8afdbf4008c03f22c2cd3cdb72e4afbb1f6a588f3255ac628749a66d7f09699e";
    let mut upload = Upload::under("");
    upload.fields = [
        ("key", "user/user1/${filename}"),
        ("acl", "public-read"),
        ("success_action_redirect", "http://sigv4examplebucket.s3.amazonaws.com/successful_upload.html"),
        ("Content-Type", "image/jpeg"),
        ("x-amz-meta-uuid", "14365123651274"),
        ("x-amz-server-side-encryption", "AES256"),
        ("X-Amz-Credential", "AKIAIOSFODNN7EXAMPLE/20151229/us-east-1/s3/aws4_request"),
        ("X-Amz-Algorithm", "AWS4-HMAC-SHA256"),
        ("X-Amz-Date", "20151229T000000Z"),
        ("x-amz-meta-tag", ""),
        ("Policy", POLICY),
        ("X-Amz-Signature", SIGNATURE),
    ]
    .map(|(name, value)| (name.to_owned(), value.to_owned()))
    .to_vec();
    let form = read([&upload.wire()[..]]).unwrap();
    let endpoint = endpoint();
    let date = sigv4::Timestamp::parse_basic(b"20151229T120000Z").unwrap();
    let signed = SignedForm::parse(&form, "sigv4examplebucket", &endpoint, date).unwrap();
    assert_eq!(signed.access_key_id(), "AKIAIOSFODNN7EXAMPLE");
    let secret = sigv4::SecretAccessKey::new("wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY");
    let key = sigv4::SigningKey::derive(&secret, &signed.scope());
    assert_eq!(signed.verify(&key).unwrap().key(), "user/user1/tom.jpg");
}

#[test]
fn refuses_a_policy_or_a_signature_that_was_changed() {
    let upload = Upload::allowed("");
    let policy = upload.value("policy").to_owned();
    for changed in [
        policy.replacen('A', "B", 1),
        format!("{policy}="),
        format!(" {policy}"),
        policy[..policy.len() - 4].to_owned(),
        policy.to_lowercase(),
    ] {
        let verdict = upload.clone().with("policy", &changed).verify();
        assert_refused!(verdict, Err(Refusal::Post(PostError::SignatureMismatch(_))));
    }
    let signature = upload.value("x-amz-signature").to_owned();
    for changed in [signature.to_uppercase(), signature[1..].to_owned(), String::new(), "0".repeat(64)] {
        let Err(Refusal::Post(PostError::SignatureMismatch(explanation))) =
            upload.clone().with("x-amz-signature", &changed).verify()
        else {
            panic!("{changed} was taken for a signature");
        };
        assert_eq!((explanation.string_to_sign, explanation.signature_provided), (policy.clone(), changed));
    }
}

/// Names and values of a form, if it is accepted.
fn accepted(wire: &[u8]) -> Option<Vec<(String, String)>> {
    let form = read([wire]).ok()?;
    let endpoint = endpoint();
    let signed = SignedForm::parse(&form, "photos", &endpoint, now()).ok()?;
    let key = sigv4::SigningKey::derive(&sigv4::SecretAccessKey::new(SECRET), &signed.scope());
    let form = signed.verify(&key).ok()?;
    Some(form.fields().map(|(name, value)| (name.to_owned(), value.to_owned())).collect())
}

#[test]
fn no_byte_of_a_form_can_be_changed_so_that_it_says_something_else() {
    let wire = Upload::allowed(r#"{"acl": "private"}"#).and("acl", "private").wire();
    let said = accepted(&wire).unwrap();
    let (mut refused, mut same) = (0, 0);
    for at in 0..wire.len() {
        for flip in [1, 0x20, 0x80] {
            let mut changed = wire.clone();
            changed[at] ^= flip;
            match accepted(&changed) {
                None => refused += 1,
                Some(says) => {
                    assert_eq!(says, said, "byte {at} flipped by {flip}");
                    same += 1;
                }
            }
        }
    }
    assert!(refused > 3 * same && same > 0, "{refused} {same}");
}

#[test]
fn misses_each_field_of_a_signature_by_name() {
    let fields = ["key", "policy", "x-amz-algorithm", "x-amz-credential", "x-amz-date", "x-amz-signature"];
    for missing in fields {
        let verdict = Upload::allowed("").without(missing).verify();
        assert_refused!(verdict, Err(Refusal::Post(PostError::MissingField { name })) if name == missing);
    }
    let bare = fields[1..].iter().fold(Upload::allowed(""), |upload, name| upload.without(name));
    assert_refused!(bare.verify(), Err(Refusal::Post(PostError::Anonymous)));
    let v2 = bare.and("AWSAccessKeyId", "AKIDEXAMPLE").and("signature", "AAAA").and("policy", "e30=");
    assert_refused!(v2.verify(), Err(Refusal::Post(PostError::SignatureV2)));
}

#[test]
fn refuses_a_field_that_comes_twice_in_whatever_spelling() {
    for name in ["key", "KEY", "policy", "X-Amz-Signature"] {
        let verdict = Upload::allowed("").and(name, "x").verify();
        assert_refused!(verdict, Err(Refusal::Post(PostError::RepeatedField { .. })));
    }
}

#[test]
fn refuses_credentials_of_another_form_place_or_day_before_any_key_is_derived() {
    type Test = fn(&CredentialFault) -> bool;
    let table: [(&str, Test); 6] = [
        ("no-slashes", |fault| matches!(fault, CredentialFault::Malformed { .. })),
        ("AKID/2026/us-east-1/s3/aws4_request", |fault| matches!(fault, CredentialFault::Date { .. })),
        ("AKID/20260312/eu-west-1/s3/aws4_request", |fault| matches!(fault, CredentialFault::Region { .. })),
        ("AKID/20260312/us-east-1/ec2/aws4_request", |fault| {
            matches!(fault, CredentialFault::Service { .. })
        }),
        ("AKID/20260312/us-east-1/s3/aws_request", |fault| {
            matches!(fault, CredentialFault::Terminator { .. })
        }),
        ("AKID/20260311/us-east-1/s3/aws4_request", |fault| {
            matches!(fault, CredentialFault::DateMismatch { .. })
        }),
    ];
    for (credential, expected) in table {
        let verdict = Upload::allowed("").with("x-amz-credential", credential).verify();
        assert_refused!(
            verdict,
            Err(Refusal::Post(PostError::Credential { faults, .. })) if expected(&faults[0])
        );
    }
    let upload = Upload::allowed("");
    let verdict = upload.clone().with("x-amz-algorithm", "AWS4-HMAC-SHA1").verify();
    assert_refused!(verdict, Err(Refusal::Post(PostError::Algorithm { .. })));
    let verdict = upload.with("x-amz-date", "2026-03-12T08:15:30Z").verify();
    assert_refused!(verdict, Err(Refusal::Post(PostError::Date { .. })));
}

#[test]
fn the_session_token_is_a_field_like_any_other() {
    let upload =
        Upload::allowed(r#"{"x-amz-security-token": "token/+="}"#).and("X-Amz-Security-Token", "token/+=");
    let form = read([&upload.wire()[..]]).unwrap();
    let endpoint = endpoint();
    let signed = SignedForm::parse(&form, upload.bucket, &endpoint, now()).unwrap();
    assert!(matches!(signed.session_token(), Presented::One(token) if *token == *b"token/+="));
    assert_eq!(outcome(&upload), "ok");
    let verdict = outcome(&Upload::allowed("").and("x-amz-security-token", "added"));
    assert_eq!(verdict, "extra x-amz-security-token");
}

#[test]
fn a_policy_is_good_up_to_its_last_second_and_a_form_may_be_old() {
    let upload = Upload::allowed("");
    for (seconds, good) in [(-7_200, true), (2_670, true), (2_671, false), (90_000, false)] {
        let verdict = Upload { at: now().plus(seconds), ..upload.clone() }.verify();
        match verdict {
            Ok(_) => assert!(good, "{seconds}"),
            Err(Refusal::Post(PostError::PolicyExpired)) => assert!(!good, "{seconds}"),
            Err(other) => panic!("{seconds}: {other:?}"),
        }
    }
}

#[test]
fn conditions_hold_or_fail_as_documented() {
    let field =
        |conditions: &str, name: &str, value: &str| outcome(&Upload::allowed(conditions).and(name, value));
    for (conditions, name, value, expected) in [
        (r#"{"acl": "public-read"}"#, "acl", "public-read", "ok"),
        (r#"{"ACL": "public-read"}"#, "Acl", "public-read", "ok"),
        (r#"{"acl": "public-read"}"#, "acl", "Public-read", r#"["eq", "$acl", "public-read"]"#),
        (r#"["eq", "$acl", "public-read"]"#, "acl", "public-read", "ok"),
        (r#"["eq", "$acl", "public-read"]"#, "acl", "public-read ", r#"["eq", "$acl", "public-read"]"#),
        (r#"["eq","acl","public-read"]"#, "acl", "public-read", r#"["eq", "acl", "public-read"]"#),
        (r#"["starts-with", "$x-amz-meta-path", "a/"]"#, "x-amz-meta-path", "a/b", "ok"),
        (r#"["starts-with", "$x-amz-meta-path", ""]"#, "x-amz-meta-path", "", "ok"),
        (
            r#"["starts-with","$X-Amz-Meta-Path","a/"]"#,
            "x-amz-meta-path",
            "b/a/",
            r#"["starts-with", "$X-Amz-Meta-Path", "a/"]"#,
        ),
        (r#"["starts-with", "$Content-Type", "image/"]"#, "Content-Type", "image/png, image/gif", "ok"),
        (
            r#"["starts-with", "$Content-Type", "image/"]"#,
            "Content-Type",
            "image/png,text/plain",
            r#"["starts-with", "$Content-Type", "image/"]"#,
        ),
        (r#"["starts-with", "$x-amz-meta-list", "a"]"#, "x-amz-meta-list", "a,b", "ok"),
        (r#"["eq", "$x-amz-meta-q", "\"\\\n\u00e9"]"#, "x-amz-meta-q", "\"\\\n\u{e9}", "ok"),
        ("", "x-ignore-anything", "x", "ok"),
        ("", "X-Ignore-Anything", "x", "ok"),
        ("", "acl", "private", "extra acl"),
        ("", "submit", "Upload", "extra submit"),
        (r#"["content-length-range", "1", "10"]"#, "x-ignore-x", "", "ok"),
        (
            r#"["content-length-range", "abc", 10]"#,
            "x-ignore-x",
            "",
            r#"["content-length-range", "abc", 10]"#,
        ),
    ] {
        assert_eq!(field(conditions, name, value), expected, "{conditions} {name}={value}");
    }
}

#[test]
fn a_condition_on_a_field_that_is_not_there_fails() {
    for condition in [r#"["eq", "$acl", ""]"#, r#"["starts-with", "$acl", ""]"#] {
        assert_eq!(outcome(&Upload::allowed(condition)), condition);
    }
}

#[test]
fn bucket_and_key_are_those_of_the_request() {
    let elsewhere = Upload { bucket: "other", ..Upload::allowed("") };
    assert_eq!(outcome(&elsewhere), r#"["eq", "$bucket", "photos"]"#);
    assert_eq!(outcome(&elsewhere.and("bucket", "photos")), r#"["eq", "$bucket", "photos"]"#);
    assert_eq!(outcome(&Upload::allowed("").with("key", "dog.jpg")), r#"["eq", "$key", "cat.jpg"]"#);
    let without = r#"{"key": "cat.jpg"}, ["starts-with", "$x-amz-algorithm", ""],
        ["starts-with", "$x-amz-credential", ""], ["starts-with", "$x-amz-date", ""]"#;
    assert_eq!(outcome(&Upload::under(without)), "extra bucket");
}

#[test]
fn the_name_of_the_file_is_put_in_before_conditions_are_checked() {
    let upload = Upload::under(
        r#"{"bucket": "photos"}, ["eq", "$key", "u/tom.jpg"], ["eq", "$x-amz-meta-name", "tom.jpg tom.jpg"],
        ["starts-with", "$x-amz-algorithm", ""], ["starts-with", "$x-amz-credential", ""],
        ["starts-with", "$x-amz-date", ""]"#,
    );
    let upload = upload.with("key", "u/${filename}").and("x-amz-meta-name", "${filename} ${filename}");
    assert_eq!(upload.verify().unwrap().key(), "u/tom.jpg");
    let unix = Upload { filename: "/home/tom/../jerry.jpg".to_owned(), ..upload.clone() };
    assert_eq!(outcome(&unix), r#"["eq", "$key", "u/tom.jpg"]"#);
    let nameless = Upload { filename: String::new(), ..upload };
    assert_eq!(outcome(&nameless), r#"["eq", "$key", "u/tom.jpg"]"#);
}

#[test]
fn the_name_of_the_file_cannot_blow_a_form_up() {
    let upload = Upload::allowed(r#"["starts-with", "$x-amz-meta-x", ""]"#);
    let upload = upload.and("x-amz-meta-x", &"${filename}".repeat(500));
    let long = Upload { filename: "x".repeat(9_000), ..upload };
    assert_refused!(long.verify(), Err(Refusal::Post(PostError::Form(sigv4::FormError::FieldsTooLong))));
}

#[test]
fn an_object_needs_a_key() {
    let upload = Upload::under(
        r#"{"bucket": "photos"}, ["starts-with", "$key", ""], ["starts-with", "$x-amz-algorithm", ""],
        ["starts-with", "$x-amz-credential", ""], ["starts-with", "$x-amz-date", ""]"#,
    );
    let empty = Upload { filename: String::new(), ..upload.with("key", "${filename}") };
    assert_refused!(empty.verify(), Err(Refusal::Post(PostError::EmptyKey)));
}

#[test]
fn ranges_of_sizes_narrow_each_other() {
    let upload = Upload::allowed(r#"["content-length-range", 0, 30], ["content-length-range", "5", 50]"#);
    for (size, expected) in [(4, "too small"), (5, "ok"), (30, "ok"), (31, "too large")] {
        let verdict = upload.verify().unwrap().file().check_size(size);
        let verdict = match verdict {
            Ok(()) => "ok",
            Err(sigv4::FormError::FileTooSmall { size: found, min: 5 }) if found == size => "too small",
            Err(sigv4::FormError::FileTooLarge { size: found, max: 30 }) if found == size => "too large",
            Err(other) => panic!("{other:?}"),
        };
        assert_eq!(verdict, expected, "{size}");
    }
}

#[test]
fn what_is_no_policy_is_refused_for_what_it_is() {
    let received = |fault: &PolicyFault| match fault {
        PolicyFault::UnexpectedMember { name } | PolicyFault::UnknownOperation { name } => {
            format!("{fault:?}").split(' ').next().unwrap_or_default().to_owned() + ":" + name.as_str()
        }
        PolicyFault::Expiration { value } => format!("Expiration:{}", value.as_str()),
        other => format!("{other:?}"),
    };
    let document =
        |conditions: &str| format!(r#"{{"expiration":"2026-03-12T09:00:00Z","conditions":{conditions}}}"#);
    for (policy, expected) in [
        (" \n ".to_owned(), "Empty"),
        (String::new(), "Empty"),
        ("{\"expiration\":".to_owned(), "Json"),
        ("[]".to_owned(), "Json"),
        ("\"x\"".to_owned(), "Json"),
        (document("[]") + "x", "Json"),
        (document("[]").replace('}', ",\"expiration\":\"2026-03-12T09:00:00Z\"}"), "Json"),
        (document(r#"[{"acl":"a","acl":"b"}]"#), "Json"),
        (document("[[\"content-length-range\", 1.5, 10]]"), "Json"),
        (document("[[\"content-length-range\", -1, 10]]"), "Json"),
        (document("[\"\\ud800\"]"), "Json"),
        (document(&"[".repeat(1_000)), "Json"),
        (document("[]").replace("expiration", "Expiration"), "UnexpectedMember:Expiration"),
        (document("[]").replace('}', ",\"extra\":1}"), "UnexpectedMember:extra"),
        (r#"{"conditions":[]}"#.to_owned(), "MissingExpiration"),
        (document("[]").replace("2026-03-12T09:00:00Z", "tomorrow"), "Expiration:tomorrow"),
        (document("[]").replace("00Z", "00+00:00"), "Expiration:2026-03-12T09:00:00+00:00"),
        (document("[]").replace("\"2026-03-12T09:00:00Z\"", "1"), "Expiration:"),
        (r#"{"expiration":"2026-03-12T09:00:00Z"}"#.to_owned(), "MissingConditions"),
        (document("{}"), "ConditionsNotAList"),
        (document("[1]"), "ConditionType"),
        (document("[null]"), "ConditionType"),
        (document("[\"eq\"]"), "ConditionType"),
        (document("[{}]"), "PropertyCount"),
        (document(r#"[{"acl":"a","key":"b"}]"#), "PropertyCount"),
        (document(r#"[{"acl":1}]"#), "NotAString { condition: \"Simple-Condition\" }"),
        (document("[[]]"), "MissingOperation"),
        (document("[[1,2,3]]"), "MissingOperation"),
        (document(r#"[["ne","$key","a"]]"#), "UnknownOperation:ne"),
        (document(r#"[["EQ","$key","a"]]"#), "UnknownOperation:EQ"),
        (document(r#"[["eq","$key"]]"#), "ArgumentCount { operation: \"eq\" }"),
        (document(r#"[["starts-with","$key","a","b"]]"#), "ArgumentCount { operation: \"starts-with\" }"),
        (
            document(r#"[["content-length-range",1]]"#),
            "ArgumentCount { operation: \"content-length-range\" }",
        ),
        (document(r#"[["eq","$key",1]]"#), "NotAString { condition: \"eq\" }"),
    ] {
        match Upload::with_policy(&policy).verify() {
            Err(Refusal::Post(PostError::Policy(fault))) => {
                assert_eq!(received(&fault), expected, "{policy}")
            }
            other => panic!("{policy}: {other:?}"),
        }
    }
}

#[test]
fn neither_values_nor_policies_are_printed() {
    let upload = Upload::allowed("").and("x-amz-security-token", "canary");
    let form = read([&upload.wire()[..]]).unwrap();
    let mismatch = upload.clone().with("x-amz-signature", "canary").verify();
    let printed = format!("{form:?} {mismatch:?} {:?}", Upload::allowed("").verify());
    for secret in ["canary", upload.value("policy"), upload.value("x-amz-signature")] {
        assert!(!printed.contains(secret), "{printed}");
    }
}
