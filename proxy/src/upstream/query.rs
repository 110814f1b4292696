//! The query without the parameters that authenticated it, and without what could be read in two ways.

use std::borrow::Cow;

use crate::auth::SIGNATURE_PARAMETERS;
use crate::s3;

/// Removes the parameters of presigned requests; everything else keeps its bytes and its order, but for each raw `;`.
/// It is part of a name or a value here and in what was signed, and to some backends it separates parameters.
pub(super) fn without_authentication(query: &str) -> Cow<'_, str> {
    let unauthenticated = s3::without_parameters(query, |name| {
        SIGNATURE_PARAMETERS.iter().any(|known| name.eq_ignore_ascii_case(known.as_bytes()))
    });
    if unauthenticated.contains(';') {
        Cow::Owned(unauthenticated.replace(';', "%3B"))
    } else {
        unauthenticated
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_authentication_leaves_the_query() {
        for (before, after) in [
            ("list-type=2&prefix=a%2Fb", "list-type=2&prefix=a%2Fb"),
            ("X-Amz-Date=1&a=b&X-Amz-Signature=2&c", "a=b&c"),
            ("X%2DAmz-Date=1&a&&b", "a&&b"),
            ("X-Amz-Algorithm=x", ""),
            ("%zz=1", "%zz=1"),
            ("prefix=a;acl", "prefix=a%3Bacl"),
            ("X-Amz-Date=1&a;b=c;d&e", "a%3Bb=c%3Bd&e"),
        ] {
            assert_eq!(without_authentication(before), after, "{before}");
        }
    }
}
