//! Keeps sessions until shortly before they end, so that a `credential_process`, which SDKs run again and again, asks
//! STS, and a person for a second factor, once.
//!
//! One file a question, below the user's cache directory, readable by the user alone; named by a hash of everything
//! that was asked, of whom, and by whom. A session that is revoked is not noticed here: `--no-cache` gets another.

use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::PathBuf;
use std::time::Duration;

use ring::digest::{Context, SHA256};
use serde::{Deserialize, Serialize};
use sigv4::hex;
use zeroize::Zeroizing;

use super::super::private;
use super::session::Session;
use crate::clock::UnixMillis;
use crate::config::Environment;

/// The longest time before its end at which a session is given up. Some SDKs ask anew a quarter of an hour before;
/// given the same session again, they would ask at every request.
const LONGEST_MARGIN: Duration = Duration::from_secs(15 * 60);

/// Where the answer to one question is kept.
pub(super) struct Cache {
    directory: PathBuf,
    file: PathBuf,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Entry {
    issued_at: UnixMillis,
    session: Session,
}

impl Cache {
    /// The place for the answer to a question, given by everything that makes a difference. `None`: the user has no
    /// directory for such things.
    pub(super) fn of(question: &[&str], environment: &Environment) -> Option<Self> {
        let home = || Some(PathBuf::from(environment.get("HOME")?).join(".cache"));
        let above = environment.get("XDG_CACHE_HOME").map(PathBuf::from).filter(|path| path.is_absolute());
        let directory = above.or_else(home)?.join("sigward").join("sessions");
        let mut hash = Context::new(&SHA256);
        for part in question {
            // With its length first: no two questions run together into the same bytes.
            hash.update(&part.len().to_be_bytes());
            hash.update(part.as_bytes());
        }
        let file = directory.join(hex::encode(hash.finish().as_ref())).with_extension("json");
        Some(Self { directory, file })
    }

    /// The session that is kept, if it has enough time left. A file that others could have read or written is not
    /// believed.
    pub(super) fn get(&self, now: UnixMillis) -> Option<Session> {
        let about = fs::symlink_metadata(&self.file).ok()?;
        let own = fs::metadata(&self.directory).ok()?.uid();
        if !about.is_file() || about.permissions().mode() & 0o077 != 0 || about.uid() != own {
            return None;
        }
        let text = Zeroizing::new(fs::read(&self.file).ok()?);
        let Entry { issued_at, session } = serde_json::from_slice(&text).ok()?;
        let (issued, expires) = (issued_at.0, session.expires_at()?.0);
        let longest = i64::try_from(LONGEST_MARGIN.as_millis()).unwrap_or(i64::MAX);
        let margin = longest.min(expires.saturating_sub(issued) / 4);
        (now.0 < expires.saturating_sub(margin)).then_some(session)
    }

    /// Keeps a session; removes what has ended. That it cannot be kept is no reason not to use it.
    pub(super) fn put(&self, session: Session, now: UnixMillis) -> (Session, std::io::Result<()>) {
        let entry = Entry { issued_at: now, session };
        let kept = private::directory(&self.directory).and_then(|()| {
            let text = Zeroizing::new(serde_json::to_vec(&entry)?);
            private::write(&self.file, &text)
        });
        self.sweep(now);
        (entry.session, kept)
    }

    fn sweep(&self, now: UnixMillis) {
        for file in fs::read_dir(&self.directory).into_iter().flatten().flatten() {
            let path = file.path();
            let text = fs::read(&path).map(Zeroizing::new).unwrap_or_default();
            let ended = serde_json::from_slice(&text)
                .is_ok_and(|entry: Entry| entry.session.expires_at().is_none_or(|expires| expires <= now));
            if ended {
                // Somebody else may have been faster.
                let _ = fs::remove_file(&path);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::session::sample;
    use super::*;

    fn at(text: &str) -> UnixMillis {
        UnixMillis::parse_rfc3339(text).unwrap()
    }

    fn environment(home: &tempfile::TempDir) -> Environment {
        [("HOME", home.path().to_str().unwrap()), ("XDG_CACHE_HOME", "relative")].into_iter().collect()
    }

    #[test]
    fn a_session_is_kept_until_shortly_before_its_end() {
        let home = tempfile::tempdir().unwrap();
        let cache = Cache::of(&["a", "b"], &environment(&home)).unwrap();
        let issued = at("2026-01-02T03:00:00Z");
        assert!(cache.get(issued).is_none());
        cache.put(sample("2026-01-02T04:00:00Z"), issued).1.unwrap();
        let kept = cache.get(at("2026-01-02T03:44:59.999Z")).unwrap();
        assert_eq!((kept.access_key_id.as_str(), kept.session_token.as_str()), ("ASIA1", "t/+="));
        assert!(cache.get(at("2026-01-02T03:45:00Z")).is_none());
        // Of a short one the last quarter is given up.
        cache.put(sample("2026-01-02T03:16:00Z"), issued).1.unwrap();
        assert!(cache.get(at("2026-01-02T03:11:59Z")).is_some());
        assert!(cache.get(at("2026-01-02T03:12:00Z")).is_none());
    }

    #[test]
    fn every_question_has_a_place_of_its_own() {
        let home = tempfile::tempdir().unwrap();
        let environment = environment(&home);
        let files = [&["a", "b"][..], &["ab"], &["a", "b", ""], &["ab", ""], &["b", "a"]]
            .map(|question| Cache::of(question, &environment).unwrap().file);
        for (index, file) in files.iter().enumerate() {
            assert!(file.starts_with(home.path().join(".cache/sigward/sessions")));
            assert!(!files[..index].contains(file));
        }
        assert!(Cache::of(&["a"], &Environment::default()).is_none());
    }

    #[test]
    fn what_others_could_have_written_is_not_believed() {
        let home = tempfile::tempdir().unwrap();
        let cache = Cache::of(&["a"], &environment(&home)).unwrap();
        let now = at("2026-01-02T03:00:00Z");
        cache.put(sample("2026-01-02T04:00:00Z"), now).1.unwrap();
        assert!(cache.get(now).is_some());
        fs::set_permissions(&cache.file, fs::Permissions::from_mode(0o640)).unwrap();
        assert!(cache.get(now).is_none());
        let other = home.path().join("other.json");
        fs::rename(&cache.file, &other).unwrap();
        fs::set_permissions(&other, fs::Permissions::from_mode(0o600)).unwrap();
        std::os::unix::fs::symlink(&other, &cache.file).unwrap();
        assert!(cache.get(now).is_none());
    }

    #[test]
    fn what_has_ended_is_removed() {
        let home = tempfile::tempdir().unwrap();
        let environment = environment(&home);
        let caches = ["a", "b"].map(|question| Cache::of(&[question], &environment).unwrap());
        caches[0].put(sample("2026-01-02T03:30:00Z"), at("2026-01-02T03:00:00Z")).1.unwrap();
        caches[1].put(sample("2026-01-02T05:00:00Z"), at("2026-01-02T03:30:00Z")).1.unwrap();
        assert!(!caches[0].file.exists() && caches[1].file.exists());
    }
}
