//! Control stanzas: what is written again is read as the same.
#![no_main]

use debian_formats::control::{Control, Stanza};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|text: &str| {
    let Ok(stanzas) = Stanza::parse_all(text) else { return };
    for stanza in stanzas {
        let Ok(control) = Control::from_stanza(stanza) else { continue };
        let written = control.stanza().to_string();
        let again: Control = written.parse().expect("a written control file is read");
        assert_eq!(again.stanza().to_string(), written);
        assert!(!control.file_name().contains('/'));
    }
});
