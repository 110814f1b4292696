//! What could make a backend do more than the operation that a request was recognised as.

use std::borrow::Cow;

use http::StatusCode;
use sigv4::uri;

use super::action::Action;
use super::asked::Asked;
use super::parameters::{begins_with_either_spelling, is_plain, vendor_prefix};
use crate::fault::Fault;

const COPY_SOURCE: &str = "x-amz-copy-source";
/// Has MinIO and RustFS unpack an upload to wherever the names in the archive say.
const UNPACK: &str = "x-amz-meta-snowball-auto-extract";

impl Asked<'_> {
    /// That the request holds nothing that acts beyond its operation. `passthrough`: the backend asks for itself who may
    /// do what.
    ///
    /// # Errors
    /// A parameter whose name some backends read otherwise. A copy source of what is no copy: some backends look for it
    /// before they look which operation is asked. An upload that is to be unpacked: what it holds would be objects that
    /// nobody authorised. A parameter that some backends take for a header which only they act upon.
    pub fn within_bounds(&self, passthrough: bool) -> Result<(), Fault> {
        let headers = self.headers.keys().map(|name| Cow::Borrowed(name.as_str().as_bytes()));
        // A parameter stands for a header in presigned requests.
        let mut parameters = Vec::new();
        for (name, _) in uri::pairs(self.query.unwrap_or_default()) {
            let name = uri::decode_query(name).ok().filter(|name| is_plain(name));
            parameters.push(name.ok_or_else(ambiguous_name)?);
        }
        if let (false, Some(prefix)) = (passthrough, parameters.iter().find_map(|name| vendor_prefix(name))) {
            return Err(Fault::not_implemented(prefix));
        }
        let mut names_source = false;
        for name in headers.chain(parameters) {
            if !passthrough && name.len() == UNPACK.len() && begins_with_either_spelling(&name, UNPACK) {
                return Err(Fault::not_implemented(UNPACK));
            }
            names_source |= name.eq_ignore_ascii_case(COPY_SOURCE.as_bytes());
        }
        if names_source && !matches!(self.action, Action::CopyObject | Action::UploadPartCopy) {
            let message = "A copy source is given for an operation that copies nothing.";
            return Err(Fault::new(StatusCode::BAD_REQUEST, "InvalidArgument", message)
                .with("ArgumentName", COPY_SOURCE));
        }
        Ok(())
    }
}

fn ambiguous_name() -> Fault {
    let message = "The name of a query parameter could be read in two ways.";
    Fault::new(StatusCode::BAD_REQUEST, "InvalidArgument", message).with("ArgumentName", "query")
}

#[cfg(test)]
mod tests {
    use http::{HeaderMap, HeaderName, HeaderValue, Method};

    use super::*;
    use crate::s3::{Domains, Target};

    /// `METHOD path[?query]`, and the name of a header.
    fn within(request: &str, header: &str) -> Result<(), Fault> {
        let (method, uri) = request.split_once(' ').unwrap();
        let (path, query) = uri.split_once('?').map_or((uri, None), |(path, query)| (path, Some(query)));
        let query = query.map(str::as_bytes);
        let target = Target::parse(path.as_bytes(), None, &Domains::default()).unwrap();
        let mut headers = HeaderMap::new();
        if let Ok(name) = HeaderName::try_from(header) {
            headers.insert(name, HeaderValue::from_static("/b/k"));
        }
        let action = Action::of(&Method::try_from(method).unwrap(), &target, query, &headers);
        Asked { action, target: &target, query, headers: &headers, objects: None }.within_bounds(false)
    }

    #[test]
    fn what_is_no_copy_has_no_source() {
        for copy in ["PUT /b/k", "PUT /b/k?uploadId=u&partNumber=1"] {
            assert_eq!(within(copy, COPY_SOURCE), Ok(()), "{copy}");
            assert_eq!(within(copy, ""), Ok(()), "{copy}");
        }
        for other in [
            "PUT /b/k?retention=",
            "PUT /b/k?legal-hold=",
            "PUT /b/k?acl",
            "PUT /b/k?x",
            "POST /b/k?uploads",
            "GET /b/k",
        ] {
            let code = |request: &str, header| {
                within(request, header).map_err(|fault| (fault.status.as_u16(), fault.code))
            };
            let expected = if other == "PUT /b/k?x" { Ok(()) } else { Err((400, "InvalidArgument")) };
            assert_eq!(code(other, COPY_SOURCE), expected, "{other}");
            let parameter =
                format!("{other}{}X-Amz-Copy%2DSource=s/k", if other.contains('?') { "&" } else { "?" });
            assert_eq!(code(&parameter, ""), expected, "{parameter}");
            assert_eq!(code(other, ""), Ok(()), "{other}");
        }
    }

    #[test]
    fn no_parameter_has_a_name_that_could_be_read_in_two_ways() {
        for request in [
            "PUT /b/k?acl%3D",
            "PUT /b/k?acl%3d=x",
            "DELETE /b/k?versionId%3Dv1",
            "GET /b?prefix=mine/&prefix%3Dsecret/",
            "PUT /b/k??acl",
            "GET /b?%3Fpolicy",
            "GET /b?%26policy",
            "GET /b?a;policy",
            "GET /b?policy+",
            "GET /b?policy%00",
            "GET /b?%zz",
            "GET /b?a%25",
        ] {
            assert_eq!(within(request, ""), Err(ambiguous_name()), "{request}");
        }
        for request in ["GET /b?prefix=a%3Db%26c+d?;", "GET /b?&&prefix", "GET /b/k?X-Amz-Meta-a.b_c=%00"] {
            assert_eq!(within(request, ""), Ok(()), "{request}");
        }
    }

    #[test]
    fn no_parameter_is_a_vendors_header() {
        let fault = within("PUT /b/k?X-Minio-Meta%2Da=b", "");
        assert_eq!(fault, Err(Fault::not_implemented("x-minio-")));
        let fault = within("PUT /b/k?seaweed_x-amz-acl", "");
        assert_eq!(fault, Err(Fault::not_implemented("seaweed-")));
        assert_eq!(within("PUT /b/k", "x-minio-meta-a"), Ok(()));
    }

    #[test]
    fn no_archive_is_unpacked() {
        for header in [UNPACK, "x-amz-meta-snowball_auto_extract", "X_Amz-Meta-Snowball-Auto-Extract"] {
            assert_eq!(within("PUT /b/k", header), Err(Fault::not_implemented(UNPACK)), "{header}");
        }
        let parameter = "PUT /b/k?X-Amz-Meta-Snowball-Auto%2DExtract=true";
        assert_eq!(within(parameter, ""), Err(Fault::not_implemented(UNPACK)));
        assert_eq!(within("PUT /b/k", "x-amz-meta-snowball"), Ok(()));
    }
}
