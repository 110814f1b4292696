//! e
/// e
#[derive(Debug, thiserror::Error)]
pub enum ParseError {
    /// x
    #[error("x")]
    Anonymous,
}
/// e
#[derive(Debug, thiserror::Error)]
pub enum VerifyError {
    /// x
    #[error("x")]
    SignatureMismatch(Box<Explanation>),
}
/// x
#[derive(Debug)]
pub struct Explanation {}
/// x
#[derive(Debug)]
pub enum CredentialFault {}
/// x
#[derive(Debug, thiserror::Error)]
pub enum SignError {
    /// x
    #[error("x")]
    X,
}
