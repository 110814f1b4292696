//! Under which file name an object lies, and which object a file is.
//!
//! An object key is any text; a path is not. A key is cut at `/` and each piece becomes one path segment. Almost
//! every piece is taken as it is, so that `photos/2026/cat.jpg` lies in `<bucket>/photos/2026/cat.jpg`. Two rules
//! take care of the rest, and no two keys share a name:
//!
//! * A piece that is empty, `.`, `..` or starts with `%` gets one `%` in front: `a//b` is `a/%/b`, `dir/` is
//!   `dir/%`, `../x` is `%../x`, `%41` is `%%41`.
//! * A key with a NUL in it, or too long for the files that the store keeps beside an object, is one file in the
//!   bucket's directory, named `%` and the SHA-256 of the key in hexadecimal. A file of that name and `.key` holds
//!   the key itself. No piece can be mistaken for such a name: after the first rule `%` is never followed by a
//!   hexadecimal digit.

use std::borrow::Cow;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use ring::digest;

/// What stands in front of a piece that would mean something else in a path.
const ESCAPE: char = '%';
/// The longest file name that the usual file systems take, in bytes.
const LONGEST_FILE_NAME: usize = 255;
/// Bytes of [`s3s_fs`]'s longest file name that are neither bucket nor object:
/// `.bucket-<base64>.object-<base64>.upload-<uuid>.metadata.json`.
const SIDECAR_OVERHEAD: usize =
    ".bucket-".len() + ".object-".len() + ".upload-".len() + 36 + ".metadata.json".len();

/// Where the content of the object `key` of `bucket` lies, below the `directory` that the backend was given.
///
/// Always below the directory of the bucket, provided that `bucket` is a bucket name.
pub(super) fn path_of(directory: &Path, bucket: &str, key: &str) -> PathBuf {
    directory.join(bucket).join(name_of(bucket, key))
}

/// The path of an object relative to the directory of its bucket, segments parted by `/`.
pub(super) fn name_of(bucket: &str, key: &str) -> String {
    let name = key.split('/').map(escape).collect::<Vec<_>>().join("/");
    let sidecar = SIDECAR_OVERHEAD + base64_length(bucket) + base64_length(&name);
    if sidecar > LONGEST_FILE_NAME || name.contains('\0') { digest_name(key) } else { name }
}

/// The key of the object that lies in the file `name` of a bucket's `directory`; `None` when it is no object.
pub(super) fn key_of(directory: &Path, bucket: &str, name: &str) -> Option<String> {
    let key = if is_digest_name(name) {
        fs::read_to_string(key_file(directory, name)).ok()?
    } else {
        name.split('/').map(|piece| piece.strip_prefix(ESCAPE).unwrap_or(piece)).collect::<Vec<_>>().join("/")
    };
    (name_of(bucket, &key) == name).then_some(key)
}

/// Keeps `key` where [`key_of`] finds it, when `name` does not tell.
pub(super) fn remember(directory: &Path, name: &str, key: &str) -> io::Result<()> {
    if !is_digest_name(name) {
        return Ok(());
    }
    let file = key_file(directory, name);
    // Not written again, so that no listing meets it half written.
    if fs::read(&file).is_ok_and(|known| known == key.as_bytes()) { Ok(()) } else { fs::write(file, key) }
}

/// Undoes [`remember`].
pub(super) fn forget(directory: &Path, name: &str) {
    if is_digest_name(name) {
        // What stays behind without its object is no object.
        drop(fs::remove_file(key_file(directory, name)));
    }
}

fn escape(piece: &str) -> Cow<'_, str> {
    match piece {
        "" | "." | ".." => Cow::Owned(format!("{ESCAPE}{piece}")),
        _ if piece.starts_with(ESCAPE) => Cow::Owned(format!("{ESCAPE}{piece}")),
        _ => Cow::Borrowed(piece),
    }
}

fn digest_name(key: &str) -> String {
    format!("{ESCAPE}{}", sigv4::hex::encode(digest::digest(&digest::SHA256, key.as_bytes()).as_ref()))
}

fn is_digest_name(name: &str) -> bool {
    name.strip_prefix(ESCAPE).is_some_and(|hex| {
        hex.len() == 2 * digest::SHA256_OUTPUT_LEN && hex.bytes().all(|b| b.is_ascii_hexdigit())
    })
}

fn key_file(directory: &Path, digest_name: &str) -> PathBuf {
    directory.join(format!("{digest_name}.key"))
}

/// Length of unpadded base64.
fn base64_length(text: &str) -> usize {
    (text.len() * 4).div_ceil(3)
}

#[cfg(test)]
mod tests {
    use std::path::Component;

    use proptest::prelude::*;

    use super::*;

    #[test]
    fn only_awkward_pieces_are_escaped() {
        for (key, name) in [
            ("photos/2026/cat.jpg", "photos/2026/cat.jpg"),
            ("with space/+/é/a%2Fb", "with space/+/é/a%2Fb"),
            (".hidden", ".hidden"),
            ("...", "..."),
            ("a//b", "a/%/b"),
            ("/", "%/%"),
            ("dir/", "dir/%"),
            ("x/../y", "x/%../y"),
            ("../other/k", "%../other/k"),
            ("./a", "%./a"),
            ("%", "%%"),
            ("%2E%2E/x", "%%2E%2E/x"),
        ] {
            assert_eq!(name_of("bucket", key), name, "{key}");
        }
    }

    #[test]
    fn a_key_too_long_for_a_file_name_is_found_by_its_digest() {
        let directory = tempfile::tempdir().unwrap();
        let longest = "k".repeat(131);
        assert_eq!(name_of("demo", &longest), longest);
        for key in ["k".repeat(132), "long/".repeat(204), "nul\0".to_owned()] {
            let name = name_of("demo", &key);
            assert!(is_digest_name(&name));
            assert_eq!(key_of(directory.path(), "demo", &name), None, "nothing is remembered yet");
            remember(directory.path(), &name, &key).unwrap();
            assert_eq!(key_of(directory.path(), "demo", &name), Some(key));
            assert_eq!(key_of(directory.path(), "demo", &format!("{name}.key")), None);
        }
    }

    /// Keys made of what a path would take for something else.
    fn nasty() -> impl Strategy<Value = String> {
        let piece = prop_oneof![
            Just(""),
            Just("."),
            Just(".."),
            Just("%"),
            Just("%%"),
            Just("%."),
            Just("%.."),
            Just("%2F"),
            Just("a"),
            Just("\0"),
            Just("é"),
            Just(".tmp.0.internal.part"),
            Just("\\"),
            Just("%.key"),
        ];
        prop::collection::vec(piece, 0..6).prop_map(|pieces| pieces.join("/"))
    }

    proptest! {
        #[test]
        fn no_two_keys_share_a_file(a in nasty(), b in nasty(), c in any::<String>()) {
            prop_assert_eq!(a == b, name_of("demo", &a) == name_of("demo", &b));
            prop_assert_eq!(a == c, name_of("demo", &a) == name_of("demo", &c));
        }

        #[test]
        fn no_object_lies_outside_its_bucket(key in prop_oneof![nasty(), any::<String>()]) {
            let name = name_of("demo", &key);
            prop_assert!(Path::new(&name).components().all(|part| matches!(part, Component::Normal(_))));
            // Nothing that a path would drop, such as an empty segment.
            prop_assert_eq!(Path::new(&name).components().count(), name.split('/').count());
            prop_assert!(name.split('/').all(|part| part.len() <= LONGEST_FILE_NAME));
        }

        #[test]
        fn a_name_tells_its_key(key in prop_oneof![nasty(), any::<String>()]) {
            let name = name_of("demo", &key);
            let told = key_of(Path::new("/nonexistent"), "demo", &name);
            prop_assert_eq!(told, (!is_digest_name(&name)).then_some(key));
        }
    }
}
