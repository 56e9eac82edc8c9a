//! What stands in the tables.

use super::PolicyError;
use fleet_protocol::policies::{PolicySummary, PolicyTarget, PolicyVersionSummary};
use jiff::Timestamp;
use sqlx::Row as _;
use sqlx::any::AnyRow;

pub(super) fn version_of(number: i64) -> Result<u32, PolicyError> {
    u32::try_from(number).map_err(|_| PolicyError::Version(number))
}

/// Name, version that is in force, time.
pub(super) fn summary_of_row(row: &AnyRow) -> Result<PolicySummary, PolicyError> {
    Ok(PolicySummary {
        name: row.try_get::<String, _>(0)?.parse()?,
        default_version: version_of(row.try_get(1)?)?,
        created_at: Timestamp::from_second(row.try_get(2)?)?,
    })
}

/// Number and time.
pub(super) fn version_of_row(row: &AnyRow, default_version: u32) -> Result<PolicyVersionSummary, PolicyError> {
    let version = version_of(row.try_get(0)?)?;
    let created_at = Timestamp::from_second(row.try_get(1)?)?;
    Ok(PolicyVersionSummary { version, is_default: version == default_version, created_at })
}

/// Kind and name.
pub(super) fn target_of(kind: &str, name: &str) -> Result<PolicyTarget, PolicyError> {
    Ok(match kind {
        "certificate" => PolicyTarget::Certificate { id: name.parse()? },
        "role" => PolicyTarget::Role { role: name.parse()? },
        "user" => PolicyTarget::User { name: name.parse()? },
        _ => PolicyTarget::Group { name: name.parse()? },
    })
}

/// What [`target_of`] reads.
pub(super) fn columns_of(target: &PolicyTarget) -> (&'static str, &str) {
    match target {
        PolicyTarget::Certificate { id } => ("certificate", id.as_str()),
        PolicyTarget::Group { name } => ("group", name.as_str()),
        PolicyTarget::Role { role } => ("role", role.as_str()),
        PolicyTarget::User { name } => ("user", name.as_str()),
    }
}
