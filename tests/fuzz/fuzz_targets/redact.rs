#![no_main]

libfuzzer_sys::fuzz_target!(|input: &[u8]| dotenv_run_fuzz::redact::holds(input));
