#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| sigward_sigv4_fuzz::canonical(data));
