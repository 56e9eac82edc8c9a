//! The updater's configuration: one TOML file, read once and checked.

mod fleet;

use crate::fleet as messaging;
use crate::identity::{self, Store};
use crate::policy::{Metered, Policy, Windows};
use crate::repository::{Credentials, ProxyUrl, Remote, without_user_info};
use crate::system::ScriptMode;
use debian_formats::deb::SignatureRole;
use debian_formats::names::{NameError, SuiteName};
use debian_formats::openpgp::{Keyring, OpenPgpError};
use debian_formats::{Architecture, PackageName};
use fleet::{Fleet, RawFleet, RawProvisioning};
use serde::Deserialize;
use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// The file as it is written.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
struct RawConfig {
    repository: String,
    suite: SuiteName,
    packages: Vec<PackageName>,
    repository_keyring: PathBuf,
    package_keyring: PathBuf,
    #[serde(default = "default_signatures")]
    required_signatures: Vec<SignatureRole>,
    architecture: Option<Architecture>,
    ca: Option<PathBuf>,
    token_file: Option<PathBuf>,
    client_certificate: Option<PathBuf>,
    client_key: Option<PathBuf>,
    state_dir: Option<PathBuf>,
    #[serde(default = "default_poll_interval")]
    poll_interval: u64,
    #[serde(default)]
    scripts: ScriptMode,
    #[serde(default = "default_install_timeout")]
    install_timeout: u64,
    #[serde(default)]
    windows: Windows,
    #[serde(default = "default_min_battery")]
    min_battery: u8,
    #[serde(default)]
    metered: Metered,
    #[serde(default)]
    allow_setuid: Vec<PackageName>,
    rate_limit: Option<Rate>,
    proxy: Option<String>,
    fleet: Option<RawFleet>,
    provisioning: Option<RawProvisioning>,
}

/// Bytes a second, such as `200000` or `"200k"`.
#[derive(Debug, Clone, Deserialize)]
#[serde(untagged, expecting = "expected bytes a second, at least 1024, such as 200000 or \"200k\"")]
enum Rate {
    Bytes(u64),
    Text(String),
}

impl Rate {
    fn bytes(&self) -> Option<u64> {
        let bytes = match self {
            Self::Bytes(bytes) => Some(*bytes),
            Self::Text(text) => {
                let factor = match text.chars().last()? {
                    'k' => 1 << 10,
                    'M' => 1 << 20,
                    _ => 1,
                };
                text.trim_end_matches(['k', 'M']).parse::<u64>().ok()?.checked_mul(factor)
            }
        };
        bytes.filter(|bytes| *bytes >= SLOWEST_LIMIT)
    }
}

/// With a lower limit no download would ever end.
const SLOWEST_LIMIT: u64 = 1 << 10;

fn default_signatures() -> Vec<SignatureRole> {
    vec![SignatureRole::origin()]
}

fn default_poll_interval() -> u64 {
    3600
}

fn default_install_timeout() -> u64 {
    1800
}

fn default_min_battery() -> u8 {
    20
}

/// The configuration, checked. Keys are loaded by who needs them: an interrupted update must be ended, and a status
/// told, also where a keyring is broken.
#[derive(Debug)]
pub(crate) struct Config {
    /// Where it was read from, absolute.
    pub(crate) path: PathBuf,
    /// How the repository is reached.
    pub(crate) remote: Remote,
    pub(crate) suite: SuiteName,
    /// Those that `check` and `run` keep up to date.
    pub(crate) packages: Vec<PackageName>,
    repository_keyring: PathBuf,
    package_keyring: PathBuf,
    pub(crate) required_signatures: Vec<SignatureRole>,
    /// Those that may bring setuid and setgid files.
    pub(crate) allow_setuid: Vec<PackageName>,
    /// None: ask dpkg.
    pub(crate) architecture: Option<Architecture>,
    /// The device's file system: `/`, or another folder for an own root.
    pub(crate) root: PathBuf,
    pub(crate) state_dir: PathBuf,
    pub(crate) poll_interval: Duration,
    /// When `run` installs what it finds.
    pub(crate) policy: Policy,
    pub(crate) scripts: ScriptMode,
    pub(crate) install_timeout: Duration,
    fleet: Option<Fleet>,
    provisioning: Option<identity::Asked>,
}

/// Why the configuration cannot be used.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ConfigError {
    #[error("could not read {what} {path}: {cause}")]
    Read { what: &'static str, path: PathBuf, cause: std::io::Error },
    #[error("{path}: {problem}")]
    Syntax { path: PathBuf, problem: String },
    #[error("{path}: {key} {problem}")]
    Value { path: PathBuf, key: &'static str, problem: String },
    #[error("could not use the keyring {path} ({key}): {cause}")]
    Keyring { path: PathBuf, key: &'static str, cause: OpenPgpError },
}

/// Where the updater keeps its journal, snapshot and downloads, within the device's root.
const STATE_DIR: &str = "var/lib/debfleet";

/// What recovery needs of the file, and takes also from one that is otherwise broken.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "kebab-case", default)]
struct RecoveryConfig {
    state_dir: Option<PathBuf>,
    scripts: ScriptMode,
}

impl Config {
    /// What is needed to end an interrupted update, also where the file is broken or gone. It names no repository and
    /// no packages.
    pub(crate) fn for_recovery(path: &Path, root: &Path) -> Result<Self, ConfigError> {
        let text = std::fs::read(path).unwrap_or_default();
        let recovery = recovery_config(&String::from_utf8_lossy(&text));
        let root = canonical_root(root)?;
        let suite = "none".parse().map_err(|error: NameError| ConfigError::Value {
            path: path.to_owned(),
            key: "suite",
            problem: error.to_string(),
        })?;
        Ok(Self {
            path: std::path::absolute(path).unwrap_or_else(|_| path.to_owned()),
            remote: Remote::default(),
            suite,
            packages: Vec::new(),
            repository_keyring: PathBuf::new(),
            package_keyring: PathBuf::new(),
            required_signatures: default_signatures(),
            allow_setuid: Vec::new(),
            architecture: None,
            state_dir: recovery.state_dir.filter(|dir| dir.is_absolute()).unwrap_or_else(|| root.join(STATE_DIR)),
            root,
            poll_interval: Duration::from_secs(default_poll_interval()),
            policy: Policy {
                windows: Windows::default(),
                min_battery: default_min_battery(),
                metered: Metered::default(),
            },
            scripts: recovery.scripts,
            install_timeout: Duration::from_secs(default_install_timeout()),
            fleet: None,
            provisioning: None,
        })
    }

    /// Reads and checks the file. `root` is the device's file system; paths in the file are the host's.
    pub(crate) fn load(path: &Path, root: &Path) -> Result<Self, ConfigError> {
        let text = read("the configuration", path)?;
        let text = String::from_utf8_lossy(&text);
        let raw: RawConfig = toml::from_str(&text).map_err(|error| {
            // It quotes the line.
            let problem = without_user_info(&error.to_string()) + &suggestion(error.message());
            ConfigError::Syntax { path: path.to_owned(), problem }
        })?;
        let value = |key, problem: &str| ConfigError::Value { path: path.to_owned(), key, problem: problem.to_owned() };
        let repository = raw.repository.trim_end_matches('/').to_owned();
        if !repository.starts_with("https://") && !repository.starts_with("http://") {
            return Err(value("repository", "must be a URL that begins with https:// or http://"));
        }
        let certificate = match (raw.client_certificate, raw.client_key) {
            (Some(certificate), Some(key)) => Some((certificate, key)),
            (None, None) => None,
            _ => return Err(value("client-certificate and client-key", "belong together")),
        };
        let mut credentials = Credentials { token: raw.token_file, certificate, own: None };
        if credentials.certificate.is_some() && !repository.starts_with("https://") {
            return Err(value(
                "client-certificate",
                "is shown over HTTPS only; the repository must begin with https://",
            ));
        }
        if credentials.token.is_some() && !keeps_secrets(&repository) {
            return Err(value(
                "token-file",
                "would be read by others on the way; the repository must begin with https://",
            ));
        }
        if raw.required_signatures.is_empty() {
            return Err(value("required-signatures", "must name at least one role, such as \"origin\""));
        }
        if raw.poll_interval == 0 || raw.install_timeout == 0 {
            return Err(value("poll-interval and install-timeout", "must be at least 1 second"));
        }
        if raw.min_battery > 100 {
            return Err(value("min-battery", "is in percent: 0 to 100"));
        }
        let rate_limit = raw.rate_limit.as_ref().map(|rate| {
            rate.bytes().ok_or_else(|| value("rate-limit", "must be bytes a second, at least 1024, such as \"200k\""))
        });
        let rate_limit = rate_limit.transpose()?;
        let proxy = raw.proxy.as_deref().map(|proxy| ProxyUrl::parse(proxy).map_err(|problem| value("proxy", problem)));
        let proxy = proxy.transpose()?;
        let root = canonical_root(root)?;
        let state_dir = raw.state_dir.unwrap_or_else(|| root.join(STATE_DIR));
        if !state_dir.is_absolute() {
            return Err(value("state-dir", "must be an absolute path"));
        }
        let wrong = |(key, problem): (_, String)| value(key, &problem);
        let fleet = raw.fleet.map(|fleet| fleet.check(raw.ca.as_ref())).transpose().map_err(wrong)?;
        let provisioning = raw.provisioning.map(RawProvisioning::check).transpose().map_err(wrong)?;
        if repository.starts_with("https://") {
            let store = Store::of(&state_dir);
            credentials.own = Some((store.certificate(), store.key()));
        }
        Ok(Self {
            path: std::path::absolute(path).unwrap_or_else(|_| path.to_owned()),
            remote: Remote { base: repository, ca: raw.ca, credentials, proxy, rate_limit },
            suite: raw.suite,
            packages: raw.packages,
            repository_keyring: raw.repository_keyring,
            package_keyring: raw.package_keyring,
            required_signatures: raw.required_signatures,
            allow_setuid: raw.allow_setuid,
            architecture: raw.architecture,
            state_dir,
            root,
            poll_interval: Duration::from_secs(raw.poll_interval),
            policy: Policy { windows: raw.windows, min_battery: raw.min_battery, metered: raw.metered },
            scripts: raw.scripts,
            install_timeout: Duration::from_secs(raw.install_timeout),
            fleet,
            provisioning,
        })
    }

    /// Who the device is to its fleet.
    pub(crate) fn identity(&self) -> Store {
        Store::of(&self.state_dir)
    }

    /// What a connection to the fleet's broker rests on, if there is one.
    pub(crate) fn fleet(&self) -> Option<messaging::Settings> {
        let Fleet { contact, thing } = self.fleet.clone()?;
        let attempt = self.state_dir.join("attempt.json");
        let renewal = self.provisioning();
        Some(messaging::Settings { contact, thing, store: self.identity(), attempt, renewal })
    }

    /// What a provisioning rests on, if the configuration has one.
    pub(crate) fn provisioning(&self) -> Option<identity::Settings> {
        let contact = self.fleet.as_ref().map(|fleet| fleet.contact.clone());
        let remote = self.remote.clone();
        Some(identity::Settings { asked: self.provisioning.clone()?, contact, remote, store: self.identity() })
    }

    /// The keys that sign the suite's Release.
    pub(crate) fn repository_keys(&self) -> Result<Keyring, ConfigError> {
        keyring(&self.repository_keyring, "repository-keyring")
    }

    /// The keys that sign packages.
    pub(crate) fn package_keys(&self) -> Result<Keyring, ConfigError> {
        keyring(&self.package_keyring, "package-keyring")
    }
}

fn canonical_root(root: &Path) -> Result<PathBuf, ConfigError> {
    root.canonicalize().map_err(|cause| ConfigError::Read { what: "the device's root", path: root.to_owned(), cause })
}

/// From a file that may be cut off or misspelt: each of its lines counts that can be read alone.
fn recovery_config(text: &str) -> RecoveryConfig {
    let lines = text.lines().filter_map(|line| line.parse::<toml::Table>().ok()).flatten();
    let known = |table: toml::Table| table.try_into::<RecoveryConfig>().ok();
    lines.filter_map(|(key, value)| known(toml::Table::from_iter([(key, value)]))).fold(
        RecoveryConfig::default(),
        |all, line| RecoveryConfig {
            state_dir: line.state_dir.or(all.state_dir),
            scripts: if line.scripts == ScriptMode::default() { all.scripts } else { line.scripts },
        },
    )
}

/// The known key that an unknown one was probably meant to be. The parser's message has the unknown one first.
fn suggestion(message: &str) -> String {
    let mut quoted = message.split('`').skip(1).step_by(2);
    let Some(unknown) = quoted.next().filter(|_| message.starts_with("unknown field")) else { return String::new() };
    let nearest = quoted.min_by_key(|known| strsim::damerau_levenshtein(unknown, known));
    nearest.map(|nearest| format!("did you mean `{nearest}`?")).unwrap_or_default()
}

/// Over HTTPS, or within this machine.
fn keeps_secrets(repository: &str) -> bool {
    let uri = repository.parse::<ureq::http::Uri>().ok();
    let host = uri.as_ref().and_then(|uri| uri.host()).unwrap_or_default();
    let host = host.trim_start_matches('[').trim_end_matches(']');
    let is_loopback = host == "localhost" || host.parse::<IpAddr>().is_ok_and(|address| address.is_loopback());
    repository.starts_with("https://") || is_loopback
}

fn read(what: &'static str, path: &Path) -> Result<Vec<u8>, ConfigError> {
    std::fs::read(path).map_err(|cause| ConfigError::Read { what, path: path.to_owned(), cause })
}

fn keyring(path: &Path, key: &'static str) -> Result<Keyring, ConfigError> {
    Keyring::from_bytes(&read(key, path)?).map_err(|cause| ConfigError::Keyring { path: path.to_owned(), key, cause })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_recovery_needs_is_found_in_a_broken_file() {
        let broken =
            "suite = \nnonsense\nscripts = \"chrootless\"\nstate-dir = \"/data/debfleet\" # here\npackages = [";
        let found = recovery_config(broken);
        assert_eq!(found.state_dir.as_deref(), Some(Path::new("/data/debfleet")));
        assert_eq!(found.scripts, ScriptMode::Chrootless);
        assert_eq!(recovery_config("state-dir = 7\n\0").state_dir, None);
    }

    #[test]
    fn a_token_does_not_travel_in_the_clear() {
        for good in ["https://updates.example.org/debian", "http://127.0.0.1:8080/debian", "http://[::1]/debian"] {
            assert!(keeps_secrets(good), "{good}");
        }
        for bad in ["http://updates.example.org/debian", "http://10.0.0.1/debian", "http://127.0.0.1@evil/debian"] {
            assert!(!keeps_secrets(bad), "{bad}");
        }
    }
}
