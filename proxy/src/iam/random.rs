//! Identifiers and secrets out of the system's random numbers, in the shapes that AWS gives its own.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use ring::rand::{SecureRandom, SystemRandom};
use zeroize::Zeroizing;

use super::AccessKeyId;

/// The system has no random numbers: nothing can be issued.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the system has no random numbers")]
pub struct NoRandomNumbers;

/// Bytes nobody can guess, wiped when dropped.
pub fn random_bytes<const N: usize>() -> Result<Zeroizing<[u8; N]>, NoRandomNumbers> {
    let mut bytes = Zeroizing::new([0; N]);
    SystemRandom::new().fill(&mut *bytes).map_err(|_| NoRandomNumbers)?;
    Ok(bytes)
}

/// Thirty-two characters of base 32, 160 bits: an id that is never drawn twice.
pub fn random_id() -> Result<String, NoRandomNumbers> {
    Ok(base32(&*random_bytes::<20>()?))
}

/// A prefix of four characters, such as `AKIA` or `ASIA`, and sixteen of base 32.
///
/// Source: <https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_identifiers.html>
pub fn random_access_key_id(prefix: &str) -> Result<AccessKeyId, NoRandomNumbers> {
    let id = format!("{prefix}{}", base32(&*random_bytes::<10>()?));
    Ok(AccessKeyId::parse(&id).expect("a prefix of letters and base32 are legal characters"))
}

/// Forty characters of base 64, 240 bits, wiped when dropped.
pub fn random_secret_access_key() -> Result<Zeroizing<String>, NoRandomNumbers> {
    Ok(Zeroizing::new(STANDARD.encode(*random_bytes::<30>()?)))
}

/// Eight characters for every five bytes, as in RFC 4648; a shorter rest is dropped.
fn base32(bytes: &[u8]) -> String {
    const ALPHABET: &[u8; 32] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZ234567";
    let quanta = bytes.as_chunks::<5>().0.iter();
    quanta
        .flat_map(|quantum| {
            let bits = quantum.iter().fold(0_u64, |bits, &byte| bits << 8 | u64::from(byte));
            (0..8).rev().map(move |place| char::from(ALPHABET[(bits >> (5 * place) & 31) as usize]))
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn base32_is_that_of_rfc_4648() {
        assert_eq!(base32(b"fooba"), "MZXW6YTB");
        assert_eq!(base32(b"foobafooba"), "MZXW6YTBMZXW6YTB");
    }

    #[test]
    fn access_keys_have_the_shape_of_aws_and_never_repeat() {
        let (id, secret) = (random_access_key_id("AKIA").unwrap(), random_secret_access_key().unwrap());
        assert!(id.as_str().starts_with("AKIA") && id.as_str().len() == 20, "{id}");
        assert_eq!(secret.len(), 40);
        assert_ne!(id, random_access_key_id("AKIA").unwrap());
        assert_ne!(secret, random_secret_access_key().unwrap());
    }
}
