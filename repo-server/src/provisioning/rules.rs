//! What is decided about keys and names. Pure.

use super::ProvisioningError;
use fleet_protocol::certificates::{CertificateKind, CertificateStatus};
use fleet_protocol::names::{CertificateId, TemplateName, ThingName};
use jiff::{SignedDuration, Timestamp};

/// A certificate that has less time left is not given again.
const WORTH_GIVING_AGAIN: SignedDuration = SignedDuration::from_hours(24 * 90);

/// A certificate that the server knows for some key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct KnownKey {
    pub(super) id: CertificateId,
    pub(super) pem: String,
    pub(super) kind: CertificateKind,
    pub(super) status: CertificateStatus,
    pub(super) template: Option<TemplateName>,
    pub(super) asked_with: Option<CertificateId>,
    pub(super) not_after: Timestamp,
}

/// What to do for a key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum ForKey {
    Issue,
    /// It was issued before, and its device did not learn of it, or lost it.
    GiveAgain(KnownKey),
}

/// Whether a device with a claim for this template gets a new certificate for its key. `known` is what was issued for
/// the key last.
pub(super) fn for_claim(
    known: Option<KnownKey>,
    template: &TemplateName,
    now: Timestamp,
) -> Result<ForKey, ProvisioningError> {
    let Some(known) = known else { return Ok(ForKey::Issue) };
    let counts = matches!(known.status, CertificateStatus::Active | CertificateStatus::PendingActivation);
    // The key of a claim is known to many; one of another template's device is none of this claim's.
    let is_ours = known.kind == CertificateKind::Device && known.template.as_ref() == Some(template);
    if !counts || !is_ours {
        return Err(ProvisioningError::UsedKey(known.id));
    }
    Ok(unless_ending(known, now))
}

/// Whether a device that shows `own` gets a new certificate for its key.
pub(super) fn for_renewal(
    known: Option<KnownKey>,
    own: &CertificateId,
    now: Timestamp,
) -> Result<ForKey, ProvisioningError> {
    let Some(known) = known else { return Ok(ForKey::Issue) };
    let counts = matches!(known.status, CertificateStatus::Active | CertificateStatus::PendingActivation);
    if known.id == *own {
        // The same key goes on.
        return Ok(ForKey::Issue);
    }
    if !counts || known.kind != CertificateKind::Device || known.asked_with.as_ref() != Some(own) {
        return Err(ProvisioningError::UsedKey(known.id));
    }
    Ok(unless_ending(known, now))
}

fn unless_ending(known: KnownKey, now: Timestamp) -> ForKey {
    let lasts = now.saturating_add(WORTH_GIVING_AGAIN).is_ok_and(|soon| soon < known.not_after);
    if lasts { ForKey::GiveAgain(known) } else { ForKey::Issue }
}

/// A certificate of a device that speaks for a thing and counts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Holder {
    pub(super) id: CertificateId,
    pub(super) public_key: String,
}

/// Whether a device with this key may become the thing that these certificates speak for.
pub(super) fn take_over(thing: &ThingName, holders: &[Holder], public_key: &str) -> Result<(), ProvisioningError> {
    match holders.iter().find(|holder| holder.public_key != public_key) {
        Some(holder) => Err(ProvisioningError::Held { thing: thing.clone(), holder: holder.id.clone() }),
        None => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(day: i64) -> Timestamp {
        Timestamp::from_second(1_800_000_000 + day * 24 * 3600).unwrap()
    }

    fn id(digit: char) -> CertificateId {
        String::from(digit).repeat(64).parse().unwrap()
    }

    fn known(status: CertificateStatus) -> KnownKey {
        KnownKey {
            id: id('a'),
            pem: String::new(),
            kind: CertificateKind::Device,
            status,
            template: Some("lamps".parse().unwrap()),
            asked_with: Some(id('c')),
            not_after: at(365),
        }
    }

    #[test]
    fn a_device_that_asks_again_is_given_what_it_was_given() {
        let lamps: TemplateName = "lamps".parse().unwrap();
        assert_eq!(for_claim(None, &lamps, at(0)).unwrap(), ForKey::Issue);
        for status in [CertificateStatus::PendingActivation, CertificateStatus::Active] {
            let known = known(status);
            assert_eq!(for_claim(Some(known.clone()), &lamps, at(0)).unwrap(), ForKey::GiveAgain(known.clone()));
            assert_eq!(for_claim(Some(known), &lamps, at(300)).unwrap(), ForKey::Issue, "it is as good as over");
        }
    }

    #[test]
    fn a_key_that_was_taken_away_or_is_anothers_is_good_for_nothing() {
        let lamps: TemplateName = "lamps".parse().unwrap();
        let refused = |known: KnownKey| for_claim(Some(known), &lamps, at(0)).is_err();
        assert!(refused(known(CertificateStatus::Revoked)) && refused(known(CertificateStatus::Inactive)));
        assert!(refused(KnownKey { kind: CertificateKind::Claim, ..known(CertificateStatus::Active) }));
        assert!(refused(KnownKey { template: Some("fans".parse().unwrap()), ..known(CertificateStatus::Active) }));
        assert!(refused(KnownKey { template: None, ..known(CertificateStatus::Active) }));
    }

    #[test]
    fn a_renewal_is_repeated_by_whoever_began_it() {
        let active = || known(CertificateStatus::Active);
        assert_eq!(for_renewal(None, &id('c'), at(0)).unwrap(), ForKey::Issue);
        assert_eq!(for_renewal(Some(active()), &id('c'), at(0)).unwrap(), ForKey::GiveAgain(active()));
        assert_eq!(for_renewal(Some(active()), &id('a'), at(0)).unwrap(), ForKey::Issue, "with the key it has");
        assert!(for_renewal(Some(active()), &id('b'), at(0)).is_err(), "another device's key");
        assert!(for_renewal(Some(known(CertificateStatus::Revoked)), &id('c'), at(0)).is_err());
    }

    #[test]
    fn a_thing_is_nobody_elses_while_a_certificate_speaks_for_it() {
        let thing: ThingName = "lamp-1".parse().unwrap();
        let holder = |digit, key: &str| Holder { id: id(digit), public_key: key.to_owned() };
        assert!(take_over(&thing, &[], "k").is_ok());
        assert!(take_over(&thing, &[holder('a', "k"), holder('b', "k")], "k").is_ok(), "its own");
        let held = [holder('a', "k"), holder('b', "other")];
        assert!(
            matches!(take_over(&thing, &held, "k"), Err(ProvisioningError::Held { holder, .. }) if holder == id('b'))
        );
    }
}
