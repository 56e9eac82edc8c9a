//! A manifest in the making, and its text.

use super::toml_text::{block, comment, list, quoted};
use super::{Note, StarterFile};
use debian_formats::relation;
use std::fmt::Write as _;

/// What a manifest will say. Every text is escaped when it is written, so none of them needs to be trusted.
#[derive(Debug, Default)]
pub(super) struct Draft {
    /// The file that it was read from, as people call it.
    pub(super) from: String,
    /// What the head of the manifest says to its reader.
    pub(super) head: Vec<String>,
    pub(super) name: String,
    pub(super) version: String,
    pub(super) revision: Option<u32>,
    pub(super) epoch: Option<u32>,
    pub(super) architecture: Option<String>,
    pub(super) maintainer: String,
    /// The synopsis and the long text.
    pub(super) description: (String, String),
    pub(super) section: Option<String>,
    pub(super) priority: Option<String>,
    pub(super) homepage: Option<String>,
    pub(super) license: Option<String>,
    pub(super) changelog: Option<String>,
    pub(super) bugs: Option<String>,
    /// By the manifest's key, in the order in which they are written.
    pub(super) relations: Vec<(&'static str, Vec<String>)>,
    /// Comments below the relations.
    pub(super) below_relations: Vec<String>,
    pub(super) fields: Vec<(String, String)>,
    pub(super) files: Vec<FileRule>,
    /// The manifest's key and the file.
    pub(super) scripts: Vec<(&'static str, String)>,
    pub(super) triggers: Vec<String>,
    pub(super) units: Vec<Unit>,
    pub(super) tmpfiles: Option<String>,
    /// The text of `[update]`, which no other tool has.
    pub(super) update: Option<String>,
    /// Path and pattern.
    pub(super) bump: Vec<(String, String)>,
    pub(super) compression: Option<&'static str>,
    /// Written beside the manifest.
    pub(super) extra_files: Vec<StarterFile>,
    pub(super) changed: Vec<Note>,
    pub(super) dropped: Vec<Note>,
    /// Commands that come before the first build.
    pub(super) first: Vec<String>,
}

/// One `[[files]]`.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub(super) struct FileRule {
    pub(super) from: FileSource,
    pub(super) destination: String,
    pub(super) mode: Option<u32>,
    pub(super) owner: Option<String>,
    pub(super) conffile: Option<bool>,
    pub(super) exclude: Vec<String>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum FileSource {
    Path(String),
    Symlink(String),
    Directory,
}

impl Default for FileSource {
    fn default() -> Self {
        Self::Path(String::new())
    }
}

impl FileRule {
    pub(super) fn path(source: impl Into<String>, destination: impl Into<String>) -> Self {
        Self { from: FileSource::Path(source.into()), destination: destination.into(), ..Self::default() }
    }

    pub(super) fn symlink(target: impl Into<String>, destination: impl Into<String>) -> Self {
        Self { from: FileSource::Symlink(target.into()), destination: destination.into(), ..Self::default() }
    }
}

/// One unit of `[systemd]`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Unit {
    pub(super) source: String,
    pub(super) enable: Option<bool>,
    pub(super) start: Option<bool>,
    pub(super) on_upgrade: Option<&'static str>,
}

impl Draft {
    pub(super) fn of(from: &str) -> Self {
        Self { from: from.to_owned(), ..Self::default() }
    }

    /// Something that stands in the manifest in another form.
    pub(super) fn change(&mut self, key: &str, text: impl Into<String>) {
        self.changed.push(Note { key: key.to_owned(), text: text.into() });
    }

    /// Something that the manifest does not hold.
    pub(super) fn drop_key(&mut self, key: &str, text: impl Into<String>) {
        self.dropped.push(Note { key: key.to_owned(), text: text.into() });
    }

    /// Adds relations; one that no build would take is left out and named.
    pub(super) fn relate(&mut self, key: &'static str, written_as: &str, relations: impl IntoIterator<Item = String>) {
        let mut good = Vec::new();
        for relation in relations {
            let alternatives = relation.split(',').flat_map(|one| one.split('|')).map(str::trim);
            match alternatives.filter(|one| *one != "${auto}").try_for_each(relation::check_one) {
                Ok(()) => good.push(relation.trim().to_owned()),
                Err(error) => {
                    let text = format!("{:?} is no relation of Debian: {}; write it anew", error.text(), error.rule());
                    self.drop_key(written_as, text);
                }
            }
        }
        if good.is_empty() {
            return;
        }
        match self.relations.iter_mut().find(|(there, _)| *there == key) {
            Some((_, there)) => there.extend(good),
            None => self.relations.push((key, good)),
        }
    }

    /// The manifest.
    pub(super) fn to_toml(&self) -> String {
        let mut text = String::new();
        self.head.iter().for_each(|line| text += &comment(line));
        if !self.dropped.is_empty() {
            text += &comment("");
            text += &comment(&format!("Not carried over from {}:", self.from));
            self.dropped.iter().for_each(|Note { key, text: why }| text += &comment(&format!("- {key}: {why}")));
        }
        if !text.is_empty() {
            text.push('\n');
        }
        self.write_package(&mut text);
        self.files.iter().for_each(|rule| write_file(&mut text, rule));
        if !self.scripts.is_empty() || !self.triggers.is_empty() {
            text += "\n[scripts]\n";
            self.scripts.iter().for_each(|(key, file)| line(&mut text, key, &quoted(file)));
            if !self.triggers.is_empty() {
                line(&mut text, "triggers", &list(&self.triggers));
            }
        }
        self.write_systemd(&mut text);
        if let Some(update) = &self.update {
            text += update;
        }
        if !self.bump.is_empty() {
            text += "\n# `debfleet bump` changes the version above, and in these files.\n[bump]\nfiles = [\n";
            for (path, pattern) in &self.bump {
                let _ = writeln!(text, "    {{ path = {}, pattern = {} }},", quoted(path), quoted(pattern));
            }
            text += "]\n";
        }
        if let Some(compression) = self.compression {
            let _ = write!(text, "\n[build]\ncompression = \"{compression}\"\n");
        }
        text
    }

    fn write_package(&self, text: &mut String) {
        *text += "[package]\n";
        line(text, "name", &quoted(&self.name));
        line(text, "version", &quoted(&self.version));
        if let Some(revision) = self.revision {
            line(text, "revision", &revision.to_string());
        }
        if let Some(epoch) = self.epoch {
            line(text, "epoch", &epoch.to_string());
        }
        optional(text, "architecture", self.architecture.as_deref());
        line(text, "maintainer", &quoted(&self.maintainer));
        let (synopsis, long) = &self.description;
        line(text, "description", &block(&format!("{synopsis}\n{long}")));
        optional(text, "section", self.section.as_deref());
        optional(text, "priority", self.priority.as_deref());
        optional(text, "homepage", self.homepage.as_deref());
        optional(text, "bugs", self.bugs.as_deref());
        optional(text, "license", self.license.as_deref());
        optional(text, "changelog", self.changelog.as_deref());
        self.relations.iter().for_each(|(key, relations)| line(text, key, &list(relations)));
        self.below_relations.iter().for_each(|words| *text += &comment(words));
        if !self.fields.is_empty() {
            let pairs = self.fields.iter().map(|(name, value)| format!("{} = {}", quoted(name), quoted(value)));
            line(text, "fields", &format!("{{ {} }}", pairs.collect::<Vec<_>>().join(", ")));
        }
    }

    fn write_systemd(&self, text: &mut String) {
        if self.units.is_empty() && self.tmpfiles.is_none() {
            return;
        }
        *text += "\n[systemd]\n";
        optional(text, "tmpfiles", self.tmpfiles.as_deref());
        if self.units.is_empty() {
            return;
        }
        *text += "units = [\n";
        for unit in &self.units {
            let mut keys = format!("source = {}", quoted(&unit.source));
            let mut say = |key: &str, value: Option<String>| {
                value.iter().for_each(|value| keys += &format!(", {key} = {value}"));
            };
            say("enable", unit.enable.map(|yes| yes.to_string()));
            say("start", unit.start.map(|yes| yes.to_string()));
            say("on-upgrade", unit.on_upgrade.map(quoted));
            let plain = unit.enable.is_none() && unit.start.is_none() && unit.on_upgrade.is_none();
            let _ = if plain {
                writeln!(text, "    {},", quoted(&unit.source))
            } else {
                writeln!(text, "    {{ {keys} }},")
            };
        }
        *text += "]\n";
    }
}

fn write_file(text: &mut String, rule: &FileRule) {
    *text += "\n[[files]]\n";
    match &rule.from {
        FileSource::Path(path) => line(text, "source", &quoted(path)),
        FileSource::Symlink(target) => line(text, "symlink", &quoted(target)),
        FileSource::Directory => line(text, "directory", "true"),
    }
    line(text, "destination", &quoted(&rule.destination));
    if let Some(mode) = rule.mode {
        line(text, "mode", &quoted(&format!("{mode:04o}")));
    }
    optional(text, "owner", rule.owner.as_deref());
    if let Some(conffile) = rule.conffile {
        line(text, "conffile", &conffile.to_string());
    }
    if !rule.exclude.is_empty() {
        line(text, "exclude", &list(&rule.exclude));
    }
}

fn optional(text: &mut String, key: &str, value: Option<&str>) {
    if let Some(value) = value {
        line(text, key, &quoted(value));
    }
}

fn line(text: &mut String, key: &str, value: &str) {
    let _ = writeln!(text, "{key} = {value}");
}
