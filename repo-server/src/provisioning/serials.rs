//! Lists of serial numbers: where a template has one, nobody else is registered by it.

use super::{Provisioning, ProvisioningError};
use crate::audit::{self, Actor, Entry};
use crate::database::settle;
use fleet_protocol::audit::Outcome;
use fleet_protocol::names::{TemplateName, ThingName};
use fleet_protocol::provisioning::rest::{MOST_SERIALS, SerialInfo, SerialPage, is_serial};
use jiff::Timestamp;
use sqlx::any::AnyRow;
use sqlx::{AnyConnection, AnyPool, AssertSqlSafe, Connection as _, Row as _};

/// Serial numbers that one statement adds.
const AT_A_TIME: usize = 400;

impl Provisioning {
    /// Adds serial numbers to a template's list, all or none, and gives how many were new.
    pub(crate) async fn add_serials(
        &self,
        template: &TemplateName,
        serials: &[String],
        actor: Actor,
        now: Timestamp,
    ) -> Result<u64, ProvisioningError> {
        if serials.len() > MOST_SERIALS {
            return Err(ProvisioningError::TooManySerials);
        }
        if let Some(bad) = serials.iter().find(|serial| !is_serial(serial)) {
            return Err(ProvisioningError::BadSerial(bad.chars().take(200).collect()));
        }
        self.template(template).await?;
        let mut connection = self.domains.database.acquire().await?;
        let outcome = add(&mut connection, template, serials, actor, now).await;
        settle(connection, outcome).await
    }

    /// Some of a template's serial numbers.
    pub(crate) async fn serials(
        &self,
        template: &TemplateName,
        limit: u16,
        after: &str,
    ) -> Result<SerialPage, ProvisioningError> {
        self.template(template).await?;
        let rows = sqlx::query(
            "SELECT serial, used_at FROM provisioning_serials WHERE template = $1 AND serial > $2 ORDER BY serial LIMIT $3",
        )
        .bind(template.to_string())
        .bind(after.to_owned())
        .bind(i64::from(limit) + 1)
        .fetch_all(&self.domains.database)
        .await?;
        let serials = rows.iter().take(limit.into()).map(serial_of_row).collect::<Result<Vec<_>, _>>()?;
        let next = serials.last().filter(|_| rows.len() > usize::from(limit)).map(|last| last.serial.clone());
        Ok(SerialPage { serials, next })
    }

    /// Takes a serial number from a template's list. A device that was registered with it stays.
    pub(crate) async fn remove_serial(
        &self,
        template: &TemplateName,
        serial: &str,
        actor: Actor,
    ) -> Result<SerialInfo, ProvisioningError> {
        self.template(template).await?;
        let missing = || ProvisioningError::NoSuchSerial(serial.chars().take(200).collect());
        if !is_serial(serial) {
            return Err(missing());
        }
        let row = sqlx::query("SELECT serial, used_at FROM provisioning_serials WHERE template = $1 AND serial = $2")
            .bind(template.to_string())
            .bind(serial.to_owned())
            .fetch_optional(&self.domains.database)
            .await?;
        let gone = serial_of_row(&row.ok_or_else(missing)?)?;
        let statement = sqlx::query("DELETE FROM provisioning_serials WHERE template = $1 AND serial = $2")
            .bind(template.to_string())
            .bind(serial.to_owned());
        let entry = Entry {
            actor,
            action: "template.serials",
            subject: template.to_string(),
            detail: format!("without {serial}"),
            outcome: Outcome::Done,
        };
        if self.domains.audit.change(statement, &entry).await? { Ok(gone) } else { Err(missing()) }
    }
}

fn serial_of_row(row: &AnyRow) -> Result<SerialInfo, ProvisioningError> {
    let used_at = row.try_get::<Option<i64>, _>(1)?.map(Timestamp::from_second).transpose()?;
    Ok(SerialInfo { serial: row.try_get(0)?, used_at })
}

async fn add(
    connection: &mut AnyConnection,
    template: &TemplateName,
    serials: &[String],
    actor: Actor,
    now: Timestamp,
) -> Result<u64, ProvisioningError> {
    let mut transaction = connection.begin().await?;
    let mut added = 0;
    for serials in serials.chunks(AT_A_TIME) {
        let places: Vec<String> = (2..2 + serials.len()).map(|place| format!("($1, ${place})")).collect();
        let statement = format!(
            "INSERT INTO provisioning_serials (template, serial) VALUES {} ON CONFLICT (template, serial) DO NOTHING",
            places.join(", ")
        );
        let mut query = sqlx::query(AssertSqlSafe(statement)).bind(template.to_string());
        for serial in serials {
            query = query.bind(serial.clone());
        }
        added += query.execute(&mut *transaction).await?.rows_affected();
    }
    if added == 0 {
        transaction.rollback().await?;
        return Ok(0);
    }
    audit::note(&mut transaction, &actor, "template.serials", template, format!("{added} more"), now).await?;
    transaction.commit().await?;
    Ok(added)
}

/// Whether a device with this serial number may become this thing.
pub(super) async fn check(
    database: &AnyPool,
    template: &TemplateName,
    serial: &str,
    thing: &ThingName,
) -> Result<(), ProvisioningError> {
    let unlisted = || ProvisioningError::UnlistedSerial(serial.chars().take(200).collect());
    if !is_serial(serial) {
        return Err(unlisted());
    }
    let row = sqlx::query("SELECT thing FROM provisioning_serials WHERE template = $1 AND serial = $2")
        .bind(template.to_string())
        .bind(serial.to_owned())
        .fetch_optional(database)
        .await?;
    match row.ok_or_else(unlisted)?.try_get::<Option<String>, _>(0)? {
        Some(other) if other != thing.as_str() => {
            Err(ProvisioningError::UsedSerial { serial: serial.to_owned(), thing: other })
        }
        _ => Ok(()),
    }
}

/// Notes as which thing a serial number was registered. Of two devices that come at the same time one is.
pub(super) async fn use_up(
    database: &AnyPool,
    template: &TemplateName,
    serial: &str,
    thing: &ThingName,
    now: Timestamp,
) -> Result<(), ProvisioningError> {
    let used = sqlx::query(
        "UPDATE provisioning_serials SET used_at = $1, thing = $2 WHERE template = $3 AND serial = $4 \
         AND (thing IS NULL OR thing = $5)",
    )
    .bind(now.as_second())
    .bind(thing.to_string())
    .bind(template.to_string())
    .bind(serial.to_owned())
    .bind(thing.to_string())
    .execute(database)
    .await?;
    if used.rows_affected() > 0 { Ok(()) } else { check(database, template, serial, thing).await }
}
