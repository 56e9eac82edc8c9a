//! `[package]`: the fields of the control file, under Debian's names.

use super::architectures::Architectures;
use super::error::{Found, ManifestProblem, line_of};
use super::relations::RawRelations;
use super::values::{
    Texts, bad_value, check_description, check_field_value, check_homepage, check_line, check_maintainer,
    check_multi_arch, check_other_field, check_priority, check_section,
};
use debian_formats::control::Stanza;
use debian_formats::{Architecture, PackageName, Version};
use serde::Deserialize;
use std::collections::BTreeMap;
use toml::Spanned;

#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub(super) struct RawPackage {
    #[serde(alias = "package")]
    name: Spanned<String>,
    version: Spanned<String>,
    revision: Option<Spanned<u32>>,
    epoch: Option<Spanned<u32>>,
    architecture: Option<Spanned<Texts>>,
    maintainer: Spanned<String>,
    description: Spanned<String>,
    section: Option<Spanned<String>>,
    priority: Option<Spanned<String>>,
    homepage: Option<Spanned<String>>,
    source: Option<Spanned<String>>,
    origin: Option<Spanned<String>>,
    bugs: Option<Spanned<String>>,
    tag: Option<Spanned<String>>,
    task: Option<Spanned<String>>,
    #[serde(default)]
    essential: bool,
    #[serde(default)]
    protected: bool,
    multi_arch: Option<Spanned<String>>,
    depends: Option<Spanned<RawRelations>>,
    pre_depends: Option<Spanned<RawRelations>>,
    recommends: Option<Spanned<RawRelations>>,
    suggests: Option<Spanned<RawRelations>>,
    enhances: Option<Spanned<RawRelations>>,
    conflicts: Option<Spanned<RawRelations>>,
    replaces: Option<Spanned<RawRelations>>,
    breaks: Option<Spanned<RawRelations>>,
    provides: Option<Spanned<RawRelations>>,
    built_using: Option<Spanned<RawRelations>>,
    static_built_using: Option<Spanned<RawRelations>>,
    #[serde(default)]
    fields: BTreeMap<Spanned<String>, Spanned<String>>,
    license: Option<Spanned<String>>,
    changelog: Option<Spanned<String>>,
}

/// A checked `[package]`.
#[derive(Debug, Clone)]
pub struct Package {
    name: PackageName,
    version: semver::Version,
    revision: u32,
    debian_version: Version,
    architectures: Architectures,
    maintainer: String,
    homepage: Option<String>,
    license: Option<String>,
    changelog: Option<ChangelogRule>,
    /// All fields, and `all` in place of the architecture.
    stanza: Stanza,
}

/// `changelog`: a file to pack.
#[derive(Debug, Clone)]
pub(super) struct ChangelogRule {
    pub(super) line: usize,
    pub(super) source: String,
}

impl Package {
    pub(super) fn check(raw: Spanned<RawPackage>, text: &str) -> Result<Self, Found> {
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
        let epoch = raw.epoch.as_ref().map(|epoch| *epoch.get_ref());
        let debian_version =
            checked(&raw.version, |_| Ok(Version::from_semver(&version, revision)?.with_epoch(epoch)?))?;
        let architectures = match &raw.architecture {
            Some(written) => checked(written, Architectures::check)?,
            None => Architectures::default(),
        };
        checked(&raw.maintainer, |text| check_maintainer(text))?;
        checked(&raw.description, |text| check_description(text))?;
        check_texts(&raw)?;
        let stanza = to_stanza(&raw, &debian_version)?;
        Ok(Self {
            name,
            version,
            revision,
            debian_version,
            architectures,
            maintainer: raw.maintainer.into_inner(),
            homepage: raw.homepage.map(Spanned::into_inner),
            license: raw.license.map(Spanned::into_inner),
            changelog: raw
                .changelog
                .map(|path| ChangelogRule { line: line_of(text, path.span().start), source: path.into_inner() }),
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

    /// The same with another version in both forms, and the first revision.
    pub(super) fn with_version(mut self, version: semver::Version, debian_version: Version) -> Self {
        self.stanza.set("Version", debian_version.as_str());
        (self.version, self.revision, self.debian_version) = (version, 1, debian_version);
        self
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

    /// `architecture`
    #[must_use]
    pub fn architectures(&self) -> &Architectures {
        &self.architectures
    }

    pub(super) fn changelog_rule(&self) -> Option<&ChangelogRule> {
        self.changelog.as_ref()
    }

    /// `changelog`
    #[must_use]
    pub fn changelog(&self) -> Option<&str> {
        self.changelog.as_ref().map(|rule| rule.source.as_str())
    }

    /// The name under which the changelog stands: that of the source package (Policy 4.4).
    pub fn source_name(&self) -> Result<PackageName, debian_formats::names::NameError> {
        self.stanza.get("Source").map_or_else(|| Ok(self.name.clone()), str::parse)
    }

    /// The control file's fields for one architecture, without Installed-Size. A relation field may hold
    /// [`AUTO`](crate::shared_libraries::AUTO) still.
    #[must_use]
    pub fn stanza(&self, architecture: &Architecture) -> Stanza {
        let mut stanza = self.stanza.clone();
        stanza.set("Architecture", architecture.as_str());
        stanza
    }
}

/// The values that stand for themselves.
fn check_texts(raw: &RawPackage) -> Result<(), Found> {
    optional(&raw.section, |text| check_section(text))?;
    optional(&raw.priority, |text| check_priority(text))?;
    optional(&raw.homepage, |text| check_homepage(text))?;
    optional(&raw.license, |text| check_line("license", text))?;
    optional(&raw.multi_arch, |text| check_multi_arch(text))?;
    optional(&raw.source, |text| Ok(text.parse::<PackageName>().map(drop)?))?;
    for (key, value) in [("origin", &raw.origin), ("bugs", &raw.bugs), ("tag", &raw.tag), ("task", &raw.task)] {
        optional(value, |text| check_line(key, text))?;
    }
    for (field, value) in &raw.fields {
        checked(field, |field| check_other_field(field))?;
        checked(value, |text| check_field_value(field.get_ref(), text))?;
    }
    Ok(())
}

/// All fields, in the order in which dpkg-gencontrol writes them.
fn to_stanza(raw: &RawPackage, version: &Version) -> Result<Stanza, Found> {
    let text = |value: &Option<Spanned<String>>| value.as_ref().map(|value| value.get_ref().clone());
    let or = |value: &Option<Spanned<String>>, default: &str| Some(text(value).unwrap_or_else(|| default.to_owned()));
    let yes = |is_set: bool| is_set.then(|| "yes".to_owned());
    let fields = [
        ("Package", Some(raw.name.get_ref().clone())),
        ("Source", text(&raw.source)),
        ("Version", Some(version.as_str().to_owned())),
        ("Built-Using", relations("built-using", &raw.built_using)?),
        ("Static-Built-Using", relations("static-built-using", &raw.static_built_using)?),
        ("Architecture", Some("all".to_owned())),
        ("Essential", yes(raw.essential)),
        ("Protected", yes(raw.protected)),
        ("Origin", text(&raw.origin)),
        ("Bugs", text(&raw.bugs)),
        ("Maintainer", Some(raw.maintainer.get_ref().clone())),
        ("Pre-Depends", relations("pre-depends", &raw.pre_depends)?),
        ("Depends", relations("depends", &raw.depends)?),
        ("Recommends", relations("recommends", &raw.recommends)?),
        ("Suggests", relations("suggests", &raw.suggests)?),
        ("Enhances", relations("enhances", &raw.enhances)?),
        ("Breaks", relations("breaks", &raw.breaks)?),
        ("Conflicts", relations("conflicts", &raw.conflicts)?),
        ("Provides", relations("provides", &raw.provides)?),
        ("Replaces", relations("replaces", &raw.replaces)?),
        ("Section", or(&raw.section, "misc")),
        ("Priority", or(&raw.priority, "optional")),
        ("Multi-Arch", text(&raw.multi_arch)),
        ("Homepage", text(&raw.homepage)),
        ("Description", Some(with_long_text(raw.name.get_ref(), raw.description.get_ref().trim()))),
        ("Tag", text(&raw.tag)),
        ("Task", text(&raw.task)),
    ];
    let mut stanza = Stanza::new();
    let set = fields.iter().filter_map(|(field, value)| Some((*field, value.as_deref()?)));
    let others = raw.fields.iter().map(|(field, value)| (field.get_ref().as_str(), value.get_ref().trim()));
    for (field, value) in set.chain(others) {
        stanza.set(field, value);
    }
    Ok(stanza)
}

/// A description of one line is told again as a sentence: lintian calls an empty long text an error.
fn with_long_text(package: &str, description: &str) -> String {
    if description.contains('\n') {
        description.to_owned()
    } else {
        format!("{description}\nThis package brings {package} to the device:\n{description}.")
    }
}

fn relations(key: &'static str, written: &Option<Spanned<RawRelations>>) -> Result<Option<String>, Found> {
    written.as_ref().map_or(Ok(None), |written| checked(written, |relations| relations.check(key)))
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
