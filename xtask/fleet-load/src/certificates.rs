//! The certificates: one file holds those of all devices, each with its key.

use anyhow::{Context, Result};
use rcgen::{
    BasicConstraints, CertificateParams, DistinguishedName, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair,
};
use rustls::pki_types::pem::{PemObject as _, SectionKind};
use rustls::pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer};
use std::path::Path;

/// Who commands the devices and hears their reports.
pub(crate) const OPERATOR: &str = "operator";

/// A device, or the operator.
pub(crate) struct Identity {
    pub(crate) name: String,
    pub(crate) certificate: CertificateDer<'static>,
    pub(crate) key: PrivateKeyDer<'static>,
}

/// The name of the device with this number.
pub(crate) fn name(number: usize) -> String {
    format!("device-{number:05}")
}

/// Makes them: `devices.pem` with the operator first, `server.pem` and `server.key` for a broker on this machine, `ca.pem`,
/// and `things.csv` for the registry.
pub(crate) fn make(ca: &Path, ca_key: &Path, count: usize, out: &Path) -> Result<()> {
    let issuer = authority(ca, ca_key)?;
    let write = |name: &str, text: &str| {
        let path = out.join(name);
        durable_files::replace(&path, text.as_bytes(), 0o600)
            .with_context(|| format!("could not write {}", path.display()))
    };
    durable_files::create_dir(out, 0o755)?;
    let (mut pem, mut things) = (String::new(), "thingName,thingGroupNames\n".to_owned());
    for name in std::iter::once(OPERATOR.to_owned()).chain((0..count).map(name)) {
        let key = KeyPair::generate()?;
        let made = params(&name, ExtendedKeyUsagePurpose::ClientAuth, &[])?.signed_by(&key, &issuer)?;
        pem.push_str(&made.pem());
        pem.push_str(&key.serialize_pem());
        // The standard policy is attached to the group `verified`.
        let group = if name == OPERATOR { "operators" } else { "verified" };
        things.push_str(&format!("{name},{group}\n"));
    }
    write("devices.pem", &pem)?;
    write("things.csv", &things)?;
    let key = KeyPair::generate()?;
    let names = ["localhost".to_owned()];
    let server = params("localhost", ExtendedKeyUsagePurpose::ServerAuth, &names)?.signed_by(&key, &issuer)?;
    write("server.pem", &server.pem())?;
    write("server.key", &key.serialize_pem())?;
    write("ca.pem", &std::fs::read_to_string(ca).with_context(|| format!("could not read {}", ca.display()))?)
}

fn params(name: &str, usage: ExtendedKeyUsagePurpose, hosts: &[String]) -> Result<CertificateParams> {
    let mut params = CertificateParams::new(hosts)?;
    params.distinguished_name = DistinguishedName::new();
    params.distinguished_name.push(DnType::CommonName, name);
    params.extended_key_usages = vec![usage];
    params.not_before = rcgen::date_time_ymd(2020, 1, 1);
    params.not_after = rcgen::date_time_ymd(2099, 1, 1);
    Ok(params)
}

/// The authority in these files; a new one if they are not there.
fn authority(ca: &Path, ca_key: &Path) -> Result<Issuer<'static, KeyPair>> {
    if ca.exists() {
        let read =
            |path: &Path| std::fs::read_to_string(path).with_context(|| format!("could not read {}", path.display()));
        return Ok(Issuer::from_ca_cert_pem(&read(ca)?, KeyPair::from_pem(&read(ca_key)?)?)?);
    }
    let key = KeyPair::generate()?;
    let mut params = params("fleet", ExtendedKeyUsagePurpose::ClientAuth, &[])?;
    params.extended_key_usages.clear();
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let made = params.self_signed(&key)?;
    durable_files::replace(ca, made.pem().as_bytes(), 0o600)?;
    durable_files::replace(ca_key, key.serialize_pem().as_bytes(), 0o600)?;
    Ok(Issuer::new(params, key))
}

/// The authority's certificate, and the operator before the devices.
pub(crate) fn read(folder: &Path) -> Result<(CertificateDer<'static>, Vec<Identity>)> {
    let read = |name: &str| {
        let path = folder.join(name);
        std::fs::read(&path).with_context(|| format!("could not read {}", path.display()))
    };
    let ca = CertificateDer::from_pem_slice(&read("ca.pem")?).context("ca.pem holds no certificate")?;
    let (mut identities, mut certificate) = (Vec::new(), None);
    for section in <(SectionKind, Vec<u8>)>::pem_slice_iter(&read("devices.pem")?) {
        match section.context("devices.pem is broken")? {
            (SectionKind::Certificate, der) => certificate = Some(CertificateDer::from(der)),
            (_, der) => identities.push(Identity {
                name: identities.len().checked_sub(1).map_or_else(|| OPERATOR.to_owned(), name),
                certificate: certificate.take().context("devices.pem has a key without a certificate")?,
                key: PrivatePkcs8KeyDer::from(der).into(),
            }),
        }
    }
    Ok((ca, identities))
}
