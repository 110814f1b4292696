//! What is let in, what is not, and what a reload leaves.

use std::num::NonZeroU32;

use super::*;
use crate::auth::AuthError;

const HERE: IpAddr = IpAddr::V4(std::net::Ipv4Addr::LOCALHOST);

/// So many an hour: no token comes back while a test runs.
fn rate(count: u32) -> Option<Rate> {
    let count = NonZeroU32::new(count).unwrap();
    Some(Rate { count, per: Duration::from_secs(3600), burst: count })
}

fn admission(settings: config::Limits) -> (Admission, Metrics) {
    let metrics = Metrics::new();
    (Admission::new(settings, &metrics), metrics)
}

fn limit<T>(result: Result<T, Refused>) -> Option<Limit> {
    result.err().map(|refused| refused.limit)
}

#[test]
fn a_place_is_free_again_when_its_request_is_over() {
    let (admission, metrics) =
        admission(config::Limits { max_requests_in_flight: 2, ..config::Limits::default() });
    let first = admission.enter(HERE).unwrap();
    let _second = admission.enter(HERE).unwrap();
    for _ in 0..3 {
        let refused = admission.enter(HERE).unwrap_err();
        assert_eq!(refused, Refused { limit: Limit::RequestsInFlight, retry_after: Some(1) });
        assert_eq!((refused.fault().status.as_u16(), refused.fault().code), (503, "SlowDown"));
        assert_eq!(refused.sts_fault().code, "Throttling");
    }
    drop(first);
    let _third = admission.enter(HERE).unwrap();
    let metrics = String::from_utf8(metrics.render()).unwrap();
    assert!(metrics.contains("sigward_limited_total{limit=\"requests_in_flight\"} 3"), "{metrics}");
}

#[test]
fn an_ipv6_subscriber_has_one_address() {
    let settings = config::Limits { requests_per_address: rate(1), ..config::Limits::default() };
    let (admission, _) = admission(settings);
    for (address, refused) in [
        ("2001:db8:1:2::1", None),
        ("2001:db8:1:2:ffff::9", Some(Limit::Address)),
        ("2001:db8:1:3::1", None),
        ("192.0.2.1", None),
        ("192.0.2.2", None),
        ("::ffff:192.0.2.1", Some(Limit::Address)),
    ] {
        assert_eq!(limit(admission.enter(address.parse().unwrap())), refused, "{address}");
    }
}

#[test]
fn who_fails_too_often_is_not_looked_at_and_who_works_beside_is() {
    let settings = config::Limits { failures_per_address: rate(3), ..config::Limits::default() };
    let (admission, _) = admission(settings);
    let unknown = AuthError::UnknownAccessKey("AKIAGUESS".into());
    admission.succeeded(HERE, "AKIAGOOD");
    for _ in 0..3 {
        admission.may_try(HERE, Some("AKIAGUESS")).unwrap();
        admission.failed(HERE, &unknown);
    }
    assert_eq!(limit(admission.may_try(HERE, Some("AKIAGUESS"))), Some(Limit::Failures));
    assert_eq!(limit(admission.may_try(HERE, None)), Some(Limit::Failures), "a form");
    admission.may_try(HERE, Some("AKIAGOOD")).unwrap();
    let elsewhere = "192.0.2.1".parse().unwrap();
    admission.may_try(elsewhere, Some("AKIAGUESS")).unwrap();
}

#[test]
fn what_costs_nothing_to_refuse_is_no_failure() {
    let settings = config::Limits { failures_per_address: rate(1), ..config::Limits::default() };
    let (admission, _) = admission(settings);
    for error in [AuthError::ExpiredToken, AuthError::Parse(sigv4::ParseError::Anonymous)] {
        admission.failed(HERE, &error);
    }
    admission.may_try(HERE, None).unwrap();
}

#[test]
fn a_reload_keeps_what_stays_and_begins_what_changes_anew() {
    let settings = config::Limits {
        requests_per_address: rate(1),
        unsigned_sts_per_address: rate(1),
        ..config::Limits::default()
    };
    let (admission, _) = admission(settings.clone());
    let ticket = admission.enter(HERE).unwrap();
    admission.unsigned_sts(HERE).unwrap();
    admission.reload(config::Limits {
        unsigned_sts_per_address: rate(2),
        max_requests_in_flight: 1,
        ..settings
    });
    admission.unsigned_sts(HERE).unwrap();
    assert_eq!(limit(admission.enter(HERE)), Some(Limit::RequestsInFlight));
    drop(ticket);
    assert_eq!(limit(admission.enter(HERE)), Some(Limit::Address));
    admission.reload(config::Limits::default());
    admission.enter(HERE).map(drop).unwrap();
}
