//! A .deb: the ar members, the compressed streams, both tars, the control file and the signatures.
#![no_main]

use debian_formats::deb::Deb;
use debian_formats::limits::Limits;
use libfuzzer_sys::fuzz_target;

/// Small, so that a bomb is refused and not unpacked.
const LIMITS: Limits = Limits {
    deb_bytes: 1 << 20,
    control_tar_bytes: 1 << 20,
    control_file_bytes: 256 << 10,
    data_tar_bytes: 4 << 20,
    tar_entries: 1_000,
    tar_name_bytes: 1 << 20,
    dictionary_bytes: 8 << 20,
    ..Limits::DEFAULT
};

fuzz_target!(|bytes: &[u8]| {
    let Ok(deb) = Deb::open(&fuzz::file_of("a.deb", bytes), LIMITS) else { return };
    let mut seen = 0u64;
    deb.for_each_entry(|entry, content| {
        assert!(!entry.path.starts_with('/') && !entry.path.split('/').any(|part| part == ".."), "{}", entry.path);
        seen += std::io::copy(content, &mut std::io::sink())?;
        Ok(())
    })
    .expect("what was opened can be walked");
    assert!(seen <= LIMITS.data_tar_bytes);
    deb.signature_roles().for_each(drop);
});
