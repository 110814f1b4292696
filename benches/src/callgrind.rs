//! Instructions, counted by valgrind's callgrind in a child process that does one thing a number of times.
//!
//! The child is the program itself: its `main` calls [`be_counted`] first. Counts of one binary are the same to a few
//! instructions wherever it runs, but for what the C library chooses by the CPU. Callgrind has no SHA instructions, so
//! that the hashing is counted as it is on a CPU without them.

use std::env;
use std::hint::black_box;
use std::process::Command;

use crate::head::{Case, Large, Reject, some_time};

/// Something to count.
#[derive(Clone, Copy, Debug)]
pub enum What {
    /// Verification of a hot case, by its number.
    Verify(usize),
    /// The hashing of a hot case, by its number.
    Hash(usize),
    /// Verification of a large request.
    Large(Large, usize),
    /// A request refused that would else be a hot case, by its number.
    Refuse(usize, Reject),
}

/// The first argument of a child; four numbers follow.
const ORDER: &str = "be-counted";
/// How often the child does it, so that what it does besides is nothing.
const FEW: u64 = 20;
const MANY: u64 = 220;

/// Whether valgrind is there.
pub fn is_present() -> bool {
    Command::new("valgrind").arg("--version").output().is_ok_and(|output| output.status.success())
}

/// Instructions that `what` takes once: the difference of two children leaves their start out.
pub fn count(what: What) -> Result<u64, String> {
    Ok((collected(what, MANY)? - collected(what, FEW)?) / (MANY - FEW))
}

fn collected(what: What, times: u64) -> Result<u64, String> {
    let program = env::current_exe().map_err(|error| error.to_string())?;
    let output = Command::new("valgrind")
        .args(["--tool=callgrind", "--callgrind-out-file=/dev/null"])
        .arg(program)
        .arg(ORDER)
        .args(encode(what).into_iter().chain([times as usize]).map(|number| number.to_string()))
        .output()
        .map_err(|error| format!("valgrind cannot be run: {error}"))?;
    let text = String::from_utf8_lossy(&output.stderr);
    let number = text.lines().find_map(|line| line.split_once("Collected : "));
    number.and_then(|(_, number)| number.trim().parse().ok()).ok_or_else(|| format!("valgrind: {text}"))
}

/// In a child: does what is to be counted and exits. Elsewhere: nothing.
pub fn be_counted() {
    if env::args().nth(1).as_deref() != Some(ORDER) {
        return;
    }
    let numbers: Vec<usize> = env::args().skip(2).map(|number| number.parse().expect("a number")).collect();
    let [kind, first, second, times] = numbers[..] else { panic!("four numbers") };
    let hot = |number| Case::hot(some_time()).swap_remove(number);
    let repeat = |run: &dyn Fn()| (0..times).for_each(|_| run());
    match kind {
        0 => {
            let case = hot(first);
            repeat(&|| _ = black_box(black_box(&case).verify()));
        }
        1 => {
            let bound = hot(first).bound();
            repeat(&|| _ = black_box(black_box(&bound).hash()));
        }
        2 => {
            let case = Case::large(LARGE[first], second);
            repeat(&|| _ = black_box(black_box(&case).verify()));
        }
        _ => {
            let why = Reject::ALL[second];
            let case = hot(first).rejected(why);
            repeat(&|| black_box(&case).refuse(why));
        }
    }
    std::process::exit(0);
}

const LARGE: [Large; 4] = [Large::Path, Large::EscapedPath, Large::Query, Large::Headers];

fn encode(what: What) -> [usize; 3] {
    match what {
        What::Verify(case) => [0, case, 0],
        What::Hash(case) => [1, case, 0],
        What::Large(large, size) => [2, large as usize, size],
        What::Refuse(case, why) => [3, case, why as usize],
    }
}
