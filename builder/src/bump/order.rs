//! One version above another: by semver's order, which people expect, and by dpkg's, which devices obey.
//!
//! The two agree where the fields of a pre-release are numbers, or words and numbers apart. They can't agree on
//! everything: to semver `rc10` is below `rc9`, as text is compared byte for byte (item 11.4), and dpkg compares the
//! digits in it as a number (deb-version(7)).

use debian_formats::Version;
use debian_formats::version::VersionError;
use semver::Prerelease;
use semver::Version as Semver;

/// A version that is not above the present one.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum OrderError {
    /// Devices would never take it.
    #[error("{new} is not above the present version {old}; name a higher one")]
    NotAbove {
        /// The version now.
        old: String,
        /// The one asked for.
        new: String,
    },
    /// One order says above, the other not.
    #[error(
        "semver and Debian disagree on which of {old} and {new} is above the other, as {} alone takes it to be {new}; \
         bump to {better} instead, and count pre-releases behind a dot, as in rc.10", if *.semver { "semver" } else { "Debian" }
    )]
    Disagree {
        /// The version now.
        old: Semver,
        /// The one asked for.
        new: Semver,
        /// Whether semver says that it is above.
        semver: bool,
        /// One that is above by both.
        better: Semver,
    },
}

/// A version in both forms.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Forms {
    pub(super) semver: Semver,
    pub(super) debian: Version,
}

impl Forms {
    /// With the epoch of another version, and a revision if that has one: the first.
    pub(super) fn like(version: &Version, semver: Semver) -> Result<Self, VersionError> {
        let debian = Version::from_semver(&semver, 1)?;
        let has_revision = version.without_epoch().contains('-');
        let debian = if has_revision { debian.as_str() } else { debian.upstream() };
        let epoch = version.as_str().strip_suffix(version.without_epoch()).unwrap_or_default();
        Ok(Self { debian: format!("{epoch}{debian}").parse()?, semver })
    }

    /// Whether it is above another by both orders; an error if by one alone.
    pub(super) fn check_above(&self, old: &Self) -> Result<(), OrderError> {
        match self.is_above(old) {
            (true, true) => Ok(()),
            (false, false) => Err(OrderError::NotAbove { old: old.semver.to_string(), new: self.semver.to_string() }),
            (semver, _) => Err(OrderError::Disagree {
                old: old.semver.clone(),
                new: self.semver.clone(),
                semver,
                better: self.better(old),
            }),
        }
    }

    fn is_above(&self, old: &Self) -> (bool, bool) {
        (self.semver.cmp_precedence(&old.semver).is_gt(), self.debian > old.debian)
    }

    /// The nearest on which both orders agree: with its numbers apart, or the release, or the one after.
    fn better(&self, old: &Self) -> Semver {
        let dotted = Semver { pre: dotted(&self.semver.pre), ..self.semver.clone() };
        let release = Semver::new(dotted.major, dotted.minor, dotted.patch);
        let after = Semver { patch: release.patch.saturating_add(1), ..release.clone() };
        let agrees = |semver: &Semver| {
            Self::like(&old.debian, semver.clone()).is_ok_and(|forms| forms.is_above(old) == (true, true))
        };
        [dotted, release].into_iter().find(agrees).unwrap_or(after)
    }
}

/// `rc10` as `rc.10`.
fn dotted(pre: &Prerelease) -> Prerelease {
    let identifiers = pre.split('.').map(|identifier| {
        let letters = identifier.trim_end_matches(|c: char| c.is_ascii_digit());
        let number = &identifier[letters.len()..];
        if letters.is_empty() || number.is_empty() { identifier.to_owned() } else { format!("{letters}.{number}") }
    });
    Prerelease::new(&identifiers.collect::<Vec<_>>().join(".")).unwrap_or_else(|_| pre.clone())
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::cmp::Ordering;
    use std::process::Command;

    /// What the real dpkg says.
    fn dpkg(a: &Version, relation: &str, b: &Version) -> bool {
        let status = Command::new("dpkg").args(["--compare-versions", a.as_str(), relation, b.as_str()]).status();
        status.unwrap().success()
    }

    fn forms(semver: &str) -> Forms {
        Forms::like(&"1-1".parse().unwrap(), semver.parse().unwrap()).unwrap()
    }

    fn check(old: &str, new: &str) -> String {
        forms(new).check_above(&forms(old)).map_or_else(|error| error.to_string(), |()| "above".to_owned())
    }

    #[test]
    fn a_step_on_which_the_orders_disagree_is_refused_with_one_on_which_they_agree() {
        assert_eq!(check("1.0.0-rc.9", "1.0.0-rc.10"), "above");
        assert_eq!(
            check("1.0.0-rc.10", "1.0.0-rc.9"),
            "1.0.0-rc.9 is not above the present version 1.0.0-rc.10; name a higher one"
        );
        let told = check("1.0.0-rc9", "1.0.0-rc10");
        assert!(told.contains("Debian alone takes it to be 1.0.0-rc10; bump to 1.0.0 instead"), "{told}");
        let told = check("1.0.0-rc10", "1.0.0-rc9");
        assert!(told.contains("semver alone takes it to be 1.0.0-rc9; bump to 1.0.0 instead"), "{told}");
        let told = check("1.0.0-beta.1", "1.0.0-betab");
        assert!(told.contains("bump to 1.0.0 instead"), "{told}");
        assert_eq!(check("1.0.0-1", "1.0.0-rc.1"), "above");
        // Build metadata counts for dpkg alone.
        let told = check("1.0.0", "1.0.0+build");
        assert!(told.contains("Debian alone takes it to be 1.0.0+build; bump to 1.0.1 instead"), "{told}");
    }

    #[test]
    fn epoch_and_revision_are_those_of_the_present_version() {
        let like = |version: &str| Forms::like(&version.parse().unwrap(), "1.3.0-rc.1".parse().unwrap()).unwrap();
        assert_eq!(like("2:1.2.0-4").debian.as_str(), "2:1.3.0~rc.1-1");
        assert_eq!(like("1.2.0").debian.as_str(), "1.3.0~rc.1");
    }

    /// Numbers and the words in use, each of which may have numbers behind it.
    fn conventional() -> impl Strategy<Value = String> {
        let number = prop_oneof![0..4_u32, 8..12_u32, 98..102_u32];
        let word = prop::sample::select(vec!["alpha", "beta", "dev", "pre", "rc"]);
        let numbers = prop::collection::vec(number.clone().prop_map(|number| number.to_string()), 0..3);
        let field = prop_oneof![
            number.clone().prop_map(|number| number.to_string()),
            (word, numbers).prop_map(|(word, numbers)| [&[word.to_owned()], numbers.as_slice()].concat().join(".")),
        ];
        let core = prop::array::uniform3(number).prop_map(|[a, b, c]| format!("{}.{}.{c}", a % 2, b % 2));
        (core, prop::collection::vec(field, 0..3))
            .prop_map(|(core, fields)| if fields.is_empty() { core } else { format!("{core}-{}", fields.join(".")) })
    }

    /// Whatever semver allows, of few characters, so that two often differ in one place.
    fn any_semver() -> impl Strategy<Value = Forms> {
        "(0|1)\\.(9|10)\\.0(-[a-c0-9.-]{1,6})?(\\+[a-c0-9.-]{1,3})?"
            .prop_filter_map("a semver", |text| text.parse::<Semver>().is_ok().then(|| forms(&text)))
    }

    proptest! {
        #![proptest_config(ProptestConfig { cases: 400, ..ProptestConfig::default() })]

        /// dpkg orders Debian's form as semver orders what people write.
        #[test]
        fn both_orders_are_one_for_conventional_versions(a in conventional(), b in conventional()) {
            let (a, b) = (forms(&a), forms(&b));
            let relation = match a.semver.cmp_precedence(&b.semver) {
                Ordering::Less => "lt",
                Ordering::Equal => "eq",
                Ordering::Greater => "gt",
            };
            prop_assert!(dpkg(&a.debian, relation, &b.debian), "{} {} {}", a.debian, relation, b.debian);
        }

        /// Whatever semvers these are: what is accepted, dpkg calls greater, and what is proposed instead is accepted.
        #[test]
        fn dpkg_takes_every_bump_for_an_upgrade(old in any_semver(), new in any_semver()) {
            match new.check_above(&old) {
                Ok(()) => prop_assert!(dpkg(&new.debian, "gt", &old.debian), "{} gt {}", new.debian, old.debian),
                Err(OrderError::Disagree { better, .. }) => {
                    let better = forms(&better.to_string());
                    prop_assert_eq!(better.check_above(&old), Ok(()));
                }
                Err(_) => {}
            }
        }
    }
}
