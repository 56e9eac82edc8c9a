//! Device shadows. What a request makes of one is decided in `fleet_protocol::shadow`; here it is kept.

mod error;
mod exchange;
mod installed;
mod store;
mod turns;

pub(crate) use error::ShadowError;
pub(crate) use installed::Installed;
pub(crate) use store::{Shadows, all_of, forget};
