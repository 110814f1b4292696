//! Buckets, objects and uploads in a directory: what exists, under which name, and what may be written where.
//!
//! What `s3s-fs` does not look at before it acts is looked at here; the operations themselves are in
//! [`operations`](super::operations).

use std::fs;
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use s3s::crypto::{Checksum as _, Md5};
use s3s::dto::*;
use s3s::{S3, S3Error, S3Request, S3Result, s3_error};
use s3s_fs::FileSystem;

use super::listing::{self, Entry, Page, Query};
use super::names;

/// Every part of an upload but the last has at least so many bytes.
const SMALLEST_PART: u64 = 5 << 20;

/// Buckets and objects in a directory.
pub(super) struct Objects {
    pub(super) files: FileSystem,
    root: PathBuf,
}

impl Objects {
    /// Opens a directory that exists.
    pub(super) fn open(directory: &Path) -> io::Result<Self> {
        let files = FileSystem::new(directory).map_err(|error| io::Error::other(S3Error::from(error)))?;
        Ok(Self { files, root: directory.to_owned() })
    }

    /// The directory of a bucket that exists.
    pub(super) fn bucket(&self, bucket: &str) -> S3Result<PathBuf> {
        let directory = self.root.join(bucket);
        if s3s::path::check_bucket_name(bucket) && directory.is_dir() {
            Ok(directory)
        } else {
            Err(s3_error!(NoSuchBucket, "The specified bucket does not exist"))
        }
    }

    /// Name and size of an object that exists.
    pub(super) fn object(&self, bucket: &str, key: &str) -> S3Result<(String, u64)> {
        self.bucket(bucket)?;
        match fs::metadata(names::path_of(&self.root, bucket, key)) {
            Ok(metadata) if metadata.is_file() => Ok((names::name_of(bucket, key), metadata.len())),
            _ => Err(s3_error!(NoSuchKey, "The specified key does not exist.")),
        }
    }

    /// The name of an object that is about to be written, once its place is free.
    pub(super) fn place(&self, bucket: &str, key: &str) -> S3Result<String> {
        let directory = self.bucket(bucket)?;
        let name = names::name_of(bucket, key);
        let path = directory.join(&name);
        let above = path.ancestors().skip(1).take_while(|above| *above != directory);
        // Directories stay behind when the objects in them are deleted.
        if above.into_iter().any(Path::is_file) || (path.is_dir() && remove_empty(&path).is_err()) {
            return Err(s3_error!(
                InvalidRequest,
                "This backend keeps objects as files: a key and the same key with / and more behind it exclude each other"
            ));
        }
        names::remember(&directory, &name, key).map_err(S3Error::internal_error)?;
        Ok(name)
    }

    /// The name of the object that becomes of an upload that is under way.
    pub(super) fn upload(&self, bucket: &str, key: &str, upload_id: &str) -> S3Result<String> {
        self.bucket(bucket)?;
        let name = names::name_of(bucket, key);
        let plain = upload_id.bytes().all(|b| b.is_ascii_hexdigit() || b == b'-');
        let sidecar = self.sidecar(bucket, &name, &format!("upload-{upload_id}.metadata"));
        if plain && sidecar.is_file() {
            Ok(name)
        } else {
            Err(s3_error!(NoSuchUpload, "The specified multipart upload does not exist."))
        }
    }

    /// Where `s3s-fs` keeps what it knows of an object: `metadata` and `internal`.
    fn sidecar(&self, bucket: &str, name: &str, what: &str) -> PathBuf {
        let [bucket, name] = [bucket, name].map(|text| URL_SAFE_NO_PAD.encode(text));
        self.root.join(format!(".bucket-{bucket}.object-{name}.{what}.json"))
    }

    /// Size and MD5 of a part, if it was uploaded.
    pub(super) async fn part(&self, upload_id: &str, number: i32) -> S3Result<Option<(u64, String)>> {
        let path = self.root.join(format!(".upload_id-{upload_id}.part-{number}"));
        match tokio::task::spawn_blocking(move || digest(&path)).await.map_err(S3Error::internal_error)? {
            Ok(found) => Ok(Some(found)),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(S3Error::internal_error(error)),
        }
    }

    /// Whether an upload can be completed from these parts, for `s3s-fs` gives up half-way where it cannot.
    pub(super) async fn check_parts(&self, upload_id: &str, parts: &[CompletedPart]) -> S3Result<()> {
        for (index, part) in parts.iter().enumerate() {
            let number = part.part_number.unwrap_or_default();
            if usize::try_from(number).ok() != Some(index + 1) {
                return Err(s3_error!(InvalidPartOrder, "This backend wants parts 1, 2, 3, and so on"));
            }
            let found = self.part(upload_id, number).await?;
            let wanted = part.e_tag.as_ref().map(ETag::value);
            match found {
                Some((_, md5)) if wanted.is_some_and(|wanted| wanted != md5) => {}
                Some((size, _)) if index + 1 < parts.len() && size < SMALLEST_PART => {
                    return Err(s3_error!(EntityTooSmall, "A part that is not the last has less than 5 MiB"));
                }
                Some(_) => continue,
                None => {}
            }
            return Err(s3_error!(InvalidPart, "Part {number} was not uploaded, or has another ETag"));
        }
        Ok(())
    }

    /// Drops the checksums of an object that is about to be replaced by one that has none.
    pub(super) fn forget_checksums(&self, bucket: &str, name: &str) -> io::Result<()> {
        let path = self.sidecar(bucket, name, "internal");
        let Ok(text) = fs::read(&path) else { return Ok(()) };
        let mut known: serde_json::Map<String, serde_json::Value> = serde_json::from_slice(&text)?;
        known.retain(|what, _| what == "e_tag");
        fs::write(path, serde_json::to_vec(&known)?)
    }

    pub(super) fn delete(&self, bucket: &str, key: &str) -> S3Result<()> {
        let directory = self.bucket(bucket)?;
        let name = names::name_of(bucket, key);
        match fs::remove_file(directory.join(&name)) {
            Err(error) if !is_absence(&error) => return Err(S3Error::internal_error(error)),
            _ => names::forget(&directory, &name),
        }
        for what in ["metadata", "internal"] {
            // A later object of this name brings its own.
            drop(fs::remove_file(self.sidecar(bucket, &name, what)));
        }
        Ok(())
    }

    /// The source of a copy, with the name it is stored under.
    pub(super) fn source(&self, source: CopySource) -> S3Result<CopySource> {
        match source {
            CopySource::Bucket { bucket, key, version_id } => {
                let key = self.object(&bucket, &key)?.0.into();
                Ok(CopySource::Bucket { bucket, key, version_id })
            }
            CopySource::AccessPoint { .. } | CopySource::Outpost { .. } => Err(s3_error!(NotImplemented)),
        }
    }

    /// What the objects of one page are, and the page's common prefixes.
    pub(super) async fn list(
        &self,
        bucket: &str,
        query: &Query<'_>,
    ) -> S3Result<(Vec<Object>, Vec<String>, Option<String>)> {
        let directory = self.bucket(bucket)?;
        let owned = bucket.to_owned();
        let keys = tokio::task::spawn_blocking(move || listing::keys(&directory, &owned)).await;
        let keys = keys.map_err(S3Error::internal_error)?.map_err(S3Error::internal_error)?;
        let Page { entries, next } = listing::page(keys, query);
        let (mut objects, mut prefixes) = (Vec::new(), Vec::new());
        for entry in entries {
            match entry {
                Entry::Prefix(prefix) => prefixes.push(prefix),
                Entry::Object(key) => objects.extend(self.describe(bucket, key).await),
            }
        }
        Ok((objects, prefixes, next))
    }

    /// One line of a listing; `None` when the object has just been deleted.
    async fn describe(&self, bucket: &str, key: String) -> Option<Object> {
        let name = names::name_of(bucket, &key);
        let input = HeadObjectInput { bucket: bucket.to_owned(), key: name, ..Default::default() };
        let head = self.files.head_object(request(input)).await.ok()?.output;
        Some(Object {
            key: Some(key),
            e_tag: head.e_tag,
            size: head.content_length,
            last_modified: head.last_modified,
            storage_class: Some(ObjectStorageClass::from_static(ObjectStorageClass::STANDARD)),
            ..Default::default()
        })
    }
}

/// A request of our own.
pub(super) fn request<T>(input: T) -> S3Request<T> {
    S3Request {
        input,
        method: http::Method::GET,
        uri: http::Uri::default(),
        headers: http::HeaderMap::new(),
        extensions: http::Extensions::new(),
        credentials: None,
        region: None,
        service: None,
        trailing_headers: None,
    }
}

/// Size and MD5 of a file.
fn digest(path: &Path) -> io::Result<(u64, String)> {
    let mut file = fs::File::open(path)?;
    let (mut size, mut md5, mut buffer) = (0, Md5::new(), vec![0; 1 << 16]);
    loop {
        match file.read(&mut buffer)? {
            0 => return Ok((size, sigv4::hex::encode(&md5.finalize()))),
            read => {
                size += read as u64;
                md5.update(&buffer[..read]);
            }
        }
    }
}

/// Removes a directory that holds nothing but empty directories.
fn remove_empty(directory: &Path) -> io::Result<()> {
    for entry in fs::read_dir(directory)? {
        // Fails on a file, as it should.
        remove_empty(&entry?.path())?;
    }
    fs::remove_dir(directory)
}

/// Whether a file could not be removed because there is none.
fn is_absence(error: &io::Error) -> bool {
    use io::ErrorKind::{IsADirectory, NotADirectory, NotFound};
    matches!(error.kind(), NotFound | NotADirectory | IsADirectory)
}
