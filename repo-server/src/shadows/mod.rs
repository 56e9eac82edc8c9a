//! Device shadows. What a request makes of one is decided in `fleet_protocol::shadow`; here it is kept.

mod changes;
mod error;
mod exchange;
mod store;
mod turns;

pub(crate) use store::Shadows;
#[allow(unused_imports, reason = "for the deletion of things, which follows")]
pub(crate) use store::forget;
