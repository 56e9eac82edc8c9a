//! Who may do what: tokens, roles and suites, and how often a stranger may guess.

mod decision;
mod error;
mod origin;
mod suites;
mod throttle;
mod tokens;

pub(crate) use decision::{Action, Forbidden, Reader, may, may_read_package};
pub(crate) use error::AccessError;
pub(crate) use origin::Origin;
pub(crate) use suites::Suites;
pub(crate) use tokens::{BadToken, Rejected, Token, TokenRequest, Tokens};

use crate::audit::Audit;
use debian_formats::checksums::sha256_hex;
use fleet_protocol::people::{MQTT_TOKEN_PREFIX, SESSION_PREFIX};
use jiff::Timestamp;
use sqlx::AnyPool;
use std::collections::HashSet;
use std::net::IpAddr;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};
pub(crate) use throttle::{Rate, Throttle};

/// Wrong tokens and passwords that one remote party may send: ten, and then one in six seconds.
const FAILURES: Rate = Rate { burst: 10, refill: Duration::from_secs(6), parties: 8192 };
/// Good tokens that are remembered as such.
const REMEMBERED: usize = 8192;

/// Why a secret gave no access.
#[derive(Debug, thiserror::Error)]
pub(crate) enum AdmissionError {
    /// It does not count.
    #[error(transparent)]
    Rejected(#[from] Rejected),
    /// It was not looked at: too many wrong ones came from there.
    #[error("too many wrong tokens or passwords came from this address; wait {} seconds", .wait.as_secs().max(1))]
    TooMany { wait: Duration },
    #[error(transparent)]
    Failed(#[from] AccessError),
}

/// Decides who may do what on this server.
#[derive(Debug)]
pub(crate) struct Access {
    pub(crate) tokens: Tokens,
    pub(crate) suites: Suites,
    guesses: Mutex<Guesses>,
}

#[derive(Debug)]
struct Guesses {
    throttle: Throttle,
    /// Digests of secrets that counted once. A fleet may stand behind one address, and one wrong device there must not
    /// lock out the others; these are looked up in spite of it.
    known: HashSet<String>,
}

impl Access {
    pub(crate) async fn load(database: AnyPool, audit: Audit) -> Result<Self, AccessError> {
        let guesses = Guesses { throttle: Throttle::new(FAILURES), known: HashSet::new() };
        Ok(Self {
            tokens: Tokens::new(database.clone(), audit.clone()),
            suites: Suites::load(database, audit).await?,
            guesses: Mutex::new(guesses),
        })
    }

    /// The token of a secret that was sent from this address, if it counts now.
    pub(crate) async fn admit(&self, secret: &str, address: IpAddr, now: Timestamp) -> Result<Token, AdmissionError> {
        let (digest, origin) = (sha256_hex(secret.as_bytes()), Origin::of(address));
        {
            let guesses = self.guesses();
            if let Some(wait) = guesses.throttle.wait(origin, Instant::now())
                && !guesses.known.contains(&digest)
            {
                return Err(AdmissionError::TooMany { wait });
            }
        }
        let found = match other_kind(secret) {
            Some(kind) => Err(Rejected::OtherKind(kind)),
            None => self.tokens.of_secret(&digest, now).await?,
        };
        let mut guesses = self.guesses();
        match found {
            Ok(token) => {
                if guesses.known.len() >= REMEMBERED {
                    guesses.known.clear();
                }
                guesses.known.insert(digest);
                Ok(token)
            }
            Err(rejected) => {
                guesses.known.remove(&digest);
                guesses.throttle.failed(origin, Instant::now());
                Err(rejected.into())
            }
        }
    }

    fn guesses(&self) -> MutexGuard<'_, Guesses> {
        // A set and a map are whole at any time.
        self.guesses.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What a person's secret is, where it is shown in place of a token.
fn other_kind(secret: &str) -> Option<&'static str> {
    [(SESSION_PREFIX, "a person's session"), (MQTT_TOKEN_PREFIX, "a token for MQTT")]
        .into_iter()
        .find_map(|(prefix, kind)| secret.starts_with(prefix).then_some(kind))
}
