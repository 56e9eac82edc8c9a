//! The HTTP side: it turns requests into calls of the domains, and their answers into responses.

mod debian;
mod host;
pub(crate) mod listener;
mod packages;
mod problem;
mod router;
mod state;
mod static_file;

pub(crate) use router::{Surface, router};
pub(crate) use state::{Scheme, ServerState};
