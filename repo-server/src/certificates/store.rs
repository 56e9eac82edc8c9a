//! The table of certificates.

use super::changes::next_generation;
use super::client_certificate::ClientCertificate;
use super::standing::{Known, NotValid, Standing, standing};
use super::{Certificates, CertificatesError, revocation};
use crate::audit::{self, Actor, Entry};
use crate::database::settle;
use fleet_protocol::audit::Outcome;
use fleet_protocol::certificates::{
    CertificateDescription, CertificateInfo, CertificateKind, CertificatePage, CertificateStatus,
};
use fleet_protocol::names::{CertificateId, TemplateName, ThingName};
use jiff::Timestamp;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject as _;
use sqlx::any::AnyRow;
use sqlx::{AnyConnection, Connection as _, Row as _};

/// The longest certificate that is registered, in bytes of its PEM form.
const LONGEST_PEM: usize = 16 << 10;

/// A certificate to be kept.
#[derive(Debug, Clone)]
pub(crate) struct NewRecord {
    pub(crate) certificate: ClientCertificate,
    pub(crate) pem: String,
    pub(crate) name: String,
    pub(crate) kind: CertificateKind,
    pub(crate) status: CertificateStatus,
    pub(crate) template: Option<TemplateName>,
    /// The certificate with which it was asked for.
    pub(crate) asked_with: Option<CertificateId>,
}

/// Which certificates are listed.
#[derive(Debug, Clone, Default)]
pub(crate) struct Filter {
    pub(crate) kind: Option<CertificateKind>,
    pub(crate) status: Option<CertificateStatus>,
    pub(crate) thing: Option<ThingName>,
}

/// The columns of a [`CertificateInfo`], but for its things.
macro_rules! columns {
    () => {
        "id, name, kind, status, serial, subject, template, not_before, not_after, created_at, first_used_at"
    };
}

impl Certificates {
    /// Whether a certificate that was shown counts now.
    pub(crate) async fn standing(
        &self,
        shown: &ClientCertificate,
        now: Timestamp,
    ) -> Result<Result<Standing, NotValid>, CertificatesError> {
        let row = sqlx::query(
            "SELECT (SELECT revoked_at FROM revoked_certificates WHERE serial = $1), c.kind, c.status, c.template, \
             c.first_used_at FROM (SELECT 1 AS one) o LEFT JOIN certificates c ON c.id = $2",
        )
        .bind(shown.serial.to_string())
        .bind(shown.id.as_str())
        .fetch_one(&self.database)
        .await?;
        let revoked_at = row.try_get::<Option<i64>, _>(0)?.map(Timestamp::from_second).transpose()?;
        let known = match row.try_get::<Option<String>, _>(1)? {
            None => None,
            Some(kind) => Some(Known {
                kind: kind.parse()?,
                status: row.try_get::<String, _>(2)?.parse()?,
                template: row.try_get::<Option<String>, _>(3)?.map(|name| name.parse()).transpose()?,
                first_used_at: row.try_get::<Option<i64>, _>(4)?.map(Timestamp::from_second).transpose()?,
            }),
        };
        Ok(standing(shown, revoked_at, known, now))
    }

    /// The same of one that was shown when its connection began, by its id; None: it does not count.
    pub(crate) async fn standing_of(
        &self,
        id: &CertificateId,
        now: Timestamp,
    ) -> Result<Option<Standing>, CertificatesError> {
        let pem = sqlx::query("SELECT pem FROM certificates WHERE id = $1").bind(id.to_string());
        let Some(row) = pem.fetch_optional(&self.database).await? else { return Ok(None) };
        let (_, shown) = read(&row.try_get::<String, _>(0)?)?;
        Ok(self.standing(&shown, now).await?.ok())
    }

    /// The SHA-256 of a certificate's public key.
    pub(crate) async fn public_key(&self, id: &CertificateId) -> Result<String, CertificatesError> {
        let row = sqlx::query("SELECT public_key FROM certificates WHERE id = $1").bind(id.to_string());
        let row = row.fetch_optional(&self.database).await?.ok_or_else(|| CertificatesError::Unknown(id.clone()))?;
        Ok(row.try_get(0)?)
    }

    /// The things that a certificate speaks for.
    pub(crate) async fn things(&self, id: &CertificateId) -> Result<Vec<ThingName>, CertificatesError> {
        let rows = sqlx::query("SELECT thing FROM thing_principals WHERE certificate = $1 ORDER BY thing")
            .bind(id.as_str())
            .fetch_all(&self.database)
            .await?;
        rows.iter().map(|row| Ok(row.try_get::<String, _>(0)?.parse()?)).collect()
    }

    /// All that is known of a certificate.
    pub(crate) async fn describe(&self, id: &CertificateId) -> Result<CertificateDescription, CertificatesError> {
        let row = sqlx::query(concat!("SELECT ", columns!(), ", pem FROM certificates WHERE id = $1"))
            .bind(id.as_str())
            .fetch_optional(&self.database)
            .await?;
        let row = row.ok_or_else(|| CertificatesError::Unknown(id.clone()))?;
        let certificate = CertificateInfo { things: self.things(id).await?, ..info_of_row(&row)? };
        Ok(CertificateDescription { certificate, certificate_pem: row.try_get(11)? })
    }

    /// Some of them, in the order of their ids.
    pub(crate) async fn page(
        &self,
        filter: &Filter,
        limit: u16,
        after: &str,
    ) -> Result<CertificatePage, CertificatesError> {
        let kind = filter.kind.map_or("", CertificateKind::as_str);
        let status = filter.status.map_or("", CertificateStatus::as_str);
        let thing = filter.thing.as_ref().map_or("", ThingName::as_str);
        let rows = sqlx::query(concat!(
            "SELECT ",
            columns!(),
            " FROM certificates WHERE id > $1 AND ($2 = '' OR kind = $3) AND ($4 = '' OR status = $5) \
             AND ($6 = '' OR id IN (SELECT certificate FROM thing_principals WHERE thing = $7)) ORDER BY id LIMIT $8"
        ))
        .bind(after.to_owned())
        .bind(kind)
        .bind(kind)
        .bind(status)
        .bind(status)
        .bind(thing.to_owned())
        .bind(thing.to_owned())
        .bind(i64::from(limit) + 1)
        .fetch_all(&self.database)
        .await?;
        let mut certificates = rows.iter().map(info_of_row).collect::<Result<Vec<_>, _>>()?;
        let more = certificates.len() > usize::from(limit);
        certificates.truncate(usize::from(limit));
        for certificate in &mut certificates {
            certificate.things = self.things(&certificate.certificate_id).await?;
        }
        let next = certificates.last().filter(|_| more).map(|last| last.certificate_id.to_string());
        Ok(CertificatePage { certificates, next })
    }

    /// Notes that a certificate was shown, and gives whether that was the first time.
    pub(crate) async fn used(&self, id: &CertificateId, now: Timestamp) -> Result<bool, CertificatesError> {
        let done = sqlx::query("UPDATE certificates SET first_used_at = $1 WHERE id = $2 AND first_used_at IS NULL")
            .bind(now.as_second())
            .bind(id.as_str())
            .execute(&self.database)
            .await?;
        Ok(done.rows_affected() > 0)
    }

    /// Has a certificate count, or count no longer, at once. The same again changes nothing.
    pub(crate) async fn set_status(
        &self,
        id: &CertificateId,
        status: CertificateStatus,
        actor: Actor,
        now: Timestamp,
    ) -> Result<CertificateInfo, CertificatesError> {
        let mut connection = self.database.acquire().await?;
        let outcome = change_status(&mut connection, id, status, actor, now).await;
        settle(connection, outcome).await?;
        self.look_soon();
        Ok(self.describe(id).await?.certificate)
    }

    /// The same as a person wishes it. What ends takes along the renewals that were asked for with it and never used:
    /// whoever had its key may have asked for them.
    pub(crate) async fn change_status(
        &self,
        id: &CertificateId,
        status: CertificateStatus,
        actor: Actor,
        now: Timestamp,
    ) -> Result<CertificateInfo, CertificatesError> {
        let changed = self.set_status(id, status, actor.clone(), now).await?;
        if changed.kind == CertificateKind::Device && status != CertificateStatus::Active {
            let unused = sqlx::query(
                "SELECT id FROM certificates WHERE asked_with = $1 AND status = $2 AND first_used_at IS NULL ORDER BY id",
            )
            .bind(id.to_string())
            .bind(CertificateStatus::Active.as_str())
            .fetch_all(&self.database)
            .await?;
            for row in unused {
                let renewal = row.try_get::<String, _>(0)?.parse()?;
                self.set_status(&renewal, status, actor.clone(), now).await?;
            }
        }
        Ok(changed)
    }

    /// Has a certificate that waited count from now on, and notes it.
    pub(crate) async fn activate(
        &self,
        id: &CertificateId,
        entry: &Entry,
        now: Timestamp,
    ) -> Result<(), CertificatesError> {
        self.end_waiting(id, CertificateStatus::Active, entry, now).await
    }

    /// Has a certificate wait no longer, and count only when somebody says so.
    pub(crate) async fn leave_inactive(
        &self,
        id: &CertificateId,
        entry: &Entry,
        now: Timestamp,
    ) -> Result<(), CertificatesError> {
        self.end_waiting(id, CertificateStatus::Inactive, entry, now).await
    }

    async fn end_waiting(
        &self,
        id: &CertificateId,
        status: CertificateStatus,
        entry: &Entry,
        now: Timestamp,
    ) -> Result<(), CertificatesError> {
        let mut connection = self.database.acquire().await?;
        let outcome = end_waiting(&mut connection, id, status, entry, now).await;
        settle(connection, outcome).await?;
        self.look_soon();
        Ok(())
    }

    /// Takes in a certificate that was made elsewhere with the fleet CA. One that is there already stays as it is.
    pub(crate) async fn register(
        &self,
        pem: &str,
        is_ours: impl Fn(&[u8]) -> bool,
        actor: Actor,
        now: Timestamp,
    ) -> Result<(CertificateInfo, bool), CertificatesError> {
        let (der, certificate) = read(pem)?;
        if !is_ours(&der) {
            return Err(CertificatesError::OtherAuthority);
        }
        if certificate.not_after <= now {
            return Err(CertificatesError::Ended(certificate.not_after));
        }
        let id = certificate.id.clone();
        let entry = Entry {
            actor,
            action: "certificate.register",
            subject: id.to_string(),
            detail: certificate.subject.clone(),
            outcome: Outcome::Done,
        };
        let record = NewRecord {
            certificate,
            pem: pem_of(&der),
            name: String::new(),
            kind: CertificateKind::Device,
            status: CertificateStatus::Active,
            template: None,
            asked_with: None,
        };
        let mut connection = self.database.acquire().await?;
        let outcome = insert_noted(&mut connection, &record, &entry, now).await;
        let is_new = settle(connection, outcome).await?;
        Ok((self.describe(&id).await?.certificate, is_new))
    }

    /// Keeps a certificate that the server issued, and notes it.
    pub(crate) async fn add(
        &self,
        record: &NewRecord,
        entry: &Entry,
        now: Timestamp,
    ) -> Result<CertificateInfo, CertificatesError> {
        let mut connection = self.database.acquire().await?;
        let outcome = insert_noted(&mut connection, record, entry, now).await;
        settle(connection, outcome).await?;
        Ok(self.describe(&record.certificate.id).await?.certificate)
    }
}

async fn change_status(
    connection: &mut AnyConnection,
    id: &CertificateId,
    status: CertificateStatus,
    actor: Actor,
    now: Timestamp,
) -> Result<(), CertificatesError> {
    let mut transaction = connection.begin().await?;
    // First of all, so that nobody changes it between the look and the change.
    let generation = next_generation(&mut transaction).await?;
    let row = sqlx::query("SELECT status, serial, subject FROM certificates WHERE id = $1").bind(id.as_str());
    let row = row.fetch_optional(&mut *transaction).await?.ok_or_else(|| CertificatesError::Unknown(id.clone()))?;
    let (serial, subject) = (row.try_get::<String, _>(1)?, row.try_get::<String, _>(2)?);
    if !check_change(id, row.try_get::<String, _>(0)?.parse()?, status)? {
        return Ok(transaction.rollback().await?);
    }
    sqlx::query("UPDATE certificates SET status = $1, generation = $2 WHERE id = $3")
        .bind(status.as_str())
        .bind(generation)
        .bind(id.as_str())
        .execute(&mut *transaction)
        .await?;
    let action = match status {
        CertificateStatus::Active => "certificate.activate",
        CertificateStatus::Revoked => {
            revocation::note(&mut transaction, &serial, &subject, now).await?;
            "certificate.revoke"
        }
        CertificateStatus::Inactive | CertificateStatus::PendingActivation => "certificate.deactivate",
    };
    audit::note(&mut transaction, &actor, action, id, subject, now).await?;
    Ok(transaction.commit().await?)
}

async fn end_waiting(
    connection: &mut AnyConnection,
    id: &CertificateId,
    status: CertificateStatus,
    entry: &Entry,
    now: Timestamp,
) -> Result<(), CertificatesError> {
    let mut transaction = connection.begin().await?;
    let generation = next_generation(&mut transaction).await?;
    // One that counts already was registered before, and its device had not learnt of it.
    let done = sqlx::query("UPDATE certificates SET status = $1, generation = $2 WHERE id = $3 AND status IN ($4, $5)")
        .bind(status.as_str())
        .bind(generation)
        .bind(id.to_string())
        .bind(CertificateStatus::PendingActivation.as_str())
        .bind(CertificateStatus::Active.as_str())
        .execute(&mut *transaction)
        .await?;
    if done.rows_affected() == 0 {
        // Somebody took it away meanwhile.
        return Err(CertificatesError::Revoked(id.clone()));
    }
    audit::append(&mut transaction, entry, now).await?;
    Ok(transaction.commit().await?)
}

/// Whether somebody may ask for this change, and whether it is one.
fn check_change(id: &CertificateId, from: CertificateStatus, to: CertificateStatus) -> Result<bool, CertificatesError> {
    use CertificateStatus::{Active, Inactive, PendingActivation, Revoked};
    match (from, to) {
        (_, PendingActivation) => Err(CertificatesError::NotByHand(to)),
        (from, to) if from == to => Ok(false),
        (Revoked, _) => Err(CertificatesError::Revoked(id.clone())),
        (PendingActivation, Active | Inactive) => Err(CertificatesError::Pending(id.clone())),
        _ => Ok(true),
    }
}

async fn insert_noted(
    connection: &mut AnyConnection,
    record: &NewRecord,
    entry: &Entry,
    now: Timestamp,
) -> Result<bool, CertificatesError> {
    let mut transaction = connection.begin().await?;
    if !insert(&mut transaction, record, now).await? {
        transaction.rollback().await?;
        return Ok(false);
    }
    audit::append(&mut transaction, entry, now).await?;
    transaction.commit().await?;
    Ok(true)
}

/// Keeps a certificate; false if it is there.
pub(crate) async fn insert(
    connection: &mut AnyConnection,
    record: &NewRecord,
    now: Timestamp,
) -> Result<bool, CertificatesError> {
    let NewRecord { certificate, pem, name, kind, status, template, asked_with } = record;
    let done = sqlx::query(
        "INSERT INTO certificates (id, pem, serial, subject, kind, status, not_before, not_after, created_at, name, \
         public_key, template, asked_with, common_name) \
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14) \
         ON CONFLICT (id) DO NOTHING",
    )
    .bind(certificate.id.as_str())
    .bind(pem)
    .bind(certificate.serial.to_string())
    .bind(&certificate.subject)
    .bind(kind.as_str())
    .bind(status.as_str())
    .bind(certificate.not_before.as_second())
    .bind(certificate.not_after.as_second())
    .bind(now.as_second())
    .bind(name)
    .bind(&certificate.public_key)
    .bind(template.as_ref().map(TemplateName::to_string))
    .bind(asked_with.as_ref().map(CertificateId::to_string))
    .bind(certificate.common_name.clone().unwrap_or_default())
    .execute(connection)
    .await?;
    Ok(done.rows_affected() > 0)
}

pub(super) fn read(pem: &str) -> Result<(Vec<u8>, ClientCertificate), CertificatesError> {
    if pem.len() > LONGEST_PEM {
        return Err(CertificatesError::NoCertificate);
    }
    let mut all = CertificateDer::pem_slice_iter(pem.as_bytes());
    let (Some(Ok(der)), None) = (all.next(), all.next()) else { return Err(CertificatesError::NoCertificate) };
    let certificate = ClientCertificate::of_der(&der).ok_or(CertificatesError::NoCertificate)?;
    Ok((der.to_vec(), certificate))
}

pub(crate) fn pem_of(der: &[u8]) -> String {
    let line_feeds = pem::EncodeConfig::new().set_line_ending(pem::LineEnding::LF);
    pem::encode_config(&pem::Pem::new("CERTIFICATE", der), line_feeds)
}

fn info_of_row(row: &AnyRow) -> Result<CertificateInfo, CertificatesError> {
    let time = |column| Ok::<_, CertificatesError>(Timestamp::from_second(row.try_get(column)?)?);
    Ok(CertificateInfo {
        certificate_id: row.try_get::<String, _>(0)?.parse()?,
        name: row.try_get(1)?,
        kind: row.try_get::<String, _>(2)?.parse()?,
        status: row.try_get::<String, _>(3)?.parse()?,
        serial: row.try_get(4)?,
        subject: row.try_get(5)?,
        things: Vec::new(),
        template: row.try_get::<Option<String>, _>(6)?.map(|name| name.parse()).transpose()?,
        not_before: time(7)?,
        not_after: time(8)?,
        creation_date: time(9)?,
        first_used_at: row.try_get::<Option<i64>, _>(10)?.map(Timestamp::from_second).transpose()?,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_revocation_is_for_good() {
        use CertificateStatus::{Active, Inactive, PendingActivation, Revoked};
        let id: CertificateId = "a".repeat(64).parse().unwrap();
        let check = |from, to| check_change(&id, from, to).ok();
        assert_eq!(check(Active, Inactive), Some(true));
        assert_eq!(check(Inactive, Active), Some(true));
        assert_eq!(check(Active, Active), Some(false));
        assert_eq!(check(PendingActivation, Revoked), Some(true));
        assert_eq!(check(Revoked, Revoked), Some(false));
        for (from, to) in [
            (Revoked, Active),
            (Revoked, Inactive),
            (PendingActivation, Active),
            (Active, PendingActivation),
            (PendingActivation, PendingActivation),
        ] {
            assert_eq!(check(from, to), None, "{from} {to}");
        }
    }
}
