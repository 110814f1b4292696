//! Lines for a shell to evaluate: who one works as is a matter of environment variables.
//!
//! The variables that were set before the first role are kept under names of their own. So the next role is assumed
//! with the original credentials, not through the former role, and `--unset` brings everything back.

use zeroize::Zeroizing;

use super::session::Session;
use crate::config::Environment;

/// The variables that say who one works as. Whatever is set after the first three would be preferred to them by one
/// SDK or another.
const VARIABLES: [&str; 9] = [
    "AWS_ACCESS_KEY_ID",
    "AWS_SECRET_ACCESS_KEY",
    "AWS_SESSION_TOKEN",
    "AWS_SECURITY_TOKEN",
    "AWS_CREDENTIAL_EXPIRATION",
    "AWS_PROFILE",
    "AWS_DEFAULT_PROFILE",
    "AWS_REGION",
    "AWS_ENDPOINT_URL",
];
/// Before the name of a variable: what it was before the first role.
const ORIGINAL: &str = "SIGWARD_ORIGINAL_";
/// The access key id of the role one works as. If another one is in use, somebody has left the role by hand.
const MARK: &str = "SIGWARD_ASSUMED_ACCESS_KEY_ID";
/// The role one works as, for a prompt to show.
const ROLE: &str = "SIGWARD_ASSUMED_ROLE";

/// Which shell reads the lines.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub(super) enum Dialect {
    /// sh, bash, zsh, dash, ksh
    Posix,
    /// fish
    Fish,
}

/// The environment of a shell that may work as a role.
pub(super) struct Shell<'a> {
    environment: &'a Environment,
    assumed: bool,
}

impl<'a> Shell<'a> {
    pub(super) fn new(environment: &'a Environment) -> Self {
        let id = environment.get("AWS_ACCESS_KEY_ID");
        Self { environment, assumed: id.is_some() && environment.get(MARK) == id }
    }

    /// The variable as it was before the first role.
    pub(super) fn original(&self, name: &str) -> Option<&'a str> {
        if self.assumed && VARIABLES.contains(&name) {
            self.environment.get(&format!("{ORIGINAL}{name}"))
        } else {
            self.environment.get(name)
        }
    }

    /// Lines after which one works as `role`. `settings` are those that the profile said: it is out of use from
    /// then on.
    pub(super) fn assume(
        &self,
        dialect: Dialect,
        role: &str,
        session: &Session,
        settings: &[(&str, String)],
    ) -> Zeroizing<String> {
        let mut lines = Lines { dialect, text: Zeroizing::default() };
        if !self.assumed {
            for name in VARIABLES {
                lines.write(&format!("{ORIGINAL}{name}"), self.environment.get(name), self.environment);
            }
        }
        let said =
            |name: &str| settings.iter().find(|(said, _)| *said == name).map(|(_, value)| value.as_str());
        for name in VARIABLES {
            let value = match name {
                "AWS_ACCESS_KEY_ID" => Some(session.access_key_id.as_str()),
                "AWS_SECRET_ACCESS_KEY" => Some(session.secret_access_key.as_str()),
                "AWS_SESSION_TOKEN" => Some(session.session_token.as_str()),
                "AWS_CREDENTIAL_EXPIRATION" => Some(session.expiration.as_str()),
                "AWS_REGION" | "AWS_ENDPOINT_URL" => said(name).or_else(|| self.original(name)),
                _ => None,
            };
            lines.write(name, value, self.environment);
        }
        lines.write(MARK, Some(&session.access_key_id), self.environment);
        lines.write(ROLE, Some(role), self.environment);
        lines.text
    }

    /// Lines after which everything is as before the first role.
    pub(super) fn unset(&self, dialect: Dialect) -> Zeroizing<String> {
        let mut lines = Lines { dialect, text: Zeroizing::default() };
        for name in VARIABLES.into_iter().filter(|_| self.assumed) {
            lines.write(name, self.original(name), self.environment);
        }
        for name in VARIABLES {
            lines.write(&format!("{ORIGINAL}{name}"), None, self.environment);
        }
        for name in [MARK, ROLE] {
            lines.write(name, None, self.environment);
        }
        lines.text
    }
}

struct Lines {
    dialect: Dialect,
    text: Zeroizing<String>,
}

impl Lines {
    /// Sets a variable, or removes it where it is set; says nothing about one that is as it should be.
    fn write(&mut self, name: &str, value: Option<&str>, environment: &Environment) {
        let before = environment.get(name);
        let parts: [&str; 4] = match (value, self.dialect) {
            (value, _) if value == before => return,
            (Some(value), Dialect::Posix) => ["export ", name, "=", &posix(value)],
            (Some(value), Dialect::Fish) => ["set -gx ", name, " ", &fish(value)],
            (None, Dialect::Posix) => ["unset ", name, "", ""],
            (None, Dialect::Fish) => ["set -e ", name, "", ""],
        };
        for part in parts.into_iter().chain(["\n"]) {
            self.text.push_str(part);
        }
    }
}

/// Between single quotes nothing has a meaning but the quote itself.
fn posix(value: &str) -> Zeroizing<String> {
    Zeroizing::new(format!("'{}'", value.replace('\'', r"'\''")))
}

/// Fish also reads backslashes between single quotes.
fn fish(value: &str) -> Zeroizing<String> {
    Zeroizing::new(format!("'{}'", value.replace('\\', r"\\").replace('\'', r"\'")))
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;
    use std::process::Command;

    use super::super::session::sample;
    use super::*;

    type Environ = BTreeMap<String, String>;

    const ROLE_ARN: &str = "arn:aws:iam::123456789012:role/reader";

    fn environment(environ: &Environ) -> Environment {
        environ.iter().map(|(name, value)| (name.clone(), value.clone())).collect()
    }

    fn environ(pairs: &[(&str, &str)]) -> Environ {
        pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
    }

    /// What the environment is after a real shell has evaluated `lines`.
    fn evaluated(before: &Environ, lines: &str) -> Environ {
        let script = "eval \"$LINES_TO_EVALUATE\" && unset LINES_TO_EVALUATE && exec env -0";
        let mut shell = Command::new("/bin/sh");
        shell.args(["-c", script]).env_clear().envs(before);
        shell.env("LINES_TO_EVALUATE", lines).env("PATH", "/usr/bin:/bin");
        let output = shell.output().unwrap();
        assert!(output.status.success(), "{output:?}");
        let text = String::from_utf8(output.stdout).unwrap();
        let all = text.split_terminator('\0').filter_map(|pair| pair.split_once('='));
        let own = |name: &str| name.starts_with("AWS_") || name.starts_with("SIGWARD_");
        all.filter(|(name, _)| own(name)).map(|(name, value)| (name.to_owned(), value.to_owned())).collect()
    }

    fn assume(before: &Environ, id: &str, settings: &[(&str, String)]) -> Environ {
        let environment = environment(before);
        let session = Session { access_key_id: id.to_owned(), ..sample("2026-01-02T03:04:05Z") };
        let lines = Shell::new(&environment).assume(Dialect::Posix, ROLE_ARN, &session, settings);
        evaluated(before, &lines)
    }

    fn unset(before: &Environ) -> Environ {
        let environment = environment(before);
        evaluated(before, &Shell::new(&environment).unset(Dialect::Posix))
    }

    #[test]
    fn a_role_takes_the_place_of_all_that_was_set() {
        let before = environ(&[
            ("AWS_ACCESS_KEY_ID", "AKIA1"),
            ("AWS_SECRET_ACCESS_KEY", "a'b\"c$d"),
            ("AWS_SECURITY_TOKEN", "old"),
            ("AWS_PROFILE", "dev"),
        ]);
        let after = assume(&before, "ASIA1", &[("AWS_REGION", "eu-north-1".to_owned())]);
        let expected = environ(&[
            ("AWS_ACCESS_KEY_ID", "ASIA1"),
            ("AWS_SECRET_ACCESS_KEY", "it's $HOME `x` \"y\" \\"),
            ("AWS_SESSION_TOKEN", "t/+="),
            ("AWS_CREDENTIAL_EXPIRATION", "2026-01-02T03:04:05Z"),
            ("AWS_REGION", "eu-north-1"),
            ("SIGWARD_ASSUMED_ACCESS_KEY_ID", "ASIA1"),
            ("SIGWARD_ASSUMED_ROLE", ROLE_ARN),
            ("SIGWARD_ORIGINAL_AWS_ACCESS_KEY_ID", "AKIA1"),
            ("SIGWARD_ORIGINAL_AWS_SECRET_ACCESS_KEY", "a'b\"c$d"),
            ("SIGWARD_ORIGINAL_AWS_SECURITY_TOKEN", "old"),
            ("SIGWARD_ORIGINAL_AWS_PROFILE", "dev"),
        ]);
        assert_eq!(after, expected);
        assert_eq!(unset(&after), before);
    }

    #[test]
    fn the_next_role_starts_from_the_original_credentials() {
        for before in
            [environ(&[("AWS_ACCESS_KEY_ID", "AKIA1"), ("AWS_SECRET_ACCESS_KEY", "s")]), environ(&[])]
        {
            let second = assume(&assume(&before, "ASIA1", &[]), "ASIA2", &[]);
            assert_eq!(second["AWS_ACCESS_KEY_ID"], "ASIA2");
            let environment = environment(&second);
            let original = |name: &str| Shell::new(&environment).original(name).map(str::to_owned);
            for name in VARIABLES {
                assert_eq!(original(name), before.get(name).cloned(), "{name}");
            }
            assert_eq!(unset(&second), before);
        }
    }

    #[test]
    fn a_role_that_was_left_by_hand_is_not_come_back_to() {
        let mut shell = assume(&environ(&[("AWS_ACCESS_KEY_ID", "AKIA1")]), "ASIA1", &[]);
        shell.insert("AWS_ACCESS_KEY_ID".into(), "AKIA2".into());
        let environment = environment(&shell);
        assert_eq!(Shell::new(&environment).original("AWS_ACCESS_KEY_ID"), Some("AKIA2"));
        let after = unset(&shell);
        assert_eq!(after["AWS_ACCESS_KEY_ID"], "AKIA2");
        assert!(after.keys().all(|name| name.starts_with("AWS_")), "{after:?}");
        let third = assume(&shell, "ASIA3", &[]);
        assert_eq!(third["SIGWARD_ORIGINAL_AWS_ACCESS_KEY_ID"], "AKIA2");
    }

    #[test]
    fn nothing_set_is_nothing_to_unset() {
        assert_eq!(Shell::new(&Environment::default()).unset(Dialect::Posix).as_str(), "");
    }

    #[test]
    fn fish_has_quotes_of_its_own() {
        let session = sample("2026-01-02T03:04:05Z");
        let environment = environment(&environ(&[("AWS_PROFILE", "dev")]));
        let lines = Shell::new(&environment).assume(Dialect::Fish, ROLE_ARN, &session, &[]);
        assert!(
            lines.contains("set -gx AWS_SECRET_ACCESS_KEY 'it\\'s $HOME `x` \"y\" \\\\'\n"),
            "{}",
            *lines
        );
        assert!(lines.contains("set -e AWS_PROFILE\n"));
    }
}
