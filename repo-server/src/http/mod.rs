//! The HTTP side: it turns requests into calls of the domains, and their answers into responses.

mod address;
mod audit;
mod body;
mod caller;
mod certificates;
mod debian;
mod dput;
mod exchange;
mod file_body;
mod host;
mod idempotency;
mod imports;
mod json;
pub(crate) mod listener;
mod openapi;
mod operations;
mod pace;
mod packages;
mod page;
mod peer;
mod policies;
mod pool;
mod problem;
mod ranges;
mod reader;
mod remote_body;
mod router;
mod state;
mod static_file;
mod suites;
mod tokens;
mod unbroken;

pub(crate) use exchange::Front;
pub(crate) use router::router;
pub(crate) use state::{Scheme, ServerState, Shared, Surface};
