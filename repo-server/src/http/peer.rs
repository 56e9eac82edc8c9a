//! Who is at the other end of a connection.

use crate::access::Serial;
use std::net::IpAddr;

/// The other end of a connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Peer {
    pub(crate) address: IpAddr,
    /// The client certificate of the fleet CA that it showed. A handshake with any other one fails.
    pub(crate) certificate: Option<Serial>,
}
