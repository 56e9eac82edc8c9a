//! The documents in force.

use super::PolicyError;
use super::rows::version_of;
use fleet_protocol::names::PolicyName;
use fleet_protocol::policy::{DocumentError, NamedPolicy};
use sqlx::{AnyPool, Row as _};
use std::collections::HashMap;
use std::sync::Arc;

/// By name. One that this program cannot read is an error for whom it counts, not for others: it
/// might deny something.
pub(super) type Documents = HashMap<PolicyName, Result<Arc<NamedPolicy>, (u32, DocumentError)>>;

pub(super) async fn read_documents(database: &AnyPool) -> Result<Documents, PolicyError> {
    let rows = sqlx::query(
        "SELECT p.name, v.version, v.document FROM policies p \
         JOIN policy_versions v ON v.policy = p.name AND v.version = p.default_version",
    )
    .fetch_all(database)
    .await?;
    let mut documents = Documents::with_capacity(rows.len());
    for row in &rows {
        let name: PolicyName = row.try_get::<String, _>(0)?.parse()?;
        let version = version_of(row.try_get(1)?)?;
        let read = row.try_get::<String, _>(2)?.parse();
        let policy = read.map(|document| Arc::new(NamedPolicy { name: name.clone(), version, document }));
        documents.insert(name, policy.map_err(|reason| (version, reason)));
    }
    Ok(documents)
}

/// The policy of this name; none if it is no more.
pub(super) fn document(documents: &Documents, name: &PolicyName) -> Result<Option<Arc<NamedPolicy>>, PolicyError> {
    match documents.get(name) {
        None => Ok(None),
        Some(Ok(policy)) => Ok(Some(policy.clone())),
        Some(Err((version, reason))) => {
            Err(PolicyError::Stored { name: name.clone(), version: *version, reason: reason.clone() })
        }
    }
}
