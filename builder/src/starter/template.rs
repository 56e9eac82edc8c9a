//! A project from nothing but a name.

use super::draft::{Draft, FileRule, Unit};
use super::error::StarterError;
use super::{Starter, StarterFile, Surroundings, words};
use debian_formats::PackageName;
use std::path::Path;

/// What a device checks after it installed the new version.
const UPDATE: &str = "
# How a device updates itself to this version: it is put back unless the program runs.
[update]
commit-timeout = 60

[[update.health]]
command = '\"$DPKG_ROOT/usr/lib/{name}/{name}\"'
timeout = 5
interval = 1
";

/// Works out a small project in `folder`: a program that says its version, and all that makes it a package.
pub fn from_name(name: &str, folder: &Path, surroundings: &Surroundings) -> Result<Starter, StarterError> {
    let name: PackageName = name.parse().map_err(|error: debian_formats::names::NameError| StarterError::Name {
        problem: error.to_string(),
        nearest: words::package_name(name).map(String::from),
    })?;
    let name = name.as_str();
    let mut draft = Draft::of("a name");
    draft.head.push("Every key: docs/manifest.md of debfleet. Lines below are an example; make them yours.".to_owned());
    draft.name = name.to_owned();
    draft.version = "0.1.0".to_owned();
    draft.maintainer = words::maintainer(surroundings, &[], "a name")?;
    let long =
        "It prints one line with its version each time that the device starts.\nSay here what your program does.";
    draft.description = ("program that tells its own version".to_owned(), long.to_owned());
    draft.license = Some("Apache-2.0".to_owned());
    let program = FileRule::path(name, format!("/usr/lib/{name}/{name}"));
    draft.files = vec![FileRule { mode: Some(0o755), ..program }];
    let unit = format!("{name}.service");
    draft.units = vec![Unit { source: unit.clone(), enable: None, start: None, on_upgrade: None }];
    draft.update = Some(UPDATE.replace("{name}", name));
    draft.bump = vec![(name.to_owned(), "VERSION={version}".to_owned())];
    draft.extra_files = vec![
        file(name, format!("#!/bin/sh\nVERSION=0.1.0\necho \"{name} $VERSION\"\n"), true),
        file(&unit, service(name), false),
        file("README.md", readme(name), false),
        // What a build makes, and what nobody else may have.
        file(".gitignore", "/keys/\n/out/\n".to_owned(), false),
    ];
    Starter::of_draft(folder.to_owned(), draft)
}

fn file(path: &str, content: String, executable: bool) -> StarterFile {
    StarterFile { path: path.to_owned(), content, executable }
}

fn service(name: &str) -> String {
    format!(
        "[Unit]\nDescription={name} tells its version\n\n\
         # Change Type to simple (or notify) when the program keeps running.\n\
         [Service]\nType=oneshot\nRemainAfterExit=yes\nExecStart=/usr/lib/{name}/{name}\nDynamicUser=yes\n\n\
         [Install]\nWantedBy=multi-user.target\n"
    )
}

fn readme(name: &str) -> String {
    format!(
        "# {name}\n\n\
         `debfleet build --out out --key keys/package.key` makes the package in `out/`.\n\
         `debfleet bump minor` raises the version in `debfleet.toml` and in `{name}`.\n\
         `debfleet.toml` says what is in the package; `{name}` is the program, `{name}.service` starts it.\n"
    )
}
