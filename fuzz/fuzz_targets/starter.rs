//! Other tools' files that `debfleet new` begins from; the first byte says which.
#![no_main]

use builder::manifest::Manifest;
use builder::starter::{self, StarterError, Surroundings};
use libfuzzer_sys::fuzz_target;
use std::path::Path;

const NAMES: [&str; 4] = ["Cargo.toml", "package.json", "pyproject.toml", "nfpm.yaml"];

fuzz_target!(|bytes: &[u8]| {
    let Some((first, rest)) = bytes.split_first() else { return };
    let name = NAMES[usize::from(*first) % NAMES.len()];
    // A crate or project needs a program before a manifest comes of it.
    fuzz::file_of(&format!("{name}.d/a.py"), b"");
    let user = Some("Jo Doe <jo@example.org>");
    let variable = |name: &str| (name == "SET").then(|| "x\"\n".to_owned());
    let surroundings = Surroundings { maintainer: user, user: None, variable: &variable };
    match starter::from_file(&fuzz::file_of(&format!("{name}.d/{name}"), rest), &surroundings) {
        Ok(made) => {
            let manifest = &made.files()[0].content;
            Manifest::parse(manifest, Path::new("debfleet.toml")).expect("a made manifest loads");
            for file in made.files() {
                assert!(!file.path.starts_with('/') && !file.path.split('/').any(|part| part == ".."), "{}", file.path);
            }
        }
        Err(StarterError::Write(error)) => panic!("nothing is written here: {error}"),
        Err(error) => drop(error.to_string()),
    }
});
