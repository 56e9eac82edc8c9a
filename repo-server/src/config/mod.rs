//! The settings of a serving process: flags, then `DEBFLEET_SERVER_*` variables, then the configuration file.

mod backends;
mod broker;
mod endpoint;
mod error;

pub use crate::storage::{BucketSettings, Credentials};
pub use backends::{Backends, PostgresSettings};
pub(crate) use broker::HTTPS_PORT;
pub use broker::{BrokerKind, BrokerSettings};
pub use endpoint::{Endpoint, UnknownEndpoint};
pub use error::ConfigError;

use crate::logging::{LogFilter, LogFormat};
use crate::messaging::Violations;
use crate::proxies::TrustedProxies;
use crate::web_origins::WebOrigins;
use debian_formats::limits::Limits;
use serde::Deserialize;
use std::net::{IpAddr, Ipv4Addr, SocketAddr, ToSocketAddrs as _};
use std::path::{Path, PathBuf};

/// Where HTTPS is served when nothing else is asked for.
const DEFAULT_HTTPS: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::UNSPECIFIED), 8443);

/// Where MQTT is served then.
const DEFAULT_MQTTS: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::UNSPECIFIED), 8883);

/// The largest package that may be taken in, in MiB: devices would refuse larger ones.
const MOST_MIB: u64 = Limits::DEFAULT.deb_bytes >> 20;

/// Keys of the file whose values nobody else is to see.
const SECRETS: [&str; 2] = ["database", "storage-secret-access-key"];

/// Settings as one source gives them, not checked.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields, default)]
pub struct RawSettings {
    /// The data folder.
    pub data: Option<PathBuf>,
    /// Address for plain HTTP.
    pub http: Option<String>,
    /// Address for HTTPS.
    pub https: Option<String>,
    /// Address for MQTT over TLS.
    pub mqtts: Option<String>,
    /// What becomes of clients of MQTT 5 that ask for what they may not do.
    pub mqtt_violations: Option<String>,
    /// The broker of the fleet, if it is not this server.
    pub broker: Option<String>,
    /// Where its configuration is kept up to date.
    pub broker_folder: Option<PathBuf>,
    /// Its port for MQTT over WebSocket.
    pub broker_websockets: Option<u16>,
    /// The authority of its certificate, in PEM form.
    pub broker_ca: Option<PathBuf>,
    /// The certificate that this server shows it, in PEM form.
    pub broker_cert: Option<PathBuf>,
    /// Its key in PEM form.
    pub broker_key: Option<PathBuf>,
    /// Address for metrics and health.
    pub metrics: Option<String>,
    /// Certificate chain in PEM form.
    pub tls_cert: Option<PathBuf>,
    /// Its key in PEM form.
    pub tls_key: Option<PathBuf>,
    /// Further names for the certificate that the fleet CA gives.
    pub host_name: Vec<String>,
    /// The largest package that is taken in, in MiB.
    pub max_upload: Option<u64>,
    /// URL of a PostgreSQL database.
    pub database: Option<String>,
    /// Bucket of an S3-compatible store.
    pub storage: Option<String>,
    /// Where that store is, if it is not Amazon's.
    pub storage_endpoint: Option<String>,
    /// Its region.
    pub storage_region: Option<String>,
    /// Who we are there; only in the configuration file, because others see a process's flags.
    pub storage_access_key_id: Option<String>,
    /// The secret to it.
    pub storage_secret_access_key: Option<String>,
    /// Whether clients are sent to the store for packages.
    pub storage_redirect: Option<bool>,
    /// Proxies that are believed whom they pass on.
    pub trusted_proxies: Vec<String>,
    /// Origins of web pages that may speak MQTT with this server.
    pub web_origin: Vec<String>,
    /// What is logged.
    pub log: Option<String>,
    /// How it is logged.
    pub log_format: Option<String>,
}

/// Checked settings.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Settings {
    /// The data folder.
    pub data: PathBuf,
    /// Address for plain HTTP.
    pub http: Option<SocketAddr>,
    /// Address for HTTPS.
    pub https: Option<SocketAddr>,
    /// Address for MQTT over TLS.
    pub mqtts: Option<SocketAddr>,
    /// What becomes of clients of MQTT 5 that ask for what they may not do.
    pub mqtt_violations: Violations,
    /// The broker of the fleet, if it is not this server.
    pub broker: Option<BrokerSettings>,
    /// Address for metrics and health.
    pub metrics: Option<SocketAddr>,
    /// The operator's own certificate and its key.
    pub tls: Option<(PathBuf, PathBuf)>,
    /// Further names for the certificate that the fleet CA gives.
    pub host_names: Vec<String>,
    /// The largest package that is taken in, in bytes.
    pub max_upload: u64,
    /// Where tables and packages lie.
    pub backends: Backends,
    /// Proxies that are believed whom they pass on.
    pub trusted_proxies: TrustedProxies,
    /// Origins of web pages that may speak MQTT with this server.
    pub web_origins: WebOrigins,
    /// What is logged.
    pub log: LogFilter,
    /// How it is logged.
    pub log_format: LogFormat,
}

/// Where settings come from, to be read at the start and again on demand.
#[derive(Debug, Clone)]
pub struct SettingsSource {
    /// Flags and variables; they win.
    pub given: RawSettings,
    /// The configuration file.
    pub file: Option<PathBuf>,
    /// Listeners that the service manager handed over.
    pub inherited: Vec<Endpoint>,
}

impl SettingsSource {
    /// The settings as they are now.
    pub fn read(&self) -> Result<Settings, ConfigError> {
        let file = self.file.as_deref().map(RawSettings::from_file).transpose()?.unwrap_or_default();
        self.given.clone().over(file).check(&self.inherited)
    }
}

impl RawSettings {
    /// Reads a configuration file.
    pub fn from_file(path: &Path) -> Result<Self, ConfigError> {
        let text =
            std::fs::read_to_string(path).map_err(|source| ConfigError::Read { path: path.to_owned(), source })?;
        toml::from_str(&text).map_err(|error| syntax(path, &text, &error))
    }

    /// These settings, with those of `weaker` where these say nothing.
    #[must_use]
    pub fn over(self, weaker: Self) -> Self {
        Self {
            data: self.data.or(weaker.data),
            http: self.http.or(weaker.http),
            https: self.https.or(weaker.https),
            mqtts: self.mqtts.or(weaker.mqtts),
            mqtt_violations: self.mqtt_violations.or(weaker.mqtt_violations),
            broker: self.broker.or(weaker.broker),
            broker_folder: self.broker_folder.or(weaker.broker_folder),
            broker_websockets: self.broker_websockets.or(weaker.broker_websockets),
            broker_ca: self.broker_ca.or(weaker.broker_ca),
            broker_cert: self.broker_cert.or(weaker.broker_cert),
            broker_key: self.broker_key.or(weaker.broker_key),
            tls_cert: self.tls_cert.or(weaker.tls_cert),
            tls_key: self.tls_key.or(weaker.tls_key),
            host_name: if self.host_name.is_empty() { weaker.host_name } else { self.host_name },
            max_upload: self.max_upload.or(weaker.max_upload),
            database: self.database.or(weaker.database),
            storage: self.storage.or(weaker.storage),
            storage_endpoint: self.storage_endpoint.or(weaker.storage_endpoint),
            storage_region: self.storage_region.or(weaker.storage_region),
            storage_access_key_id: self.storage_access_key_id.or(weaker.storage_access_key_id),
            storage_secret_access_key: self.storage_secret_access_key.or(weaker.storage_secret_access_key),
            storage_redirect: self.storage_redirect.or(weaker.storage_redirect),
            metrics: self.metrics.or(weaker.metrics),
            trusted_proxies: if self.trusted_proxies.is_empty() {
                weaker.trusted_proxies
            } else {
                self.trusted_proxies
            },
            web_origin: if self.web_origin.is_empty() { weaker.web_origin } else { self.web_origin },
            log: self.log.or(weaker.log),
            log_format: self.log_format.or(weaker.log_format),
        }
    }

    /// Checks them, where the service manager has opened these listeners already.
    pub fn check(self, inherited: &[Endpoint]) -> Result<Settings, ConfigError> {
        let backends = backends::check(&self)?;
        let broker = broker::check(&self)?;
        let data = self.data.ok_or(ConfigError::NoData)?;
        let http = self.http.map(|text| address("http", &text)).transpose()?;
        let mut https = self.https.map(|text| address("https", &text)).transpose()?;
        let metrics = self.metrics.map(|text| address("metrics", &text)).transpose()?;
        let has = |endpoint| inherited.contains(&endpoint);
        let mut mqtts = self.mqtts.map(|text| address("mqtts", &text)).transpose()?;
        if broker.is_some() && (mqtts.is_some() || has(Endpoint::Mqtts)) {
            return Err(ConfigError::TwoBrokers);
        }
        let given = [http, https, mqtts].iter().any(Option::is_some);
        if !given && ![Endpoint::Http, Endpoint::Https, Endpoint::Mqtts].into_iter().any(has) {
            (https, mqtts) = (Some(DEFAULT_HTTPS), Some(DEFAULT_MQTTS).filter(|_| broker.is_none()));
        }
        let tls_is_served = https.is_some() || mqtts.is_some() || has(Endpoint::Https) || has(Endpoint::Mqtts);
        let tls = match (self.tls_cert, self.tls_key) {
            (Some(_), Some(_)) if !tls_is_served => return Err(ConfigError::CertificateWithoutTls),
            (Some(certificate), Some(key)) => Some((certificate, key)),
            (None, None) => None,
            _ => return Err(ConfigError::HalfCertificate),
        };
        if let Some(name) = self.host_name.iter().find(|name| !is_certificate_name(name)) {
            return Err(ConfigError::HostName(name.clone()));
        }
        let max_upload = self.max_upload.unwrap_or(MOST_MIB);
        if !(1..=MOST_MIB).contains(&max_upload) {
            return Err(ConfigError::MaxUpload(max_upload));
        }
        Ok(Settings {
            data,
            http,
            https,
            mqtts,
            mqtt_violations: self
                .mqtt_violations
                .map_or_else(|| Ok(Violations::default()), |text| violations(&text))?,
            broker,
            metrics,
            tls,
            host_names: self.host_name,
            max_upload: max_upload << 20,
            backends,
            trusted_proxies: TrustedProxies::parse(&self.trusted_proxies)?,
            web_origins: WebOrigins::parse(&self.web_origin)?,
            log: self.log.map_or_else(|| Ok(LogFilter::from_environment()), |text| text.parse())?,
            log_format: self.log_format.map_or_else(|| Ok(LogFormat::default()), |text| text.parse())?,
        })
    }
}

/// The library's own words would show the line, and with it perhaps a password, to whoever reads the log.
fn syntax(path: &Path, text: &str, error: &toml::de::Error) -> ConfigError {
    let at = error.span().map_or(0, |span| span.start);
    let before = text.get(..at).unwrap_or_default();
    let line = before.matches('\n').count();
    let holds_secret = |line: &&str| SECRETS.iter().any(|key| line.trim_start().starts_with(key));
    let problem = match text.lines().nth(line).filter(holds_secret) {
        Some(_) => "the value cannot be read; write it as text in quotes".to_owned(),
        None => error.message().to_owned(),
    };
    ConfigError::Syntax { path: path.to_owned(), line: line + 1, problem }
}

/// Whether a certificate can carry this name.
pub(crate) fn is_certificate_name(name: &str) -> bool {
    let is_label = |label: &str| {
        (1..=63).contains(&label.len()) && label.bytes().all(|b| b.is_ascii_alphanumeric() || b"-*".contains(&b))
    };
    name.parse::<IpAddr>().is_ok() || (name.len() <= 253 && name.split('.').all(is_label))
}

fn violations(text: &str) -> Result<Violations, ConfigError> {
    match text {
        "disconnect" => Ok(Violations::Disconnect),
        "reason-code" => Ok(Violations::ReasonCode),
        other => Err(ConfigError::Violations(other.to_owned())),
    }
}

fn address(option: &'static str, text: &str) -> Result<SocketAddr, ConfigError> {
    let wrong = |reason: String| ConfigError::Address { option, text: text.to_owned(), reason };
    let mut found = text.to_socket_addrs().map_err(|error| wrong(error.to_string()))?;
    found.next().ok_or_else(|| wrong("the name has no address".to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn raw(toml: &str) -> RawSettings {
        toml::from_str(toml).unwrap()
    }

    #[test]
    fn stronger_settings_win_and_weaker_ones_fill_up() {
        let file = raw("data = '/f'\nhttp = '127.0.0.1:1'\nhost-name = ['a']");
        let flags = raw("data = '/d'\nhttps = '[::1]:2'");
        let settings = flags.over(file).check(&[]).unwrap();
        assert_eq!(settings.data, Path::new("/d"));
        assert_eq!(settings.http, Some("127.0.0.1:1".parse().unwrap()));
        assert_eq!(settings.https, Some("[::1]:2".parse().unwrap()));
        assert_eq!(settings.host_names, ["a"]);
    }

    #[test]
    fn what_is_wrong_in_the_file_is_named_without_its_secrets() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("server.toml");
        let error = |text: &str| {
            durable_files::replace(&path, text.as_bytes(), 0o600).unwrap();
            RawSettings::from_file(&path).unwrap_err().to_string()
        };
        for wrong in [
            "data = '/d'\ndatabase = postgres://me:hush@db/fleet\n",
            "data = '/d'\ndatabse = 'postgres://me:hush@db/fleet'\n",
            "data = '/d'\n  storage-secret-access-key = hush\n",
            "data = '/d'\nstorage-secret-access-key = 'hush\n",
            "data = '/d'\nstorage-secret-key = 'hush'\n",
        ] {
            let told = error(wrong);
            assert!(told.contains("line 2") && !told.contains("hush"), "{wrong}{told}");
        }
        assert!(!error("storage-secret-access-key = 4711").contains("4711"));
        let told = error("data = '/d'\n\nlgo = 'info'\n");
        assert!(told.contains("server.toml, line 3: unknown field `lgo`") && told.lines().count() == 1, "{told}");
    }

    #[test]
    fn https_is_the_default() {
        assert_eq!(raw("data = '/d'").check(&[]).unwrap().https, Some("0.0.0.0:8443".parse().unwrap()));
        assert_eq!(raw("data = '/d'").check(&[]).unwrap().mqtts, Some("0.0.0.0:8883".parse().unwrap()));
        for other in ["http", "mqtts"] {
            let settings = raw(&format!("data = '/d'\n{other} = '127.0.0.1:1'")).check(&[]).unwrap();
            assert_eq!(settings.https, None, "{other}");
        }
        assert_eq!(raw("data = '/d'").check(&[Endpoint::Http]).unwrap().https, None);
        assert!(raw("data = '/d'").check(&[Endpoint::Metrics]).unwrap().https.is_some());
        let elsewhere = raw("data = '/d'\nbroker = 'mosquitto://localhost'").check(&[]).unwrap();
        assert_eq!((elsewhere.https.is_some(), elsewhere.mqtts), (true, None), "another one carries MQTT");
    }

    #[test]
    fn wrong_settings_are_named() {
        let error = |toml: &str| raw(toml).check(&[]).unwrap_err().to_string();
        assert!(error("").contains("--data"));
        assert!(error("data = '/d'\nhttp = '8080'").contains("127.0.0.1:8080"));
        assert!(error("data = '/d'\ntls-cert = '/c'").contains("tls-key"));
        assert!(error("data = '/d'\ntrusted-proxies = ['10.0.0.0/40']").contains("10.0.0.0/40"));
        assert!(error("data = '/d'\nweb-origin = ['app.example.org']").contains("https://app.example.org"));
        assert!(error("data = '/d'\nlog-format = 'xml'").contains("xml"));
        assert!(error("data = '/d'\nmqtt-violations = 'ignore'").contains("reason-code"));
        assert!(error("data = '/d'\nmqtts = '127.0.0.1:1'\nbroker = 'mosquitto://a'").contains("broker"));
        assert!(error("data = '/d'\nhost-name = ['a b']").contains("\"a b\""));
        assert!(error("data = '/d'\nhttp='127.0.0.1:1'\ntls-cert = '/c'\ntls-key = '/k'").contains("https"));
        assert!(toml::from_str::<RawSettings>("dta = '/d'").unwrap_err().to_string().contains("dta"));
    }
}
