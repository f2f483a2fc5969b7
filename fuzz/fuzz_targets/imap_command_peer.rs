#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| postrider_fuzz::imap_command_peer::run(data));
