#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| postrider_fuzz::smtp_data_split::run(data));
