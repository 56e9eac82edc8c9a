//! update.toml: what a package says about its own update. The builder writes it into the package from the
//! manifest's `[update]`, so the package key signs it; the updater obeys it on the device.

use serde::{Deserialize, Serialize};

/// Where the file stands inside a package.
#[must_use]
pub fn path_in_package(package: &str) -> String {
    format!("usr/lib/debfleet/update.d/{package}.toml")
}

/// The content of update.toml. Times are in seconds.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case", default)]
pub struct UpdatePolicy {
    /// Files and folders of data, absolute, that a rollback puts back.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub state: Vec<String>,
    /// How long all health checks together may take before the update is rolled back.
    pub commit_timeout: u64,
    /// A Debian version; once this package is committed, nothing below it may be installed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub rollback_floor: Option<String>,
    /// Whether the device boots before the new version is tried.
    #[serde(skip_serializing_if = "Reboot::is_never")]
    pub reboot: Reboot,
    /// A shell command of the installed version; unless it exits with 0, the version is not replaced now.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub inhibit: Option<String>,
    /// All must pass before the update is committed.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub health: Vec<HealthCheck>,
}

impl Default for UpdatePolicy {
    fn default() -> Self {
        Self {
            state: Vec::new(),
            commit_timeout: 300,
            rollback_floor: None,
            reboot: Reboot::Never,
            inhibit: None,
            health: Vec::new(),
        }
    }
}

/// Whether a new version needs a boot.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Reboot {
    /// It is tried at once.
    #[default]
    Never,
    /// If a maintainer script asked for it, as Debian's do: `/run/reboot-required` is there.
    IfNeeded,
    /// Always.
    Always,
}

impl Reboot {
    fn is_never(&self) -> bool {
        *self == Self::Never
    }
}

/// One health check; exactly one of `command`, `unit` and `http`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct HealthCheck {
    /// A shell command that exits with 0 when all is well.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub command: Option<String>,
    /// A systemd unit that must be active, and stay so.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub unit: Option<String>,
    /// A URL that must answer a GET with a status from 200 to 399.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub http: Option<String>,
    /// How long the unit must stay active without being started again.
    #[serde(default = "default_hold", skip_serializing_if = "is_default_hold")]
    pub hold: u64,
    /// How long one attempt may take.
    #[serde(default = "default_timeout")]
    pub timeout: u64,
    /// The pause between attempts.
    #[serde(default = "default_interval")]
    pub interval: u64,
    /// How many attempts before the check has failed.
    #[serde(default = "default_attempts")]
    pub attempts: u32,
}

fn default_hold() -> u64 {
    10
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde asks for a reference")]
fn is_default_hold(hold: &u64) -> bool {
    *hold == default_hold()
}

fn default_timeout() -> u64 {
    30
}

fn default_interval() -> u64 {
    5
}

fn default_attempts() -> u32 {
    3
}

/// What a check looks at.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum HealthProbe<'a> {
    /// Run this shell command.
    Command(&'a str),
    /// Look whether this unit is active.
    Unit(&'a str),
    /// Fetch this URL.
    Http(&'a str),
}

/// An update.toml that cannot be obeyed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PolicyError {
    /// Not TOML, or a key that is unknown or of the wrong type.
    #[error("{0}")]
    Syntax(String),
    /// A health check with no probe, or with two.
    #[error("health check {0}: give exactly one of `command`, `unit` and `http`")]
    Probe(usize),
    /// Not a URL of HTTP.
    #[error("health check {index}: http {url:?} must begin with http:// or https://")]
    Url {
        /// Which check, from 1.
        index: usize,
        /// As it is written.
        url: String,
    },
    /// A number that makes no sense.
    #[error("{key} must be from {least} to {most}")]
    Range {
        /// Which key.
        key: String,
        /// Smallest.
        least: u64,
        /// Largest.
        most: u64,
    },
    /// A path that could reach anything.
    #[error("state {0:?} must be an absolute path without `..`, below at least one folder")]
    StatePath(String),
}

const DAY: u64 = 86_400;

impl UpdatePolicy {
    /// Reads and checks an update.toml.
    pub fn parse(text: &str) -> Result<Self, PolicyError> {
        let policy: Self = toml::from_str(text).map_err(|error| PolicyError::Syntax(error.to_string()))?;
        policy.check()?;
        Ok(policy)
    }

    /// Writes the file.
    pub fn to_toml(&self) -> Result<String, PolicyError> {
        toml::to_string(self).map_err(|error| PolicyError::Syntax(error.to_string()))
    }

    /// The rules that the types do not hold.
    pub fn check(&self) -> Result<(), PolicyError> {
        in_range("commit-timeout", self.commit_timeout, 1, 7 * DAY)?;
        for (index, check) in self.health.iter().enumerate() {
            let probe = check.probe().ok_or(PolicyError::Probe(index + 1))?;
            if let HealthProbe::Http(url) = probe
                && !["http://", "https://"].iter().any(|scheme| url.starts_with(scheme) && url.len() > scheme.len())
            {
                return Err(PolicyError::Url { index: index + 1, url: url.to_owned() });
            }
            let key = |name: &str| format!("health check {}: {name}", index + 1);
            in_range(&key("timeout"), check.timeout, 1, DAY)?;
            in_range(&key("interval"), check.interval, 0, DAY)?;
            in_range(&key("attempts"), check.attempts.into(), 1, 10_000)?;
            in_range(&key("hold"), check.hold, 0, DAY)?;
        }
        for path in &self.state {
            let parts: Vec<&str> = path.split('/').skip(1).collect();
            let sound = path.starts_with('/')
                && parts.len() >= 2
                && parts.iter().all(|part| !matches!(*part, "" | "." | ".."))
                && !path.contains(['\n', '\0']);
            if !sound {
                return Err(PolicyError::StatePath(path.clone()));
            }
        }
        Ok(())
    }
}

impl HealthCheck {
    /// What to look at; none if the check names no probe, or several.
    #[must_use]
    pub fn probe(&self) -> Option<HealthProbe<'_>> {
        match (&self.command, &self.unit, &self.http) {
            (Some(command), None, None) => Some(HealthProbe::Command(command)),
            (None, Some(unit), None) => Some(HealthProbe::Unit(unit)),
            (None, None, Some(url)) => Some(HealthProbe::Http(url)),
            _ => None,
        }
    }
}

fn in_range(key: &str, value: u64, least: u64, most: u64) -> Result<(), PolicyError> {
    if (least..=most).contains(&value) { Ok(()) } else { Err(PolicyError::Range { key: key.to_owned(), least, most }) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_policy_survives_the_round_trip() {
        let text = "state = [\"/var/lib/hi\"]\ncommit-timeout = 60\nrollback-floor = \"0.1.0-1\"\n\
                    reboot = \"if-needed\"\ninhibit = \"lamp-is-on\"\n\n\
                    [[health]]\ncommand = \"hi\"\ntimeout = 5\ninterval = 1\nattempts = 2\n";
        let policy = UpdatePolicy::parse(text).unwrap();
        assert_eq!(policy.to_toml().unwrap(), text);
    }

    #[test]
    fn an_empty_policy_has_the_defaults() {
        assert_eq!(UpdatePolicy::parse("").unwrap(), UpdatePolicy::default());
    }

    #[test]
    fn what_could_hang_or_reach_anything_is_refused() {
        for bad in [
            "state = [\"/\"]",
            "state = [\"/var\"]",
            "state = [\"../x\"]",
            "state = [\"/var/../etc/x\"]",
            "state = [\"/var/lib/\"]",
            "commit-timeout = 0",
            "[[health]]\ntimeout = 3",
            "[[health]]\ncommand = \"a\"\nunit = \"b\"",
            "[[health]]\ncommand = \"a\"\nattempts = 0",
            "[[health]]\nhttp = \"file:///etc/shadow\"",
            "reboot = \"perhaps\"",
            "unknown = 1",
        ] {
            assert!(UpdatePolicy::parse(bad).is_err(), "{bad}");
        }
    }
}
