//! What tells one signed request from another, so that a request can be known again.

use std::fmt;

use ring::digest;

/// The name of a verified request: two requests have the same one exactly if the same key signed the same head at the
/// same second. Whoever repeats a request cannot change it.
///
/// It is good for comparing and for nothing else: nothing prints it, nothing reads it.
///
/// ```
/// # use sigv4::*;
/// fn is_repeated(request: &Verified, earlier: &[ReplayKey]) -> bool {
///     request.replay_key().is_some_and(|key| earlier.contains(&key))
/// }
/// ```
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct ReplayKey([u8; 32]);

impl ReplayKey {
    /// An HMAC is a function of what it signs: it serves as it is.
    #[inline]
    pub(crate) fn of_hmac(signature: [u8; 32]) -> Self {
        Self(signature)
    }

    /// One of `n` places, at least one, over which requests spread evenly.
    pub fn spread(&self, n: usize) -> usize {
        usize::from(u16::from_be_bytes([self.0[0], self.0[1]])) % n
    }

    /// There are many ECDSA signatures of a string, and whoever has one can make another of it without the key. So
    /// the name is what was signed, and by whom.
    pub(crate) fn of_ecdsa(string_to_sign: &[u8], access_key_id: &str) -> Self {
        let mut context = digest::Context::new(&digest::SHA256);
        context.update(string_to_sign);
        context.update(access_key_id.as_bytes());
        Self(context.finish().as_ref().try_into().expect("SHA-256 has 32 bytes"))
    }
}

impl fmt::Debug for ReplayKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ReplayKey(***)")
    }
}
