//! Who this device is to the fleet: a key that never leaves it, a certificate, and the name of its thing.

mod exchange;
mod files;
mod provision;
mod renewal;
mod steps;

pub(crate) use exchange::Claim;
pub(crate) use files::{Identity, Store};
pub(crate) use provision::{Asked, Parameter, Settings, provision};
pub(crate) use renewal::{is_due, renew};
