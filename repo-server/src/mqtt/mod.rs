//! The MQTT side: it turns clients' messages on reserved topics into calls of the domains, and their answers into messages.
//! It knows no broker.

mod provisioning;
mod router;
mod shadows;

#[allow(unused_imports, reason = "for the broker, which follows")]
pub(crate) use router::Services;
