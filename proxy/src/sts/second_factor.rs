//! Codes of MFA devices: each is good for one use, and whoever guesses them is made to wait.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};

use super::access_denied;
use super::constraints::{Constraints, Pattern};
use super::parameters::Parameters;
use crate::clock::UnixMillis;
use crate::fault::Fault;
use crate::iam::directory::{Identity, User};

const SERIAL_NUMBER: Pattern =
    Pattern { expression: "[\\w+=/:,.@-]*", legal: |c| c.is_ascii_alphanumeric() || "_+=/:,.@-".contains(c) };
const TOKEN_CODE: Pattern = Pattern { expression: "[\\d]*", legal: |c| c.is_ascii_digit() };

/// `SerialNumber` and `TokenCode` of a request.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct SecondFactor<'p> {
    serial_number: Option<&'p str>,
    token_code: Option<&'p str>,
}

/// Wrong codes in a row that cost no time: people mistype, and devices run slow.
const FREE_MISTAKES: u32 = 5;
/// How long the next mistake closes a device for, in milliseconds; every further one for twice as long.
const SHORTEST_WAIT: i64 = 30_000;
/// Three codes in a million are right at a time, so that a guess an hour hits one a year in one of forty years.
const LONGEST_WAIT: i64 = 3_600_000;

/// What is known of each device that was used. It is kept in memory: a restart within a minute and a half of its use
/// makes a code good for once more, and forgives mistakes.
#[derive(Default)]
pub(super) struct UsedCodes(Mutex<HashMap<String, Device>>);

#[derive(Default)]
struct Device {
    /// The step of the newest code that was accepted.
    newest: Option<i64>,
    /// Wrong codes since then.
    mistakes: u32,
    /// Until then no code is looked at, so that a guess tells nothing.
    closed_until: Option<UnixMillis>,
}

impl<'p> SecondFactor<'p> {
    pub(super) fn read(parameters: &'p Parameters<'_>, constraints: &mut Constraints) -> Self {
        let (serial_number, token_code) = (parameters.get("SerialNumber"), parameters.get("TokenCode"));
        if let Some(serial_number) = serial_number {
            constraints.text("serialNumber", serial_number, 9..=256, &SERIAL_NUMBER);
        }
        if let Some(token_code) = token_code {
            constraints.text("tokenCode", token_code, 6..=6, &TOKEN_CODE);
        }
        Self { serial_number, token_code }
    }

    /// When the second factor was proved; `None`: none was presented. A session that was asked for with a second
    /// factor is never issued without one.
    pub(super) fn prove(
        self,
        identity: Option<Identity<'_>>,
        used: &UsedCodes,
        now: UnixMillis,
    ) -> Result<Option<UnixMillis>, Fault> {
        match (self.serial_number, self.token_code) {
            (None, None) => Ok(None),
            (Some(serial_number), Some(code)) => match identity {
                Some(Identity::User(user)) => used.spend(user, serial_number, code, now).map(Some),
                None | Some(Identity::Root | Identity::Role(_) | Identity::Unknown) => Err(no_such_device()),
            },
            (Some(_), None) | (None, Some(_)) => Err(access_denied(
                "MultiFactorAuthentication failed, must provide both MFA serial number and one time pass code.",
            )),
        }
    }
}

impl UsedCodes {
    fn spend(
        &self,
        user: &User,
        serial_number: &str,
        code: &str,
        now: UnixMillis,
    ) -> Result<UnixMillis, Fault> {
        let declared = user.mfa_devices.iter().find(|device| device.serial_number == serial_number);
        let declared = declared.ok_or_else(no_such_device)?;
        let mut used = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let device = used.entry(format!("{} {serial_number}", user.principal.user_id)).or_default();
        if device.accepts(now, || declared.secret.step(code, now)) {
            Ok(now)
        } else {
            Err(access_denied("MultiFactorAuthentication failed with invalid MFA one time pass code."))
        }
    }
}

impl Device {
    /// Whether a code is right and was not used before; `step` tells to which it belongs.
    fn accepts(&mut self, now: UnixMillis, step: impl FnOnce() -> Option<i64>) -> bool {
        if self.closed_until.is_some_and(|until| now < until) {
            return false;
        }
        match step() {
            Some(step) if self.newest.is_none_or(|newest| newest < step) => {
                *self = Self { newest: Some(step), ..Self::default() };
                true
            }
            // Whoever presents an old code knows it: that is no guess.
            Some(_) => false,
            None => {
                self.mistakes = self.mistakes.saturating_add(1);
                let beyond = self.mistakes.checked_sub(FREE_MISTAKES);
                let wait = beyond.map(|beyond| LONGEST_WAIT.min(SHORTEST_WAIT << beyond.min(7)));
                self.closed_until = wait.map(|wait| now.plus(wait));
                false
            }
        }
    }
}

fn no_such_device() -> Fault {
    access_denied(
        "MultiFactorAuthentication failed, unable to validate MFA code.  Please verify your MFA serial number is \
         valid and associated with this user.",
    )
}
