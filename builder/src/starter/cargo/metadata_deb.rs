//! `[package.metadata.deb]` of cargo-deb, as far as a manifest holds the same.

use crate::starter::draft::{Draft, FileRule, FileSource, Unit};
use crate::starter::error::StarterError;
use crate::starter::project_folder::ProjectFolder;
use crate::starter::words;
use toml::{Table, Value};

/// cargo-deb's key and ours.
const RELATIONS: [(&str, &str); 10] = [
    ("depends", "depends"),
    ("pre-depends", "pre-depends"),
    ("recommends", "recommends"),
    ("suggests", "suggests"),
    ("enhances", "enhances"),
    ("conflicts", "conflicts"),
    ("breaks", "breaks"),
    ("replaces", "replaces"),
    ("provides", "provides"),
    ("built-using", "built-using"),
];

/// What cargo-deb does and this builder does in another way; why.
const ELSEWHERE: [(&str, &str); 13] = [
    (
        "copyright",
        "the generated copyright file names the maintainer; pack a file of your own as /usr/share/doc/NAME/copyright",
    ),
    (
        "license-file",
        "the generated copyright file names `license`; pack a file of your own as /usr/share/doc/NAME/copyright",
    ),
    ("features", "they are cargo's: give them to `cargo build --release`"),
    ("default-features", "it is cargo's: give --no-default-features to `cargo build --release`"),
    ("profile", "build with this profile, and correct `source` of the programs"),
    ("variants", "write a manifest in a folder of its own for each"),
    ("separate-debug-symbols", "debug symbols are not split off; strip the program in the release profile"),
    ("compress-debug-symbols", "debug symbols are not split off"),
    ("dbgsym", "debug symbols are not split off"),
    ("preserve-symlinks", "a symbolic link in a packed folder always stays one"),
    ("multiarch", "write {multiarch} into the destination where it is needed"),
    ("merge-assets", "it belongs to variants; write the files out"),
    ("upstream-version", "the version is the one of Cargo.toml"),
];

/// The long text of the description.
pub(super) fn long_text(deb: &Table, folder: &ProjectFolder) -> Option<String> {
    if let Some(text) = deb.get("extended-description").and_then(Value::as_str) {
        return Some(text.to_owned());
    }
    let file = deb.get("extended-description-file")?.as_str()?;
    folder.text(&ProjectFolder::inside(file)?)
}

/// Carries the table over; `programs` are the crate's own binaries.
pub(super) fn carry(
    draft: &mut Draft,
    deb: &Table,
    programs: Vec<FileRule>,
    folder: &ProjectFolder,
) -> Result<(), StarterError> {
    if let Some(name) = deb.get("name").and_then(Value::as_str) {
        words::set_name(draft, "metadata.deb.name", name)?;
    }
    match deb.get("assets") {
        Some(Value::Array(assets)) => {
            for asset in assets {
                carry_asset(draft, asset, &programs);
            }
        }
        _ => draft.files = programs,
    }
    for (key, ours) in RELATIONS {
        let Some(value) = deb.get(key) else { continue };
        let key = format!("metadata.deb.{key}");
        match texts(value) {
            Some(texts) => draft.relate(ours, &key, texts.iter().map(|text| text.replace("$auto", "${auto}"))),
            None => draft.drop_key(&key, "it is neither a text nor a list of texts"),
        }
    }
    if !deb.contains_key("depends") {
        draft.relate("depends", "depends", ["${auto}".to_owned()]);
    }
    let folder_of_scripts = deb.get("maintainer-scripts").and_then(Value::as_str).and_then(ProjectFolder::inside);
    if let Some(scripts) = &folder_of_scripts {
        carry_scripts(draft, scripts, folder);
    }
    for (key, value) in deb {
        let name = format!("metadata.deb.{key}");
        match (&**key, value) {
            ("section", Value::String(text)) => draft.section = section(text),
            ("priority", Value::String(text)) => draft.priority = Some(text.clone()),
            ("revision", Value::String(text)) if text.parse::<u32>().is_ok_and(|number| number > 0) => {
                draft.revision = text.parse().ok().filter(|number| *number != 1);
            }
            ("revision", Value::Integer(number)) if (1..1_000_000).contains(number) => {
                draft.revision = u32::try_from(*number).ok().filter(|number| *number != 1);
            }
            ("changelog", Value::String(text)) if ProjectFolder::inside(text).is_some() => {
                draft.change(&name, "the newest entry must be this version's, or the build refuses it");
                draft.changelog = ProjectFolder::inside(text);
            }
            ("conf-files", value) => carry_conffiles(draft, value),
            ("systemd-units", value) => carry_units(draft, value, folder_of_scripts.as_deref(), folder),
            ("triggers-file", Value::String(text)) => carry_triggers(draft, text, folder),
            ("maintainer-scripts", Value::String(_)) if folder_of_scripts.is_some() => {}
            ("assets", Value::Array(_)) | ("name" | "maintainer", Value::String(_)) => {}
            ("extended-description" | "extended-description-file", Value::String(_)) => {}
            (key, _) if RELATIONS.iter().any(|(theirs, _)| *theirs == key) => {}
            (key, _) => {
                let why = ELSEWHERE.iter().find(|(theirs, _)| *theirs == key).map(|(_, why)| *why);
                draft.drop_key(&name, why.unwrap_or("a manifest has nothing of this form; see docs/manifest.md"));
            }
        }
    }
    Ok(())
}

fn section(text: &str) -> Option<String> {
    let sound =
        !text.is_empty() && text.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b"-/".contains(&b));
    sound.then(|| text.to_owned())
}

/// `["target/release/x", "usr/bin/", "755"]`, a table of the same, or `"$auto"`.
fn carry_asset(draft: &mut Draft, asset: &Value, programs: &[FileRule]) {
    const KEY: &str = "metadata.deb.assets";
    let text = |value: Option<&Value>| value.and_then(Value::as_str).map(str::to_owned);
    let (source, destination, mode) = match asset {
        Value::String(auto) if auto == "$auto" => {
            draft.files.extend(programs.iter().cloned());
            return;
        }
        Value::Array(parts) => (text(parts.first()), text(parts.get(1)), text(parts.get(2))),
        Value::Table(table) => (text(table.get("source")), text(table.get("dest")), text(table.get("mode"))),
        _ => (None, None, None),
    };
    let (Some(source), Some(destination)) = (source, destination) else {
        draft.drop_key(KEY, format!("{} names no source and destination", words::cut(&asset.to_string())));
        return;
    };
    let Some(inside) = ProjectFolder::inside(&source) else {
        let why = format!("{:?} leaves this folder; copy it here and add it to [[files]]", words::cut(&source));
        draft.drop_key(KEY, why);
        return;
    };
    let is_pattern = inside.contains(['*', '?', '[']);
    let mut destination = format!("/{}", destination.trim_start_matches('/'));
    if is_pattern && !destination.ends_with('/') {
        destination.push('/');
    }
    let mode =
        mode.and_then(|mode| u32::from_str_radix(mode.trim_start_matches("0o"), 8).ok()).filter(|mode| *mode <= 0o7777);
    draft.files.push(FileRule { mode, ..FileRule::path(inside, destination) });
}

fn carry_conffiles(draft: &mut Draft, value: &Value) {
    const KEY: &str = "metadata.deb.conf-files";
    for path in texts(value).unwrap_or_default() {
        let absolute = format!("/{}", path.trim_start_matches('/'));
        let name = |rule: &FileRule| match (&rule.from, rule.destination.ends_with('/')) {
            (FileSource::Path(source), true) => {
                format!("{}{}", rule.destination, source.rsplit('/').next().unwrap_or_default())
            }
            _ => rule.destination.clone(),
        };
        match draft.files.iter_mut().find(|rule| name(rule) == absolute) {
            Some(rule) if absolute.starts_with("/etc/") => rule.conffile = None,
            Some(rule) => rule.conffile = Some(true),
            None if absolute.starts_with("/etc/") => {}
            None => draft
                .drop_key(KEY, format!("{:?} is no file's destination; set conffile in [[files]]", words::cut(&path))),
        }
    }
}

fn carry_scripts(draft: &mut Draft, scripts: &str, folder: &ProjectFolder) {
    for name in ["preinst", "postinst", "prerm", "postrm", "config"] {
        let path = format!("{scripts}/{name}");
        if folder.is_file(&path) {
            draft.scripts.push((name, path));
        }
    }
    if folder.is_file(&format!("{scripts}/templates")) {
        draft.drop_key("metadata.deb.maintainer-scripts", "debconf's templates have no place in a manifest");
    }
}

fn carry_triggers(draft: &mut Draft, file: &str, folder: &ProjectFolder) {
    let text = ProjectFolder::inside(file).and_then(|file| folder.text(&file)).unwrap_or_default();
    let lines = text.lines().map(str::trim).filter(|line| !line.is_empty() && !line.starts_with('#'));
    draft.triggers.extend(lines.map(str::to_owned));
}

fn carry_units(draft: &mut Draft, value: &Value, scripts: Option<&str>, folder: &ProjectFolder) {
    const KEY: &str = "metadata.deb.systemd-units";
    let tables: Vec<&Table> = match value {
        Value::Table(table) => vec![table],
        Value::Array(tables) => tables.iter().filter_map(Value::as_table).collect(),
        _ => Vec::new(),
    };
    for table in tables {
        let yes = |key: &str| table.get(key).and_then(Value::as_bool);
        let from = table.get("unit-scripts").and_then(Value::as_str).and_then(ProjectFolder::inside);
        let Some(from) = from.or_else(|| scripts.map(str::to_owned)) else {
            draft.drop_key(KEY, "no folder of units is named; name them in [systemd]");
            continue;
        };
        let wanted = table.get("unit-name").and_then(Value::as_str);
        let endings = [".service", ".socket", ".timer", ".path", ".mount", ".target"];
        let units: Vec<String> = folder
            .names(&from)
            .into_iter()
            .filter(|name| endings.iter().any(|ending| name.ends_with(ending)))
            .filter(|name| wanted.is_none_or(|wanted| name.split('.').any(|part| part.trim_end_matches('@') == wanted)))
            .collect();
        if units.is_empty() {
            draft.drop_key(KEY, format!("{from} holds no unit files; name them in [systemd]"));
        }
        // cargo-deb's defaults: stopped before an upgrade, and started again behind it.
        let on_upgrade = match (yes("restart-after-upgrade").unwrap_or(true), yes("stop-on-upgrade").unwrap_or(true)) {
            (true, true) => Some("stop"),
            (true, false) => None,
            (false, _) => Some("keep"),
        };
        draft.units.extend(units.into_iter().map(|name| Unit {
            source: format!("{from}/{name}"),
            enable: yes("enable").filter(|yes| !yes),
            start: yes("start").filter(|yes| !yes),
            on_upgrade,
        }));
    }
}

fn texts(value: &Value) -> Option<Vec<String>> {
    match value {
        Value::String(text) => {
            Some(text.split(',').map(|one| one.trim().to_owned()).filter(|one| !one.is_empty()).collect())
        }
        Value::Array(values) => values.iter().map(|value| value.as_str().map(str::to_owned)).collect(),
        _ => None,
    }
}
