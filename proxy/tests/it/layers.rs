//! The order of the modules: each may use only what stands to its left. So there are no circles, and whoever
//! reads a module knows what it cannot depend on.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

/// From the foundations to the command line.
const ORDER: [&str; 23] = [
    "clock",
    "xml",
    "fault",
    "metrics",
    "iam",
    "s3",
    "config",
    "telemetry",
    "events",
    "audit",
    "feed",
    "store",
    "identities",
    "auth",
    "admission",
    "upstream",
    "key_sources",
    "sts",
    "gateway",
    "admin",
    "listen",
    "server",
    "cli",
];

/// Modules that know neither a runtime nor HTTP nor a cache, and the crates that would bring them in.
const PURE: [&str; 3] = ["iam", "s3", "xml"];
const IMPURE: [&str; 5] = ["tokio", "hyper", "hyper_util", "moka", "redb"];

/// Files that may look at a secret, and what for. Each is a place where one could leak.
const MAY_EXPOSE_SECRETS: [(&str, &str); 15] = [
    ("proxy/src/admin/access.rs", "compares the admin token"),
    ("proxy/src/cli/dev/backend/mod.rs", "hands it to the backend in the same process"),
    ("proxy/src/cli/dev/keys.rs", "keeps it in a private file"),
    ("proxy/src/cli/dev/mod.rs", "prints it, as `dev` promises"),
    ("proxy/src/config/mod.rs", "tells whether a reload changed it"),
    ("proxy/src/events/cloudevents/read.rs", "bounds its length"),
    ("proxy/src/events/envelope.rs", "seals it"),
    ("proxy/src/events/event.rs", "refuses an empty one"),
    ("proxy/src/events/token/content.rs", "puts it into what is sealed"),
    ("proxy/src/key_sources/document.rs", "bounds its length"),
    ("proxy/src/store/known.rs", "tells a repetition from a contradiction, and a key from another one"),
    ("proxy/src/store/reconcile.rs", "tells whether it changed"),
    ("proxy/src/store/record.rs", "weighs it"),
    ("sigv4/src/key.rs", "derives signing keys"),
    ("sigv4/src/sigv4a.rs", "derives key pairs"),
];

struct Line {
    file: PathBuf,
    number: usize,
    text: String,
}

/// Every line of code below `directory` of the repository, without comments.
fn code(directory: &str) -> Vec<Line> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let mut waiting = vec![root.join(directory)];
    let mut lines = Vec::new();
    while let Some(path) = waiting.pop() {
        if path.is_dir() {
            waiting.extend(fs::read_dir(&path).unwrap().map(|entry| entry.unwrap().path()));
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            let file = path.strip_prefix(&root).unwrap().to_owned();
            let text = fs::read_to_string(&path).unwrap();
            let code = text.lines().zip(1..).filter(|(line, _)| !line.trim_start().starts_with("//"));
            lines.extend(code.map(|(text, number)| Line {
                file: file.clone(),
                number,
                text: text.to_owned(),
            }));
        }
    }
    lines
}

/// The top-level module a file of `proxy/src` belongs to.
fn module(file: &Path) -> String {
    let first = file.components().nth(2).unwrap().as_os_str().to_str().unwrap();
    first.trim_end_matches(".rs").to_owned()
}

fn place(module: &str) -> Option<usize> {
    ORDER.iter().position(|known| *known == module)
}

/// The name after each `crate::` of a line.
fn used(line: &str) -> impl Iterator<Item = &str> {
    let is_name = |c: char| c.is_ascii_alphanumeric() || c == '_';
    line.split("crate::").skip(1).map(move |rest| rest.split(|c| !is_name(c)).next().unwrap_or_default())
}

#[test]
fn modules_use_only_what_stands_to_their_left() {
    let lines = code("proxy/src");
    assert!(lines.len() > 1000, "the sources were not found");
    let mut wrong = Vec::new();
    for line in lines.iter().filter(|line| !["main", "lib"].contains(&module(&line.file).as_str())) {
        let user = module(&line.file);
        let at = place(&user).unwrap_or_else(|| panic!("{user} has no place in the order of modules"));
        // One `use` per module: `crate::{…}` would hide names from this test.
        assert!(!line.text.contains("crate::{"), "{}:{}: crate::{{", line.file.display(), line.number);
        for name in used(&line.text) {
            if place(name).is_some_and(|used| used > at) {
                wrong.push(format!("{}:{}: {user} uses {name}", line.file.display(), line.number));
            }
        }
    }
    assert!(wrong.is_empty(), "modules use what stands to their right:\n{}", wrong.join("\n"));
}

#[test]
fn the_crate_and_the_readme_tell_this_order() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let read = |file: &str| fs::read_to_string(root.join(file)).unwrap();
    let library = read("proxy/src/lib.rs");
    let modules = library.lines().filter_map(|line| line.strip_prefix("pub mod ")?.strip_suffix(';'));
    assert_eq!(modules.collect::<Vec<_>>(), ORDER);
    assert!(read("README.md").contains(&format!("`{}`", ORDER.join(" < "))));
}

#[test]
fn pure_modules_know_no_runtime() {
    let mut wrong = Vec::new();
    for line in code("proxy/src").iter().filter(|line| PURE.contains(&module(&line.file).as_str())) {
        for name in IMPURE.iter().filter(|name| line.text.contains(&format!("{name}::"))) {
            wrong.push(format!(
                "{}:{}: {} uses {name}",
                line.file.display(),
                line.number,
                module(&line.file)
            ));
        }
    }
    assert!(wrong.is_empty(), "pure modules use:\n{}", wrong.join("\n"));
}

#[test]
fn secrets_are_exposed_in_named_files_only() {
    let code = [code("proxy/src"), code("sigv4/src")].into_iter().flatten();
    let exposing = code.filter(|line| line.text.contains(".expose_secret()"));
    let files: BTreeSet<String> = exposing
        .map(|line| line.file.display().to_string())
        .filter(|file| !file.ends_with("/tests.rs") && !file.contains("/tests/"))
        .collect();
    assert_eq!(files, MAY_EXPOSE_SECRETS.map(|(file, _)| file.to_owned()).into());
}

#[test]
fn finds_every_module_a_line_names() {
    let names = |line| used(line).collect::<Vec<_>>();
    assert_eq!(names("use crate::store::Store;"), ["store"]);
    assert_eq!(names("let x: crate::iam::X = crate::config::y();"), ["iam", "config"]);
    assert!(names("pub(crate) fn f()").is_empty());
}
