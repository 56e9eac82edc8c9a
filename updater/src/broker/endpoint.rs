//! Where the fleet's broker is.

use std::fmt;
use std::net::IpAddr;
use std::str::FromStr;

/// Such as `mqtts://fleet.example.org:8883`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Endpoint {
    pub(crate) host: String,
    pub(crate) port: u16,
    /// Whether the connection is protected. One that is not leads no further than this machine: to a local bridge.
    pub(crate) tls: bool,
}

/// IANA's ports for MQTT and for MQTT over TLS.
const PORT: u16 = 1883;
const TLS_PORT: u16 = 8883;

/// AWS IoT Core takes MQTT on the port of HTTPS too, from clients that ask for it by this name.
const ALPN_AT_443: &str = "x-amzn-mqtt-ca";

impl Endpoint {
    /// The protocol that the TLS handshake names, if the configuration names no other.
    pub(crate) fn usual_alpn(&self) -> Option<&'static str> {
        (self.port == 443).then_some(ALPN_AT_443)
    }
}

impl fmt::Display for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.host, self.port)
    }
}

impl FromStr for Endpoint {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, &'static str> {
        const FORM: &str = "must be mqtts://HOST[:PORT], or mqtt://127.0.0.1[:PORT] for a broker on this machine";
        let (tls, rest) = match text.split_once("://").ok_or(FORM)? {
            ("mqtts", rest) => (true, rest),
            ("mqtt", rest) => (false, rest),
            _ => return Err(FORM),
        };
        let authority: ureq::http::uri::Authority = rest.trim_end_matches('/').parse().map_err(|_| FORM)?;
        let host = authority.host().trim_start_matches('[').trim_end_matches(']').to_owned();
        if host.is_empty() || authority.as_str().contains('@') {
            return Err(FORM);
        }
        let is_local = host == "localhost" || host.parse::<IpAddr>().is_ok_and(|address| address.is_loopback());
        if !tls && !is_local {
            return Err("would show everybody on the way what the device says; it must begin with mqtts://");
        }
        let port = match authority.port() {
            Some(port) => port.as_u16(),
            None => [PORT, TLS_PORT][usize::from(tls)],
        };
        Ok(Self { host, port, tls })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_open_connection_leads_no_further_than_this_machine() {
        let endpoint = |text: &str| text.parse::<Endpoint>();
        let at = |host: &str, port, tls| Ok(Endpoint { host: host.into(), port, tls });
        assert_eq!(endpoint("mqtts://fleet.example.org"), at("fleet.example.org", 8883, true));
        assert_eq!(endpoint("mqtts://fleet.example.org:443/"), at("fleet.example.org", 443, true));
        assert_eq!(endpoint("mqtt://localhost"), at("localhost", 1883, false));
        assert_eq!(endpoint("mqtt://[::1]:1884"), at("::1", 1884, false));
        for bad in ["mqtt://fleet.example.org", "mqtt://10.0.0.1", "https://a", "mqtts://", "mqtts://u:p@a", "a:8883"] {
            assert!(endpoint(bad).is_err(), "{bad}");
        }
        assert_eq!(endpoint("mqtts://a:443").unwrap().usual_alpn(), Some("x-amzn-mqtt-ca"));
        assert_eq!(endpoint("mqtts://a").unwrap().usual_alpn(), None);
    }
}
