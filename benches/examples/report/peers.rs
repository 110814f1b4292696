//! Other verifiers from crates.io, on the same requests, signed now because some of them read the clock.
//!
//! Each is given what it needs beforehand: the request as it wants it and, where it can take one, the derived key. The
//! whole `s3s` service is measured with a storage that does nothing, and what the same service takes for the same
//! request when it is not to authenticate anybody is taken off.

use std::future::{Future, ready};
use std::pin::pin;
use std::task::{Context, Poll, Waker};

use chrono::Utc;
use http::Request;
use rustack_auth::StaticCredentialProvider;
use rustack_auth::presigned::verify_presigned;
use rustack_auth::sigv4::{hash_payload, verify_s3_sigv4};
use s3s::auth::SimpleAuth;
use s3s::dto::{GetObjectInput, GetObjectOutput};
use s3s::service::{S3Service, S3ServiceBuilder};
use s3s::{S3, S3Request, S3Response, S3Result};
use scratchstack_aws_principal::User;
use scratchstack_aws_signature::{
    GetSigningKeyRequest, GetSigningKeyResponse, KSecretKey, NO_ADDITIONAL_SIGNED_HEADERS, SignatureOptions,
    service_for_signing_key_fn, sigv4_validate_request,
};
use sigv4::Timestamp;
use sigward_benches::head::{ACCESS_KEY_ID, Case, REGION, SECRET_ACCESS_KEY};
use sigward_benches::measure::{best_of, in_turns, time};

const ROUNDS: usize = 1_000;
const RUNS: usize = 8;

pub(crate) fn compare() {
    println!("### Peers: how many times as long as Sigward they take\n");
    println!(
        "| case | scratchstack-aws-signature, key kept | rustack-auth | s3s, less what is not authentication |"
    );
    println!("|---|---|---|---|");
    let now = Timestamp::from_unix(Utc::now().timestamp());
    let (signed, unsigned) = (s3s_service(true), s3s_service(false));
    for case in Case::hot(now) {
        let mut ours = || time(RUNS as u32, || case.verify());
        let scratchstack = match case.is_presigned() {
            false => format!("{:.1}", in_turns(ROUNDS, &mut ours, || scratchstack(&case, now)).ratio),
            // It does not decode the credential.
            true => "refuses it".to_owned(),
        };
        let mut whole = || s3s(&signed, || case.request(s3s::Body::empty()));
        let mut rest = || s3s(&unsigned, || case.unsigned().request(s3s::Body::empty()));
        let turns = best_of(ROUNDS, [&mut ours, &mut || rustack(&case), &mut whole, &mut rest]);
        let [ours, rustack, whole, rest] = turns;
        let (rustack, s3s) = (rustack / ours, (whole - rest) / ours);
        println!("| {} | {scratchstack} | {rustack:.1} | {s3s:.1} |", case.name);
    }
    println!();
}

/// Nanoseconds that `run` takes for one of several inputs, which are made before.
fn time_of<I>(mut make: impl FnMut() -> I, mut run: impl FnMut(I)) -> f64 {
    let mut inputs: Vec<I> = (0..RUNS).map(|_| make()).collect();
    time(RUNS as u32, || run(inputs.pop().expect("there is one for each run")))
}

fn scratchstack(case: &Case, now: Timestamp) -> f64 {
    let today = chrono::DateTime::from_timestamp(now.unix(), 0).expect("the time is near").date_naive();
    let secret: KSecretKey = SECRET_ACCESS_KEY.parse().expect("the secret is of the usual length");
    let key = secret.to_ksigning(today, REGION, "s3");
    let principal = User::new("aws", "123456789012", "/", "user").expect("the user is well-formed");
    let response = GetSigningKeyResponse::builder().principal(principal).signing_key(key).build();
    let response = response.expect("nothing is missing");
    let kept = move |_: GetSigningKeyRequest| ready(Ok(response.clone()));
    let mut keys = service_for_signing_key_fn(kept);
    time_of(
        || case.request(()),
        |request| {
            let verdict = sigv4_validate_request(
                request,
                REGION,
                "s3",
                &mut keys,
                Utc::now(),
                &NO_ADDITIONAL_SIGNED_HEADERS,
                SignatureOptions::S3,
            );
            completed(verdict).expect("the request is signed");
        },
    )
}

fn rustack(case: &Case) -> f64 {
    let keys = StaticCredentialProvider::new([(ACCESS_KEY_ID.to_owned(), SECRET_ACCESS_KEY.to_owned())]);
    let empty = hash_payload(b"");
    let presigned = case.is_presigned();
    time_of(
        || case.request(()).into_parts().0,
        |parts| {
            let verdict = if presigned {
                verify_presigned(&parts, &keys)
            } else {
                verify_s3_sigv4(&parts, &empty, &keys)
            };
            verdict.expect("the request is signed");
        },
    )
}

/// A storage whose every object is empty.
struct Nothing;

#[async_trait::async_trait]
impl S3 for Nothing {
    async fn get_object(&self, _: S3Request<GetObjectInput>) -> S3Result<S3Response<GetObjectOutput>> {
        Ok(S3Response::new(GetObjectOutput::default()))
    }
}

fn s3s_service(authenticates: bool) -> S3Service {
    let mut builder = S3ServiceBuilder::new(Nothing);
    if authenticates {
        builder.set_auth(SimpleAuth::from_single(ACCESS_KEY_ID, SECRET_ACCESS_KEY));
    }
    builder.build()
}

fn s3s(service: &S3Service, request: impl Fn() -> Request<s3s::Body>) -> f64 {
    time_of(request, |request| {
        let answer = completed(service.call(request)).expect("the service answers");
        assert!(answer.status().is_success(), "s3s: {}", answer.status());
    })
}

/// What a future that waits for nothing comes to.
fn completed<F: Future>(future: F) -> F::Output {
    match pin!(future).poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(output) => output,
        Poll::Pending => unreachable!("nothing here waits"),
    }
}
