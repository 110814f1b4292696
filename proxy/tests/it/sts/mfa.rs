//! Second factors: codes of a device, and what sessions that were asked for with one may do.

use ring::hmac;

use super::roles::{assume, trusting};
use super::*;

const SEED: &str = "GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ";
const ALICE: &str = r#"{"AWS":"arn:aws:iam::123456789012:user/alice"}"#;

/// The code that the device shows at `now`.
fn shown(now: UnixMillis) -> String {
    let key = hmac::Key::new(hmac::HMAC_SHA1_FOR_LEGACY_USE_ONLY, b"12345678901234567890");
    let tag = hmac::sign(&key, &(now.0 / 30_000).to_be_bytes());
    let tag = tag.as_ref();
    let at = usize::from(tag[19] & 0xf);
    let number = u32::from_be_bytes(tag[at..at + 4].try_into().unwrap()) & 0x7fff_ffff;
    format!("{:06}", number % 1_000_000)
}

fn with_code(form: &str, code: &str) -> String {
    format!("{form}&SerialNumber=arn%3Aaws%3Aiam%3A%3A123456789012%3Amfa%2Falice&TokenCode={code}")
}

/// The role reader asks for `condition`.
async fn world(condition: &str) -> World {
    let device =
        "[[mfa_devices]]\nserial_number = \"arn:aws:iam::123456789012:mfa/alice\"\nsecret_file = \"seed\"\n";
    let condition = format!(r#","Condition":{{{condition}}}"#);
    World::declared(&[
        ("users/alice/user.toml", device),
        ("users/alice/seed", SEED),
        ("roles/reader/trust.json", &trusting(ALICE, r#""sts:AssumeRole""#, &condition)),
    ])
    .await
}

const PRESENT: &str = r#""Bool":{"aws:MultiFactorAuthPresent":"true"}"#;

async fn as_alice(world: &World, form: &str, now: UnixMillis) -> Response<Bytes> {
    let alice = Signatory::long_term("AKIAALICE");
    world.ask(&alice.post("sts", form, now), form, now).await
}

#[tokio::test]
async fn a_code_proves_a_second_factor_once() {
    let world = world(PRESENT).await;
    let form = with_code(SESSION, &shown(NOW));
    assert_eq!(as_alice(&world, &form, NOW).await.status(), 200);
    let message = "MultiFactorAuthentication failed with invalid MFA one time pass code.";
    for now in [NOW, NOW.plus(30_000)] {
        let again = as_alice(&world, &form, now).await;
        assert_eq!(error(&again), (403, "AccessDenied".into(), message.into()));
    }
    let earlier = with_code(SESSION, &shown(NOW.plus(-30_000)));
    assert_eq!(error(&as_alice(&world, &earlier, NOW).await).2, message, "older than one that was used");
    let role = with_code(&assume("reader", "s1"), &shown(NOW));
    assert_eq!(error(&as_alice(&world, &role, NOW).await).2, message, "used for another operation");
    let next = with_code(SESSION, &shown(NOW.plus(30_000)));
    assert_eq!(as_alice(&world, &next, NOW).await.status(), 200, "a clock may be a step ahead");
}

#[tokio::test]
async fn a_role_that_asks_for_a_second_factor_gets_one() {
    let world = world(PRESENT).await;
    let plain = as_alice(&world, &assume("reader", "s1"), NOW).await;
    assert_eq!(code(&plain), refused(403, "AccessDenied"));
    let form = with_code(&assume("reader", "s1"), &shown(NOW));
    assert_eq!(as_alice(&world, &form, NOW).await.status(), 200);
}

#[tokio::test]
async fn a_session_of_a_user_carries_the_second_factor_along() {
    let world = world(PRESENT).await;
    let without = Signatory::from_answer(&as_alice(&world, SESSION, NOW).await);
    let form = assume("reader", "s1");
    assert_eq!(code(&world.post(&without, &form).await), refused(403, "AccessDenied"));
    let with = with_code(SESSION, &shown(NOW));
    let with = Signatory::from_answer(&as_alice(&world, &with, NOW).await);
    assert_eq!(world.post(&with, &form).await.status(), 200);
}

#[tokio::test]
async fn a_second_factor_ages() {
    let world = world(r#""NumericLessThan":{"aws:MultiFactorAuthAge":"240"}"#).await;
    let with = with_code(SESSION, &shown(NOW));
    let session = Signatory::from_answer(&as_alice(&world, &with, NOW).await);
    let form = assume("reader", "s1");
    for (age, granted) in [(0, true), (239_999, true), (240_000, false)] {
        let now = NOW.plus(age);
        let status = world.ask(&session.post("sts", &form, now), &form, now).await.status();
        assert_eq!(status == 200, granted, "{age}");
    }
}

#[tokio::test]
async fn who_guesses_codes_is_made_to_wait() {
    let world = world(PRESENT).await;
    let guess = |now: UnixMillis| {
        let right = shown(now).parse::<u32>().unwrap();
        with_code(SESSION, &format!("{:06}", (right + 500_000) % 1_000_000))
    };
    for _ in 0..5 {
        assert_eq!(code(&as_alice(&world, &guess(NOW), NOW).await), refused(403, "AccessDenied"));
    }
    let proved = |now: UnixMillis| with_code(SESSION, &shown(now));
    let message = "MultiFactorAuthentication failed with invalid MFA one time pass code.";
    for after in [0, 29_999] {
        let now = NOW.plus(after);
        assert_eq!(error(&as_alice(&world, &proved(now), now).await).2, message, "{after} ms after");
    }
    let now = NOW.plus(30_000);
    as_alice(&world, &guess(now), now).await;
    let now = now.plus(59_999);
    assert_eq!(error(&as_alice(&world, &proved(now), now).await).2, message, "longer with every guess");
    let now = now.plus(1);
    assert_eq!(as_alice(&world, &proved(now), now).await.status(), 200);
    let now = now.plus(30_000);
    as_alice(&world, &guess(now), now).await;
    assert_eq!(as_alice(&world, &proved(now), now).await.status(), 200, "forgiven");
}
