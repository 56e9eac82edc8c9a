//! Single values of a manifest.

use super::error::ManifestProblem;
use crate::entries::Owner;
use debian_formats::{Version, relation};
use fleet_protocol::update_policy::UpdatePolicy;
use serde::de::{Deserialize, Deserializer, Error, SeqAccess, Visitor};
use std::fmt;

pub(super) fn bad_value(key: &'static str, value: &str, rule: impl Into<String>) -> ManifestProblem {
    ManifestProblem::Value { key, value: value.chars().take(80).collect(), rule: rule.into() }
}

/// Permission bits, written in octal within quotes: as a bare number 755 would be decimal.
pub(super) struct Mode(String);

impl Mode {
    pub(super) fn text(&self) -> &str {
        &self.0
    }

    pub(super) fn bits(&self) -> Result<u32, ManifestProblem> {
        let octal = (3..=5).contains(&self.0.len()) && self.0.bytes().all(|byte| (b'0'..=b'7').contains(&byte));
        u32::from_str_radix(&self.0, 8)
            .ok()
            .filter(|mode| octal && *mode <= 0o7777)
            .ok_or_else(|| bad_value("mode", &self.0, "write it in octal from \"0000\" to \"7777\", such as \"0755\""))
    }
}

impl<'de> Deserialize<'de> for Mode {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct ModeVisitor;
        impl Visitor<'_> for ModeVisitor {
            type Value = Mode;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an octal mode in quotes, such as \"0755\"")
            }
            fn visit_str<E: Error>(self, text: &str) -> Result<Mode, E> {
                Ok(Mode(text.to_owned()))
            }
        }
        deserializer.deserialize_any(ModeVisitor)
    }
}

/// One text or a list of texts.
pub(super) struct Texts(pub(super) Vec<String>);

impl<'de> Deserialize<'de> for Texts {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct TextsVisitor;
        impl<'de> Visitor<'de> for TextsVisitor {
            type Value = Texts;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a text in quotes, or a list of such texts")
            }
            fn visit_str<E: Error>(self, text: &str) -> Result<Texts, E> {
                Ok(Texts(vec![text.to_owned()]))
            }
            fn visit_seq<A: SeqAccess<'de>>(self, mut texts: A) -> Result<Texts, A::Error> {
                let mut all = Vec::new();
                while let Some(text) = texts.next_element()? {
                    all.push(text);
                }
                Ok(Texts(all))
            }
        }
        deserializer.deserialize_any(TextsVisitor)
    }
}

/// `user:group`, both as names: a number would mean another user on the next device.
pub(super) fn check_owner(text: &str) -> Result<Owner, ManifestProblem> {
    let is_name = |name: &str| {
        (1..=31).contains(&name.len())
            && name.starts_with(|c: char| c.is_ascii_lowercase() || c == '_')
            && name.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b"_-".contains(&b))
    };
    text.split_once(':')
        .filter(|(user, group)| is_name(user) && is_name(group))
        .map(|(user, group)| Owner { user: user.to_owned(), group: group.to_owned() })
        .ok_or_else(|| bad_value("owner", text, "write user and group by name, such as \"root:adm\""))
}

/// The rules of `[update]`, and those that need the package's own version.
pub(crate) fn check_policy(update: &UpdatePolicy, version: &Version) -> Result<(), ManifestProblem> {
    update.check()?;
    let Some(floor) = &update.rollback_floor else { return Ok(()) };
    let floor_version: Version = floor.parse()?;
    if floor_version > *version {
        let rule = format!("it is above this package's own version {version}, which no device could then keep");
        return Err(bad_value("rollback-floor", floor, rule));
    }
    Ok(())
}

/// A value that becomes one line of the control file.
pub(super) fn check_line(key: &'static str, text: &str) -> Result<(), ManifestProblem> {
    if text.trim().is_empty() {
        Err(bad_value(key, text, "it is empty; fill it in or leave the key out"))
    } else if text.contains(char::is_control) {
        Err(bad_value(key, text, "it must be one line without control characters"))
    } else {
        Ok(())
    }
}

/// `Name <mail>` (Policy 5.6.2).
pub(crate) fn check_maintainer(text: &str) -> Result<(), ManifestProblem> {
    check_line("maintainer", text)?;
    let sound = text.strip_suffix('>').and_then(|rest| rest.split_once(" <")).is_some_and(|(name, mail)| {
        !name.trim().is_empty()
            && !mail.contains([' ', '<', '>', ','])
            && mail.split_once('@').is_some_and(|(user, host)| !user.is_empty() && !host.is_empty())
    });
    if sound { Ok(()) } else { Err(bad_value("maintainer", text, "write it as \"Name <mail@example.org>\"")) }
}

/// A word such as a section: `misc`, `contrib/net`.
pub(super) fn check_section(text: &str) -> Result<(), ManifestProblem> {
    let sound =
        !text.is_empty() && text.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b"-/".contains(&b));
    if sound { Ok(()) } else { Err(bad_value("section", text, "use one word such as \"misc\" or \"net\"")) }
}

/// The priorities of Policy 2.5.
pub(super) fn check_priority(text: &str) -> Result<(), ManifestProblem> {
    if ["required", "important", "standard", "optional", "extra"].contains(&text) {
        Ok(())
    } else {
        Err(bad_value("priority", text, "use optional, standard, important or required (Policy 2.5)"))
    }
}

/// A page on the web.
pub(super) fn check_homepage(text: &str) -> Result<(), ManifestProblem> {
    check_line("homepage", text)?;
    let host = text.strip_prefix("https://").or_else(|| text.strip_prefix("http://"));
    if host.is_some_and(|host| !host.is_empty() && !host.contains([' ', '<', '>'])) {
        Ok(())
    } else {
        Err(bad_value("homepage", text, "write a whole address such as \"https://example.org/\""))
    }
}

/// The synopsis and the long text (Policy 5.6.13).
pub(super) fn check_description(text: &str) -> Result<(), ManifestProblem> {
    let synopsis = text.lines().next().unwrap_or_default();
    if synopsis.trim().is_empty() {
        return Err(bad_value("description", text, "its first line must say in a few words what the package is"));
    }
    if text.contains(|c: char| c.is_control() && c != '\n' && c != '\t') {
        return Err(bad_value("description", text, "it holds a control character; remove it"));
    }
    Ok(())
}

/// The three values of Multi-Arch (deb-control(5)).
pub(super) fn check_multi_arch(text: &str) -> Result<(), ManifestProblem> {
    if ["same", "foreign", "allowed"].contains(&text) {
        Ok(())
    } else {
        Err(bad_value("multi-arch", text, "use same, foreign or allowed, or leave the key out"))
    }
}

/// The fields that have a key of their own, or that the builder works out.
const OWN_FIELDS: [&str; 19] = [
    "Package",
    "Version",
    "Architecture",
    "Maintainer",
    "Description",
    "Section",
    "Priority",
    "Homepage",
    "Source",
    "Origin",
    "Bugs",
    "Tag",
    "Task",
    "Essential",
    "Protected",
    "Multi-Arch",
    "Installed-Size",
    "Filename",
    "Size",
];

/// The name of a field that no key of ours stands for (Policy 5.1).
pub(super) fn check_other_field(field: &str) -> Result<(), ManifestProblem> {
    let is_name = !field.is_empty()
        && field.len() <= 100
        && !field.starts_with(['-', '#'])
        && field.bytes().all(|byte| byte.is_ascii_graphic() && byte != b':');
    let is_own = OWN_FIELDS.iter().chain(&relation::FIELDS).any(|own| own.eq_ignore_ascii_case(field));
    if !is_name {
        Err(bad_value("fields", field, "a field's name is printable ASCII without blanks and `:` (Policy 5.1)"))
    } else if is_own {
        let key = field.to_ascii_lowercase();
        Err(bad_value(
            "fields",
            field,
            format!("it is not for this table; the key is `{key}`, or the builder works it out"),
        ))
    } else {
        Ok(())
    }
}

/// A value of such a field: one line, or a first line and more.
pub(super) fn check_field_value(field: &str, text: &str) -> Result<(), ManifestProblem> {
    if text.trim().is_empty() || text.contains(|c: char| c.is_control() && c != '\n' && c != '\t') {
        Err(bad_value("fields", text, format!("{field} must say something, without control characters")))
    } else {
        Ok(())
    }
}
