//! Finding the files of `[systemd]` and `[scripts]`, and joining them: the units decide what is generated into the
//! scripts.

use super::gather::Finding;
use super::maintainer_scripts::ScriptRule;
use super::systemd::{ConfRule, UnitRule};
use super::{ManifestError, ManifestProblem};
use crate::entries::generated;
use crate::scripts::{self, Parts, Values};
use crate::systemd::{self, ConfError, Services, UNIT_FOLDER, UnitFile};
use crate::walk::WalkError;
use debian_formats::control::Stanza;
use std::collections::BTreeMap;
use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};

/// No unit file is as large as this.
const TEXT_LIMIT: u64 = 1 << 20;

/// What systemd itself or a smaller package provides; the first is what a Debian system has.
const SYSUSERS: [&str; 3] = ["systemd", "systemd-standalone-sysusers", "systemd-sysusers"];
const TMPFILES: [&str; 3] = ["systemd", "systemd-standalone-tmpfiles", "systemd-tmpfiles"];

impl Finding<'_> {
    /// The files of `[systemd]` join the entries, and what they need joins Depends. Gives the control files of
    /// `[scripts]`.
    pub(super) fn services(&mut self, stanza: &mut Stanza) -> Result<BTreeMap<String, Vec<u8>>, ManifestError> {
        let manifest = self.manifest;
        let at = |line: usize| move |problem| ManifestError::new(&manifest.file, Some(line), problem);
        let mut services = Services::default();
        for rule in &manifest.systemd.units {
            match self.unit(rule).map_err(at(rule.line))? {
                UnitFile::Unit(unit) => services.units.push(unit),
                UnitFile::Template => services.has_templates = true,
            }
        }
        let file = format!("{}.conf", manifest.package.name());
        if let Some(rule) = &manifest.systemd.sysusers {
            let path = format!("usr/lib/sysusers.d/{file}");
            self.conf("sysusers", &path, rule, systemd::check_sysusers).map_err(at(rule.line))?;
            services.sysusers = Some(file.clone());
            require(stanza, &SYSUSERS);
        }
        if let Some(rule) = &manifest.systemd.tmpfiles {
            let path = format!("usr/lib/tmpfiles.d/{file}");
            self.conf("tmpfiles", &path, rule, systemd::check_tmpfiles).map_err(at(rule.line))?;
            services.tmpfiles = Some(file);
            require(stanza, &TMPFILES);
        }
        let parts = Parts::new(&services);
        let field = |name: &str| stanza.get(name).unwrap_or_default();
        let variables = &manifest.scripts.variables;
        let values = Values::new(field("Package"), field("Version"), field("Architecture"), variables);
        let mut control_files: BTreeMap<String, Vec<u8>> =
            parts.iter().map(|(name, part)| (name.to_owned(), scripts::of_part(part))).collect();
        for rule in &manifest.scripts.files {
            let bytes = self.script(rule, &values, &parts).map_err(at(rule.line))?;
            control_files.insert(rule.name.to_owned(), bytes);
        }
        if !manifest.scripts.triggers.is_empty() {
            control_files.insert("triggers".to_owned(), (manifest.scripts.triggers.join("\n") + "\n").into_bytes());
        }
        Ok(control_files)
    }

    fn unit(&mut self, rule: &UnitRule) -> Result<UnitFile, ManifestProblem> {
        let (path, text) = self.text("units", &rule.source)?;
        // Its own name, also if it is a link to another file.
        let name = Path::new(&rule.source).file_name().unwrap_or_default().to_string_lossy().into_owned();
        let unit = UnitFile::check(&name, &text, rule.wishes);
        let unit = unit.map_err(|cause| ManifestProblem::Unit { path, cause })?;
        self.entries.add(&format!("{UNIT_FOLDER}/{name}"), generated(text))?;
        Ok(unit)
    }

    fn conf(
        &mut self,
        key: &'static str,
        destination: &str,
        rule: &ConfRule,
        check: impl Fn(&[u8]) -> Result<(), (usize, ConfError)>,
    ) -> Result<(), ManifestProblem> {
        let (path, text) = self.text(key, &rule.source)?;
        check(&text).map_err(|(line, cause)| ManifestProblem::Conf { path, line, cause })?;
        Ok(self.entries.add(destination, generated(text))?)
    }

    fn script(&mut self, rule: &ScriptRule, values: &Values, parts: &Parts) -> Result<Vec<u8>, ManifestProblem> {
        let path = self.file(rule.name, &rule.source)?;
        Ok(scripts::read_template(&path, rule.name, values, parts.get(rule.name))?)
    }

    /// A file below the manifest's folder, and what it holds.
    fn text(&mut self, key: &'static str, source: &str) -> Result<(PathBuf, Vec<u8>), ManifestProblem> {
        let path = self.file(key, source)?;
        let mut text = Vec::new();
        let file = File::open(&path).and_then(|file| file.take(TEXT_LIMIT + 1).read_to_end(&mut text));
        file.map_err(WalkError::io(&path))?;
        if text.len() as u64 > TEXT_LIMIT {
            return Err(ManifestProblem::Kind {
                what: key,
                path,
                found: "larger than 1 MiB",
                next: "name a text file",
            });
        }
        Ok((path, text))
    }
}

/// Adds a relation to Depends, where dpkg-gencontrol puts that field, unless one of the alternatives stands there.
fn require(stanza: &mut Stanza, alternatives: &[&str]) {
    let depends = stanza.get("Depends").unwrap_or_default();
    let names = |relation: &str| -> Vec<String> {
        let name = |text: &str| text.trim().split([' ', '(', ':', '[']).next().unwrap_or_default().to_owned();
        relation.split('|').map(name).collect()
    };
    let is_met = |relation: &str| names(relation).iter().all(|name| alternatives.contains(&name.as_str()));
    if depends.split(',').any(is_met) {
        return;
    }
    let wanted = alternatives.join(" | ");
    if !depends.is_empty() {
        let both = format!("{depends}, {wanted}");
        stanza.set("Depends", &both);
        return;
    }
    let last_before = if stanza.get("Pre-Depends").is_some() { "Pre-Depends" } else { "Maintainer" };
    let mut with_depends = Stanza::new();
    for (name, value) in stanza.iter() {
        with_depends.set(name, value);
        if name == last_before {
            with_depends.set("Depends", &wanted);
        }
    }
    *stanza = with_depends;
}

#[cfg(test)]
mod tests {
    use super::*;

    fn depends(before: &[(&str, &str)]) -> String {
        let mut stanza = Stanza::new();
        for (name, value) in before {
            stanza.set(name, value);
        }
        require(&mut stanza, &TMPFILES);
        stanza.to_string()
    }

    #[test]
    fn what_applies_the_files_is_depended_on() {
        let wanted = "systemd | systemd-standalone-tmpfiles | systemd-tmpfiles";
        let maintainer = ("Maintainer", "A <a@example.org>");
        assert_eq!(
            depends(&[maintainer, ("Section", "misc")]),
            format!("Maintainer: A <a@example.org>\nDepends: {wanted}\nSection: misc\n")
        );
        assert!(depends(&[("Depends", "a (>= 1)")]).contains(&format!("Depends: a (>= 1), {wanted}\n")));
        assert_eq!(depends(&[("Depends", "a, systemd (>= 252)")]), "Depends: a, systemd (>= 252)\n");
        assert!(depends(&[("Depends", "systemd | runit")]).contains(wanted));
    }
}
