//! p
/// The answer AWS gives to a body that is not what was signed.
pub fn payload_fault(_e: &sigv4::PayloadError) -> super::Fault {
    todo!()
}
