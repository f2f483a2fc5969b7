#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| postrider_fuzz::pop3_response_roundtrip::run(data));
