//! Prints, for every case, the time of verification beside that of the hashing only. The two are run in turns of
//! a few microseconds and the median of the ratios is taken, so that other load on the machine hits both alike.

use std::hint::black_box;
use std::io::{Write, stdout};
use std::time::Instant;

use sigward_benches::Case;

const ROUNDS: usize = 20_001;
const RUNS: u32 = 8;

fn main() -> std::io::Result<()> {
    let mut out = stdout().lock();
    writeln!(out, "| case | hashing only, ns | verify, ns | ratio |\n|---|---|---|---|")?;
    for case in Case::all() {
        let bound = case.hashed_bytes();
        let hash = || black_box(black_box(&bound).hash());
        let verify = || black_box(black_box(&case).verify());
        let (mut hashes, mut verifications, mut ratios) = (Vec::new(), Vec::new(), Vec::new());
        for _ in 0..ROUNDS {
            let (hashing, verifying) = (time(&hash), time(&verify));
            hashes.push(hashing);
            verifications.push(verifying);
            ratios.push(verifying / hashing);
        }
        let (hash, verify) = (median(hashes), median(verifications));
        writeln!(out, "| {} | {hash:.0} | {verify:.0} | {:.2} |", case.name, median(ratios))?;
    }
    Ok(())
}

/// Nanoseconds that one run takes.
fn time<T>(run: &impl Fn() -> T) -> f64 {
    let start = Instant::now();
    (0..RUNS).for_each(|_| _ = run());
    start.elapsed().as_secs_f64() * 1e9 / f64::from(RUNS)
}

fn median(mut values: Vec<f64>) -> f64 {
    values.sort_unstable_by(f64::total_cmp);
    values[values.len() / 2]
}
