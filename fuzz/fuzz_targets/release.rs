//! A Release file, signed by a trusted key: damage, or a repository that was broken into.
#![no_main]

use debian_formats::names::SuiteName;
use debian_formats::openpgp::{Keyring, SigningKey};
use debian_formats::release::VerifiedRelease;
use jiff::Timestamp;
use libfuzzer_sys::fuzz_target;
use std::sync::LazyLock;

static KEY: LazyLock<(SigningKey, Keyring)> = LazyLock::new(|| {
    let key = SigningKey::generate("fuzz", Timestamp::UNIX_EPOCH).expect("a key can be made");
    let ring = key.public_keyring();
    (key, ring)
});

fuzz_target!(|text: &str| {
    let (key, ring) = &*KEY;
    let suite: SuiteName = "stable".parse().expect("it is a suite");
    let time = Timestamp::constant(1_800_000_000, 0);
    let Ok(signed) = key.sign_cleartext(text, time) else { return };
    if let Ok(release) = VerifiedRelease::verify(&signed, ring, &suite) {
        drop(release.check_fresh(time, Some(time)));
        let _ = release.file("main/binary-amd64/Packages");
    }
    // Without a signature of a trusted key nothing is ever accepted.
    assert!(VerifiedRelease::verify(text, ring, &suite).is_err());
});
