//! What handlers work with.

use crate::access::Tokens;
use crate::repository::Repository;
use std::sync::Arc;

/// The domains, and how this listener is reached.
#[derive(Clone)]
pub(crate) struct ServerState {
    pub(crate) repository: Arc<Repository>,
    pub(crate) tokens: Tokens,
    pub(crate) scheme: Scheme,
}

/// How clients reach a listener.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Scheme {
    Http,
    Https,
}

impl Scheme {
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::Http => "http",
            Self::Https => "https",
        }
    }
}
