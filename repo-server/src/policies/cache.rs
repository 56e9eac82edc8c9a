//! What decisions rest on, kept in memory.

use super::documents::{Documents, read_documents};
use super::effective::Effective;
use super::{Policies, PolicyError};
use fleet_protocol::names::CertificateId;
use std::collections::HashMap;
use std::sync::{Arc, PoisonError, RwLock};

/// Certificates that are remembered. Each takes about a kilobyte.
const REMEMBERED: usize = 65_536;

/// When something was read: policies and attachments, and the registry of things and groups.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Seen {
    policies: i64,
    registry: i64,
}

#[derive(Debug, Default)]
pub(super) struct Cache {
    certificates: RwLock<HashMap<CertificateId, (Seen, Arc<Effective>)>>,
    documents: RwLock<Option<(i64, Arc<Documents>)>>,
}

impl Policies {
    /// What counts for a certificate now.
    pub(super) async fn effective(&self, certificate: &CertificateId) -> Result<Arc<Effective>, PolicyError> {
        // Taken before anything is read: what changes while it is read makes it out of date.
        let now = Seen { policies: self.generation.current(), registry: *self.registry.borrow() };
        let known = {
            let certificates = self.cache.certificates.read().unwrap_or_else(PoisonError::into_inner);
            certificates.get(certificate).cloned()
        };
        if let Some((seen, effective)) = &known
            && *seen == now
        {
            return Ok(effective.clone());
        }
        let documents = self.documents(now.policies).await?;
        let fields = known.and_then(|(_, effective)| effective.fields());
        let effective = Arc::new(self.read_effective(certificate, fields, &documents).await?);
        let mut certificates = self.cache.certificates.write().unwrap_or_else(PoisonError::into_inner);
        if certificates.len() >= REMEMBERED && !certificates.contains_key(certificate) {
            certificates.clear();
        }
        certificates.insert(certificate.clone(), (now, effective.clone()));
        Ok(effective)
    }

    pub(super) async fn documents(&self, generation: i64) -> Result<Arc<Documents>, PolicyError> {
        let known = self.cache.documents.read().unwrap_or_else(PoisonError::into_inner).clone();
        if let Some((seen, documents)) = known
            && seen == generation
        {
            return Ok(documents);
        }
        let documents = Arc::new(read_documents(&self.database).await?);
        let mut known = self.cache.documents.write().unwrap_or_else(PoisonError::into_inner);
        *known = Some((generation, documents.clone()));
        Ok(documents)
    }
}
