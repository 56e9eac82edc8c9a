//! Who is at the other end: a certificate of the fleet CA that the registry knows, and the things that it speaks for.

use super::shared::Core;
use crate::certificates::{CertificatesError, ClientCertificate, NotValid, Standing};
use fleet_protocol::names::{CertificateId, ThingName};
use jiff::Timestamp;
use std::sync::Arc;

/// What a connection proved.
#[derive(Debug, Clone)]
pub(super) struct Identity {
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
    pub(super) fn certificate(&self) -> &CertificateId {
        &self.shown.id
    }

    /// As whom events and the log name it.
    pub(super) fn principal(&self) -> String {
        self.shown.id.to_string()
    }

    /// The thing whose name is this client id, if the certificate speaks for it.
    pub(super) fn thing(&self, client_id: &str) -> Option<&ThingName> {
        self.things.iter().find(|thing| thing.as_str() == client_id)
    }

    /// To whom a session belongs: a certificate may be replaced, and the thing stays what it is.
    pub(super) fn owner(&self, client_id: &str) -> String {
        let name = client_id.split_once('/').map_or(client_id, |(name, _)| name);
        match self.thing(name) {
            Some(thing) => format!("thing {thing}"),
            None => format!("certificate {}", self.shown.id),
        }
    }
}

/// Why a certificate is not taken.
#[derive(Debug, thiserror::Error)]
pub(super) enum NotIdentified {
    #[error("the common name of the certificate {0} is missing, too long, or has one of + # / in it")]
    CommonName(CertificateId),
    #[error("the certificate {0} is not registered; `debfleet certificate register` does it")]
    Unregistered(CertificateId),
    #[error(transparent)]
    NotValid(#[from] NotValid),
    #[error(transparent)]
    Failed(#[from] CertificatesError),
}

impl Core {
    /// Who shows this certificate, which the fleet CA signed.
    pub(super) async fn identify(&self, shown: Arc<ClientCertificate>) -> Result<Identity, NotIdentified> {
        let common_name = shown.common_name.clone().filter(|name| is_common_name(name));
        let Some(common_name) = common_name else { return Err(NotIdentified::CommonName(shown.id.clone())) };
        let (is_claim, is_new) = match self.certificates.standing(&shown, Timestamp::now()).await?? {
            Standing::Unregistered => return Err(NotIdentified::Unregistered(shown.id.clone())),
            Standing::Claim(_) => (true, false),
            Standing::Device { has_been_used } => (false, !has_been_used),
        };
        let things = self.certificates.things(&shown.id).await?;
        Ok(Identity { shown, common_name, things, is_claim, is_new })
    }

    /// Whether a thing has this name.
    pub(super) async fn is_thing(&self, name: &str) -> Result<bool, sqlx::Error> {
        let found = sqlx::query("SELECT 1 FROM things WHERE name = $1").bind(name.to_owned());
        Ok(found.fetch_optional(&self.database).await?.is_some())
    }
}

/// It may be a client id: at most 128 bytes.
const LONGEST_COMMON_NAME: usize = 128;

/// Whether a certificate's common name can be used as one: in a topic filter it must not mean more than itself.
fn is_common_name(name: &str) -> bool {
    (1..=LONGEST_COMMON_NAME).contains(&name.len()) && !name.chars().any(|c| c.is_control() || "+#/".contains(c))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_common_name_means_only_itself() {
        assert!(is_common_name("lamp-1") && is_common_name("CN with blanks"));
        for bad in ["", "a/b", "+", "#", "a\n", &"a".repeat(129)] {
            assert!(!is_common_name(bad), "{bad:?}");
        }
    }
}
