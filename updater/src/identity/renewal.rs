//! A certificate is renewed before it ends.

use super::exchange::{Owner, over_https, over_mqtt};
use super::files::Identity;
use super::provision::{ProvisionError, Settings};
use crate::device_key;
use jiff::Timestamp;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject as _;
use x509_parser::parse_x509_certificate;

/// Whether a certificate in PEM is in the last third of its life. One that cannot be read is not renewed: it would be
/// asked for again and again.
pub(crate) fn is_due(certificate: &str, now: Timestamp) -> bool {
    let lifetime = || {
        let der = CertificateDer::from_pem_slice(certificate.as_bytes()).ok()?;
        let (_, certificate) = parse_x509_certificate(&der).ok()?;
        let validity = certificate.validity();
        Some((validity.not_before.timestamp(), validity.not_after.timestamp()))
    };
    lifetime().is_some_and(|(begins, ends)| is_last_third(begins, ends, now.as_second()))
}

fn is_last_third(begins: i64, ends: i64, now: i64) -> bool {
    now.saturating_sub(begins) > ends.saturating_sub(begins) / 3 * 2
}

/// Gives the device a new key and certificate in place of those that end soon. The old ones stay until the broker has
/// taken the device in with the new ones.
pub(crate) fn renew(settings: &Settings) -> Result<(), ProvisionError> {
    let Settings { asked, contact, remote, store } = settings;
    let _alone = store.alone()?;
    let Some(identity) = store.identity()? else { return Ok(()) };
    // A token's key stays where it is; one in a file is made anew.
    let key = match identity.key.starts_with(device_key::TOKEN_SCHEME) {
        true => identity.key.clone(),
        false => device_key::generate(None)?,
    };
    let owner = Owner::Device { identity: &identity, store };
    let mut exchange = match (&asked.server, contact) {
        (Some(server), _) => over_https(server, remote, owner, &asked.template)?,
        (None, Some(contact)) => over_mqtt(contact, owner, &asked.template)?,
        (None, None) => return Err(ProvisionError::Nobody),
    };
    let issued = exchange.certificate(&device_key::request(&key)?)?;
    drop(exchange);
    let renewed = Identity { key, certificate: issued.certificate, ..identity };
    if let Some(contact) = contact {
        super::exchange::connects(contact, &renewed)?;
    }
    Ok(store.take_on(&renewed)?)
}

#[cfg(test)]
mod tests {
    use super::*;
    use rcgen::{CertificateParams, KeyPair, date_time_ymd};

    #[test]
    fn it_is_renewed_in_the_last_third_of_its_life() {
        let mut parameters = CertificateParams::default();
        parameters.not_before = date_time_ymd(2026, 1, 1);
        parameters.not_after = date_time_ymd(2026, 1, 31);
        let pem = parameters.self_signed(&KeyPair::generate().unwrap()).unwrap().pem();
        let on = |day: &str| is_due(&pem, format!("2026-{day}T12:00:00Z").parse().unwrap());
        assert_eq!(["01-02", "01-20", "01-22", "02-05"].map(on), [false, false, true, true]);
        assert!(!is_due("garbage", Timestamp::MAX));
    }
}
