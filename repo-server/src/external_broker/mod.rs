//! A broker beside this server: Mosquitto, or AWS IoT Core. The server is an ordinary client of it, answers what devices
//! ask there, and publishes what it has to say. It serves everything else, too, while the broker is away.

mod aws;
mod link;
mod mosquitto;
mod rights;
mod speaker;
mod state;
mod tls;

pub use mosquitto::FolderError;
pub(crate) use mosquitto::SERVER;
pub(crate) use rights::{Access, RightsError, is_server, may};
pub(crate) use state::BrokerState;

use crate::certificates::Certificates;
use crate::config::{BrokerKind, BrokerSettings};
use crate::data_dir::DataDir;
use crate::fleet_ca::{Authority, CertificateError};
use crate::messaging::Outbox;
use crate::metrics::Metrics;
use crate::mqtt::Services;
use crate::policies::Policies;
use aws::Aws;
use mosquitto::{Folder, Mosquitto, Sources};
use rumqttc::{MqttOptions, TlsConfiguration, Transport};
use speaker::Speaker;
use std::path::PathBuf;
use std::sync::Arc;
use tls::Shown;
use tokio::task::JoinSet;

/// A broker that this server cannot be a client of, as it is set up.
#[derive(Debug, thiserror::Error)]
pub enum ExternalBrokerError {
    /// What it is to be shown cannot be had.
    #[error("could not make the certificate for the broker: {0}")]
    Certificate(#[from] CertificateError),
    /// It cannot be told from a stranger.
    #[error("could not use the authorities of the broker's certificate, {path}: {reason}")]
    Authorities {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        reason: String,
    },
    /// Its configuration cannot be written.
    #[error(transparent)]
    Folder(#[from] FolderError),
}

/// What a client of a broker is made of.
pub(crate) struct Parts {
    pub(crate) settings: BrokerSettings,
    pub(crate) data: DataDir,
    pub(crate) authority: Arc<Authority>,
    pub(crate) certificates: Arc<Certificates>,
    pub(crate) policies: Arc<Policies>,
    pub(crate) services: Services,
    pub(crate) metrics: Arc<Metrics>,
    /// The names of the broker's certificate, if this server gives it one.
    pub(crate) names: Vec<String>,
}

/// The broker, as the rest of the server sees it.
pub(crate) struct ExternalBroker {
    outbox: Arc<dyn Outbox>,
    state: BrokerState,
    tasks: JoinSet<()>,
}

impl ExternalBroker {
    /// Writes the broker's configuration, if that is asked for, and begins to connect.
    pub(crate) async fn start(parts: Parts) -> Result<Self, ExternalBrokerError> {
        let Parts { settings, data, authority, certificates, policies, services, metrics, names } = parts;
        let mut tasks = JoinSet::new();
        let (registry, provisioning) = (services.registry.clone(), services.provisioning.clone());
        let (name, speaker) = match &settings.kind {
            BrokerKind::Mosquitto { folder, websockets } => {
                if let Some(folder) = folder {
                    let sources = Sources {
                        data: data.clone(),
                        authority,
                        certificates: certificates.clone(),
                        policies,
                        registry: registry.generation(),
                        names,
                        mqtts: settings.port,
                        websockets: *websockets,
                    };
                    tasks.spawn(Folder::open(folder, sources).await?.keep());
                }
                let domains = mosquitto::Domains { certificates, provisioning, registry };
                (SERVER, Speaker::Mosquitto(Box::new(Mosquitto::new(services, domains))))
            }
            BrokerKind::Aws => {
                let domains = aws::Domains { shadows: services.shadows, registry, provisioning };
                (aws::CLIENT_ID, Speaker::Aws(Aws::new(domains)))
            }
        };
        let shown = Shown::new(&settings, &data, name)?;
        let tls = Arc::new(tls::client_config(&settings, &data, shown.clone())?);
        tasks.spawn(shown.keep_fresh());
        let mut options = MqttOptions::new(name, settings.host.clone(), settings.port);
        options.set_transport(Transport::tls_with_config(TlsConfiguration::Rustls(tls)));
        let state = BrokerState::new(&settings, &metrics);
        let outbox = Arc::new(link::open(options, speaker, state.clone(), metrics, &mut tasks));
        Ok(Self { outbox, state, tasks })
    }

    /// What publishes the server's own messages.
    pub(crate) fn outbox(&self) -> Arc<dyn Outbox> {
        self.outbox.clone()
    }

    /// How the server stands with it.
    pub(crate) fn state(&self) -> BrokerState {
        self.state.clone()
    }

    /// Leaves without a word: the broker keeps for this server what comes meanwhile.
    pub(crate) async fn stop(mut self) {
        self.tasks.shutdown().await;
    }
}
