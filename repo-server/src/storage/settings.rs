//! Where a bucket is, and who we are there.

use super::Key;
use std::fmt;

/// A bucket of an S3-compatible store. What is not given here comes from the usual `AWS_*` variables.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BucketSettings {
    /// Its name.
    pub bucket: String,
    /// What all our keys begin with.
    pub(crate) prefix: Option<Key>,
    /// Where the store is.
    pub endpoint: Option<String>,
    /// Its region.
    pub region: Option<String>,
    /// Who we are there.
    pub credentials: Option<Credentials>,
}

/// An access key. Shown, it keeps its secret.
#[derive(Clone, PartialEq, Eq)]
pub struct Credentials {
    /// Its public half.
    pub id: String,
    /// Its secret half.
    pub secret: String,
}

impl fmt::Debug for Credentials {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.id)
    }
}

impl fmt::Display for BucketSettings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "s3://{}", self.bucket)?;
        match &self.prefix {
            Some(prefix) => write!(f, "/{prefix}"),
            None => Ok(()),
        }
    }
}
