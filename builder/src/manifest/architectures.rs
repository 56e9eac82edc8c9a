//! `architecture`: for what machines packages are made.

use super::error::ManifestProblem;
use super::values::{Texts, bad_value};
use crate::machine;
use debian_formats::Architecture;

/// For what machines packages are made.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Architectures {
    /// For these, one package each.
    Listed(Vec<Architecture>),
    /// For whichever is asked for; unasked, for the machine's own.
    Any,
}

/// An architecture that was asked for and that the source does not know.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ArchitectureError {
    /// Not in the list.
    #[error(
        "the package is not made for {asked}, only for {listed}; ask for one of these, or add it to `architecture`"
    )]
    NotListed {
        /// What was asked for.
        asked: Architecture,
        /// What there is.
        listed: String,
    },
    /// `all` for a package that holds a machine's code.
    #[error("the package is made for any one architecture, and `all` is none; ask for one such as amd64")]
    AllOfAny,
    /// A machine for which Debian has no name.
    #[error("this machine's architecture is unknown to debfleet; say which to build for by --architecture")]
    OwnUnknown,
}

impl Default for Architectures {
    fn default() -> Self {
        Self::Listed(vec![Architecture::all()])
    }
}

impl Architectures {
    pub(super) fn check(written: &Texts) -> Result<Self, ManifestProblem> {
        if let [one] = written.0.as_slice()
            && one == "any"
        {
            return Ok(Self::Any);
        }
        let bad = |value: &str, rule: &str| Err(bad_value("architecture", value, rule));
        let mut listed: Vec<Architecture> = Vec::new();
        for text in &written.0 {
            if ["any", "source", "native"].contains(&text.as_str()) {
                return bad(text, "it names no single architecture; write those that you build for, or \"any\" alone");
            }
            let one: Architecture = text.parse()?;
            if listed.contains(&one) {
                return bad(text, "it stands in the list twice");
            }
            listed.push(one);
        }
        if listed.is_empty() {
            bad("[]", "name at least one, or leave the key out for `all`")
        } else {
            Ok(Self::Listed(listed))
        }
    }

    /// Those to build: the ones asked for, each of which must be possible; or all that there are if none was.
    pub fn choose(&self, asked: &[Architecture]) -> Result<Vec<Architecture>, ArchitectureError> {
        match self {
            Self::Any if asked.is_empty() => Ok(vec![machine::own().ok_or(ArchitectureError::OwnUnknown)?]),
            Self::Any if asked.iter().any(Architecture::is_all) => Err(ArchitectureError::AllOfAny),
            Self::Any => Ok(each_once(asked)),
            Self::Listed(listed) if asked.is_empty() => Ok(listed.clone()),
            Self::Listed(listed) => match asked.iter().find(|one| !listed.contains(one)) {
                None => Ok(each_once(asked)),
                Some(unknown) => {
                    let listed: Vec<&str> = listed.iter().map(Architecture::as_str).collect();
                    Err(ArchitectureError::NotListed { asked: unknown.clone(), listed: listed.join(", ") })
                }
            },
        }
    }

    /// Whether a package could be made for this one.
    pub(super) fn may_be(&self, architecture: &Architecture) -> bool {
        match self {
            Self::Any => !architecture.is_all(),
            Self::Listed(listed) => listed.contains(architecture),
        }
    }
}

fn each_once(asked: &[Architecture]) -> Vec<Architecture> {
    let is_first = |(index, one): &(usize, &Architecture)| !asked[..*index].contains(one);
    asked.iter().enumerate().filter(is_first).map(|(_, one)| one.clone()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn listed(names: &[&str]) -> Vec<Architecture> {
        names.iter().map(|name| name.parse().unwrap()).collect()
    }

    #[test]
    fn what_is_asked_for_must_be_possible() {
        let two = Architectures::Listed(listed(&["amd64", "arm64"]));
        assert_eq!(two.choose(&[]).unwrap(), listed(&["amd64", "arm64"]));
        assert_eq!(two.choose(&listed(&["arm64"])).unwrap(), listed(&["arm64"]));
        assert_eq!(two.choose(&listed(&["arm64", "amd64", "arm64"])).unwrap(), listed(&["arm64", "amd64"]));
        let error = two.choose(&listed(&["armhf"])).unwrap_err().to_string();
        assert!(error.contains("armhf") && error.contains("amd64, arm64"), "{error}");
        assert_eq!(Architectures::Any.choose(&listed(&["riscv64"])).unwrap(), listed(&["riscv64"]));
        assert_eq!(Architectures::Any.choose(&listed(&["all"])), Err(ArchitectureError::AllOfAny));
    }
}
