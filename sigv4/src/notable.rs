//! The headers that nearly every signature concerns, found in one pass over all there are.
//!
//! To look one header up by its name costs half as much as this whole pass, because the name must be hashed. What AWS
//! SDKs sign of a GET is all among these.

use http::HeaderMap;

/// What the names of AWS's own headers begin with.
const AMZ: &[u8] = b"x-amz-";

/// A header that is of note.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Name {
    Authorization,
    Host,
    Date,
    AmzDate,
    ContentSha256,
    SecurityToken,
}

impl Name {
    const COUNT: usize = 6;

    /// By the name in lower case.
    #[inline]
    pub(crate) fn of(name: &[u8]) -> Option<Self> {
        match name.strip_prefix(AMZ) {
            Some(rest) => Self::of_amz(rest),
            None => Self::of_other(name),
        }
    }

    /// By a name that begins otherwise than with `x-amz-`. The length comes first: it tells most names apart.
    #[inline]
    fn of_other(name: &[u8]) -> Option<Self> {
        match name.len() {
            4 if name == b"host" => Some(Self::Host),
            4 if name == b"date" => Some(Self::Date),
            13 if name == b"authorization" => Some(Self::Authorization),
            _ => None,
        }
    }

    /// By what follows `x-amz-`.
    #[inline]
    fn of_amz(rest: &[u8]) -> Option<Self> {
        match rest.len() {
            4 if rest == b"date" => Some(Self::AmzDate),
            14 if rest == b"content-sha256" => Some(Self::ContentSha256),
            14 if rest == b"security-token" => Some(Self::SecurityToken),
            _ => None,
        }
    }
}

/// What the head says in one header.
#[derive(Clone, Copy, Default)]
pub(crate) struct Notable<'a> {
    /// The first value, as received.
    pub(crate) first: Option<&'a [u8]>,
    /// Whether there are more.
    pub(crate) repeated: bool,
}

impl<'a> Notable<'a> {
    pub(crate) fn take(&mut self, value: &'a [u8]) {
        self.repeated = self.first.is_some();
        self.first.get_or_insert(value);
    }
}

/// What the head says in headers of note.
#[derive(Clone, Copy, Default)]
pub(crate) struct NotableHeaders<'a> {
    found: [Notable<'a>; Name::COUNT],
    /// How many values all `x-amz-*` headers have, of these and any other name.
    amz_values: usize,
}

impl<'a> NotableHeaders<'a> {
    pub(crate) fn find(headers: &'a HeaderMap) -> Self {
        let mut notable = Self::default();
        for (name, value) in headers {
            let name = name.as_str().as_bytes();
            let found = match name.strip_prefix(AMZ) {
                Some(rest) => {
                    notable.amz_values += 1;
                    Name::of_amz(rest)
                }
                None => Name::of_other(name),
            };
            if let Some(found) = found {
                notable.found[found as usize].take(value.as_bytes());
            }
        }
        notable
    }

    #[inline]
    pub(crate) fn get(&self, name: Name) -> Notable<'a> {
        self.found[name as usize]
    }

    pub(crate) fn amz_values(&self) -> usize {
        self.amz_values
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn finds_what_a_look_up_finds() {
        let mut headers = HeaderMap::new();
        let names =
            ["authorization", "host", "date", "x-amz-date", "x-amz-content-sha256", "x-amz-security-token"];
        for (number, name) in names.into_iter().enumerate() {
            for value in 0..number {
                headers.append(name, value.into());
            }
            headers.append("accept", number.into());
            headers.append("x-amz-meta-a", number.into());
        }
        let notable = NotableHeaders::find(&headers);
        for name in names {
            let found = notable.get(Name::of(name.as_bytes()).unwrap());
            assert_eq!(found.first, headers.get(name).map(|value| value.as_bytes()), "{name}");
            assert_eq!(found.repeated, headers.get_all(name).iter().count() > 1, "{name}");
        }
        assert_eq!(Name::of(b"accept"), None);
        assert_eq!(notable.amz_values(), 6 + 3 + 4 + 5);
    }
}
