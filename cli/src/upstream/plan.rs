//! What has to be done so that a suite holds what was chosen of an upstream archive. Pure.

use debian_formats::upstream::UpstreamPackage;
use fleet_protocol::suites::SuitePackage;
use std::collections::BTreeSet;

/// What to do with a suite.
#[derive(Debug)]
pub(crate) struct Plan {
    /// To be fetched and put into it.
    pub(crate) add: Vec<UpstreamPackage>,
    /// What it holds of them already.
    pub(crate) held: usize,
    /// What it holds and the archive has no more.
    pub(crate) withdraw: Vec<SuitePackage>,
}

impl Plan {
    /// `chosen` against what the suite holds; a mirror holds nothing else.
    pub(crate) fn new(chosen: Vec<UpstreamPackage>, held: Vec<SuitePackage>, is_mirror: bool) -> Self {
        let wanted: BTreeSet<String> = chosen.iter().map(|package| package.sha256.clone()).collect();
        let there: BTreeSet<&str> = held.iter().map(|package| package.sha256.as_str()).collect();
        let before = chosen.len();
        let add: Vec<UpstreamPackage> =
            chosen.into_iter().filter(|package| !there.contains(package.sha256.as_str())).collect();
        let is_gone = |package: &SuitePackage| is_mirror && !wanted.contains(&package.sha256);
        Self { held: before - add.len(), add, withdraw: held.into_iter().filter(is_gone).collect() }
    }

    /// How much is to be fetched.
    pub(crate) fn bytes(&self) -> u64 {
        self.add.iter().map(|package| package.size).fold(0, u64::saturating_add)
    }

    /// What to withdraw although these packages did not come: not their other versions, so that the suite is not left
    /// without any.
    pub(crate) fn withdraw_without(&self, failed: &BTreeSet<String>) -> Vec<&SuitePackage> {
        self.withdraw.iter().filter(|package| !failed.contains(&package.package)).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use debian_formats::names::ComponentName;

    fn upstream(name: &str) -> UpstreamPackage {
        UpstreamPackage {
            name: name.parse().unwrap(),
            version: "1".parse().unwrap(),
            architecture: "all".parse().unwrap(),
            component: ComponentName::main(),
            filename: String::new(),
            size: 10,
            sha256: name.to_owned(),
            priority: String::new(),
            depends: vec![],
            provides: None,
        }
    }

    fn held(name: &str, sha256: &str) -> SuitePackage {
        SuitePackage {
            package: name.to_owned(),
            version: "1".to_owned(),
            architecture: "all".to_owned(),
            component: "main".to_owned(),
            filename: String::new(),
            sha256: sha256.to_owned(),
            phased: None,
        }
    }

    #[test]
    fn only_what_is_missing_is_fetched_and_only_a_mirror_withdraws() {
        let suite = || vec![held("aa", "aa"), held("bb", "old"), held("cc", "cc")];
        let plan = |is_mirror| Plan::new(vec![upstream("aa"), upstream("bb")], suite(), is_mirror);
        let mirror = plan(true);
        assert_eq!((mirror.add.len(), mirror.held, mirror.bytes()), (1, 1, 10));
        let names = |packages: Vec<&SuitePackage>| packages.iter().map(|it| it.package.clone()).collect::<Vec<_>>();
        assert_eq!(names(mirror.withdraw_without(&BTreeSet::new())), ["bb", "cc"]);
        assert_eq!(names(mirror.withdraw_without(&BTreeSet::from(["bb".to_owned()]))), ["cc"]);
        assert!(plan(false).withdraw.is_empty());
    }
}
