//! Fleet provisioning: a device that comes with a claim certificate is given one of its own, and becomes a thing.
//!
//! The steps are made so that a device which was cut off at any of them begins again with the same key and ends where it
//! would have: the same key is given the same certificate, and the same parameters make the same thing. Nothing is given
//! before the last step, which has the certificate count.
//!
//! A claim is known to many, so a name is no proof: while a certificate speaks for a thing, no other key becomes that thing,
//! until an operator revokes or deactivates the certificate.

mod claims;
mod connection;
mod error;
mod fleet;
mod hook;
mod issuing;
mod registration;
mod renewal;
mod rules;
mod serials;
mod templates;
mod tokens;
mod upkeep;

pub(crate) use claims::ClaimRequest;
pub(crate) use error::{ErrorCode, ProvisioningError};
pub(crate) use templates::TemplateChange;

use crate::access::{Origin, Rate, Throttle};
use crate::audit::{Actor, Audit, Entry};
use crate::certificates::Certificates;
use crate::fleet_ca::Authority;
use crate::policies::Policies;
use crate::things::Registry;
use fleet_protocol::audit::Outcome;
use fleet_protocol::names::CertificateId;
use hook::Hook;
use jiff::{SignedDuration, Timestamp};
use sqlx::AnyPool;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

/// Requests that one remote party may send: a hundred, and then ten a second. A factory may stand behind one address.
const REQUESTS: Rate = Rate { burst: 100, refill: Duration::from_millis(100), parties: 8192 };
/// A device renews its certificate in time, and may lie in a store for some of it.
const DEVICE_LIFETIME: SignedDuration = SignedDuration::from_hours(24 * 365 * 3);

/// Who asks: the client certificate of a connection.
#[derive(Debug, Clone)]
pub(crate) struct Requester {
    pub(crate) certificate: CertificateId,
    pub(crate) client_id: String,
    pub(crate) address: IpAddr,
}

/// What provisioning works with.
#[derive(Debug)]
pub(crate) struct Domains {
    pub(crate) database: AnyPool,
    pub(crate) audit: Audit,
    pub(crate) certificates: Arc<Certificates>,
    pub(crate) authority: Arc<Authority>,
    pub(crate) registry: Arc<Registry>,
    pub(crate) policies: Arc<Policies>,
}

/// The provisioning of this fleet.
#[derive(Debug)]
pub(crate) struct Provisioning {
    domains: Domains,
    hook: Hook,
    requests: Mutex<Throttle>,
}

impl Provisioning {
    pub(crate) fn new(domains: Domains) -> Self {
        Self { domains, hook: Hook::default(), requests: Mutex::new(Throttle::new(REQUESTS)) }
    }

    /// Counts a request; an error where there were too many.
    fn admit(&self, from: &Requester) -> Result<(), ProvisioningError> {
        let (origin, now) = (Origin::of(from.address), Instant::now());
        // A map is whole at any time.
        let mut requests = self.requests.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(wait) = requests.wait(origin, now) {
            return Err(ProvisioningError::TooMany(wait));
        }
        requests.failed(origin, now);
        Ok(())
    }

    /// Notes in the audit log what a device was refused that it had no business to ask for.
    async fn note_refusal(&self, from: &Requester, subject: &str, error: &ProvisioningError) {
        let entry = Entry {
            actor: actor_of(from),
            action: "thing.provision",
            subject: subject.to_owned(),
            detail: error.to_string(),
            outcome: Outcome::Refused,
        };
        self.domains.audit.record(entry).await;
    }
}

#[cfg(test)]
impl Provisioning {
    /// That of an empty fleet with an authority of its own.
    pub(crate) async fn for_tests(folder: &std::path::Path, database: AnyPool) -> Arc<Self> {
        let dir = crate::data_dir::DataDir::new(folder);
        durable_files::create_dir(&dir.keys(), 0o700).unwrap();
        crate::fleet_ca::FleetCa::create(&dir, Timestamp::now()).unwrap();
        let registry = Arc::new(Registry::open(database.clone(), Timestamp::now).await.unwrap());
        let policies = Policies::open(database.clone(), registry.generation(), Timestamp::now).await.unwrap();
        Arc::new(Self::new(Domains {
            audit: Audit::new(database.clone(), Timestamp::now),
            certificates: Arc::new(Certificates::new(database.clone())),
            authority: Arc::new(Authority::new(&dir)),
            registry,
            policies: Arc::new(policies),
            database,
        }))
    }
}

/// As the audit log names a device.
fn actor_of(from: &Requester) -> Actor {
    let certificate = from.certificate.as_str();
    Actor {
        name: format!("certificate {}", certificate.get(..16).unwrap_or(certificate)),
        token: None,
        remote_address: from.address.to_string(),
    }
}

/// When a device's certificate ends that is issued now.
fn end_of_device(now: Timestamp) -> Timestamp {
    now.saturating_add(DEVICE_LIFETIME).unwrap_or(Timestamp::MAX)
}
