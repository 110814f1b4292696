//! Load on a gateway by a client that spends little itself: requests are signed and serialised beforehand, one thread
//! replays them over connections that are kept.
//!
//! `options` says what can be asked for, `plan` signs, `connection` and `http1` carry, `drive` keeps the pace, `process`
//! looks at the gateway, `report` adds up.

mod connection;
mod drive;
mod http1;
mod options;
mod plan;
mod process;
mod report;

pub use drive::run;
pub use options::{Method, Options, Payload};
pub use report::Report;

use ring::digest;

use crate::measure::time;
use crate::payload::pattern;

/// Key of an object of `size` bytes that every `origin` answers for.
pub fn object_path(size: usize, number: usize) -> String {
    format!("/bench/{size}/{number:07}")
}

/// The size of an object, from its path.
pub fn object_size(path: &str) -> Option<usize> {
    path.strip_prefix("/bench/")?.split('/').next()?.parse().ok()
}

/// Nanoseconds that SHA-256 of an object of `size` bytes takes, at best.
pub fn hash_time(size: usize) -> f64 {
    let data = pattern(size);
    let hash = || time(1, || digest::digest(&digest::SHA256, &data));
    (0..200).map(|_| hash()).fold(f64::INFINITY, f64::min)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_says_how_large_its_object_is() {
        assert_eq!(object_size(&object_path(65_536, 17)), Some(65_536));
        assert_eq!(object_size("/other/65536/1"), None);
    }
}
