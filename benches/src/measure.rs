//! Times of two things done in turns.

use std::time::Instant;

/// Nanoseconds that each of two things takes once, and their ratio.
#[derive(Clone, Copy, Debug)]
pub struct Pair {
    /// The first, at best.
    pub first: f64,
    /// The second, at best.
    pub second: f64,
    /// The second to the first.
    pub ratio: f64,
}

/// Times `first` and `second`, which return nanoseconds for one run, in `rounds` turns.
///
/// The best of each counts: whatever else a machine does only adds. The two are done in turns so that neither has the
/// quiet hours to itself.
pub fn in_turns(rounds: usize, mut first: impl FnMut() -> f64, mut second: impl FnMut() -> f64) -> Pair {
    let (mut best_first, mut best_second) = (f64::INFINITY, f64::INFINITY);
    for _ in 0..rounds {
        best_first = best_first.min(first());
        best_second = best_second.min(second());
    }
    Pair { first: best_first, second: best_second, ratio: best_second / best_first }
}

/// Nanoseconds that one of `runs` takes.
pub fn time<T>(runs: u32, mut run: impl FnMut() -> T) -> f64 {
    let start = Instant::now();
    (0..runs).for_each(|_| _ = std::hint::black_box(run()));
    start.elapsed().as_secs_f64() * 1e9 / f64::from(runs)
}
