//! Codes of MFA devices: each is good for one use.

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

/// The newest code that was accepted of each device. It is kept in memory: a restart within a minute and a half of its
/// use makes a code good for once more.
#[derive(Default)]
pub(super) struct UsedCodes(Mutex<HashMap<String, i64>>);

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
        let device = user.mfa_devices.iter().find(|device| device.serial_number == serial_number);
        let device = device.ok_or_else(no_such_device)?;
        let wrong = || access_denied("MultiFactorAuthentication failed with invalid MFA one time pass code.");
        let step = device.secret.step(code, now).ok_or_else(wrong)?;
        let mut used = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let device = format!("{} {serial_number}", user.principal.user_id);
        match used.insert(device.clone(), step) {
            Some(last) if last >= step => {
                used.insert(device, last);
                Err(wrong())
            }
            Some(_) | None => Ok(now),
        }
    }
}

fn no_such_device() -> Fault {
    access_denied(
        "MultiFactorAuthentication failed, unable to validate MFA code.  Please verify your MFA serial number is \
         valid and associated with this user.",
    )
}
