//! The repository as the device sees it: fetched within bounds, believed only when signed.

mod client;
mod packages;
mod suite;

pub(crate) use client::{Client, Credentials, FetchError};
pub(crate) use packages::{PackageError, VerifiedPackage, verify_package};
pub(crate) use suite::{Index, fetch_index};
