//! Who is asking, and may they: `SignedRequest` becomes [`Authenticated`], [`Authenticated`] becomes [`Permitted`].

mod anonymous;
mod authenticate;
mod authorize;
mod circumstances;
mod fault;
mod standing;

pub use anonymous::{NotForEverybody, SIGNATURE_PARAMETERS, Unsigned, unsigned};
pub use authenticate::{
    Arrival, AuthError, Authenticated, FormAuthError, authenticate_form, authenticate_with, look_up, prove,
};
pub use authorize::{Denied, DenyingStatement, NotPermitted, Permitted, Refusal, Unrevoked, unrevoked};
pub use circumstances::Circumstances;
pub use standing::{Nobody, Standing};
