#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| postrider_fuzz::smtp_client_split::run(data));
