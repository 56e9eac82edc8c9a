//! What handlers work with.

use super::router::Surface;
use crate::access::Access;
use crate::audit::Audit;
use crate::repository::Repository;
use std::sync::Arc;

/// The domains, and how this listener is reached.
#[derive(Clone)]
pub(crate) struct ServerState {
    pub(crate) repository: Arc<Repository>,
    pub(crate) access: Arc<Access>,
    pub(crate) audit: Audit,
    pub(crate) scheme: Scheme,
    pub(crate) surface: Surface,
    /// Whether clients are sent to the storage for packages.
    pub(crate) redirect: bool,
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
