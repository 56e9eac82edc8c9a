//! Client certificates: which there are, which of them count, and who is told when one no longer does.
//!
//! A certificate's id is the SHA-256 of its DER form. Every request and every connection is compared with the tables, so
//! what is changed here holds at once; whoever keeps connections open listens to [`Certificates::changes`].

mod changes;
mod client_certificate;
mod common_names;
mod error;
mod revocation;
mod serial;
mod standing;
mod store;

pub(crate) use client_certificate::ClientCertificate;
pub(crate) use common_names::Refused;
pub(crate) use error::CertificatesError;
pub(crate) use serial::Serial;
pub(crate) use standing::{NotValid, Standing};
pub(crate) use store::{Filter, NewRecord, insert as insert_certificate, pem_of};

use changes::Changes;
use sqlx::AnyPool;

/// The certificates of this fleet.
#[derive(Debug)]
pub(crate) struct Certificates {
    database: AnyPool,
    changes: Changes,
}

impl Certificates {
    pub(crate) fn new(database: AnyPool) -> Self {
        Self { database, changes: Changes::default() }
    }
}
