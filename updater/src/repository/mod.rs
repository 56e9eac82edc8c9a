//! The repository as the device sees it: fetched within bounds, believed only when signed.

mod client;
mod folder;
mod http;
mod kept;
mod pace;
mod packages;
mod proxy;
mod suite;
mod transfer;

pub(crate) use client::Client;
pub(crate) use http::{Credentials, Http, Remote, SYSTEM_ROOTS, authorities};
pub(crate) use kept::KeptIndex;
pub(crate) use packages::{PackageError, VerifiedPackage, verify_by_list, verify_package};
pub(crate) use proxy::{ProxyUrl, without_user_info};
pub(crate) use suite::{Index, Suite, SuiteError};
pub(crate) use transfer::FetchError;
