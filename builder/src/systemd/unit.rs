//! Unit files (systemd.unit(5)), as far as a package must know them.

use super::{Enablement, OnUpgrade, Unit};

/// The types of units that a package can carry, and the section without which systemd refuses a file of that type.
/// Scopes come from programs, devices from the kernel.
const TYPES: [(&str, Option<&str>); 9] = [
    ("service", Some("Service")),
    ("socket", Some("Socket")),
    ("timer", Some("Timer")),
    ("path", Some("Path")),
    ("mount", Some("Mount")),
    ("automount", Some("Automount")),
    ("swap", Some("Swap")),
    ("target", None),
    ("slice", None),
];

/// A unit file that systemd would not take, or a wish that does not fit it.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum UnitError {
    /// A name that is no unit's.
    #[error(
        "{name:?} is not the name of a unit; use letters, digits and :-_.\\@ before one of .service, .socket, .timer, \
         .path, .mount, .automount, .swap, .target and .slice (systemd.unit(5))"
    )]
    Name {
        /// As found.
        name: String,
    },
    /// Not text.
    #[error("it is not UTF-8, which systemd does not read; save it as UTF-8")]
    NotText,
    /// The section of its type is missing.
    #[error("it has no [{section}] section, and systemd takes no {section} without one; add it")]
    NoSection {
        /// Such as `Service`.
        section: &'static str,
    },
    /// No section at all.
    #[error("it has no section such as [Unit], so it says nothing; fill it in")]
    Empty,
    /// Enabling means making the links that `[Install]` names.
    #[error(
        "`enable = true`, but it has no [Install] section to say when it starts; add one, such as `WantedBy=multi-user.target`"
    )]
    NothingToEnable,
    /// Only instances run.
    #[error("it is a template, which runs only as an instance that the administrator names; remove the key `{key}`")]
    Template {
        /// The key that cannot be obeyed.
        key: &'static str,
    },
    /// Two keys that contradict each other.
    #[error(
        "`on-upgrade = \"stop\"` starts the unit after the upgrade, and `start = false` forbids that; remove one of them"
    )]
    StopWithoutStart,
}

/// What the manifest says about a unit, where it says something.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct UnitWishes {
    /// `enable`
    pub enable: Option<bool>,
    /// `start`
    pub start: Option<bool>,
    /// `on-upgrade`
    pub on_upgrade: Option<OnUpgrade>,
}

/// A unit file that was looked at.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum UnitFile {
    /// It runs under its own name.
    Unit(Unit),
    /// `name@.type`, which runs only as `name@instance.type`.
    Template,
}

impl UnitFile {
    /// Checks a unit file's name and text, and what the manifest wants of it.
    pub fn check(name: &str, text: &[u8], wishes: UnitWishes) -> Result<Self, UnitError> {
        let (is_template, needed_section) =
            check_name(name).ok_or_else(|| UnitError::Name { name: name.chars().take(80).collect() })?;
        let text = std::str::from_utf8(text).map_err(|_| UnitError::NotText)?;
        let has = |section: &str| text.lines().any(|line| section_of(line) == Some(section));
        match needed_section {
            Some(section) if !has(section) => return Err(UnitError::NoSection { section }),
            None if !text.lines().any(|line| section_of(line).is_some()) => return Err(UnitError::Empty),
            _ => {}
        }
        if is_template {
            return check_template(wishes).map(|()| Self::Template);
        }
        let enablement = match (has("Install"), wishes.enable) {
            (true, None | Some(true)) => Enablement::ByPackage,
            (true, Some(false)) => Enablement::ByAdministrator,
            (false, None | Some(false)) => Enablement::Static,
            (false, Some(true)) => return Err(UnitError::NothingToEnable),
        };
        let (start, on_upgrade) = (wishes.start.unwrap_or(true), wishes.on_upgrade.unwrap_or_default());
        if !start && on_upgrade == OnUpgrade::Stop {
            return Err(UnitError::StopWithoutStart);
        }
        Ok(Self::Unit(Unit { name: name.to_owned(), enablement, start, on_upgrade }))
    }
}

fn check_template(wishes: UnitWishes) -> Result<(), UnitError> {
    let key = match wishes {
        UnitWishes { enable: Some(true), .. } => "enable",
        UnitWishes { start: Some(true), .. } => "start",
        UnitWishes { on_upgrade: Some(OnUpgrade::Restart | OnUpgrade::Stop), .. } => "on-upgrade",
        _ => return Ok(()),
    };
    Err(UnitError::Template { key })
}

/// Whether a unit's name is a template's, and the section that its type needs.
fn check_name(name: &str) -> Option<(bool, Option<&'static str>)> {
    let (prefix, suffix) = name.rsplit_once('.')?;
    let (_, section) = TYPES.iter().find(|(known, _)| *known == suffix)?;
    let is_sound = name.len() <= 255
        && !prefix.is_empty()
        && !prefix.starts_with(['.', '@'])
        && prefix.bytes().all(|b| b.is_ascii_alphanumeric() || b":-_.\\@".contains(&b));
    is_sound.then_some((prefix.ends_with('@'), *section))
}

fn section_of(line: &str) -> Option<&str> {
    line.trim().strip_prefix('[')?.strip_suffix(']')
}

#[cfg(test)]
mod tests {
    use super::*;

    const SERVICE: &str = "[Service]\nExecStart=/bin/true\n";
    const INSTALLED: &str = "[Service]\nExecStart=/bin/true\n\n[Install]\nWantedBy=multi-user.target\n";

    fn check(name: &str, text: &str, wishes: UnitWishes) -> Result<UnitFile, String> {
        UnitFile::check(name, text.as_bytes(), wishes).map_err(|error| error.to_string())
    }

    fn enablement(text: &str, enable: Option<bool>) -> Enablement {
        match check("a.service", text, UnitWishes { enable, ..UnitWishes::default() }).unwrap() {
            UnitFile::Unit(unit) => unit.enablement,
            UnitFile::Template => panic!("it is a unit"),
        }
    }

    #[test]
    fn an_install_section_decides_whether_a_unit_is_enabled() {
        assert_eq!(enablement(INSTALLED, None), Enablement::ByPackage);
        assert_eq!(enablement(INSTALLED, Some(false)), Enablement::ByAdministrator);
        assert_eq!(enablement(SERVICE, None), Enablement::Static);
    }

    #[test]
    fn only_the_instances_of_a_template_run() {
        assert_eq!(check("a@.service", INSTALLED, UnitWishes::default()), Ok(UnitFile::Template));
        let unit = check("a@b.service", SERVICE, UnitWishes::default()).unwrap();
        assert!(matches!(unit, UnitFile::Unit(unit) if unit.name == "a@b.service"));
        let wishes = UnitWishes { start: Some(true), ..UnitWishes::default() };
        assert!(check("a@.service", SERVICE, wishes).unwrap_err().contains("remove the key `start`"));
    }

    #[test]
    fn what_systemd_would_not_take_is_refused() {
        let plain = UnitWishes::default();
        let cases = [
            ("a.servce", SERVICE, plain, "not the name of a unit"),
            ("a b.service", SERVICE, plain, "not the name of a unit"),
            (".service", SERVICE, plain, "not the name of a unit"),
            ("a.service", "[Unit]\nDescription=x\n", plain, "no [Service] section"),
            ("a.timer", SERVICE, plain, "no [Timer] section"),
            ("a.target", "\n", plain, "no section such as [Unit]"),
            ("a.service", SERVICE, UnitWishes { enable: Some(true), ..plain }, "no [Install] section"),
            (
                "a.service",
                SERVICE,
                UnitWishes { start: Some(false), on_upgrade: Some(OnUpgrade::Stop), ..plain },
                "remove one of them",
            ),
        ];
        for (name, text, wishes, expected) in cases {
            let error = check(name, text, wishes).unwrap_err();
            assert!(error.contains(expected), "{expected:?} not in {error:?}");
        }
        assert_eq!(UnitFile::check("a.service", b"[Service]\n\xff", plain), Err(UnitError::NotText));
    }
}
