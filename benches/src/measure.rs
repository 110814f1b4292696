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

/// Times `first` and `second`, which return nanoseconds for one run, as [`best_of`] does.
pub fn in_turns(rounds: usize, mut first: impl FnMut() -> f64, mut second: impl FnMut() -> f64) -> Pair {
    let [first, second] = best_of(rounds, [&mut first, &mut second]);
    Pair { first, second, ratio: second / first }
}

/// Times things, which return nanoseconds for one run, in `rounds` turns.
///
/// The best of each counts: whatever else a machine does only adds. They are done in turns so that none has the quiet
/// hours to itself; what is compared or subtracted must come of the same turns.
pub fn best_of<const N: usize>(rounds: usize, mut things: [&mut dyn FnMut() -> f64; N]) -> [f64; N] {
    let mut best = [f64::INFINITY; N];
    for _ in 0..rounds {
        for (best, thing) in best.iter_mut().zip(&mut things) {
            *best = best.min(thing());
        }
    }
    best
}

/// Nanoseconds that one of `runs` takes.
pub fn time<T>(runs: u32, mut run: impl FnMut() -> T) -> f64 {
    let start = Instant::now();
    (0..runs).for_each(|_| _ = std::hint::black_box(run()));
    start.elapsed().as_secs_f64() * 1e9 / f64::from(runs)
}
