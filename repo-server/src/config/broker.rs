//! Which broker carries the fleet's messages, if not this server.

use super::{ConfigError, RawSettings};
use std::fmt;
use std::net::Ipv6Addr;
use std::path::PathBuf;

const PORT: u16 = 8883;
/// AWS IoT Core takes MQTT on the port of HTTPS, too.
pub(crate) const HTTPS_PORT: u16 = 443;

/// A broker that this server is a client of.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BrokerSettings {
    /// What it is.
    pub kind: BrokerKind,
    /// Where it is.
    pub host: String,
    /// Its port, for MQTT over TLS.
    pub port: u16,
    /// PEM of the authority that signed its certificate, if that is not the usual one.
    pub ca: Option<PathBuf>,
    /// The certificate that this server shows, and its key, in PEM; Mosquitto is shown one of the fleet CA.
    pub identity: Option<(PathBuf, PathBuf)>,
}

/// Which broker it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum BrokerKind {
    /// Eclipse Mosquitto.
    Mosquitto {
        /// Where its configuration is kept up to date.
        folder: Option<PathBuf>,
        /// The port on which it is to take MQTT over WebSocket.
        websockets: Option<u16>,
    },
    /// AWS IoT Core.
    Aws,
}

impl BrokerKind {
    pub(crate) fn as_str(&self) -> &'static str {
        match self {
            Self::Mosquitto { .. } => "mosquitto",
            Self::Aws => "aws",
        }
    }
}

/// Where it is, as the log and people call it.
impl fmt::Display for BrokerSettings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let kind = self.kind.as_str();
        match self.host.parse::<Ipv6Addr>() {
            Ok(address) => write!(f, "{kind}://[{address}]:{}", self.port),
            Err(_) => write!(f, "{kind}://{}:{}", self.host, self.port),
        }
    }
}

pub(super) fn check(raw: &RawSettings) -> Result<Option<BrokerSettings>, ConfigError> {
    let identity = match (raw.broker_cert.clone(), raw.broker_key.clone()) {
        (Some(certificate), Some(key)) => Some((certificate, key)),
        (None, None) => None,
        _ => return Err(ConfigError::HalfBrokerIdentity),
    };
    let (folder, websockets, ca) = (raw.broker_folder.clone(), raw.broker_websockets, raw.broker_ca.clone());
    let Some(text) = &raw.broker else {
        let given = [
            ("broker-folder", folder.is_some()),
            ("broker-websockets", websockets.is_some()),
            ("broker-ca", ca.is_some()),
            ("broker-cert", identity.is_some()),
        ];
        return match given.into_iter().find(|(_, given)| *given) {
            Some((setting, _)) => Err(ConfigError::WithoutBroker(setting)),
            None => Ok(None),
        };
    };
    let wrong = || ConfigError::Broker(text.clone());
    let (kind, place) = text.split_once("://").ok_or_else(wrong)?;
    let (host, port) = host_and_port(place).ok_or_else(wrong)?;
    let kind = match kind {
        "mosquitto" if websockets.is_some() && folder.is_none() => {
            return Err(ConfigError::OnlyWithBrokerFolder("broker-websockets"));
        }
        "mosquitto" if identity.is_some() => return Err(ConfigError::OnlyForAws),
        "mosquitto" => BrokerKind::Mosquitto { folder, websockets },
        "aws" if identity.is_none() => return Err(ConfigError::AwsWithoutIdentity),
        "aws" if folder.is_some() || websockets.is_some() => return Err(ConfigError::OnlyForMosquitto),
        "aws" => BrokerKind::Aws,
        _ => return Err(wrong()),
    };
    Ok(Some(BrokerSettings { kind, host, port, ca, identity }))
}

fn host_and_port(place: &str) -> Option<(String, u16)> {
    let (host, port) = match place.strip_prefix('[') {
        Some(rest) => {
            let (host, port) = rest.split_once(']')?;
            host.parse::<Ipv6Addr>().ok()?;
            (host, port)
        }
        None => place.find(':').map_or((place, ""), |at| place.split_at(at)),
    };
    let port = match port.strip_prefix(':') {
        Some(port) => port.parse().ok().filter(|port| *port != 0)?,
        None if port.is_empty() => PORT,
        None => return None,
    };
    (host.parse::<Ipv6Addr>().is_ok() || super::is_certificate_name(host)).then(|| (host.to_owned(), port))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn checked(toml: &str) -> Result<Option<BrokerSettings>, ConfigError> {
        check(&toml::from_str(toml).unwrap())
    }

    #[test]
    fn a_broker_is_named_by_its_kind_and_place() {
        assert_eq!(checked("").unwrap(), None);
        for (given, shown) in [
            ("mosquitto://mqtt.example.org", "mosquitto://mqtt.example.org:8883"),
            ("mosquitto://192.0.2.1:1", "mosquitto://192.0.2.1:1"),
            ("mosquitto://[2001:db8::1]:443", "mosquitto://[2001:db8::1]:443"),
        ] {
            let broker = checked(&format!("broker = '{given}'\nbroker-folder = '/etc/m'")).unwrap().unwrap();
            assert_eq!(broker.to_string(), shown);
        }
        let aws = "broker = 'aws://a1-ats.iot.eu-central-1.amazonaws.com:443'\nbroker-cert = '/c'\nbroker-key = '/k'";
        assert_eq!(checked(aws).unwrap().unwrap().port, HTTPS_PORT);
        for (wrong, advice) in [
            ("broker = 'mqtt.example.org'", "mosquitto://"),
            ("broker = 'embedded://x'", "aws://"),
            ("broker = 'mosquitto://'", "mosquitto://"),
            ("broker = 'mosquitto://a:0'", "mosquitto://"),
            ("broker = 'mosquitto://a b'", "mosquitto://"),
            ("broker = 'mosquitto://[::1]x'", "mosquitto://"),
            ("broker = 'mosquitto://a'\nbroker-cert = '/c'", "broker-key"),
            ("broker = 'mosquitto://a'\nbroker-websockets = 9001", "broker-folder"),
            ("broker = 'mosquitto://a'\nbroker-cert = '/c'\nbroker-key = '/k'", "fleet CA"),
            ("broker = 'aws://a'", "broker-cert"),
            ("broker = 'aws://a'\nbroker-cert = '/c'\nbroker-key = '/k'\nbroker-folder = '/d'", "Mosquitto"),
            ("broker-folder = '/d'", "broker"),
        ] {
            let told = checked(wrong).unwrap_err().to_string();
            assert!(told.contains(advice), "{wrong}: {told}");
        }
    }
}
