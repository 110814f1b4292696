//! No text makes the policy parser panic, no policy that it takes makes an evaluation panic, and no policy that has no
//! `Allow` allows anything.
//!
//! The input is up to three texts with a zero byte between them: a policy document, the resource that is asked for, and
//! a value that the context holds under several keys.
//!
//! Seeds: `tests/policy/seeds.py fuzz/corpus/policy`, from `proxy/`.

#![no_main]

use std::sync::Arc;

use libfuzzer_sys::fuzz_target;
use sigward::clock::UnixMillis;
use sigward::iam::policy::{
    Context, Decision, Grammar, Identity, Layers, Name, Policy, Request, Requester, TagFamily, Tags, Value,
    evaluate,
};

const ACCOUNT: &str = "123456789012";
const REQUESTERS: [Requester<'_>; 4] = [
    Requester::User { account: ACCOUNT, arn: "arn:aws:iam::123456789012:user/alice", id: "AIDAALICE" },
    Requester::Role {
        account: ACCOUNT,
        session: "arn:aws:sts::123456789012:assumed-role/reader/build-17",
        role: Some("arn:aws:iam::123456789012:role/reader"),
        id: "AROAREADER:build-17",
    },
    Requester::Provider { name: "arn:aws:iam::123456789012:oidc-provider/issuer.example.com" },
    Requester::Anonymous,
];

fn context<'a>(value: &'a str, pairs: &'a [(&'a str, &'a str)], several: &'a [&'a str]) -> Context<'a> {
    let mut context = Context::default();
    for name in [Name::UserName, Name::S3Prefix, Name::SourceArn, Name::S3MaxKeys, Name::Referer] {
        context.set(name, Value::Text(value));
    }
    context.set(Name::CurrentTime, Value::Time(UnixMillis(1_767_323_045_000)));
    context.set(Name::SecureTransport, Value::Flag(true));
    context.set(Name::StsTransitiveTagKeys, Value::Texts(several));
    context.set(Name::SourceIp, value.parse().ok().map(Value::Address));
    context.set_tags(TagFamily::Principal, Tags::Pairs(pairs));
    context.set_tags(TagFamily::Request, Tags::Pairs(pairs));
    context
}

fuzz_target!(|input: &str| {
    let mut texts = input.splitn(3, '\0');
    let [document, resource, value] = std::array::from_fn(|_| texts.next().unwrap_or("arn:aws:s3:::b/k"));
    let (pairs, several) = ([("team", value), (value, "x")], [value, "team"]);
    let context = context(value, &pairs, &several);
    for grammar in [Grammar::Identity, Grammar::Trust, Grammar::Resource] {
        let Ok(policy) = Policy::parse("fuzz", grammar, document) else { continue };
        let policy = Arc::new(policy);
        let own = [Arc::clone(&policy)];
        for requester in REQUESTERS {
            for action in ["s3:GetObject", "sts:AssumeRole", "sts:AssumeRoleWithWebIdentity", value] {
                let request =
                    Request { requester, action, resource, resource_account: ACCOUNT, context: &context };
                let layers = match grammar {
                    Grammar::Identity => Layers {
                        identity: Identity::Policies(&own),
                        boundary: Some(&policy),
                        session: Some(&own),
                        resource: None,
                    },
                    Grammar::Trust | Grammar::Resource => Layers {
                        identity: Identity::Policies(&[]),
                        boundary: None,
                        session: None,
                        resource: Some(&policy),
                    },
                };
                if let Decision::Allow(_) = evaluate(&request, &layers) {
                    assert!(document.contains("Allow") || document.contains('\\'), "allowed by nothing");
                }
            }
        }
    }
});
