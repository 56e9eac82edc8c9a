//! `[package]`: the fields of the control file, under Debian's names.

use super::error::{Found, ManifestProblem};
use super::relations::RawRelations;
use super::values::{
    bad_value, check_description, check_homepage, check_line, check_maintainer, check_priority, check_section,
};
use debian_formats::control::Stanza;
use debian_formats::{Architecture, PackageName, Version};
use serde::Deserialize;
use toml::Spanned;

#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub(super) struct RawPackage {
    name: Spanned<String>,
    version: Spanned<String>,
    revision: Option<Spanned<u32>>,
    architecture: Option<Spanned<String>>,
    maintainer: Spanned<String>,
    description: Spanned<String>,
    section: Option<Spanned<String>>,
    priority: Option<Spanned<String>>,
    depends: Option<Spanned<RawRelations>>,
    pre_depends: Option<Spanned<RawRelations>>,
    recommends: Option<Spanned<RawRelations>>,
    suggests: Option<Spanned<RawRelations>>,
    conflicts: Option<Spanned<RawRelations>>,
    replaces: Option<Spanned<RawRelations>>,
    breaks: Option<Spanned<RawRelations>>,
    provides: Option<Spanned<RawRelations>>,
    homepage: Option<Spanned<String>>,
    license: Option<Spanned<String>>,
}

/// A checked `[package]`.
#[derive(Debug, Clone)]
pub struct Package {
    name: PackageName,
    version: semver::Version,
    revision: u32,
    debian_version: Version,
    maintainer: String,
    homepage: Option<String>,
    license: Option<String>,
    stanza: Stanza,
}

impl Package {
    pub(super) fn check(raw: Spanned<RawPackage>) -> Result<Self, Found> {
        let raw = raw.into_inner();
        let name: PackageName = parse(&raw.name)?;
        let version: semver::Version = checked(&raw.version, |text| {
            text.parse().map_err(|error| {
                bad_value("version", text, format!("{error}; write three numbers such as \"1.4.0\" (semver)"))
            })
        })?;
        let revision = raw.revision.as_ref().map_or(1, |revision| *revision.get_ref());
        if let (0, Some(written)) = (revision, &raw.revision) {
            return Err(Found::at(written.span().start)(bad_value("revision", "0", "it counts from 1")));
        }
        let debian_version = checked(&raw.version, |_| Ok(Version::from_semver(&version, revision)?))?;
        let architecture: Architecture = match &raw.architecture {
            Some(architecture) => parse(architecture)?,
            None => "all"
                .parse()
                .map_err(|error: debian_formats::names::NameError| Found { offset: None, problem: error.into() })?,
        };
        checked(&raw.maintainer, |text| check_maintainer(text))?;
        checked(&raw.description, |text| check_description(text))?;
        optional(&raw.section, |text| check_section(text))?;
        optional(&raw.priority, |text| check_priority(text))?;
        optional(&raw.homepage, |text| check_homepage(text))?;
        optional(&raw.license, |text| check_line("license", text))?;

        // In the order in which dpkg-gencontrol writes them.
        let mut stanza = Stanza::new();
        stanza.set("Package", name.as_str());
        stanza.set("Version", debian_version.as_str());
        stanza.set("Architecture", architecture.as_str());
        stanza.set("Maintainer", raw.maintainer.get_ref());
        let relations = [
            ("pre-depends", "Pre-Depends", &raw.pre_depends),
            ("depends", "Depends", &raw.depends),
            ("recommends", "Recommends", &raw.recommends),
            ("suggests", "Suggests", &raw.suggests),
            ("breaks", "Breaks", &raw.breaks),
            ("conflicts", "Conflicts", &raw.conflicts),
            ("provides", "Provides", &raw.provides),
            ("replaces", "Replaces", &raw.replaces),
        ];
        for (key, field, relations) in relations {
            let Some(relations) = relations else { continue };
            if let Some(text) = checked(relations, |relations| relations.check(key))? {
                stanza.set(field, &text);
            }
        }
        stanza.set("Section", raw.section.as_ref().map_or("misc", |section| section.get_ref()));
        stanza.set("Priority", raw.priority.as_ref().map_or("optional", |priority| priority.get_ref()));
        if let Some(homepage) = &raw.homepage {
            stanza.set("Homepage", homepage.get_ref());
        }
        stanza.set("Description", raw.description.get_ref().trim());
        Ok(Self {
            name,
            version,
            revision,
            debian_version,
            maintainer: raw.maintainer.into_inner(),
            homepage: raw.homepage.map(Spanned::into_inner),
            license: raw.license.map(Spanned::into_inner),
            stanza,
        })
    }

    /// `name`
    #[must_use]
    pub fn name(&self) -> &PackageName {
        &self.name
    }

    /// `version`, as people bump it.
    #[must_use]
    pub fn version(&self) -> &semver::Version {
        &self.version
    }

    /// `revision`
    #[must_use]
    pub fn revision(&self) -> u32 {
        self.revision
    }

    /// The version that the package carries.
    #[must_use]
    pub fn debian_version(&self) -> &Version {
        &self.debian_version
    }

    /// `maintainer`
    #[must_use]
    pub fn maintainer(&self) -> &str {
        &self.maintainer
    }

    /// `homepage`
    #[must_use]
    pub fn homepage(&self) -> Option<&str> {
        self.homepage.as_deref()
    }

    /// `license`
    #[must_use]
    pub fn license(&self) -> Option<&str> {
        self.license.as_deref()
    }

    /// The control file's fields, without Installed-Size.
    #[must_use]
    pub fn stanza(&self) -> &Stanza {
        &self.stanza
    }
}

/// Applies a check, and gives its problem the place where the value stands.
fn checked<T, R>(value: &Spanned<T>, check: impl FnOnce(&T) -> Result<R, ManifestProblem>) -> Result<R, Found> {
    check(value.get_ref()).map_err(Found::at(value.span().start))
}

fn optional<T>(value: &Option<Spanned<T>>, check: impl FnOnce(&T) -> Result<(), ManifestProblem>) -> Result<(), Found> {
    value.as_ref().map_or(Ok(()), |value| checked(value, check))
}

fn parse<R: std::str::FromStr<Err = E>, E: Into<ManifestProblem>>(value: &Spanned<String>) -> Result<R, Found> {
    checked(value, |text| text.parse().map_err(Into::into))
}
