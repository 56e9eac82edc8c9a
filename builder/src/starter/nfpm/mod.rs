//! A configuration of nfpm: what it says for a .deb.

mod contents;
mod deb_section;
mod go_names;
mod version;

use super::draft::Draft;
use super::error::StarterError;
use super::project_folder::ProjectFolder;
use super::yaml::{self, Node, Problem};
use super::{Surroundings, words};
use std::path::Path;

/// nfpm's key and ours.
const RELATIONS: [(&str, &str); 6] = [
    ("depends", "depends"),
    ("recommends", "recommends"),
    ("suggests", "suggests"),
    ("conflicts", "conflicts"),
    ("replaces", "replaces"),
    ("provides", "provides"),
];

/// nfpm's scripts and dpkg's.
const SCRIPTS: [(&str, &str); 4] =
    [("preinstall", "preinst"), ("postinstall", "postinst"), ("preremove", "prerm"), ("postremove", "postrm")];

/// What `overrides.deb` may replace.
const OVERRIDABLE: [&str; 10] =
    ["depends", "recommends", "suggests", "conflicts", "replaces", "provides", "contents", "scripts", "umask", "deb"];

/// Reads values of one configuration.
struct Reader<'a> {
    root: &'a Node,
    overrides: Option<&'a Node>,
    variable: &'a dyn Fn(&str) -> Option<String>,
}

pub(super) fn draft(
    file: &Path,
    text: &str,
    folder: &ProjectFolder,
    surroundings: &Surroundings,
) -> Result<Draft, StarterError> {
    let failed = |(line, what): Problem| StarterError::syntax(file, Some(line), what);
    let root = yaml::parse(text).map_err(failed)?;
    let overrides = root.get("overrides").and_then(|overrides| overrides.get("deb"));
    let reader = Reader { root: &root, overrides, variable: surroundings.variable };
    let name = file.file_name().unwrap_or_default().to_string_lossy();
    let mut draft = Draft::of(&words::cut(&name));
    draft.head.push(format!("Made by `debfleet new` from {name}. Paths begin in this folder."));
    let name = reader.text(&mut draft, "name").map_err(failed)?.unwrap_or_default();
    words::set_name(&mut draft, "name", &name)?;
    let maintainer = reader.text(&mut draft, "maintainer").map_err(failed)?;
    let maintainers: Vec<String> = maintainer.into_iter().collect();
    draft.maintainer = words::maintainer(surroundings, &maintainers, &draft.from)?;
    carry(&mut draft, &reader, folder).map_err(failed)?;
    Ok(draft)
}

fn carry(draft: &mut Draft, reader: &Reader, folder: &ProjectFolder) -> Result<(), Problem> {
    version::carry(draft, reader)?;
    set_architecture(draft, reader)?;
    let description = reader.text(draft, "description")?;
    let otherwise = format!("The package was converted from {}.", draft.from);
    words::describe(draft, description.as_deref(), &otherwise);
    set_words(draft, reader)?;
    for (key, ours) in RELATIONS {
        let Some(node) = reader.overridable(key) else { continue };
        let texts = node.texts(key)?;
        let texts: Vec<String> = texts.iter().filter_map(|text| reader.expanded(draft, key, text)).collect();
        draft.relate(ours, key, texts);
    }
    if let Some(contents) = reader.overridable("contents") {
        contents::carry(draft, reader, contents, folder)?;
    }
    if let Some(scripts) = reader.overridable("scripts") {
        set_scripts(draft, scripts, &SCRIPTS, "scripts")?;
    }
    if let Some(deb) = reader.overridable("deb") {
        deb_section::carry(draft, reader, deb)?;
    }
    name_the_rest(draft, reader);
    Ok(())
}

impl Reader<'_> {
    /// A value that `overrides.deb` may replace.
    fn overridable(&self, key: &str) -> Option<&Node> {
        self.overrides.and_then(|overrides| overrides.get(key)).or_else(|| self.root.get(key))
    }

    fn text(&self, draft: &mut Draft, key: &str) -> Result<Option<String>, Problem> {
        let Some(node) = self.root.get(key) else { return Ok(None) };
        let text = node.text(key)?.to_owned();
        Ok(self.expanded(draft, key, &text).filter(|text| !text.trim().is_empty()))
    }

    /// `$VAR` and `${VAR}`, as this environment has them; none if it does not.
    fn expanded(&self, draft: &mut Draft, key: &str, text: &str) -> Option<String> {
        let mut written = String::new();
        let mut rest = text;
        while let Some(at) = rest.find('$') {
            written.push_str(&rest[..at]);
            rest = &rest[at + 1..];
            let name = match rest.strip_prefix('{').and_then(|inner| inner.split_once('}')) {
                Some((name, behind)) => {
                    rest = behind;
                    name
                }
                None => {
                    let end = rest.find(|c: char| !c.is_ascii_alphanumeric() && c != '_').unwrap_or(rest.len());
                    let (name, behind) = rest.split_at(end);
                    rest = behind;
                    name
                }
            };
            let Some(value) = (self.variable)(name).filter(|value| !name.is_empty() && value.len() <= 4096) else {
                let why = format!(
                    "{:?}: the variable is not set here, and a manifest has none; write the value down",
                    words::cut(text)
                );
                draft.drop_key(key, why);
                return None;
            };
            written.push_str(&value);
        }
        written.push_str(rest);
        if written != text {
            draft.change(
                key,
                format!(
                    "{:?} is {:?} in this environment and is now written down",
                    words::cut(text),
                    words::cut(&written)
                ),
            );
        }
        Some(written)
    }
}

/// `arch` in Go's words, or `deb.arch` in Debian's.
fn set_architecture(draft: &mut Draft, reader: &Reader) -> Result<(), Problem> {
    let own = match reader.overridable("deb").and_then(|deb| deb.get("arch")) {
        Some(node) => {
            Some(node.text("deb.arch")?.to_owned()).and_then(|text| reader.expanded(draft, "deb.arch", &text))
        }
        None => None,
    };
    if let Some(own) = own {
        draft.architecture = Some(own);
        return Ok(());
    }
    let written = reader.text(draft, "arch")?;
    match written.as_deref().map(|go| (go, go_names::debian(go))) {
        Some((_, Some(debian))) => draft.architecture = Some(debian.to_owned()),
        Some((go, None)) => {
            draft.drop_key(
                "arch",
                format!("{:?} is not known as Go's name of an architecture; the manifest says `any`", words::cut(go)),
            );
            draft.architecture = Some("any".to_owned());
        }
        None => draft.architecture = Some("any".to_owned()),
    }
    if let Some(platform) = reader.text(draft, "platform")?
        && platform != "linux"
    {
        draft.drop_key("platform", format!("{:?}: a package is for Linux", words::cut(&platform)));
    }
    Ok(())
}

/// Fields of one line each.
fn set_words(draft: &mut Draft, reader: &Reader) -> Result<(), Problem> {
    draft.license = reader.text(draft, "license")?.and_then(|license| words::license(&license));
    if let Some(section) = reader.text(draft, "section")? {
        let sound = section.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b"-/".contains(&b));
        match sound {
            true => draft.section = Some(section),
            false => draft.drop_key("section", format!("{:?} is no section of Debian", words::cut(&section))),
        }
    }
    if let Some(priority) = reader.text(draft, "priority")? {
        match ["required", "important", "standard", "optional", "extra"].contains(&&*priority) {
            true => draft.priority = Some(priority),
            false => {
                draft.drop_key("priority", format!("{:?} is none of Debian's (Policy 2.5)", words::cut(&priority)));
            }
        }
    }
    if let Some(homepage) = reader.text(draft, "homepage")? {
        draft.homepage = words::web_page(&homepage);
        if draft.homepage.is_none() {
            draft.drop_key("homepage", format!("{:?} is no address on the web", words::cut(&homepage)));
        }
    }
    if let Some(vendor) = reader.text(draft, "vendor")? {
        draft.drop_key(
            "vendor",
            format!(
                "{:?}: a .deb has no such field, and nfpm writes none into it; `origin` is the nearest",
                words::cut(&vendor)
            ),
        );
    }
    if reader.root.get("changelog").is_some() {
        draft.drop_key(
            "changelog",
            "it is chglog's YAML; give `changelog` a file in Debian's form, or let the build write an entry",
        );
    }
    Ok(())
}

fn set_scripts(draft: &mut Draft, node: &Node, known: &[(&str, &'static str)], place: &str) -> Result<(), Problem> {
    for (key, value) in node.entries() {
        if value.is_null() {
            continue;
        }
        let whole = format!("{place}.{key}");
        let path = value.text(&whole)?;
        let ours = known.iter().find(|(theirs, _)| theirs == key).map(|(_, ours)| *ours);
        match (ours, ProjectFolder::inside(path)) {
            (Some(ours), Some(path)) => draft.scripts.push((ours, path)),
            (Some(_), None) => draft.drop_key(
                &whole,
                format!("{:?} leaves this folder; copy it here and name it in [scripts]", words::cut(path)),
            ),
            (None, _) => draft.drop_key(&whole, format!("{:?}: a manifest has no place for it", words::cut(path))),
        }
    }
    Ok(())
}

/// Whatever was not looked at above.
fn name_the_rest(draft: &mut Draft, reader: &Reader) {
    const READ: [&str; 18] = [
        "name",
        "arch",
        "platform",
        "version",
        "epoch",
        "release",
        "prerelease",
        "version_metadata",
        "section",
        "priority",
        "maintainer",
        "description",
        "vendor",
        "homepage",
        "license",
        "changelog",
        "overrides",
        "deb",
    ];
    for (key, node) in reader.root.entries() {
        if node.is_null() || READ.contains(&&**key) || OVERRIDABLE.contains(&&**key) && key != "umask" {
            continue;
        }
        let why = match &**key {
            "rpm" | "apk" | "archlinux" | "ipk" | "msix" => "it is for other formats than .deb; keep nfpm for them",
            "version_schema" => "a version is always semver here",
            "umask" => "files are 0755 or 0644 whatever the umask; write another mode into [[files]]",
            "mtime" => "all files carry one time: that of the last commit, or SOURCE_DATE_EPOCH",
            "disable_globbing" => "`*`, `?` and `[` in `source` are patterns; look at such names",
            _ => "nfpm does not document it, and a manifest has nothing of this name",
        };
        draft.drop_key(&words::cut(key), why);
    }
    for (key, _) in reader.root.get("overrides").into_iter().flat_map(Node::entries) {
        if key != "deb" {
            draft.drop_key(&format!("overrides.{}", words::cut(key)), "it is for other formats than .deb");
        }
    }
    for (key, _) in reader.overrides.into_iter().flat_map(Node::entries) {
        if !OVERRIDABLE.contains(&&**key) {
            draft.drop_key(&format!("overrides.deb.{}", words::cut(key)), "nfpm does not override it");
        }
    }
}
