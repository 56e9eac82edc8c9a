//! One module for each command.

pub(crate) mod audit;
pub(crate) mod build;
pub(crate) mod bump;
pub(crate) mod certificate;
pub(crate) mod completions;
pub(crate) mod group;
pub(crate) mod key;
pub(crate) mod new;
pub(crate) mod policy;
pub(crate) mod provisioning;
pub(crate) mod publish;
pub(crate) mod release;
pub(crate) mod sign;
pub(crate) mod suite;
pub(crate) mod thing;
pub(crate) mod token;
pub(crate) mod user;
pub(crate) mod verify;
