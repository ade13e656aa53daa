#![no_main]
libfuzzer_sys::fuzz_target!(|data: &[u8]| mirror_fuzz::mapped_entry(data));
