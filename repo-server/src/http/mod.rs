//! The HTTP side: it turns requests into calls of the domains, and their answers into responses.

mod debian;
mod host;
pub(crate) mod listener;
mod packages;
mod problem;
mod router;
mod static_file;

pub(crate) use router::{Scheme, ServerState, Surface, router};
