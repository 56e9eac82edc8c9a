//! Mosquitto as the fleet's broker.
//!
//! **Who the sender is.** Mosquitto does not say who published a message, so the topic has to: its list of rights, or the
//! HTTP back end of an authorisation plugin, lets a client publish on `$aws/things/THING/…` only where the policies of its
//! certificate do. What is asked there is answered whoever asks, as policies allow it. What hangs on who asks
//! cannot be answered over Mosquitto: provisioning, whose answers every holder of the same claim would hear, goes by HTTPS.
//!
//! **Who is connected** is told by Mosquitto's log, which it publishes below `$SYS`.

mod acl;
mod conf;
mod folder;
mod log_line;
mod presence;

pub use folder::FolderError;
pub(super) use folder::{Folder, Sources};
pub(super) use presence::Domains;

use crate::messaging::{Audience, Outgoing};
use crate::mqtt::{BY_TOPIC, Services};
use presence::Attendance;
use tokio::sync::Mutex;

/// The common name by which Mosquitto knows this server. The fleet CA gives it to nobody else.
pub(crate) const SERVER: &str = "debfleet-server";

/// What this server does with what Mosquitto brings.
pub(super) struct Mosquitto {
    services: Services,
    attendance: Mutex<Attendance>,
}

impl Mosquitto {
    pub(super) fn new(services: Services, domains: Domains) -> Self {
        Self { services, attendance: Mutex::new(Attendance::new(domains)) }
    }

    /// What to subscribe to.
    pub(super) fn filters() -> Vec<String> {
        let log = format!("{}+", log_line::LOG);
        BY_TOPIC.iter().map(|filter| (*filter).to_owned()).chain([log]).collect()
    }

    /// What is said to a message.
    pub(super) async fn hear(&self, topic: &str, payload: &[u8]) -> Vec<Outgoing> {
        if topic.starts_with(log_line::LOG) {
            let event = std::str::from_utf8(payload).ok().and_then(log_line::read);
            return match event {
                Some(event) => self.attendance.lock().await.note(event).await,
                None => Vec::new(),
            };
        }
        let said = self.services.answer_by_topic(topic, payload).await;
        // Nobody knows who asked, so there is nobody to answer alone.
        said.into_iter().filter(|message| message.audience == Audience::Subscribers).collect()
    }
}
