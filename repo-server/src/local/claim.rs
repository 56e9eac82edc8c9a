//! Claims made on the server itself.

use super::{LocalError, data_dir, tables};
use crate::audit::Actor;
use crate::certificates::Certificates;
use crate::config::Settings;
use crate::fleet_ca::Authority;
use crate::policies::{Policies, PolicyError};
use crate::provisioning::{ClaimRequest, Domains, Provisioning, ProvisioningError};
use crate::things::{Registry, RegistryError};
use fleet_protocol::names::TemplateName;
use fleet_protocol::provisioning::rest::NewClaim;
use jiff::Timestamp;
use rcgen::{CertificateParams, KeyPair};
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// A claim, with its files.
#[derive(Debug)]
pub struct LocalClaim {
    /// Its certificate's id.
    pub id: String,
    /// When it ends.
    pub not_after: Timestamp,
    /// The key, the certificate, and the fleet CA's certificate.
    pub files: [PathBuf; 3],
}

impl From<ProvisioningError> for LocalError {
    fn from(error: ProvisioningError) -> Self {
        Self::Refused(error.to_string())
    }
}

impl From<RegistryError> for LocalError {
    fn from(error: RegistryError) -> Self {
        Self::Failed(error.to_string())
    }
}

impl From<PolicyError> for LocalError {
    fn from(error: PolicyError) -> Self {
        Self::Failed(error.to_string())
    }
}

impl From<rcgen::Error> for LocalError {
    fn from(error: rcgen::Error) -> Self {
        Self::Failed(format!("could not make a key: {error}"))
    }
}

/// Makes a claim for a template: a key and a certificate, in files of a folder that has none of them.
pub async fn create_claim(
    settings: &Settings,
    name: String,
    template: TemplateName,
    expires_at: Option<Timestamp>,
    out: &Path,
    now: Timestamp,
) -> Result<LocalClaim, LocalError> {
    let dir = data_dir(settings)?;
    let files = ["claim.key", "claim.pem", "fleet-ca.pem"].map(|name| out.join(name));
    if let Some(there) = files.iter().find(|file| file.exists()) {
        let there = there.display();
        return Err(LocalError::Refused(format!("{there} is there already; give another folder with --out")));
    }
    let key = KeyPair::generate()?;
    let certificate_signing_request = CertificateParams::default().serialize_request(&key)?.pem()?;
    let new = NewClaim { name, template_name: template, certificate_signing_request, expires_at };
    let claim = ClaimRequest::check(new, now)?;
    let (database, audit) = tables(&dir, settings).await?;
    let registry = Arc::new(Registry::open(database.clone(), Timestamp::now).await?);
    let policies = Policies::open(database.clone(), registry.generation(), Timestamp::now).await?;
    let provisioning = Provisioning::new(Domains {
        database: database.clone(),
        audit,
        certificates: Arc::new(Certificates::new(database.clone())),
        authority: Arc::new(Authority::new(&dir)),
        registry,
        policies: Arc::new(policies),
    });
    let created = provisioning.create_claim(claim, Actor::local("debfleet-server claim create"), now).await?;
    database.close().await;
    durable_files::create_dir(out, 0o755)?;
    let [key_file, certificate_file, ca_file] = &files;
    durable_files::replace(key_file, key.serialize_pem().as_bytes(), 0o600)?;
    durable_files::replace(certificate_file, created.certificate_pem.as_bytes(), 0o644)?;
    durable_files::replace(ca_file, created.ca_certificate_pem.as_bytes(), 0o644)?;
    let certificate = created.certificate;
    Ok(LocalClaim { id: certificate.certificate_id.to_string(), not_after: certificate.not_after, files })
}
