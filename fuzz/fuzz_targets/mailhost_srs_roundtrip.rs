#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| postrider_fuzz::mailhost_srs_roundtrip::run(data));
