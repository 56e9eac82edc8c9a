//! What a release tells: people, scripts, and the CI service that runs it. Each form is a pure function of the outcome.

use serde_json::{Value, json};

/// A release that went through.
#[derive(Debug, Clone)]
pub(crate) struct Released {
    pub(crate) package: String,
    /// As people bump it, such as `1.4.0`.
    pub(crate) version: String,
    /// As the package carries it, such as `1.4.0-1`.
    pub(crate) debian_version: String,
    pub(crate) suite: String,
    /// The tag at the commit it was built from.
    pub(crate) tag: Option<String>,
    /// Where a device finds the suite, ready for /etc/apt/sources.list.d.
    pub(crate) sources: String,
    pub(crate) packages: Vec<ReleasedPackage>,
}

/// One .deb of a release.
#[derive(Debug, Clone)]
pub(crate) struct ReleasedPackage {
    pub(crate) architecture: String,
    pub(crate) path: String,
    pub(crate) buildinfo: String,
    pub(crate) sha256: String,
    pub(crate) link: String,
    /// False if the suite held it before.
    pub(crate) created: bool,
}

impl Released {
    /// The line that installs it where the suite is a source of apt.
    pub(crate) fn install(&self) -> String {
        format!("apt install {}={}", self.package, self.debian_version)
    }

    pub(crate) fn json(&self) -> Value {
        let package = |it: &ReleasedPackage| {
            json!({
                "architecture": it.architecture,
                "path": it.path,
                "buildinfo": it.buildinfo,
                "sha256": it.sha256,
                "link": it.link,
                "created": it.created,
            })
        };
        json!({
            "package": self.package,
            "version": self.version,
            "debian-version": self.debian_version,
            "suite": self.suite,
            "tag": self.tag,
            "sources": self.sources,
            "install": self.install(),
            "packages": self.packages.iter().map(package).collect::<Vec<_>>(),
        })
    }

    /// For the file GITHUB_OUTPUT: lists one to a line, between delimiters that no value holds.
    pub(crate) fn github_outputs(&self) -> String {
        let list = |of: fn(&ReleasedPackage) -> &str| self.packages.iter().map(of).collect::<Vec<_>>().join("\n");
        [
            ("package", self.package.clone()),
            ("version", self.version.clone()),
            ("debian_version", self.debian_version.clone()),
            ("debs", list(|it| &it.path)),
            ("buildinfos", list(|it| &it.buildinfo)),
            ("links", list(|it| &it.link)),
        ]
        .map(|(name, value)| format!("{name}<<END-OF-{name}\n{value}\nEND-OF-{name}\n"))
        .concat()
    }

    /// For the file GITHUB_STEP_SUMMARY.
    pub(crate) fn github_summary(&self) -> String {
        let row = |it: &ReleasedPackage| {
            let outcome = if it.created { "published" } else { "was already in" };
            format!("| [{}]({}) | {outcome} | `{}` |\n", it.architecture, it.link, it.sha256)
        };
        let rows: String = self.packages.iter().map(row).collect();
        format!(
            "### {} {} in {}\n\n| architecture | outcome | SHA-256 |\n| --- | --- | --- |\n{rows}\n`{}` with [this source]({})\n",
            self.package,
            self.debian_version,
            self.suite,
            self.install(),
            self.sources
        )
    }

    /// `NAME=value` lines that a shell may source and that GitLab takes as a dotenv report: it allows no blanks and no
    /// quotes in a value, so lists are joined by commas.
    pub(crate) fn dotenv(&self) -> String {
        let list = |of: fn(&ReleasedPackage) -> &str| self.packages.iter().map(of).collect::<Vec<_>>().join(",");
        [
            ("PACKAGE", self.package.clone()),
            ("VERSION", self.version.clone()),
            ("DEBIAN_VERSION", self.debian_version.clone()),
            ("LINKS", list(|it| &it.link)),
        ]
        .map(|(name, value)| format!("DEBFLEET_RELEASED_{name}={value}\n"))
        .concat()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn released() -> Released {
        let package = |architecture: &str, created| ReleasedPackage {
            architecture: architecture.into(),
            path: format!("dist/hi_0.2.0-1_{architecture}.deb"),
            buildinfo: format!("dist/hi_0.2.0-1_{architecture}.buildinfo"),
            sha256: "00".into(),
            link: format!("https://x/debian/pool/main/h/hi/hi_0.2.0-1_{architecture}.deb"),
            created,
        };
        Released {
            package: "hi".into(),
            version: "0.2.0".into(),
            debian_version: "0.2.0-1".into(),
            suite: "stable".into(),
            tag: Some("v0.2.0".into()),
            sources: "https://x/debian/stable.sources".into(),
            packages: vec![package("amd64", true), package("arm64", false)],
        }
    }

    #[test]
    fn github_gets_lists_line_by_line() {
        let told = released().github_outputs();
        assert!(
            told.starts_with("package<<END-OF-package\nhi\nEND-OF-package\nversion<<END-OF-version\n0.2.0\n"),
            "{told}"
        );
        assert!(
            told.contains("debs<<END-OF-debs\ndist/hi_0.2.0-1_amd64.deb\ndist/hi_0.2.0-1_arm64.deb\nEND-OF-debs\n")
        );
    }

    #[test]
    fn the_summary_says_what_was_published_and_what_was_there() {
        let told = released().github_summary();
        assert!(told.starts_with("### hi 0.2.0-1 in stable\n\n| architecture |"), "{told}");
        assert!(
            told.contains("_amd64.deb) | published |") && told.contains("_arm64.deb) | was already in |"),
            "{told}"
        );
        assert!(told.contains("`apt install hi=0.2.0-1`"), "{told}");
    }

    #[test]
    fn a_dotenv_value_holds_no_blank_and_no_quote() {
        let told = released().dotenv();
        assert_eq!(told.lines().count(), 4);
        assert!(!told.contains([' ', '"', '\'']), "{told}");
        assert!(told.contains("\nDEBFLEET_RELEASED_VERSION=0.2.0\n"), "{told}");
    }
}
