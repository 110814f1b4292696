//! What the benches measure, the least work any verifier must do for it, and how it is measured; and what puts load on
//! the gateway as a whole.
//!
//! Figures are ratios of two things done in turns in one process, or counts of instructions and allocations: a time
//! belongs to one machine and one hour.

pub mod callgrind;
pub mod head;
pub mod load;
pub mod measure;
pub mod payload;
