//! What a broker beside this server is given by the authority: a certificate to show, and whom it must refuse.

use super::{CertificateError, DAY, FleetCa, making, new_serial, set_lifetime};
use crate::certificates::Refused;
use jiff::Timestamp;
use rcgen::{
    CertificateParams, CertificateRevocationListParams, DnType, ExtendedKeyUsagePurpose, KeyIdMethod, KeyPair,
    KeyUsagePurpose, RevocationReason, RevokedCertParams, SerialNumber,
};
use rustls::crypto::CryptoProvider;
use rustls::pki_types::PrivateKeyDer;
use rustls::sign::CertifiedKey;
use std::time::Duration;

/// How long the server's own client certificate counts; it is made anew with each start and while that runs.
const CLIENT_DAYS: i32 = 90;

/// A certificate chain and its key, in PEM form.
pub(crate) struct PemIdentity {
    pub(crate) chain: String,
    pub(crate) key: String,
}

impl FleetCa {
    /// A broker's certificate under these names.
    pub(crate) fn certify_broker(&self, names: &[String], now: Timestamp) -> Result<PemIdentity, CertificateError> {
        let (chain, key) = self.issue_for_server(names, now)?;
        let chain = chain.iter().map(|certificate| crate::certificates::pem_of(certificate)).collect();
        let line_feeds = pem::EncodeConfig::new().set_line_ending(pem::LineEnding::LF);
        let key = pem::encode_config(&pem::Pem::new("PRIVATE KEY", key.secret_der()), line_feeds);
        Ok(PemIdentity { chain, key })
    }

    /// What this server itself shows as a client of a broker.
    pub(crate) fn certify_client(
        &self,
        common_name: &str,
        provider: &CryptoProvider,
        now: Timestamp,
    ) -> Result<CertifiedKey, CertificateError> {
        let key = KeyPair::generate().map_err(making("client certificate"))?;
        let mut params = CertificateParams::default();
        params.distinguished_name = rcgen::DistinguishedName::new();
        params.distinguished_name.push(DnType::CommonName, common_name);
        params.serial_number = Some(SerialNumber::from_slice(&new_serial()?));
        params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth];
        params.use_authority_key_identifier_extension = true;
        let end = now.saturating_add(DAY * CLIENT_DAYS).unwrap_or(now);
        set_lifetime(&mut params, now, end.min(self.not_after));
        let certificate = self.issue(&params, &key, "client certificate")?;
        let key = PrivateKeyDer::Pkcs8(key.serialize_der().into());
        Ok(CertifiedKey::from_der(vec![certificate], key, provider)?)
    }

    /// The list of those that do not count, in PEM form. It holds as long as the authority: a broker that has an old one is
    /// better than one that takes nobody because the server is away.
    pub(crate) fn revocation_list(&self, refused: &[Refused], now: Timestamp) -> Result<String, CertificateError> {
        let what = "list of revoked certificates";
        let second = u64::try_from(now.as_second()).unwrap_or_default();
        let time = |at: u64| rcgen::date_time_ymd(1970, 1, 1) + Duration::from_secs(at);
        let end = u64::try_from(self.not_after.as_second()).unwrap_or_default().max(second + 1);
        let revoked = refused.iter().map(|refused| RevokedCertParams {
            serial_number: SerialNumber::from_slice(refused.serial.octets()),
            revocation_time: time(second),
            reason_code: refused.on_hold.then_some(RevocationReason::CertificateHold),
            invalidity_date: None,
        });
        let params = CertificateRevocationListParams {
            this_update: time(second),
            next_update: time(end),
            crl_number: SerialNumber::from(second),
            issuing_distribution_point: None,
            revoked_certs: revoked.collect(),
            key_identifier_method: KeyIdMethod::Sha256,
        };
        let list = params.signed_by(&self.issuer).map_err(|source| match self.issuer.key().failure() {
            Some(failure) => failure.into(),
            None => making(what)(source),
        })?;
        let line_feeds = pem::EncodeConfig::new().set_line_ending(pem::LineEnding::LF);
        Ok(pem::encode_config(&pem::Pem::new("X509 CRL", list.der().as_ref()), line_feeds))
    }
}
