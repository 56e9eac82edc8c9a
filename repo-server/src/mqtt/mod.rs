//! The MQTT side: it turns clients' messages on reserved topics into calls of the domains, and their answers into messages.
//! It knows no broker.

mod provisioning;
mod router;
mod shadows;

pub(crate) use router::{BY_TOPIC, Services};
