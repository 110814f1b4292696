//! Who is asking, and may they: `SignedRequest` becomes [`Authenticated`], [`Authenticated`] becomes [`Permitted`].

mod authenticate;
mod authorize;
mod circumstances;
mod fault;
mod standing;

pub use authenticate::{
    AuthError, Authenticated, FormAuthError, authenticate, authenticate_form, authenticate_with, prove,
};
pub use authorize::{Denied, DenyingStatement, NotPermitted, Permitted, Refusal, Unrevoked, unrevoked};
pub use circumstances::Circumstances;
pub use standing::{Nobody, Standing};
