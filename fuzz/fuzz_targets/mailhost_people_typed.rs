#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| postrider_fuzz::mailhost_people_typed::run(data));
