//! What apt-get prints, read: the steps of a simulation, and where files are. Pure.

use debian_formats::{Architecture, PackageName, Version};
use std::fmt;

/// More steps than any device's update takes.
const MAX_STEPS: usize = 10_000;

/// A package as apt names it: with its architecture if that is not the machine's own.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Target {
    pub(crate) name: PackageName,
    pub(crate) architecture: Option<Architecture>,
}

/// A package that is to be unpacked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Unpack {
    pub(crate) target: Target,
    pub(crate) version: Version,
    /// What apt calls the source, such as `Debian:12.5/stable`; empty if it has no name.
    pub(crate) source: String,
    pub(crate) architecture: Architecture,
}

/// One step, in apt's order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Step {
    Unpack(Unpack),
    Configure(Target),
    Remove(Target),
}

/// Where apt would fetch a file, and what it must be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Location {
    pub(crate) uri: String,
    pub(crate) size: u64,
    /// Lower-case hex.
    pub(crate) sha256: String,
}

/// A line of apt's that says something else than what is known of its form.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum LineError {
    #[error("apt-get printed a line that cannot be read: {0:?}")]
    Line(String),
    #[error("apt-get plans more than {MAX_STEPS} steps")]
    TooMany,
}

impl fmt::Display for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.architecture {
            Some(architecture) => write!(f, "{}:{architecture}", self.name),
            None => write!(f, "{}", self.name),
        }
    }
}

/// The `Inst`, `Conf` and `Remv` lines of a simulation; others are for people.
pub(super) fn steps(output: &str) -> Result<Vec<Step>, LineError> {
    let mut steps = Vec::new();
    for line in output.lines() {
        let bad = || LineError::Line(line.chars().take(200).collect());
        let step = match line.split_once(' ') {
            Some(("Inst", rest)) => Step::Unpack(unpack(rest).ok_or_else(bad)?),
            Some(("Conf", rest)) => Step::Configure(target(first_word(rest)).ok_or_else(bad)?),
            Some(("Remv" | "Purg", rest)) => Step::Remove(target(first_word(rest)).ok_or_else(bad)?),
            _ => continue,
        };
        if steps.len() == MAX_STEPS {
            return Err(LineError::TooMany);
        }
        steps.push(step);
    }
    Ok(steps)
}

/// `name[:arch] [[installed]] (version source [arch])`, and behind it what is broken meanwhile.
fn unpack(rest: &str) -> Option<Unpack> {
    let (name, rest) = rest.split_once(' ')?;
    let rest = match rest.strip_prefix('[') {
        Some(installed) => installed.split_once("] ")?.1,
        None => rest,
    };
    let inner = rest.strip_prefix('(')?;
    let (inner, _) = inner.split_once("])")?;
    let (inner, architecture) = inner.rsplit_once('[')?;
    let (version, source) = inner.split_once(' ')?;
    Some(Unpack {
        target: target(name)?,
        version: version.parse().ok()?,
        source: source.trim().chars().take(1000).collect(),
        architecture: architecture.parse().ok()?,
    })
}

fn first_word(text: &str) -> &str {
    text.split(' ').next().unwrap_or(text)
}

fn target(text: &str) -> Option<Target> {
    let (name, architecture) = match text.split_once(':') {
        Some((name, architecture)) => (name, Some(architecture.parse().ok()?)),
        None => (text, None),
    };
    Some(Target { name: name.parse().ok()?, architecture })
}

/// What apt says against a set, in one line: the dependencies that cannot be met, and its errors.
pub(super) fn complaint(output: &str) -> String {
    let unmet = output.split_once("unmet dependencies:\n").map(|(_, unmet)| unmet).unwrap_or_default();
    let unmet = unmet.lines().take_while(|line| line.starts_with(' '));
    let errors = output.lines().filter_map(|line| line.strip_prefix("E: "));
    let words = |line: &str| line.trim_end_matches('.').split_whitespace().collect::<Vec<_>>().join(" ");
    let lines: Vec<String> = unmet.chain(errors).map(words).collect();
    lines.join("; ").chars().take(2000).collect()
}

/// The lines of `--print-uris`: `'uri' file size SHA256:hex`.
pub(super) fn locations(output: &str) -> Result<Vec<Location>, LineError> {
    let mut locations = Vec::new();
    for line in output.lines().filter(|line| line.starts_with('\'')) {
        let location = location(line).ok_or_else(|| LineError::Line(line.chars().take(300).collect()))?;
        if locations.len() == MAX_STEPS {
            return Err(LineError::TooMany);
        }
        locations.push(location);
    }
    Ok(locations)
}

fn location(line: &str) -> Option<Location> {
    let (uri, rest) = line.strip_prefix('\'')?.split_once("' ")?;
    let mut words = rest.split_whitespace().skip(1);
    let size = words.next()?.parse().ok()?;
    // Without one, the archive promises nothing that could be checked.
    let sha256 = words.next()?.strip_prefix("SHA256:")?.to_ascii_lowercase();
    let is_sha256 = sha256.len() == 64 && sha256.bytes().all(|byte| byte.is_ascii_hexdigit());
    is_sha256.then(|| Location { uri: uri.to_owned(), size, sha256 })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(output: &str) -> Vec<String> {
        let show = |step: &Step| match step {
            Step::Unpack(unpack) => {
                format!("unpack {} {} {} from {:?}", unpack.target, unpack.version, unpack.architecture, unpack.source)
            }
            Step::Configure(target) => format!("configure {target}"),
            Step::Remove(target) => format!("remove {target}"),
        };
        steps(output).unwrap().iter().map(show).collect()
    }

    #[test]
    fn every_form_of_a_step_is_read() {
        let output = "NOTE: This is only a simulation!\nReading package lists...\n\
            Remv old [1.0]\n\
            Inst libx (2.0 127.0.0.1 [all])\n\
            Inst libc6:i386 [2.36-9] (2.36-9+deb12u4 Debian:12.5/stable, Debian-Security:12/stable-security [i386]) []\n\
            Inst hi [1.0] (2.0 volatile-packages-file [all]) [ho:amd64 on hi:amd64 ]\n\
            Inst bare (1:2~rc1 [amd64])\n\
            Conf libc6:i386 (2.36-9+deb12u4 Debian:12.5/stable [i386])\nConf hi (2.0 x [all])\nPurg g++-12:amd64 [1]\n";
        assert_eq!(
            shown(output),
            [
                "remove old",
                "unpack libx 2.0 all from \"127.0.0.1\"",
                "unpack libc6:i386 2.36-9+deb12u4 i386 from \"Debian:12.5/stable, Debian-Security:12/stable-security\"",
                "unpack hi 2.0 all from \"volatile-packages-file\"",
                "unpack bare 1:2~rc1 amd64 from \"\"",
                "configure libc6:i386",
                "configure hi",
                "remove g++-12:amd64",
            ]
        );
    }

    #[test]
    fn a_line_of_another_form_is_an_error_and_not_passed_over() {
        for line in [
            "Inst hi",
            "Inst hi [1.0]",
            "Inst hi (2.0)",
            "Inst ../hi (2.0 x [all])",
            "Inst hi (2.0 x [a b])",
            "Remv -x [1]",
        ] {
            assert!(matches!(steps(line), Err(LineError::Line(_))), "{line}");
        }
        let endless = "Conf hi (1 x [all])\n".repeat(MAX_STEPS + 1);
        assert_eq!(steps(&endless), Err(LineError::TooMany));
    }

    #[test]
    fn a_complaint_is_told_in_one_line() {
        let output = "Building dependency tree...\nThe following packages have unmet dependencies:\n hi : Depends: libx but it \
            is not installable\n      Depends: liby (>= 2) but 1 is to be installed\nE: Unable to correct problems.\n";
        assert_eq!(
            complaint(output),
            "hi : Depends: libx but it is not installable; Depends: liby (>= 2) but 1 is to be installed; Unable to correct problems"
        );
    }

    #[test]
    fn a_location_needs_a_strong_hash() {
        let hash = "0".repeat(64);
        let found = locations(&format!("noise\n'http://a/x y.deb' hi_1%3a2_all.deb 760 SHA256:{hash}\n")).unwrap();
        assert_eq!(found, [Location { uri: "http://a/x y.deb".into(), size: 760, sha256: hash }]);
        for line in ["'http://a/x.deb' x 760 MD5Sum:00", "'http://a/x.deb' x 760 ", "'http://a/x.deb' x -1 SHA256:00"] {
            locations(line).unwrap_err();
        }
    }
}
