//! How the fleet's broker is reached: where it is, whom the device trusts there, and what it shows of itself.

mod contact;
mod endpoint;
mod tls;

pub(crate) use contact::{BrokerError, Contact, options};
pub(crate) use endpoint::Endpoint;
pub(crate) use tls::Shown;
