//! s
use sigv4::ParseError;
/// The answer AWS gives to a head that cannot be parsed.
pub fn parse_fault(_e: &ParseError, _d: sigv4::Dialect) -> super::Fault {
    todo!()
}
/// The answer AWS gives to a head that does not verify.
pub fn verify_fault(_e: &sigv4::VerifyError, _d: sigv4::Dialect, _access_key_id: &str) -> super::Fault {
    todo!()
}
