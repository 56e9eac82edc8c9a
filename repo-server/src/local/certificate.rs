//! Revocation of client certificates, on the server itself.

use super::{LocalError, data_dir, tables};
use crate::audit::Actor;
use crate::certificates::{Certificates, ClientCertificate, Serial};
use crate::config::Settings;
use jiff::Timestamp;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject as _;
use std::path::Path;

/// A certificate that no longer counts.
#[derive(Debug)]
pub struct RevokedCertificate {
    /// Its serial number, in hex.
    pub serial: String,
    /// Whose it is, as far as is known.
    pub subject: String,
    /// Since when.
    pub at: Timestamp,
}

/// Has a client certificate count no longer; `asked` is its serial number, or a file that holds it. Gives also whether it
/// counted until now.
pub async fn revoke_certificate(
    settings: &Settings,
    asked: &str,
    now: Timestamp,
) -> Result<(RevokedCertificate, bool), LocalError> {
    let dir = data_dir(settings)?;
    let (serial, subject) = match asked.parse::<Serial>() {
        Ok(serial) => (serial, String::new()),
        Err(wrong) if !Path::new(asked).exists() => {
            return Err(LocalError::Refused(format!("{wrong}; nor is there a file of this name")));
        }
        Err(_) => read(Path::new(asked))?,
    };
    let (database, _) = tables(&dir, settings).await?;
    let certificates = Certificates::new(database.clone());
    let actor = Actor::local("debfleet-server certificate revoke");
    let counted = certificates.revoke(serial, &subject, actor, now).await?;
    let at = certificates.revoked_at(serial).await?.unwrap_or(now);
    database.close().await;
    Ok((RevokedCertificate { serial: serial.to_string(), subject, at }, counted))
}

/// Those that no longer count, in the order of their revocation.
pub async fn revoked_certificates(settings: &Settings) -> Result<Vec<RevokedCertificate>, LocalError> {
    let dir = data_dir(settings)?;
    let (database, _) = tables(&dir, settings).await?;
    let revoked = Certificates::new(database.clone()).revoked().await?.into_iter();
    let revoked = revoked.map(|it| RevokedCertificate { serial: it.serial, subject: it.subject, at: it.at }).collect();
    database.close().await;
    Ok(revoked)
}

/// The serial number and the subject of a certificate, PEM or DER; of a chain the first.
fn read(path: &Path) -> Result<(Serial, String), LocalError> {
    let bytes = std::fs::read(path).map_err(|source| LocalError::Read { path: path.to_owned(), source })?;
    let der = CertificateDer::from_pem_slice(&bytes).map_or(bytes, |certificate| certificate.to_vec());
    ClientCertificate::of_der(&der)
        .map(|certificate| (certificate.serial, certificate.subject))
        .ok_or_else(|| LocalError::Refused(format!("{} holds no certificate, in PEM or DER form", path.display())))
}
