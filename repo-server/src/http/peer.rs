//! Who is at the other end of a connection.

use crate::certificates::ClientCertificate;
use std::net::IpAddr;
use std::sync::Arc;

/// The other end of a connection.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Peer {
    pub(crate) address: IpAddr,
    /// The client certificate of the fleet CA that it showed. A handshake with any other one fails.
    pub(crate) certificate: Option<Arc<ClientCertificate>>,
}
