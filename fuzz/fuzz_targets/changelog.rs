//! The newest entry of a Debian changelog.
#![no_main]

use debian_formats::changelog;
use debian_formats::changes::ChangelogEntry;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|text: &str| {
    drop(changelog::newest(text));
    drop(ChangelogEntry::newest_of(text));
});
