#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| postrider_fuzz::mailhost_form_fields::run(data));
