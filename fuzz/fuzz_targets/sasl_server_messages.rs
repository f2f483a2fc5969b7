#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| postrider_fuzz::sasl_server_messages::run(data));
