//! Repeats one case a fixed number of times, to be counted or sampled from outside: `repeat <case> verify|hash <times>`.

use std::env::args;
use std::hint::black_box;

use sigward_benches::head::{Case, some_time};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let [case, what, times] = args().skip(1).collect::<Vec<_>>().try_into().map_err(|_| "three arguments")?;
    let case = Case::hot(some_time()).into_iter().nth(case.parse()?).ok_or("no such case")?;
    let bound = case.bound();
    for _ in 0..times.parse::<u64>()? {
        match what.as_str() {
            "verify" => _ = black_box(black_box(&case).verify()),
            "hash" => _ = black_box(black_box(&bound).hash()),
            _ => return Err("verify or hash".into()),
        }
    }
    Ok(())
}
