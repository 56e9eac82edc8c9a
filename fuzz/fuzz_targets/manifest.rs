//! A debfleet.toml.
#![no_main]

use builder::manifest::Manifest;
use libfuzzer_sys::fuzz_target;
use std::path::Path;

fuzz_target!(|text: &str| {
    match Manifest::parse(text, Path::new("debfleet.toml")) {
        Ok(manifest) => drop(format!("{manifest:?}")),
        Err(error) => assert!(error.to_string().starts_with("debfleet.toml")),
    }
});
