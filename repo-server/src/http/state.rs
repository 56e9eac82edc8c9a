//! What handlers work with.

use crate::access::Access;
use crate::audit::Audit;
use crate::broker;
use crate::certificates::Certificates;
use crate::external_broker::BrokerState;
use crate::fleet_ca::Authority;
use crate::messaging::Outbox;
use crate::metrics::Metrics;
use crate::people::People;
use crate::policies::Policies;
use crate::provisioning::Provisioning;
use crate::repeats::Repeats;
use crate::repository::Repository;
use crate::shadows::Shadows;
use crate::things::Registry;
use crate::web_origins::WebOrigins;
use std::ops::Deref;
use std::sync::Arc;
use tokio::sync::watch;

/// The domains, and what goes on in the process. It is handed from layer to layer with every request.
#[derive(Clone)]
pub(crate) struct ServerState(Arc<Shared>);

impl ServerState {
    pub(crate) fn new(shared: Shared) -> Self {
        Self(Arc::new(shared))
    }
}

impl Deref for ServerState {
    type Target = Shared;

    fn deref(&self) -> &Shared {
        &self.0
    }
}

/// What all requests of a listener share.
pub(crate) struct Shared {
    pub(crate) repository: Arc<Repository>,
    pub(crate) access: Arc<Access>,
    pub(crate) audit: Audit,
    pub(crate) certificates: Arc<Certificates>,
    pub(crate) authority: Arc<Authority>,
    pub(crate) provisioning: Arc<Provisioning>,
    pub(crate) registry: Arc<Registry>,
    pub(crate) repeats: Arc<Repeats>,
    pub(crate) policies: Arc<Policies>,
    pub(crate) shadows: Arc<Shadows>,
    pub(crate) people: Arc<People>,
    /// Where what changes here is told over MQTT.
    pub(crate) outbox: Arc<dyn Outbox>,
    pub(crate) surface: Surface,
    /// Whether clients are sent to the storage for packages.
    pub(crate) redirect: bool,
    pub(crate) metrics: Arc<Metrics>,
    /// What takes connections for the MQTT broker, if there is one.
    pub(crate) mqtt: Option<Arc<broker::Front>>,
    /// Whose web pages may speak MQTT with this server.
    pub(crate) web_origins: Arc<WebOrigins>,
    /// How the server stands with its broker, if it is a client of one.
    pub(crate) external_broker: Option<BrokerState>,
    /// Becomes true when the server is told to stop.
    pub(crate) stop: watch::Receiver<bool>,
}

/// How much of the server a listener shows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Surface {
    /// Everything.
    Whole,
    /// What is public and signed. A token must not travel in the clear, so plain HTTP beyond loopback shows no more.
    Repository,
    /// What those who run it want to know, and nothing else.
    Operations,
}

/// What a client speaks.
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
