//! Where values come from: the file, then environment variables named `SIGWARD__SECTION__KEY`. Keeps which of
//! them said what, and reads past one fault to find the next.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::path::Path;

use figment::error::Kind;
use figment::providers::{Format, Toml};
use figment::util::nest;
use figment::value::{Dict, Map, Value};
use figment::{Error, Figment, Metadata, Profile, Provider};

use super::raw::Raw;
use super::{ConfigError, ConfigFault};

/// Two underscores, because Kubernetes injects `SIGWARD_PORT` and the like for a Service of that name.
const PREFIX: &str = "SIGWARD__";

/// The environment variables the program may look at. Holds secrets: it has no `Debug`.
#[derive(Clone, Default)]
pub struct Environment(BTreeMap<String, String>);

impl Environment {
    /// The environment of this process.
    pub fn of_process() -> Self {
        let text = |os: OsString| os.to_string_lossy().into_owned();
        Self(std::env::vars_os().map(|(name, value)| (text(name), text(value))).collect())
    }

    /// The variable's value without surrounding white space. One that is then empty counts as not set: that is
    /// how container tools pass on a variable that nobody set.
    pub fn get(&self, name: &str) -> Option<&str> {
        self.0.get(name).map(|value| value.trim()).filter(|value| !value.is_empty())
    }
}

impl<N: Into<String>, V: Into<String>> FromIterator<(N, V)> for Environment {
    fn from_iter<I: IntoIterator<Item = (N, V)>>(pairs: I) -> Self {
        Self(pairs.into_iter().map(|(name, value)| (name.into(), value.into())).collect())
    }
}

/// All values with the place each came from.
pub(super) struct Sources {
    figment: Figment,
    tree: Value,
}

impl Sources {
    /// Reads the file and lays the environment over it.
    pub(super) fn read(file: &Path, environment: &Environment) -> Result<Self, ConfigError> {
        let defaults = Value::serialize(Raw::default()).map_err(faults)?;
        let mut figment = Figment::from(Toml::file_exact(file));
        for name in environment.0.keys().filter(|name| name.starts_with(PREFIX)) {
            if let Some(value) = environment.get(name) {
                figment = figment.merge(Variable { name, value, defaults: &defaults });
            }
        }
        let tree = figment.find_value("").map_err(faults)?;
        Ok(Self { figment, tree })
    }

    /// The values as typed, and every key that is unknown or of the wrong type. Such a key is taken out and
    /// reading starts over, so that one fault does not hide the next.
    pub(super) fn raw(&self) -> (Raw, Vec<ConfigFault>) {
        let mut tree = self.tree.clone();
        let mut found = Vec::new();
        loop {
            let error = match tree.deserialize::<Raw>() {
                Ok(raw) => return (raw, found),
                Err(error) => error,
            };
            let path = error.path.clone();
            let fault = fault(error);
            found.push(ConfigFault { origin: self.origin(&fault.key), ..fault });
            if !remove(&mut tree, &path) {
                return (Raw::default(), found);
            }
        }
    }

    /// The file or the variable that set `key`, if any did.
    pub(super) fn origin(&self, key: &str) -> Option<String> {
        let mut value = &self.tree;
        for key in key.split(['.', '[', ']']).filter(|key| !key.is_empty()) {
            value = match value {
                Value::Array(_, items) => items.get(key.parse::<usize>().ok()?)?,
                value => value.as_dict()?.get(key)?,
            };
        }
        self.figment.get_metadata(value.tag()).map(place)
    }
}

/// One environment variable as a source of its own, so that faults can name it.
struct Variable<'a> {
    name: &'a str,
    value: &'a str,
    defaults: &'a Value,
}

impl Provider for Variable<'_> {
    fn metadata(&self) -> Metadata {
        Metadata::named(format!("environment variable {}", self.name))
    }

    fn data(&self) -> Result<Map<Profile, Dict>, Error> {
        let path = self.name[PREFIX.len()..].to_ascii_lowercase().replace("__", ".");
        let default = self.defaults.find_ref(&path);
        if matches!(default, Some(Value::Dict(..))) {
            return Err(Error::from(format!("{} names a table, not a key", self.name)));
        }
        let nested = nest(&path, typed(self.value, default)).into_dict();
        Ok(Profile::Default.collect(nested.unwrap_or_default()))
    }
}

/// The text of a variable as a value. Text is taken as it stands wherever text is expected: an access key id
/// of digits stays text. Lists are written `a,b` or `["a", "b"]`.
fn typed(text: &str, default: Option<&Value>) -> Value {
    match default {
        Some(Value::Array(..)) if !text.starts_with('[') => {
            text.split(',').map(|item| item.trim().to_owned()).collect::<Vec<_>>().into()
        }
        Some(Value::Array(..) | Value::Num(..) | Value::Bool(..)) => {
            text.parse().unwrap_or_else(|never| match never {})
        }
        _ => Value::from(text),
    }
}

/// Takes out what `path` names; of a list the whole list, so that the places of its items stay true.
/// False if there is nothing to take out.
fn remove(value: &mut Value, path: &[String]) -> bool {
    let Some((key, rest)) = path.split_first() else { return false };
    match value {
        Value::Dict(_, dict) => {
            let inner = dict.get_mut(key).is_some_and(|inner| remove(inner, rest));
            inner || dict.remove(key).is_some()
        }
        Value::Array(_, items) => {
            key.parse().ok().and_then(|at: usize| items.get_mut(at)).is_some_and(|item| remove(item, rest))
        }
        _ => false,
    }
}

fn faults(error: Error) -> ConfigError {
    ConfigError { faults: error.into_iter().map(fault).collect() }
}

fn fault(error: Error) -> ConfigFault {
    let mut key = String::new();
    for part in &error.path {
        match part.parse::<usize>() {
            Ok(index) => key.push_str(&format!("[{index}]")),
            Err(_) if key.is_empty() => key.push_str(part),
            Err(_) => key.push_str(&format!(".{part}")),
        }
    }
    let origin = error.metadata.as_ref().map(place);
    let message = match error.kind {
        Kind::UnknownField(_, known) => format!("no such key here; there are {}", known.join(", ")),
        Kind::UnknownVariant(found, known) => format!("{found:?} is none of {}", known.join(", ")),
        kind => kind.to_string(),
    };
    ConfigFault { key, message, origin }
}

fn place(metadata: &Metadata) -> String {
    match metadata.source.as_ref().and_then(|source| source.file_path()) {
        Some(file) => file.display().to_string(),
        None => metadata.name.to_string(),
    }
}
