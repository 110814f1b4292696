//! The policy engine against decisions of another implementation, and against itself.
//!
//! `proxy/tests/policy/corpus.jsonl` holds generated requests with the verdicts of `@cloud-copilot/iam-simulate`;
//! `generate.mjs` beside it writes them anew, and the interop suite does so where node is. `disputed.json` has the
//! classes of cases in which the simulator and AWS's documentation part, and the documentation.

use std::fs;
use std::net::IpAddr;
use std::path::Path;
use std::sync::Arc;

use serde::Deserialize;
use serde_json::value::RawValue;
use sigward::clock::UnixMillis;
use sigward::iam::policy::{
    Context, Decision, Grammar, Identity, Layers, Name, Policy, Request, Requester, TagFamily, Tags, Value,
    evaluate,
};

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Case {
    who: Who,
    action: String,
    resource: String,
    context: serde_json::Map<String, serde_json::Value>,
    identity: Option<Vec<Box<RawValue>>>,
    boundary: Option<Box<RawValue>>,
    session: Option<Vec<Box<RawValue>>>,
    trust: Option<Box<RawValue>>,
    bucket: Option<Box<RawValue>>,
    verdict: Option<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Who {
    kind: String,
    account: Option<String>,
    name: Option<String>,
}

/// [`Who`], spelt out.
#[derive(Default)]
struct Person {
    account: String,
    arn: String,
    issuer: String,
    id: String,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Dispute {
    /// What the class is about.
    about: String,
    /// The page of AWS's documentation that sides with us.
    source: String,
    /// What the simulator answers.
    simulator: String,
    /// What AWS documents.
    documented: String,
    case: Case,
}

/// The account of every resource in the corpus.
const HOME: &str = "123456789012";

fn file(name: &str) -> String {
    fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/policy").join(name)).unwrap()
}

impl Who {
    fn person(&self) -> Person {
        let [account, name] = [&self.account, &self.name].map(|text| text.clone().unwrap_or_default());
        let (role, session) = name.split_once('/').unwrap_or((&name, ""));
        let (arn, issuer, id) = match self.kind.as_str() {
            "user" => {
                let id = format!("AIDA{}", name.to_uppercase());
                (format!("arn:aws:iam::{account}:user/{name}"), String::new(), id)
            }
            "role" => {
                let id = format!("AROA{}:{session}", role.to_uppercase());
                let issuer = format!("arn:aws:iam::{account}:role/{role}");
                (format!("arn:aws:sts::{account}:assumed-role/{name}"), issuer, id)
            }
            "federated" => {
                let issuer = format!("arn:aws:iam::{account}:user/{name}");
                let id = format!("{account}:{name}");
                (format!("arn:aws:sts::{account}:federated-user/{name}"), issuer, id)
            }
            _ => (name, String::new(), String::new()),
        };
        Person { account, arn, issuer, id }
    }

    fn requester<'a>(&self, person: &'a Person) -> Requester<'a> {
        let Person { account, arn, issuer, id } = person;
        match self.kind.as_str() {
            "user" => Requester::User { account, arn, id },
            "role" => Requester::Role { account, session: arn, role: Some(issuer), id },
            "federated" => Requester::Federated { account, session: arn, user: Some(issuer) },
            "provider" => Requester::Provider { name: arn },
            "service" => Requester::Service { name: arn },
            "anonymous" => Requester::Anonymous,
            other => panic!("{other} asks"),
        }
    }
}

/// A context in the shape that requests have: times, numbers and addresses typed where they are in the gateway.
#[derive(Default)]
struct Known {
    texts: Vec<(String, String)>,
    lists: Vec<(String, Vec<String>)>,
}

impl Known {
    fn of(json: &serde_json::Map<String, serde_json::Value>) -> Self {
        let mut known = Self::default();
        for (key, value) in json {
            match value {
                serde_json::Value::String(text) => known.texts.push((key.clone(), text.clone())),
                serde_json::Value::Array(items) => {
                    let items = items.iter().map(|item| item.as_str().unwrap().to_owned());
                    known.lists.push((key.clone(), items.collect()));
                }
                other => panic!("{key} is {other}"),
            }
        }
        known
    }

    fn values(&self) -> Vec<(&str, Value<'_>)> {
        let texts = self.texts.iter().map(|(key, text)| (key.as_str(), typed(key, text)));
        let lists = self.lists.iter().map(|(key, items)| (key.as_str(), Value::Strings(items)));
        texts.chain(lists).collect()
    }

    fn tags<'a>(&'a self, prefix: &str) -> Vec<(&'a str, &'a str)> {
        let tag = |(key, value): &'a (String, String)| Some((key.strip_prefix(prefix)?, value.as_str()));
        self.texts.iter().filter_map(tag).collect()
    }
}

fn typed<'a>(key: &str, text: &'a str) -> Value<'a> {
    match key {
        "aws:CurrentTime" | "aws:TokenIssueTime" => Value::Time(UnixMillis::parse_rfc3339(text).unwrap()),
        "aws:EpochTime" | "s3:max-keys" | "s3:signatureAge" | "aws:MultiFactorAuthAge" => {
            Value::Number(text.parse().unwrap())
        }
        "aws:SecureTransport" | "aws:MultiFactorAuthPresent" => Value::Flag(text == "true"),
        "aws:SourceIp" => Value::Address(text.parse::<IpAddr>().unwrap()),
        _ => Value::Text(text),
    }
}

fn policies(grammar: Grammar, documents: &[Box<RawValue>]) -> Vec<Arc<Policy>> {
    documents.iter().map(|document| Arc::new(Policy::parse("", grammar, document.get()).unwrap())).collect()
}

/// Evaluates a case with this engine, and hands over the decision in short.
fn decide(case: &Case) -> &'static str {
    with_engine(case, |request, layers| match evaluate(request, layers) {
        Decision::Allow(_) => "allow",
        Decision::ExplicitDeny(_) => "deny",
        Decision::ImplicitDeny(_) => "nothing",
    })
}

/// Hands a case over as the engine sees it.
fn with_engine<T>(case: &Case, run: impl FnOnce(&Request<'_>, &Layers<'_>) -> T) -> T {
    let known = Known::of(&case.context);
    let values = known.values();
    let families = [
        (TagFamily::Principal, known.tags("aws:PrincipalTag/")),
        (TagFamily::Request, known.tags("aws:RequestTag/")),
        (TagFamily::Resource, known.tags("aws:ResourceTag/")),
    ];
    let mut context = Context::default();
    for (key, value) in &values {
        if let Some(name) = Name::ALL.iter().find(|name| name.as_str() == *key) {
            context.set(*name, *value);
        }
    }
    for (family, tags) in &families {
        context.set_tags(*family, Tags::Pairs(tags));
    }
    context.set_others(&values);
    let identity = policies(Grammar::Identity, case.identity.as_deref().unwrap_or_default());
    let boundary = case.boundary.as_ref().map(std::slice::from_ref);
    let boundary = policies(Grammar::Identity, boundary.unwrap_or_default());
    let session = case.session.as_ref().map(|documents| policies(Grammar::Identity, documents));
    let trust = case.trust.as_ref().map(std::slice::from_ref);
    let mut resource = policies(Grammar::Trust, trust.unwrap_or_default());
    let bucket = case.bucket.as_ref().map(std::slice::from_ref);
    resource.extend(policies(Grammar::Resource, bucket.unwrap_or_default()));
    let person = case.who.person();
    let layers = Layers {
        identity: Identity::Policies(&identity),
        boundary: boundary.first().map(AsRef::as_ref),
        session: session.as_deref(),
        resource: resource.first().map(AsRef::as_ref),
    };
    let request = Request {
        requester: case.who.requester(&person),
        action: &case.action,
        resource: &case.resource,
        resource_account: HOME,
        context: &context,
    };
    run(&request, &layers)
}

fn corpus() -> Vec<(String, Case)> {
    let case = |line: &str| {
        let case = serde_json::from_str(line).unwrap_or_else(|error| panic!("{error}: {line}"));
        (line.to_owned(), case)
    };
    file("corpus.jsonl").lines().map(case).collect()
}

#[test]
fn decides_as_the_simulator_on_the_whole_corpus() {
    let corpus = corpus();
    let mut wrong = Vec::new();
    for (line, case) in &corpus {
        let (ours, theirs) = (decide(case), case.verdict.as_deref().unwrap());
        if ours != theirs {
            wrong.push(format!("we say {ours}, the simulator {theirs}: {line}"));
        }
    }
    assert!(corpus.len() >= 2000, "the corpus shrank");
    assert!(wrong.is_empty(), "{} decisions differ:\n{}", wrong.len(), wrong.join("\n"));
}

#[test]
fn deciding_allocates_nothing() {
    for (line, case) in corpus() {
        let allocated = with_engine(&case, |request, layers| {
            allocation_counter::measure(|| {
                let _ = std::hint::black_box(evaluate(request, layers));
            })
        });
        assert_eq!(allocated.count_total, 0, "{line}");
    }
}

#[test]
fn sides_with_the_documentation_where_the_simulator_does_not() {
    let disputes: Vec<Dispute> = serde_json::from_str(&file("disputed.json")).unwrap();
    for Dispute { about, source, simulator, documented, case } in disputes {
        assert!(source.starts_with("https://docs.aws.amazon.com/"), "{about}");
        assert_ne!(simulator, documented, "{about} is no dispute");
        assert_eq!(decide(&case), documented, "{about}");
    }
}
