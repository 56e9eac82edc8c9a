//! Who is at the other end: a device, by a certificate of the fleet CA that the registry knows and the things that it speaks
//! for; or a person, by a token.

use crate::certificates::{Certificates, CertificatesError, ClientCertificate, NotValid, Standing};
use crate::messaging::Principal;
use crate::people::{Person, PersonSubject};
use crate::policies::Subject;
use fleet_protocol::names::{CertificateId, ThingName};
use jiff::Timestamp;
use std::sync::Arc;

/// What a connection proved.
#[derive(Debug, Clone)]
pub(super) enum Identity {
    Device(Device),
    Person(Person),
}

/// Who asks whether it may do something.
#[derive(Debug, Clone)]
pub(super) enum Asking {
    Device(Subject),
    Person(PersonSubject),
}

impl Asking {
    pub(super) fn client_id(&self) -> &str {
        match self {
            Self::Device(subject) => &subject.client_id,
            Self::Person(subject) => &subject.client_id,
        }
    }
}

/// What a device proved.
#[derive(Debug, Clone)]
pub(super) struct Device {
    pub(super) shown: Arc<ClientCertificate>,
    pub(super) common_name: String,
    /// Those that the certificate is attached to.
    pub(super) things: Vec<ThingName>,
    /// It may do nothing but ask for a certificate of its own, and many devices may show it.
    pub(super) is_claim: bool,
    /// It is a device's own, and was never shown before.
    pub(super) is_new: bool,
}

impl Identity {
    /// As whom the services know it.
    pub(super) fn principal(&self) -> Principal {
        match self {
            Self::Device(device) => Principal::Device(device.shown.id.clone()),
            Self::Person(Person { user, token, .. }) => Principal::Person { user: user.clone(), token: token.clone() },
        }
    }

    /// As whom events and the log name it.
    pub(super) fn name(&self) -> String {
        match self {
            Self::Device(device) => device.shown.id.to_string(),
            Self::Person(person) => person.user.to_string(),
        }
    }

    pub(super) fn person(&self) -> Option<&Person> {
        match self {
            Self::Device(_) => None,
            Self::Person(person) => Some(person),
        }
    }

    /// The thing whose name is this client id, if the certificate speaks for it.
    pub(super) fn thing(&self, client_id: &str) -> Option<&ThingName> {
        match self {
            Self::Device(device) => device.thing(client_id),
            Self::Person(_) => None,
        }
    }

    /// To whom a session belongs: a certificate may be replaced, and the thing stays what it is.
    pub(super) fn owner(&self, client_id: &str) -> String {
        let name = client_id.split_once('/').map_or(client_id, |(name, _)| name);
        match (self.thing(name), self) {
            (Some(thing), _) => format!("thing {thing}"),
            (None, Self::Device(device)) => format!("certificate {}", device.shown.id),
            (None, Self::Person(person)) => format!("user {}", person.user),
        }
    }
}

impl Device {
    /// Who shows this certificate, which the fleet CA signed.
    pub(super) async fn of(shown: Arc<ClientCertificate>, certificates: &Certificates) -> Result<Self, NotIdentified> {
        let common_name = shown.common_name.clone().filter(|name| is_common_name(name));
        let Some(common_name) = common_name else { return Err(NotIdentified::CommonName(shown.id.clone())) };
        let (is_claim, is_new) = match certificates.standing(&shown, Timestamp::now()).await?? {
            Standing::Unregistered => return Err(NotIdentified::Unregistered(shown.id.clone())),
            Standing::Claim(_) => (true, false),
            Standing::Device { has_been_used } => (false, !has_been_used),
        };
        let things = certificates.things(&shown.id).await?;
        Ok(Self { shown, common_name, things, is_claim, is_new })
    }

    pub(super) fn certificate(&self) -> &CertificateId {
        &self.shown.id
    }

    /// The thing whose name is this client id, if the certificate speaks for it.
    pub(super) fn thing(&self, client_id: &str) -> Option<&ThingName> {
        self.things.iter().find(|thing| thing.as_str() == client_id)
    }
}

/// Why a certificate is not taken.
#[derive(Debug, thiserror::Error)]
pub(super) enum NotIdentified {
    #[error("the common name of the certificate {0} is missing, too long, begins with $, or has one of + # / in it")]
    CommonName(CertificateId),
    #[error("the certificate {0} is not registered; `debfleet certificate register` does it")]
    Unregistered(CertificateId),
    #[error(transparent)]
    NotValid(#[from] NotValid),
    #[error(transparent)]
    Failed(#[from] CertificatesError),
}

/// It may be a client id: at most 128 bytes.
const LONGEST_COMMON_NAME: usize = 128;

/// Whether a certificate's common name can be used as one: in a topic filter it must not mean more than itself, and people's
/// client ids begin with a `$`.
fn is_common_name(name: &str) -> bool {
    let is_plain = |c: char| !c.is_control() && !"+#/".contains(c);
    (1..=LONGEST_COMMON_NAME).contains(&name.len()) && name.chars().all(is_plain) && !name.starts_with('$')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_common_name_means_only_itself() {
        assert!(is_common_name("lamp-1") && is_common_name("CN with blanks"));
        for bad in ["", "a/b", "+", "#", "a\n", "$user", &"a".repeat(129)] {
            assert!(!is_common_name(bad), "{bad:?}");
        }
    }
}
