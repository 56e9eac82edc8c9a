//! A Packages index.
#![no_main]

use debian_formats::control::Stanza;
use debian_formats::packages::PackageEntry;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|text: &str| {
    let Ok(stanzas) = Stanza::parse_all(text) else { return };
    for entry in stanzas.iter().filter_map(|stanza| PackageEntry::from_stanza(stanza).ok()) {
        // The updater joins it to the repository's address.
        assert!(!entry.filename().split('/').any(|part| part == ".."), "{}", entry.filename());
        let found = PackageEntry::find_in_index(text, entry.control().package());
        drop(found);
    }
});
