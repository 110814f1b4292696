//! The files of the AWS command line: `~/.aws/credentials` and `~/.aws/config`.
//!
//! Of a profile only what is written there in clear is used: keys, region, endpoint. Profiles that are recipes
//! (`role_arn`, `credential_process`, `sso_session`) are for the SDKs to follow.
//!
//! Source: <https://docs.aws.amazon.com/sdkref/latest/guide/file-format.html>

use std::collections::HashMap;
use std::fs;
use std::io::ErrorKind;
use std::path::PathBuf;

use zeroize::Zeroizing;

use super::super::Failure;
use crate::config::Environment;

/// The profile that is meant when none is named.
const DEFAULT: &str = "default";

/// The settings of one profile, by lower-case name.
#[derive(Default)]
pub(super) struct Settings(HashMap<String, Zeroizing<String>>);

impl Settings {
    /// Reads the profile `name`, or else the default one, which need not be there.
    pub(super) fn read(name: Option<&str>, environment: &Environment) -> Result<Self, Failure> {
        let profile = name.unwrap_or(DEFAULT);
        let mut settings = HashMap::new();
        let mut found = false;
        // What the credentials file says about a key outranks the other one.
        for file in [File::Config, File::Credentials] {
            let Some(text) = file.text(environment)? else { continue };
            for (section, lines) in sections(&text) {
                if file.profile(section) == Some(profile) {
                    found = true;
                    settings.extend(lines);
                }
            }
        }
        if !found && name.is_some() {
            return Err(Failure::Usage(format!(
                "there is no profile {profile:?} in the AWS configuration files"
            )));
        }
        Ok(Self(settings))
    }

    /// A setting that is there and not empty.
    pub(super) fn get(&self, name: &str) -> Option<&str> {
        self.0.get(name).map(|value| value.as_str()).filter(|value| !value.is_empty())
    }
}

#[derive(Clone, Copy)]
enum File {
    Config,
    Credentials,
}

impl File {
    /// `None`: there is no such file.
    fn text(self, environment: &Environment) -> Result<Option<Zeroizing<String>>, Failure> {
        let (variable, name) = match self {
            Self::Config => ("AWS_CONFIG_FILE", "config"),
            Self::Credentials => ("AWS_SHARED_CREDENTIALS_FILE", "credentials"),
        };
        let home = || Some(PathBuf::from(environment.get("HOME")?).join(".aws").join(name));
        let Some(path) = environment.get(variable).map(PathBuf::from).or_else(home) else { return Ok(None) };
        match fs::read_to_string(&path) {
            Ok(text) => Ok(Some(Zeroizing::new(text))),
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
            Err(error) => Err(Failure::Usage(format!("{}: {error}", path.display()))),
        }
    }

    /// Which profile a section is about. In the configuration file all but the default one say that they are
    /// profiles.
    fn profile(self, section: &str) -> Option<&str> {
        match self {
            Self::Credentials => Some(section),
            Self::Config if section == DEFAULT => Some(section),
            Self::Config => {
                section.strip_prefix("profile").filter(|rest| rest.starts_with([' ', '\t'])).map(str::trim)
            }
        }
    }
}

type Line = (String, Zeroizing<String>);

/// Sections and their settings in order. Nested settings, which are indented, and lines that are neither are passed
/// over, as the SDKs do.
fn sections(text: &str) -> Vec<(&str, Vec<Line>)> {
    let mut sections: Vec<(&str, Vec<Line>)> = Vec::new();
    for line in text.lines() {
        if line.starts_with([' ', '\t', '#', ';']) {
            continue;
        }
        if let Some(name) = line.strip_prefix('[').and_then(|rest| rest.split_once(']')) {
            sections.push((name.0.trim(), Vec::new()));
        } else if let (Some((name, value)), Some((_, lines))) = (line.split_once('='), sections.last_mut()) {
            let value = Zeroizing::new(without_comment(value).trim().to_owned());
            lines.push((name.trim().to_ascii_lowercase(), value));
        }
    }
    sections
}

/// A comment within a line begins with `#` or `;` after white space.
fn without_comment(value: &str) -> &str {
    let marks = value.match_indices(['#', ';']);
    let starts = |at: usize| value[..at].ends_with([' ', '\t']);
    marks.map(|(at, _)| at).find(|at| starts(*at)).map_or(value, |at| &value[..at])
}

#[cfg(test)]
mod tests {
    use super::*;

    fn settings(name: Option<&str>) -> Result<Settings, Failure> {
        let dir = tempfile::tempdir().unwrap();
        let aws = dir.path().join(".aws");
        fs::create_dir(&aws).unwrap();
        let config = "# mine\n[default]\nregion = eu-west-1\ns3 =\n  max_queue_size = 7\n\
            [profile dev]\nRegion=eu-north-1 ; near\naws_access_key_id = from-config\n[profile dev]\noutput=json\n\
            [profiled]\nregion = x\n[sso-session dev]\nregion = y\n";
        let credentials = "[dev]\naws_access_key_id = AKIADEV\naws_secret_access_key = a/b+c#d;e=\n\n\
            [empty]\nno setting\n= x\n";
        fs::write(aws.join("config"), config).unwrap();
        fs::write(aws.join("credentials"), credentials).unwrap();
        let home = dir.path().to_str().unwrap();
        Settings::read(name, &[("HOME", home)].into_iter().collect())
    }

    #[test]
    fn a_profile_is_put_together_from_both_files() {
        let dev = settings(Some("dev")).unwrap();
        assert_eq!(dev.get("aws_access_key_id"), Some("AKIADEV"));
        assert_eq!(dev.get("aws_secret_access_key"), Some("a/b+c#d;e="));
        assert_eq!(dev.get("region"), Some("eu-north-1"));
        assert_eq!(dev.get("output"), Some("json"));
        let default = settings(None).unwrap();
        assert_eq!(default.get("region"), Some("eu-west-1"));
        assert_eq!((default.get("s3"), default.get("max_queue_size")), (None, None));
        assert_eq!(settings(Some("empty")).unwrap().get("region"), None);
    }

    #[test]
    fn a_profile_that_is_named_must_be_there() {
        for name in ["profiled", "d", "profile dev", "sso-session dev"] {
            assert!(matches!(settings(Some(name)), Err(Failure::Usage(_))), "{name}");
        }
        assert!(Settings::read(None, &Environment::default()).unwrap().get("region").is_none());
        let elsewhere =
            [("AWS_CONFIG_FILE", "/nonexistent"), ("AWS_SHARED_CREDENTIALS_FILE", "/nonexistent")];
        assert!(Settings::read(None, &elsewhere.into_iter().collect()).is_ok());
    }
}
