//! What an authorisation plugin of Mosquitto asks: whether a client may do this. It tells a client by the common name of
//! its certificate, and neither its address nor how it connected: what hangs on those is not allowed.

use super::SERVER;
use crate::certificates::{Certificates, CertificatesError};
use crate::mqtt::BY_TOPIC;
use crate::policies::{Policies, PolicyError};
use fleet_protocol::policy::{Action, TopicSet};
use jiff::Timestamp;

/// What a client wants with a topic.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Access {
    /// Be sent a message on it.
    Read,
    /// Publish on it.
    Write,
    /// Subscribe to it, a filter.
    Subscribe,
}

/// A question that could not be answered.
#[derive(Debug, thiserror::Error)]
pub(crate) enum RightsError {
    #[error(transparent)]
    Certificates(#[from] CertificatesError),
    #[error(transparent)]
    Policies(#[from] PolicyError),
}

/// Whether a client is this server itself, which may do everything.
pub(crate) fn is_server(name: &str) -> bool {
    name == SERVER
}

/// Whether a client of this common name may do it. Where several certificates have the name, each of them must.
pub(crate) async fn may(
    certificates: &Certificates,
    policies: &Policies,
    name: &str,
    access: Access,
    topic: &str,
) -> Result<bool, RightsError> {
    if is_server(name) {
        return Ok(true);
    }
    if !is_open(access, topic) {
        return Ok(false);
    }
    let action = match access {
        Access::Read => Action::Receive,
        Access::Write => Action::Publish,
        Access::Subscribe => Action::Subscribe,
    };
    let all = certificates.of_common_name(name, Timestamp::now()).await?;
    for certificate in &all {
        if !policies.surely_allows(certificate, name, action, topic).await? {
            return Ok(false);
        }
    }
    Ok(!all.is_empty())
}

/// Whether it is a device's to ask for at all: below `$aws/` only the service speaks, and what else begins with `$` is the
/// broker's own.
fn is_open(access: Access, topic: &str) -> bool {
    let is_name = !topic.is_empty() && !topic.contains(['+', '#']);
    let is_filter = TopicSet::of_filter(topic).is_some();
    let is_right = if access == Access::Subscribe { is_filter } else { is_name };
    let is_open = match (topic.starts_with('$'), access) {
        (false, _) => true,
        (true, Access::Write) => {
            let asked = TopicSet::of_filter(topic);
            let requests = BY_TOPIC.iter().filter_map(|filter| TopicSet::of_filter(filter));
            asked.is_some_and(|topic| requests.into_iter().any(|request| topic.and(&request).is_some()))
        }
        (true, Access::Read | Access::Subscribe) => topic.starts_with("$aws/"),
    };
    is_right && is_open && !topic.chars().any(char::is_control)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nobody_speaks_for_the_service_or_looks_into_the_broker() {
        use Access::{Read, Subscribe, Write};
        for (access, topic) in [
            (Write, "a/b"),
            (Write, "$aws/things/lamp-1/shadow/update"),
            (Write, "$aws/things/lamp-1/shadow/name/$package/get"),
            (Read, "$aws/things/lamp-1/shadow/update/delta"),
            (Subscribe, "$aws/things/lamp-1/shadow/#"),
            (Subscribe, "#"),
        ] {
            assert!(is_open(access, topic), "{access:?} {topic}");
        }
        for (access, topic) in [
            (Write, "$aws/things/lamp-1/shadow/update/delta"),
            (Write, "$aws/events/presence/connected/lamp-1"),
            (Write, "$aws/certificates/create-from-csr/json"),
            (Write, "$SYS/broker"),
            (Write, "$CONTROL/dynamic-security/v1"),
            (Write, "a/+"),
            (Write, "$aws/things/+/shadow/update"),
            (Write, ""),
            (Read, "$SYS/broker/log/N"),
            (Read, "a/#"),
            (Subscribe, "$SYS/#"),
            (Subscribe, "$share/g/a"),
            (Subscribe, "a#"),
            (Subscribe, "a\nb"),
        ] {
            assert!(!is_open(access, topic), "{access:?} {topic}");
        }
    }
}
