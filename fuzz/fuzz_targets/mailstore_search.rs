#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| postrider_fuzz::mailstore_search::run(data));
