#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| postrider_fuzz::relay_queue_operations::run(data));
