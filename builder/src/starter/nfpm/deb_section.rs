//! What nfpm's `deb:` says for .debs alone.

use super::{Reader, set_scripts};
use crate::starter::draft::Draft;
use crate::starter::words;
use crate::starter::yaml::{Node, Problem};

/// Carries the section over.
pub(super) fn carry(draft: &mut Draft, reader: &Reader, deb: &Node) -> Result<(), Problem> {
    for (key, node) in deb.entries() {
        if node.is_null() {
            continue;
        }
        let whole = format!("deb.{key}");
        match &**key {
            "arch" => {}
            "breaks" | "predepends" => {
                let ours = if key == "breaks" { "breaks" } else { "pre-depends" };
                let texts = node.texts(&whole)?;
                let texts: Vec<String> = texts.iter().filter_map(|text| reader.expanded(draft, &whole, text)).collect();
                draft.relate(ours, &whole, texts);
            }
            "scripts" => set_scripts(draft, node, &[("config", "config")], &whole)?,
            "triggers" => set_triggers(draft, node, &whole)?,
            "fields" => {
                for (name, value) in node.entries() {
                    let value = value.text(&whole)?.to_owned();
                    let value = reader.expanded(draft, &whole, &value).and_then(|value| words::line(&value));
                    value.into_iter().for_each(|value| set_field(draft, name, value));
                }
            }
            "compression" => match node.text(&whole)? {
                "xz" => draft.compression = Some("xz"),
                "zstd" => draft.compression = Some("zstd"),
                other => draft.drop_key(&whole, format!("{:?}: here it is xz, or zstd", words::cut(other))),
            },
            "signature" => {
                draft.drop_key(&whole, "keys stand outside the manifest: sign with `debfleet build --key FILE`");
            }
            "arch_variant" => draft.drop_key(&whole, "dpkg in Debian knows no variants of an architecture"),
            _ => draft.drop_key(&whole, "a manifest has nothing of this name"),
        }
    }
    Ok(())
}

/// A field of the control file; some have a key of their own.
fn set_field(draft: &mut Draft, name: &str, value: String) {
    match name.to_ascii_lowercase().as_str() {
        "bugs" => draft.bugs = Some(value),
        _ if name.len() <= 60 && words::is_file_name(name) && !name.contains('.') => {
            draft.fields.push((name.to_owned(), value));
        }
        _ => draft.drop_key("deb.fields", format!("{:?} is no name of a field", words::cut(name))),
    }
}

/// deb-triggers(5).
fn set_triggers(draft: &mut Draft, node: &Node, place: &str) -> Result<(), Problem> {
    for (key, value) in node.entries() {
        let directive = key.replace('_', "-");
        let known =
            ["interest", "interest-await", "interest-noawait", "activate", "activate-await", "activate-noawait"];
        if !known.contains(&&*directive) {
            draft.drop_key(place, format!("{:?} is no directive of deb-triggers(5)", words::cut(key)));
            continue;
        }
        for name in value.texts(place)? {
            match words::line(&name) {
                Some(name) if !name.contains(' ') => draft.triggers.push(format!("{directive} {name}")),
                _ => draft.drop_key(place, format!("{:?} is no name of a trigger", words::cut(&name))),
            }
        }
    }
    Ok(())
}
