//! A client of the broker.

use super::Endpoint;
use super::tls::{Shown, TlsError, client_config};
use rumqttc::{ConnectionError, MqttOptions, TlsConfiguration, Transport};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

/// How to reach the fleet's broker.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Contact {
    pub(crate) endpoint: Endpoint,
    /// PEM of the authority that signed the broker's certificate; none: the system's.
    pub(crate) ca: Option<PathBuf>,
    /// What the TLS handshake asks for; none: what the port suggests.
    pub(crate) alpn: Option<String>,
    /// The broker is told of an idle device's life in this interval.
    pub(crate) keep_alive: Duration,
}

/// A broker that cannot be reached.
#[derive(Debug, thiserror::Error)]
pub(crate) enum BrokerError {
    #[error(transparent)]
    Tls(#[from] TlsError),
    #[error("could not talk to the fleet's broker {at}: {cause}{}", advice(cause))]
    Connection { at: Endpoint, cause: Box<ConnectionError> },
    #[error("the fleet's broker {at} did not answer within {} s", within.as_secs())]
    Silence { at: Endpoint, within: Duration },
}

/// A broker says no more than that it refuses, or closes the connection.
fn advice(cause: &ConnectionError) -> &'static str {
    match cause {
        ConnectionError::ConnectionRefused(_) => {
            "; is the device's certificate registered and active, and does a policy allow it to connect?"
        }
        ConnectionError::Tls(_) => "; `ca` must name the authority of the broker's certificate",
        _ => "",
    }
}

/// The longest message either way: a shadow has 8 KiB, a job's document 32 KiB, and certificates come with their chain.
const LONGEST_PACKET: usize = 128 << 10;

/// For a client of this id that shows this certificate; without one, for a broker on this machine.
pub(crate) fn options(
    contact: &Contact,
    client_id: &str,
    shown: Option<&Shown<'_>>,
) -> Result<MqttOptions, BrokerError> {
    let Endpoint { host, port, tls } = &contact.endpoint;
    let mut options = MqttOptions::new(client_id, host.clone(), *port);
    options.set_keep_alive(contact.keep_alive).set_max_packet_size(LONGEST_PACKET, LONGEST_PACKET);
    if *tls {
        let alpn = contact.alpn.as_deref().or_else(|| contact.endpoint.usual_alpn());
        let config = client_config(contact.ca.as_deref(), shown, alpn)?;
        options.set_transport(Transport::tls_with_config(TlsConfiguration::Rustls(Arc::new(config))));
    }
    Ok(options)
}

impl Contact {
    /// The error of a connection to this broker.
    pub(crate) fn failed(&self, cause: ConnectionError) -> BrokerError {
        BrokerError::Connection { at: self.endpoint.clone(), cause: Box::new(cause) }
    }

    /// The error of a broker that says nothing.
    pub(crate) fn silent(&self, within: Duration) -> BrokerError {
        BrokerError::Silence { at: self.endpoint.clone(), within }
    }
}
