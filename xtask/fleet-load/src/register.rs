//! Devices that were not provisioned one by one are registered here.

use crate::certificates::{Identity, read};
use anyhow::{Context, Result, bail};
use fleet_protocol::certificates::{CERTIFICATES_PATH, CertificateInfo, NewCertificate};
use fleet_protocol::things::principal_path;
use pem::Pem;
use std::path::Path;
use std::sync::Mutex;

/// Requests at a time.
const AT_ONCE: usize = 8;

/// Registers every certificate, and has it speak for its thing.
pub(crate) fn register(server: &str, folder: &Path) -> Result<()> {
    let token = std::env::var("DEBFLEET_TOKEN").context("DEBFLEET_TOKEN holds no token")?;
    let identities = Mutex::new(read(folder)?.1);
    let next = || identities.lock().ok()?.pop();
    std::thread::scope(|scope| {
        let threads: Vec<_> = (0..AT_ONCE)
            .map(|_| {
                scope.spawn(|| {
                    let agent = ureq::Agent::new_with_defaults();
                    std::iter::from_fn(next).try_for_each(|identity| register_one(&agent, server, &token, &identity))
                })
            })
            .collect();
        for thread in threads {
            match thread.join() {
                Ok(outcome) => outcome?,
                Err(_) => bail!("a thread stopped"),
            }
        }
        Ok(())
    })
}

fn register_one(agent: &ureq::Agent, server: &str, token: &str, identity: &Identity) -> Result<()> {
    let bearer = format!("Bearer {token}");
    let failed = || format!("could not register {}", identity.name);
    let certificate_pem = pem::encode(&Pem::new("CERTIFICATE", identity.certificate.to_vec()));
    let request = agent.post(format!("{server}{CERTIFICATES_PATH}")).header("Authorization", &bearer);
    let mut answer = request.send_json(NewCertificate { certificate_pem }).with_context(failed)?;
    let known: CertificateInfo = answer.body_mut().read_json().with_context(failed)?;
    let attach = agent.put(format!("{server}{}", principal_path(&identity.name.parse()?, &known.certificate_id)));
    attach.header("Authorization", &bearer).send_empty().with_context(failed).map(drop)
}
