//! Keyrings, detached and cleartext signatures, and secret keys.
#![no_main]

use debian_formats::openpgp::{Keyring, SigningKey};
use jiff::Timestamp;
use libfuzzer_sys::fuzz_target;
use std::sync::LazyLock;

static TRUSTED: LazyLock<Keyring> =
    LazyLock::new(|| SigningKey::generate("fuzz", Timestamp::UNIX_EPOCH).expect("a key can be made").public_keyring());

fuzz_target!(|bytes: &[u8]| {
    if let Ok(ring) = Keyring::from_bytes(bytes) {
        let written = ring.to_bytes().expect("a keyring that was read can be written");
        let again = Keyring::from_bytes(&written).expect("a written keyring is read");
        assert_eq!(ring.fingerprints().ok(), again.fingerprints().ok());
    }
    assert!(TRUSTED.verify_detached(bytes, &b"data"[..]).is_err());
    if let Ok(text) = std::str::from_utf8(bytes) {
        assert!(TRUSTED.verify_cleartext(text).is_err());
        drop(SigningKey::from_armor(text));
    }
});
