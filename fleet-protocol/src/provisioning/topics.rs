//! The topics of fleet provisioning (AWS IoT, "Device provisioning MQTT API"), in their JSON form.

use crate::names::TemplateName;
use std::fmt;

const CREATE_FROM_CSR: &str = "$aws/certificates/create-from-csr/json";
const TEMPLATES: &str = "$aws/provisioning-templates/";
const PROVISION: &str = "/provision/json";

/// A topic that a device asks on.
///
/// ```
/// use fleet_protocol::provisioning::topics::Topic;
/// let topic = Topic::parse("$aws/provisioning-templates/lamps/provision/json").unwrap();
/// assert_eq!(topic, Topic::Provision("lamps".parse().unwrap()));
/// assert_eq!(topic.to_string(), "$aws/provisioning-templates/lamps/provision/json");
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Topic {
    /// For a certificate.
    CreateFromCsr,
    /// To be registered as a thing by this template.
    Provision(TemplateName),
}

impl Topic {
    /// None: it is some other topic, or an answer's.
    #[must_use]
    pub fn parse(topic: &str) -> Option<Self> {
        if topic == CREATE_FROM_CSR {
            return Some(Self::CreateFromCsr);
        }
        let template = topic.strip_prefix(TEMPLATES)?.strip_suffix(PROVISION)?;
        template.parse().ok().map(Self::Provision)
    }

    /// Where the answer goes.
    #[must_use]
    pub fn accepted(&self) -> String {
        format!("{self}/accepted")
    }

    /// Where a refusal goes.
    #[must_use]
    pub fn rejected(&self) -> String {
        format!("{self}/rejected")
    }
}

impl fmt::Display for Topic {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::CreateFromCsr => f.write_str(CREATE_FROM_CSR),
            Self::Provision(template) => write!(f, "{TEMPLATES}{template}{PROVISION}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_topic_is_read_as_it_is_written_and_no_other_is() {
        for topic in [Topic::CreateFromCsr, Topic::Provision("a-B_9".parse().unwrap())] {
            assert_eq!(Topic::parse(&topic.to_string()), Some(topic.clone()));
            assert_eq!(Topic::parse(&topic.accepted()), None);
            assert_eq!(Topic::parse(&topic.rejected()), None);
        }
        for other in [
            "$aws/certificates/create-from-csr/cbor",
            "$aws/certificates/create/json",
            "$aws/provisioning-templates//provision/json",
            "$aws/provisioning-templates/a/b/provision/json",
            "$aws/provisioning-templates/+/provision/json",
            "$aws/provisioning-templates/provision/json",
            "",
        ] {
            assert_eq!(Topic::parse(other), None, "{other}");
        }
    }
}
