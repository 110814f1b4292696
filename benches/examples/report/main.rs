//! Prints every figure in Markdown: heads, large requests, refusals, bodies, allocations, peers.
//!
//! Two things are done in turns and the best of each counts; instructions are counted where valgrind is.
#![expect(clippy::print_stdout, reason = "the report is what it is for")]

mod peers;

use allocation_counter::measure;
use sigv4::ChecksumAlgorithm;
use sigward_benches::callgrind::{What, be_counted, count, is_present};
use sigward_benches::head::{Case, Large, Reject, some_time};
use sigward_benches::measure::{best_of, in_turns, time};
use sigward_benches::payload::{Body, Framing, SIZE};

const ROUNDS: usize = 3_000;
/// The same for bodies, which take milliseconds.
const BODIES: usize = 150;
/// Verifications in a turn: long enough for the clock, short enough to fall between two interruptions.
const RUNS: u32 = 8;

fn main() -> Result<(), String> {
    be_counted();
    let counted = is_present();
    if !counted {
        println!("valgrind is missing: instructions are not counted.\n");
    }
    heads(counted)?;
    if counted {
        large()?;
    }
    rejects(counted)?;
    payloads();
    allocations();
    peers::compare();
    Ok(())
}

fn heads(counted: bool) -> Result<(), String> {
    println!("### Verifying a head beside the hashing that no verifier can avoid\n");
    println!("| case | hashing only, ns | verify, ns | ratio | instructions: hashing | verify | ratio |");
    println!("|---|---|---|---|---|---|---|");
    for (number, case) in Case::hot(some_time()).iter().enumerate() {
        let bound = case.bound();
        let pair = in_turns(ROUNDS, || time(RUNS, || bound.hash()), || time(RUNS, || case.verify()));
        let instructions = match counted {
            true => {
                let (hash, verify) = (count(What::Hash(number))?, count(What::Verify(number))?);
                format!("{hash} | {verify} | {:.2}", verify as f64 / hash as f64)
            }
            false => "– | – | –".to_owned(),
        };
        println!(
            "| {} | {:.0} | {:.0} | {:.2} | {instructions} |",
            case.name, pair.first, pair.second, pair.ratio
        );
    }
    println!();
    Ok(())
}

fn large() -> Result<(), String> {
    println!("### Large requests, instructions\n");
    println!("| what is large | half of it | all of it | twice as much | last doubling to the one before |");
    println!("|---|---|---|---|---|");
    for (name, large, size) in [
        ("path of 2 KiB", Large::Path, 2048),
        ("path of 2 KiB, escaped", Large::EscapedPath, 2048),
        ("100 query parameters, out of order", Large::Query, 100),
        ("60 headers, all signed", Large::Headers, 60),
    ] {
        let at = |size| count(What::Large(large, size));
        let (half, whole, double) = (at(size / 2)?, at(size)?, at(size * 2)?);
        let growth = (double - whole) as f64 / (whole - half) as f64;
        println!("| {name} | {half} | {whole} | {double} | {growth:.2} |");
    }
    println!();
    Ok(())
}

fn rejects(counted: bool) -> Result<(), String> {
    println!("### Refusals beside the acceptance of the same request (GET by header, token)\n");
    println!("| refused for | time to acceptance | instructions | to acceptance |");
    println!("|---|---|---|---|");
    let accepted = Case::hot(some_time()).swap_remove(0);
    let accept = if counted { count(What::Verify(0))? } else { 0 };
    for why in Reject::ALL {
        let case = accepted.clone().rejected(why);
        let pair = in_turns(ROUNDS, || time(RUNS, || accepted.verify()), || time(RUNS, || case.refuse(why)));
        let instructions = match counted {
            true => {
                let refuse = count(What::Refuse(0, why))?;
                format!("{refuse} | {:.2}", refuse as f64 / accept as f64)
            }
            false => "– | –".to_owned(),
        };
        println!("| {why:?} | {:.2} | {instructions} |", pair.ratio);
    }
    println!();
    Ok(())
}

fn payloads() {
    println!("### Bodies of 4 MiB in reads of 64 KiB: share of the throughput that the hashing alone has\n");
    println!("| body | of the data's hash or checksum | of that and the signatures of chunks | demanded |");
    println!("|---|---|---|---|");
    for (name, framing, demanded) in Framing::all() {
        let body = Body::new(framing, SIZE);
        let verify = body.verifier();
        let mut verified = || time(1, &verify);
        let mut hashed = || time(1, || body.hash_data());
        let mut bound = || time(1, || body.bound());
        let [verified, hashed, bound] = best_of(BODIES, [&mut verified, &mut hashed, &mut bound]);
        println!(
            "| {name} | {:.1} % | {:.1} % | {:.0} % |",
            hashed / verified * 100.0,
            bound / verified * 100.0,
            demanded * 100.0
        );
    }
    println!();
}

fn allocations() {
    println!("### Allocations\n\n| what | allocations |\n|---|---|");
    for case in Case::hot(some_time()) {
        println!("| {} | {} |", case.name, measure(|| drop(case.verify())).count_total);
    }
    for (name, framing) in [
        ("2 MiB more of signed chunks of 64 KiB", Framing::Signed(64 * 1024)),
        ("2 MiB more of signed chunks of 8 KiB", Framing::Signed(8 * 1024)),
        ("2 MiB more of unsigned chunks of 64 KiB", Framing::Unsigned(ChecksumAlgorithm::Crc64Nvme)),
    ] {
        let at = |size| {
            let body = Body::new(framing, size);
            measure(|| body.verify()).count_total
        };
        println!("| {name} | {} |", at(SIZE) - at(SIZE / 2));
    }
    println!();
}
