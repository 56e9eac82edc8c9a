//! The first step: a certificate for a device's key.

use super::rules::{ForKey, KnownKey, for_claim};
use super::{ErrorCode, Provisioning, ProvisioningError, Requester, end_of_device, tokens};
use crate::certificates::{ClientCertificate, NewRecord, Standing, insert_certificate, pem_of};
use crate::database::settle;
use crate::fleet_ca::{CertificateRequest, ClientSubject};
use fleet_protocol::certificates::{CertificateKind, CertificateStatus};
use fleet_protocol::names::{CertificateId, TemplateName, ThingName};
use fleet_protocol::provisioning::messages::CertificateResponse;
use jiff::Timestamp;
use sqlx::{AnyConnection, Connection as _, Row as _};

impl Provisioning {
    /// A certificate for the key of a signing request: to a claim one that counts once its device is registered, to a
    /// device that has one the next. The same key is given the same certificate again.
    pub(crate) async fn create_from_csr(
        &self,
        from: &Requester,
        request: &str,
        now: Timestamp,
    ) -> Result<CertificateResponse, ProvisioningError> {
        self.admit(from)?;
        let given = self.certificate_for(from, request, now).await;
        match &given {
            Ok(given) => {
                let (id, client, address) = (&given.certificate_id, &from.client_id, from.address);
                tracing::info!(%id, with = %from.certificate, client, %address, "gave a device a certificate");
            }
            Err(error) => self.refused(from, from.certificate.as_str(), error).await,
        }
        given
    }

    async fn certificate_for(
        &self,
        from: &Requester,
        request: &str,
        now: Timestamp,
    ) -> Result<CertificateResponse, ProvisioningError> {
        let standing = self.domains.certificates.standing_of(&from.certificate, now).await?;
        let request = CertificateRequest::check(request)?;
        match standing {
            Some(Standing::Claim(Some(template))) => self.for_claim(from, &template, request, now).await,
            Some(Standing::Device { .. }) => self.renew(from, request, now).await,
            _ => Err(ProvisioningError::NotKnown(from.certificate.clone())),
        }
    }

    async fn for_claim(
        &self,
        from: &Requester,
        template: &TemplateName,
        request: CertificateRequest,
        now: Timestamp,
    ) -> Result<CertificateResponse, ProvisioningError> {
        // What could not be registered need not be made.
        self.enabled_template(template).await?;
        self.check_names(&request, &[]).await?;
        let known = self.known_key(&request.fingerprint).await?;
        let (id, pem, record) = match for_claim(known, template, now)? {
            ForKey::GiveAgain(known) => (known.id, known.pem, None),
            ForKey::Issue => {
                let record = NewRecord {
                    status: CertificateStatus::PendingActivation,
                    template: Some(template.clone()),
                    ..self.issue(from, request, now).await?
                };
                (record.certificate.id.clone(), record.pem.clone(), Some(record))
            }
        };
        let token = self.keep_with_token(record.as_ref(), &id, from, now).await?;
        Ok(CertificateResponse { certificate_ownership_token: token, certificate_id: id, certificate_pem: pem })
    }

    /// A new certificate for a device, not yet kept.
    pub(super) async fn issue(
        &self,
        from: &Requester,
        request: CertificateRequest,
        now: Timestamp,
    ) -> Result<NewRecord, ProvisioningError> {
        let subject = ClientSubject { common_name: None, not_after: end_of_device(now) };
        let der = self.domains.authority.issue(request, subject, now).await?;
        let certificate = ClientCertificate::of_der(&der).ok_or(ProvisioningError::Unreadable)?;
        Ok(NewRecord {
            certificate,
            pem: pem_of(&der),
            name: String::new(),
            kind: CertificateKind::Device,
            status: CertificateStatus::PendingActivation,
            template: None,
            asked_with: Some(from.certificate.clone()),
        })
    }

    /// What a request asks to be called is not believed, and whoever asks for another's name is up to something.
    pub(super) async fn check_names(
        &self,
        request: &CertificateRequest,
        own: &[ThingName],
    ) -> Result<(), ProvisioningError> {
        for name in &request.asked_names {
            let Ok(thing) = name.parse::<ThingName>() else { continue };
            if own.contains(&thing) {
                continue;
            }
            let holders = self.holders(&thing).await?;
            if holders.iter().any(|holder| holder.public_key != request.fingerprint) {
                return Err(ProvisioningError::StolenName(thing));
            }
        }
        Ok(())
    }

    /// The last certificate that was issued for a key.
    pub(super) async fn known_key(&self, public_key: &str) -> Result<Option<KnownKey>, ProvisioningError> {
        let row = sqlx::query(
            "SELECT id, pem, kind, status, template, asked_with, not_after FROM certificates WHERE public_key = $1 \
             ORDER BY created_at DESC, not_after DESC, id LIMIT 1",
        )
        .bind(public_key)
        .fetch_optional(&self.domains.database)
        .await?;
        let Some(row) = row else { return Ok(None) };
        let words = |error: &dyn std::fmt::Display| sqlx::Error::Decode(error.to_string().into());
        Ok(Some(KnownKey {
            id: row.try_get::<String, _>(0)?.parse()?,
            pem: row.try_get(1)?,
            kind: row.try_get::<String, _>(2)?.parse().map_err(|error| words(&error))?,
            status: row.try_get::<String, _>(3)?.parse().map_err(|error| words(&error))?,
            template: row.try_get::<Option<String>, _>(4)?.map(|name| name.parse()).transpose()?,
            asked_with: row.try_get::<Option<String>, _>(5)?.map(|id| id.parse()).transpose()?,
            not_after: Timestamp::from_second(row.try_get(6)?)?,
        }))
    }

    /// Keeps a new certificate, and gives a token for it, both or neither.
    pub(super) async fn keep_with_token(
        &self,
        record: Option<&NewRecord>,
        id: &CertificateId,
        from: &Requester,
        now: Timestamp,
    ) -> Result<String, ProvisioningError> {
        let mut connection = self.domains.database.acquire().await?;
        let outcome = keep_with_token(&mut connection, record, id, &from.certificate, now).await;
        settle(connection, outcome).await
    }

    /// Logs a refusal; one that smells of theft is noted in the audit log, too.
    pub(super) async fn refused(&self, from: &Requester, subject: &str, error: &ProvisioningError) {
        let (with, client, address) = (&from.certificate, &from.client_id, from.address);
        match error.code() {
            ErrorCode::InternalFailure => {
                tracing::error!(%error, %with, client, %address, "could not provision a device");
            }
            _ => tracing::warn!(%error, %with, client, %address, "a device was not provisioned"),
        }
        if error.is_theft() {
            self.note_refusal(from, subject, error).await;
        }
    }
}

async fn keep_with_token(
    connection: &mut AnyConnection,
    record: Option<&NewRecord>,
    id: &CertificateId,
    claim: &CertificateId,
    now: Timestamp,
) -> Result<String, ProvisioningError> {
    let mut transaction = connection.begin().await?;
    if let Some(record) = record {
        insert_certificate(&mut transaction, record, now).await?;
    }
    let token = tokens::make(&mut transaction, id, claim, now).await?;
    transaction.commit().await?;
    Ok(token)
}
