//! The S3 operations: [`s3s_fs`] keeps the bytes, this file keeps it honest.
//!
//! Keys go through [`names`](super::names), bodies through [`proof`](super::proof), listings through
//! [`listing`](super::listing). Exactly the operations that `s3s-fs` implements are here; the others answer
//! `NotImplemented`.

use std::mem;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use s3s::dto::*;
use s3s::{S3, S3Error, S3Request, S3Response, S3Result, s3_error};

use super::listing::Query;
use super::objects::Objects;
use super::proof::Declared;

/// What S3 calls content whose type nobody told.
const UNKNOWN_TYPE: &str = "binary/octet-stream";

/// Preconditions of a read.
struct Conditions {
    if_match: Option<ETagCondition>,
    if_none_match: Option<ETagCondition>,
}

#[async_trait::async_trait]
impl S3 for Objects {
    async fn create_bucket(
        &self,
        req: S3Request<CreateBucketInput>,
    ) -> S3Result<S3Response<CreateBucketOutput>> {
        if self.bucket(&req.input.bucket).is_ok() {
            return Err(s3_error!(BucketAlreadyOwnedByYou, "The bucket exists and is yours"));
        }
        let location = format!("/{}", req.input.bucket);
        let mut response = self.files.create_bucket(req).await?;
        response.output.location = Some(location);
        Ok(response)
    }

    async fn head_bucket(&self, req: S3Request<HeadBucketInput>) -> S3Result<S3Response<HeadBucketOutput>> {
        self.files.head_bucket(req).await
    }

    async fn get_bucket_location(
        &self,
        req: S3Request<GetBucketLocationInput>,
    ) -> S3Result<S3Response<GetBucketLocationOutput>> {
        self.files.get_bucket_location(req).await
    }

    async fn list_buckets(
        &self,
        req: S3Request<ListBucketsInput>,
    ) -> S3Result<S3Response<ListBucketsOutput>> {
        let mut response = self.files.list_buckets(req).await?;
        if let Some(buckets) = &mut response.output.buckets {
            buckets.sort_by(|one, other| one.name.cmp(&other.name));
        }
        Ok(response)
    }

    async fn delete_bucket(
        &self,
        req: S3Request<DeleteBucketInput>,
    ) -> S3Result<S3Response<DeleteBucketOutput>> {
        let query = Query { prefix: "", delimiter: None, after: None, limit: 1 };
        if !self.list(&req.input.bucket, &query).await?.0.is_empty() {
            return Err(s3_error!(BucketNotEmpty, "The bucket you tried to delete is not empty"));
        }
        self.files.delete_bucket(req).await
    }

    async fn put_object(&self, mut req: S3Request<PutObjectInput>) -> S3Result<S3Response<PutObjectOutput>> {
        let declared = Declared::read(&req.headers, req.input.content_length, req.trailing_headers.clone())?;
        req.input.key = self.place(&req.input.bucket, &req.input.key)?;
        req.input.content_encoding = req.input.content_encoding.as_deref().and_then(without_framing);
        // Without it, s3s-fs does not compute what only a trailer declares.
        req.input.checksum_algorithm = declared.algorithm().map(|a| a.name().to_uppercase().into());
        let (body, outcome) = declared.prove(req.input.body.take().unwrap_or_else(empty));
        req.input.body = Some(body);
        Ok(outcome.or(self.files.put_object(req).await)?.0)
    }

    async fn get_object(&self, mut req: S3Request<GetObjectInput>) -> S3Result<S3Response<GetObjectOutput>> {
        let input = &mut req.input;
        let (name, size) = self.object(&input.bucket, &input.key)?;
        input.key = name;
        // s3s-fs seeks before the start when a suffix is longer than the object.
        match input.range {
            Some(_) if size == 0 => return Err(s3_error!(InvalidRange)),
            Some(Range::Suffix { length }) if length > size => {
                input.range = Some(Range::Int { first: 0, last: None });
            }
            _ => {}
        }
        let conditions =
            Conditions { if_match: input.if_match.take(), if_none_match: input.if_none_match.take() };
        let mut response = self.files.get_object(req).await?;
        let output = &mut response.output;
        conditions.check(output.e_tag.as_ref())?;
        output.accept_ranges = Some("bytes".to_owned());
        output.content_type.get_or_insert_with(|| UNKNOWN_TYPE.to_owned());
        Ok(response)
    }

    async fn head_object(
        &self,
        mut req: S3Request<HeadObjectInput>,
    ) -> S3Result<S3Response<HeadObjectOutput>> {
        let input = &mut req.input;
        input.key = self.object(&input.bucket, &input.key)?.0;
        let conditions =
            Conditions { if_match: input.if_match.take(), if_none_match: input.if_none_match.take() };
        let mut response = self.files.head_object(req).await?;
        let output = &mut response.output;
        conditions.check(output.e_tag.as_ref())?;
        output.accept_ranges = Some("bytes".to_owned());
        output.content_type.get_or_insert_with(|| UNKNOWN_TYPE.to_owned());
        Ok(response)
    }

    async fn copy_object(
        &self,
        mut req: S3Request<CopyObjectInput>,
    ) -> S3Result<S3Response<CopyObjectOutput>> {
        req.input.copy_source = self.source(req.input.copy_source)?;
        req.input.key = self.place(&req.input.bucket, &req.input.key)?;
        self.files.copy_object(req).await
    }

    async fn delete_object(
        &self,
        req: S3Request<DeleteObjectInput>,
    ) -> S3Result<S3Response<DeleteObjectOutput>> {
        self.delete(&req.input.bucket, &req.input.key)?;
        Ok(S3Response::new(DeleteObjectOutput::default()))
    }

    async fn delete_objects(
        &self,
        req: S3Request<DeleteObjectsInput>,
    ) -> S3Result<S3Response<DeleteObjectsOutput>> {
        let DeleteObjectsInput { bucket, delete, .. } = req.input;
        self.bucket(&bucket)?;
        let mut deleted = Vec::new();
        for object in delete.objects {
            self.delete(&bucket, &object.key)?;
            deleted.push(DeletedObject { key: Some(object.key), ..Default::default() });
        }
        let deleted = (!delete.quiet.unwrap_or(false)).then_some(deleted);
        Ok(S3Response::new(DeleteObjectsOutput { deleted, ..Default::default() }))
    }

    async fn list_objects(
        &self,
        req: S3Request<ListObjectsInput>,
    ) -> S3Result<S3Response<ListObjectsOutput>> {
        let input = req.input;
        let (max_keys, limit) = limit(input.max_keys)?;
        let query = Query {
            prefix: input.prefix.as_deref().unwrap_or(""),
            delimiter: input.delimiter.as_deref(),
            after: input.marker.as_deref(),
            limit,
        };
        let (objects, prefixes, next) = self.list(&input.bucket, &query).await?;
        let spell = spelling(input.encoding_type.as_ref());
        Ok(S3Response::new(ListObjectsOutput {
            contents: Some(spelled(objects, &spell)),
            common_prefixes: Some(
                prefixes.into_iter().map(|p| CommonPrefix { prefix: Some(spell(p)) }).collect(),
            ),
            is_truncated: Some(next.is_some()),
            next_marker: next.map(&spell),
            max_keys: Some(max_keys),
            name: Some(input.bucket),
            prefix: Some(spell(input.prefix.unwrap_or_default())),
            marker: Some(spell(input.marker.unwrap_or_default())),
            delimiter: input.delimiter.map(&spell),
            encoding_type: input.encoding_type,
            ..Default::default()
        }))
    }

    async fn list_objects_v2(
        &self,
        req: S3Request<ListObjectsV2Input>,
    ) -> S3Result<S3Response<ListObjectsV2Output>> {
        let input = req.input;
        let (max_keys, limit) = limit(input.max_keys)?;
        let token = input.continuation_token.as_deref().map(|token| URL_SAFE_NO_PAD.decode(token));
        let token = token.transpose().ok().map(|token| token.map(String::from_utf8).transpose());
        let Some(Ok(token)) = token else {
            return Err(s3_error!(InvalidArgument, "The continuation token provided is incorrect"));
        };
        let query = Query {
            prefix: input.prefix.as_deref().unwrap_or(""),
            delimiter: input.delimiter.as_deref(),
            after: token.as_deref().or(input.start_after.as_deref()),
            limit,
        };
        let (objects, prefixes, next) = self.list(&input.bucket, &query).await?;
        let spell = spelling(input.encoding_type.as_ref());
        Ok(S3Response::new(ListObjectsV2Output {
            key_count: i32::try_from(objects.len() + prefixes.len()).ok(),
            contents: Some(spelled(objects, &spell)),
            common_prefixes: Some(
                prefixes.into_iter().map(|p| CommonPrefix { prefix: Some(spell(p)) }).collect(),
            ),
            is_truncated: Some(next.is_some()),
            next_continuation_token: next.map(|next| URL_SAFE_NO_PAD.encode(next)),
            continuation_token: input.continuation_token,
            max_keys: Some(max_keys),
            name: Some(input.bucket),
            prefix: Some(spell(input.prefix.unwrap_or_default())),
            start_after: input.start_after.map(&spell),
            delimiter: input.delimiter.map(&spell),
            encoding_type: input.encoding_type,
            ..Default::default()
        }))
    }

    async fn create_multipart_upload(
        &self,
        mut req: S3Request<CreateMultipartUploadInput>,
    ) -> S3Result<S3Response<CreateMultipartUploadOutput>> {
        let name = self.place(&req.input.bucket, &req.input.key)?;
        let key = Some(mem::replace(&mut req.input.key, name));
        let response = self.files.create_multipart_upload(req).await?;
        Ok(response.map_output(|output| CreateMultipartUploadOutput { key, ..output }))
    }

    async fn upload_part(
        &self,
        mut req: S3Request<UploadPartInput>,
    ) -> S3Result<S3Response<UploadPartOutput>> {
        let declared = Declared::read(&req.headers, req.input.content_length, req.trailing_headers.clone())?;
        let input = &mut req.input;
        input.key = self.upload(&input.bucket, &input.key, &input.upload_id)?;
        let (body, outcome) = declared.prove(input.body.take().unwrap_or_else(empty));
        input.body = Some(body);
        let (response, checksum) = outcome.or(self.files.upload_part(req).await)?;
        Ok(response.map_output(|output| UploadPartOutput {
            checksum_crc32: checksum.checksum_crc32,
            checksum_crc32c: checksum.checksum_crc32c,
            checksum_crc64nvme: checksum.checksum_crc64nvme,
            checksum_sha1: checksum.checksum_sha1,
            checksum_sha256: checksum.checksum_sha256,
            ..output
        }))
    }

    async fn upload_part_copy(
        &self,
        mut req: S3Request<UploadPartCopyInput>,
    ) -> S3Result<S3Response<UploadPartCopyOutput>> {
        let input = &mut req.input;
        input.key = self.upload(&input.bucket, &input.key, &input.upload_id)?;
        req.input.copy_source = self.source(req.input.copy_source)?;
        self.files.upload_part_copy(req).await
    }

    async fn list_parts(&self, mut req: S3Request<ListPartsInput>) -> S3Result<S3Response<ListPartsOutput>> {
        let input = &mut req.input;
        let name = self.upload(&input.bucket, &input.key, &input.upload_id)?;
        let (key, upload_id) = (mem::replace(&mut input.key, name), input.upload_id.clone());
        let mut response = self.files.list_parts(req).await?;
        let mut parts = response.output.parts.take().unwrap_or_default();
        parts.sort_by_key(|part| part.part_number);
        for part in &mut parts {
            let found = self.part(&upload_id, part.part_number.unwrap_or_default()).await?;
            part.e_tag = found.map(|(_, md5)| ETag::Strong(md5));
        }
        Ok(response.map_output(|output| ListPartsOutput {
            key: Some(key),
            parts: Some(parts),
            is_truncated: Some(false),
            ..output
        }))
    }

    async fn complete_multipart_upload(
        &self,
        mut req: S3Request<CompleteMultipartUploadInput>,
    ) -> S3Result<S3Response<CompleteMultipartUploadOutput>> {
        let input = &mut req.input;
        self.upload(&input.bucket, &input.key, &input.upload_id)?;
        let parts = input.multipart_upload.as_ref().and_then(|upload| upload.parts.as_deref());
        self.check_parts(&input.upload_id, parts.unwrap_or_default()).await?;
        let name = self.place(&input.bucket, &input.key)?;
        self.forget_checksums(&input.bucket, &name).map_err(S3Error::internal_error)?;
        let location = Some(format!("/{}/{}", input.bucket, sigv4::uri::encode_path(input.key.as_bytes())));
        let key = Some(mem::replace(&mut input.key, name));
        let mut response = self.files.complete_multipart_upload(req).await?;
        if let Some(done) = response.output.future.take() {
            response.output = done.await?;
        }
        Ok(response.map_output(|output| CompleteMultipartUploadOutput { key, location, ..output }))
    }

    async fn abort_multipart_upload(
        &self,
        mut req: S3Request<AbortMultipartUploadInput>,
    ) -> S3Result<S3Response<AbortMultipartUploadOutput>> {
        let input = &mut req.input;
        input.key = self.upload(&input.bucket, &input.key, &input.upload_id)?;
        self.files.abort_multipart_upload(req).await
    }
}

impl Conditions {
    /// [RFC 9110, section 13.2.2](https://www.rfc-editor.org/rfc/rfc9110#section-13.2.2), without dates.
    fn check(&self, e_tag: Option<&ETag>) -> S3Result<()> {
        let Some(e_tag) = e_tag else { return Ok(()) };
        let is = |condition: &ETagCondition| condition.as_etag().is_none_or(|wanted| wanted.weak_cmp(e_tag));
        if self.if_match.as_ref().is_some_and(|condition| !is(condition)) {
            return Err(s3_error!(
                PreconditionFailed,
                "At least one of the pre-conditions you specified did not hold"
            ));
        }
        if self.if_none_match.as_ref().is_some_and(is) {
            let mut unchanged = s3_error!(NotModified);
            if let Ok(value) = e_tag.to_http_header() {
                unchanged.set_headers([(http::header::ETAG, value)].into_iter().collect());
            }
            return Err(unchanged);
        }
        Ok(())
    }
}

/// How a listing spells keys: as they are, or percent-encoded when the client asked so.
fn spelling(encoding: Option<&EncodingType>) -> impl Fn(String) -> String + use<> {
    let url = encoding.is_some_and(|encoding| encoding.as_str() == EncodingType::URL);
    move |text| if url { sigv4::uri::encode_path(text.as_bytes()) } else { text }
}

/// `max-keys` as S3 takes it.
fn limit(max_keys: Option<i32>) -> S3Result<(i32, usize)> {
    let limit = max_keys.unwrap_or(1000).min(1000);
    let count = usize::try_from(limit).map_err(|_| s3_error!(InvalidArgument, "max-keys is negative"))?;
    Ok((limit, count))
}

/// A content encoding less `aws-chunked`, which says how the body travelled and not what the object is.
fn without_framing(encoding: &str) -> Option<String> {
    let kept: Vec<_> = encoding.split(',').map(str::trim).filter(|coding| *coding != "aws-chunked").collect();
    (!kept.is_empty()).then(|| kept.join(","))
}

/// The body of a request that has none.
fn empty() -> StreamingBlob {
    s3s::Body::empty().into()
}

fn spelled(objects: Vec<Object>, spell: impl Fn(String) -> String) -> Vec<Object> {
    objects.into_iter().map(|object| Object { key: object.key.map(&spell), ..object }).collect()
}
