//! Whether a certificate counts. Pure: what it says, what the registry says, and the time.

use super::client_certificate::ClientCertificate;
use super::serial::Serial;
use fleet_protocol::certificates::{CertificateKind, CertificateStatus};
use fleet_protocol::names::{CertificateId, TemplateName};
use jiff::Timestamp;

/// What the registry knows of a certificate.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Known {
    pub(crate) kind: CertificateKind,
    pub(crate) status: CertificateStatus,
    pub(crate) template: Option<TemplateName>,
    pub(crate) first_used_at: Option<Timestamp>,
}

/// A certificate that counts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Standing {
    /// The fleet CA issued it, and nobody registered it here: it reads what devices read, and that is all.
    Unregistered,
    /// Devices ask for their own certificate with it, by this template, and nothing else.
    Claim(Option<TemplateName>),
    /// A device's own.
    Device {
        /// Whether it was shown before.
        has_been_used: bool,
    },
}

/// Why a certificate does not count.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum NotValid {
    #[error("the client certificate {serial} was revoked at {at}; a new one is needed")]
    Revoked { serial: Serial, at: Timestamp },
    #[error("the client certificate {id} ended at {at}; a new one is needed")]
    Ended { id: CertificateId, at: Timestamp },
    #[error("the client certificate {id} counts from {at} on")]
    NotYet { id: CertificateId, at: Timestamp },
    #[error("the client certificate {0} was deactivated; `debfleet certificate activate` has it count again")]
    Inactive(CertificateId),
    #[error("the client certificate {0} does not count yet: its device is not registered with it")]
    Pending(CertificateId),
}

/// Whether a certificate counts now. `revoked_at` is since when its serial number is on the list of those that do not.
pub(super) fn standing(
    shown: &ClientCertificate,
    revoked_at: Option<Timestamp>,
    known: Option<Known>,
    now: Timestamp,
) -> Result<Standing, NotValid> {
    let id = || shown.id.clone();
    if let Some(at) = revoked_at {
        return Err(NotValid::Revoked { serial: shown.serial, at });
    }
    // The handshake looked at this; a connection may have been open since.
    if shown.not_after < now {
        return Err(NotValid::Ended { id: id(), at: shown.not_after });
    }
    if now < shown.not_before {
        return Err(NotValid::NotYet { id: id(), at: shown.not_before });
    }
    let Some(Known { kind, status, template, first_used_at }) = known else { return Ok(Standing::Unregistered) };
    match (status, kind) {
        (CertificateStatus::Active, CertificateKind::Claim) => Ok(Standing::Claim(template)),
        (CertificateStatus::Active, CertificateKind::Device) => {
            Ok(Standing::Device { has_been_used: first_used_at.is_some() })
        }
        (CertificateStatus::PendingActivation, _) => Err(NotValid::Pending(id())),
        (CertificateStatus::Inactive, _) => Err(NotValid::Inactive(id())),
        (CertificateStatus::Revoked, _) => Err(NotValid::Revoked { serial: shown.serial, at: now }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(1_800_000_000 + second).unwrap()
    }

    fn shown() -> ClientCertificate {
        ClientCertificate {
            id: "a".repeat(64).parse().unwrap(),
            serial: "5b3c".parse().unwrap(),
            subject: "CN=x".to_owned(),
            common_name: Some("x".to_owned()),
            not_before: at(0),
            not_after: at(100),
            public_key: String::new(),
        }
    }

    fn known(kind: CertificateKind, status: CertificateStatus) -> Option<Known> {
        Some(Known { kind, status, template: None, first_used_at: None })
    }

    #[test]
    fn only_an_active_certificate_counts_and_only_in_its_time() {
        use CertificateKind::{Claim, Device};
        let ask = |revoked, known, now| standing(&shown(), revoked, known, at(now));
        let device = Standing::Device { has_been_used: false };
        assert_eq!(ask(None, known(Device, CertificateStatus::Active), 0), Ok(device.clone()));
        assert_eq!(ask(None, known(Device, CertificateStatus::Active), 100), Ok(device));
        assert_eq!(ask(None, known(Claim, CertificateStatus::Active), 50), Ok(Standing::Claim(None)));
        assert_eq!(ask(None, None, 50), Ok(Standing::Unregistered));
        for status in CertificateStatus::ALL.into_iter().filter(|status| *status != CertificateStatus::Active) {
            for kind in [Claim, Device] {
                assert!(ask(None, known(kind, status), 50).is_err(), "{status} {kind}");
            }
        }
        for known in [None, known(Device, CertificateStatus::Active)] {
            assert!(matches!(ask(Some(at(1)), known.clone(), 50), Err(NotValid::Revoked { .. })));
            assert!(matches!(ask(None, known.clone(), 101), Err(NotValid::Ended { .. })));
            assert!(matches!(ask(None, known, -1), Err(NotValid::NotYet { .. })));
        }
    }
}
