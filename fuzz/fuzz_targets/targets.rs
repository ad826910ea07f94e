#![no_main]

libfuzzer_sys::fuzz_target!(|input: &[u8]| ahds_proxy_fuzz::targets(input));
