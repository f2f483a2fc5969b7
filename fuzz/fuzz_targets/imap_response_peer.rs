#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| postrider_fuzz::imap_response_peer::run(data));
