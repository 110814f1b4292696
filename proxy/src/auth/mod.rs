//! Who is asking, and may they: `SignedRequest` becomes `Authenticated`, `Authenticated` becomes `Permitted`.

mod authenticate;

pub use authenticate::{AuthError, Authenticated, authenticate, authenticate_with};
