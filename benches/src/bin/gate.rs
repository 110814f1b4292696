//! The gate against creeping slowness: instructions and allocations of the hot cases, compared with `reference.txt`.
//!
//! `gate` compares, `gate --update` writes what it finds. Exits with 1 if something has become dearer.
#![expect(clippy::print_stdout, clippy::print_stderr, reason = "what it finds is what it is for")]

use std::fmt::Write as _;
use std::process::ExitCode;
use std::{env, fs};

use allocation_counter::measure;
use sigward_benches::callgrind::{What, be_counted, count, is_present};
use sigward_benches::head::{Case, Large, some_time};

/// Beside this crate, not beside whoever runs it.
const REFERENCE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/reference.txt");
const HEADER: &str = "\
# Instructions of verification by callgrind, compared by `cargo run --release -p sigward-benches --bin gate`; `-- --update`
# writes this file. case | hashing that nobody can avoid | beside it | both to the first\n";
/// How much more than the reference is let through.
const TOLERANCE: f64 = 1.05;
/// By how much a request twice as large may take more than twice as long: what sorts takes a little more.
const LINEAR: f64 = 2.4;

struct Figure {
    case: String,
    bound: u64,
    beside: u64,
}

impl Figure {
    fn ratio(&self) -> f64 {
        (self.bound + self.beside) as f64 / self.bound as f64
    }

    fn line(&self) -> String {
        format!("{} | {} | {} | {:.3}\n", self.case, self.bound, self.beside, self.ratio())
    }

    fn parse(line: &str) -> Option<Self> {
        let mut parts = line.split(" | ");
        let (case, bound, beside) = (parts.next()?, parts.next()?, parts.next()?);
        Some(Self { case: case.to_owned(), bound: bound.parse().ok()?, beside: beside.parse().ok()? })
    }

    /// What is worse here than in the reference.
    ///
    /// What is beside the hashing is compared in any case. The ratio says more, but where the hashing is another, of
    /// another `ring` or another CPU, it says nothing.
    fn worse_than(&self, reference: &Self) -> Option<String> {
        let same_bound = (self.bound as f64 / reference.bound as f64 - 1.0).abs() < 0.02;
        let beside = self.beside as f64 > reference.beside as f64 * TOLERANCE;
        let ratio = same_bound && self.ratio() > reference.ratio() * TOLERANCE;
        (beside || ratio).then(|| {
            format!(
                "{}: {} instructions beside the hashing, {} in the reference; {:.3} times the hashing, {:.3} in it",
                self.case,
                self.beside,
                reference.beside,
                self.ratio(),
                reference.ratio()
            )
        })
    }
}

fn main() -> ExitCode {
    be_counted();
    match run(env::args().any(|argument| argument == "--update")) {
        Ok(faults) if faults.is_empty() => ExitCode::SUCCESS,
        Ok(faults) => {
            eprintln!("\nverification has become dearer:\n  {}", faults.join("\n  "));
            eprintln!(
                "If that is the price of something worth it, say so in the commit that also holds what"
            );
            eprintln!("  cargo run --release -p sigward-benches --bin gate -- --update");
            eprintln!(
                "writes to benches/reference.txt. Otherwise benches/README.md says how to find what costs."
            );
            ExitCode::FAILURE
        }
        Err(error) => {
            eprintln!("gate: {error}");
            ExitCode::FAILURE
        }
    }
}

fn run(update: bool) -> Result<Vec<String>, String> {
    if !is_present() {
        return Err("valgrind is missing".to_owned());
    }
    let figures = figures()?;
    let mut faults = allocations();
    faults.extend(linearity()?);
    if update {
        let lines = figures.iter().fold(HEADER.to_owned(), |lines, figure| lines + &figure.line());
        fs::write(REFERENCE, lines).map_err(|error| format!("{REFERENCE}: {error}"))?;
        return Ok(faults);
    }
    let text = fs::read_to_string(REFERENCE).map_err(|error| format!("{REFERENCE}: {error}"))?;
    let reference: Vec<_> = text.lines().filter_map(Figure::parse).collect();
    for figure in &figures {
        match reference.iter().find(|reference| reference.case == figure.case) {
            Some(reference) => faults.extend(figure.worse_than(reference)),
            None => faults.push(format!("{}: not in {REFERENCE}", figure.case)),
        }
    }
    Ok(faults)
}

fn figures() -> Result<Vec<Figure>, String> {
    let mut figures = Vec::new();
    for (number, case) in Case::hot(some_time()).iter().enumerate() {
        let (bound, whole) = (count(What::Hash(number))?, count(What::Verify(number))?);
        let beside = whole.checked_sub(bound).ok_or("verification took less than its hashing")?;
        let figure = Figure { case: case.name.to_owned(), bound, beside };
        print!("{}", figure.line());
        figures.push(figure);
    }
    Ok(figures)
}

/// Verification of a hot case allocates nothing.
fn allocations() -> Vec<String> {
    let cases = Case::hot(some_time());
    let allocates = |case: &Case| match measure(|| drop(case.verify())).count_total {
        0 => None,
        count => Some(format!("{}: {count} allocations", case.name)),
    };
    cases.iter().filter_map(allocates).collect()
}

/// Doubling what is large adds no more than about twice what doubling it before did.
fn linearity() -> Result<Vec<String>, String> {
    let mut faults = Vec::new();
    for (large, size) in
        [(Large::Path, 2048), (Large::EscapedPath, 2048), (Large::Query, 100), (Large::Headers, 60)]
    {
        let at = |size| count(What::Large(large, size));
        let (half, whole, double) = (at(size / 2)?, at(size)?, at(size * 2)?);
        let growth = (double - whole) as f64 / (whole - half) as f64;
        let mut line = String::new();
        write!(
            line,
            "{large:?} of {size}: {whole} instructions, twice the size adds {growth:.2} times what half does"
        )
        .expect("writing to a String cannot fail");
        println!("{line}");
        if growth > LINEAR {
            faults.push(line);
        }
    }
    Ok(faults)
}
