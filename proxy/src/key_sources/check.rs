//! Whether directories of keys hold what a gateway could take over, without taking it over.

use std::collections::BTreeMap;

use super::aside::Aside;
use super::directory::{Directory, PATIENCE};
use super::reader::Reading;
use crate::clock::UnixMillis;
use crate::config::{DeclaredAccessKey, KeySource, KeySourcePlace};
use crate::events::Keyring;
use crate::iam::AccessKeyId;

/// Reads every source that is a directory, and none of a web server. What is wrong with which of `sources`, by its
/// number: it cannot be read, a document in it is no good, or a key in it belongs to an earlier declaration. Keys that
/// have ended by `now` belong to nobody.
pub async fn check_directories(
    access_keys: &[DeclaredAccessKey],
    sources: &[KeySource],
    keyring: &Keyring,
    now: UnixMillis,
) -> Vec<(usize, String)> {
    let mut faults = Vec::new();
    let own = |key: &DeclaredAccessKey| (key.access_key_id.clone(), "[[access_keys]]".to_owned());
    let mut owners: BTreeMap<AccessKeyId, String> = access_keys.iter().map(own).collect();
    for (at, source) in sources.iter().enumerate() {
        let KeySourcePlace::Directory(path) = &source.place else { continue };
        let mut directory =
            Directory::new(path.clone(), source.max_bytes, keyring.clone(), Aside::new(PATIENCE));
        let Reading { keys, faults: found } = match directory.read().await {
            Ok(reading) => reading,
            Err(error) => {
                faults.push((at, error.to_string()));
                continue;
            }
        };
        faults.extend(found.into_iter().map(|fault| (at, fault)));
        for key in keys.into_iter().flatten().filter(|key| key.is_live(now)) {
            let id = key.access_key_id;
            match owners.get(&id) {
                Some(owner) => faults.push((at, format!("{id} is declared by {owner} already"))),
                None => drop(owners.insert(id, format!("the key source {}", source.name))),
            }
        }
    }
    faults
}
