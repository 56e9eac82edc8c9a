//! Stored files in a bucket of an S3-compatible store.

use super::{BucketSettings, Credentials, Key, Listed, StorageError};
use bytes::{Bytes, BytesMut};
use durable_files::DurableError;
use futures_util::TryStreamExt as _;
use jiff::Timestamp;
use object_store::aws::{AmazonS3, AmazonS3Builder};
use object_store::path::Path as BucketPath;
use object_store::signer::Signer as _;
use object_store::{ClientOptions, Error, GetOptions, GetRange, ObjectStore as _, ObjectStoreExt as _};
use object_store::{RetryConfig, WriteMultipart};
use std::ops::Range;
use std::path::Path;
use std::time::Duration;
use tokio::io::AsyncReadExt as _;
use tokio::sync::Semaphore;

/// Larger files go up in parts of this size, of which some are on their way at once.
const PART: usize = 8 << 20;
const PARTS_AT_ONCE: usize = 4;

/// How many parts are fetched at once: each takes a connection, which keeps a buffer of its own.
const FETCHES: usize = 64;

/// A store that says nothing for so long has hung.
const SILENCE: Duration = Duration::from_secs(60);
const CONNECT: Duration = Duration::from_secs(5);
/// How long a request is repeated that the store did not answer, or answered with an error of its own.
const RETRIES: usize = 3;
const RETRY_TIME: Duration = Duration::from_secs(20);

#[derive(Debug)]
pub(super) struct Bucket {
    store: AmazonS3,
    settings: BucketSettings,
    fetches: Semaphore,
}

impl Bucket {
    /// Asks nothing of the store yet.
    pub(super) fn new(settings: &BucketSettings) -> Result<Self, StorageError> {
        // Large bodies take as long as the line needs, so only silence ends a request.
        let client = ClientOptions::new()
            .with_timeout_disabled()
            .with_connect_timeout(CONNECT)
            .with_read_timeout(SILENCE)
            .with_allow_http(settings.endpoint.as_ref().is_some_and(|endpoint| endpoint.starts_with("http://")));
        let retry = RetryConfig { max_retries: RETRIES, retry_timeout: RETRY_TIME, ..RetryConfig::default() };
        // What the settings do not say is taken from the AWS_* variables.
        let mut builder = AmazonS3Builder::from_env()
            .with_bucket_name(&settings.bucket)
            .with_client_options(client)
            .with_retry(retry);
        if let Some(endpoint) = &settings.endpoint {
            builder = builder.with_endpoint(endpoint);
        }
        if let Some(region) = &settings.region {
            builder = builder.with_region(region);
        }
        if let Some(Credentials { id, secret }) = &settings.credentials {
            builder = builder.with_access_key_id(id).with_secret_access_key(secret);
        }
        let wrong = |source| StorageError::Settings { place: settings.to_string(), source };
        let store = builder.build().map_err(wrong)?;
        Ok(Self { store, settings: settings.clone(), fetches: Semaphore::new(FETCHES) })
    }

    fn path(&self, key: &Key) -> Result<BucketPath, StorageError> {
        let path = match &self.settings.prefix {
            Some(prefix) => format!("{prefix}/{key}"),
            None => key.to_string(),
        };
        BucketPath::parse(path).map_err(|_| StorageError::Key(key.to_string()))
    }

    fn fail(&self, action: &'static str, key: &Key) -> impl FnOnce(Error) -> StorageError {
        let place = format!("{}/{key}", self.settings);
        move |source| StorageError::Bucket { action, place, source }
    }

    pub(super) async fn put(&self, key: &Key, content: Bytes) -> Result<(), StorageError> {
        self.store.put(&self.path(key)?, content.into()).await.map_err(self.fail("write", key))?;
        Ok(())
    }

    pub(super) async fn put_file(&self, key: &Key, file: &Path) -> Result<(), StorageError> {
        let unreadable = |cause| DurableError::Io { action: "read", path: file.to_owned(), cause };
        let mut source = tokio::fs::File::open(file).await.map_err(unreadable)?;
        let size = source.metadata().await.map_err(unreadable)?.len();
        if size <= PART as u64 {
            let mut content = Vec::new();
            source.read_to_end(&mut content).await.map_err(unreadable)?;
            return self.put(key, content.into()).await;
        }
        let upload = self.store.put_multipart(&self.path(key)?).await.map_err(self.fail("write", key))?;
        let mut parts = WriteMultipart::new_with_chunk_size(upload, PART);
        loop {
            let mut piece = BytesMut::with_capacity(PART);
            let read = match source.read_buf(&mut piece).await {
                Ok(0) => return parts.finish().await.map(drop).map_err(self.fail("write", key)),
                Ok(_) => parts.wait_for_capacity(PARTS_AT_ONCE).await.map_err(self.fail("write", key)),
                Err(error) => Err(unreadable(error).into()),
            };
            if let Err(error) = read {
                // What the store keeps of it when this fails, too, its own rules clear away.
                let _ = parts.abort().await;
                return Err(error);
            }
            parts.put(piece.freeze());
        }
    }

    pub(super) async fn get(&self, key: &Key, limit: u64) -> Result<Option<Bytes>, StorageError> {
        let found = match self.store.get(&self.path(key)?).await {
            Err(Error::NotFound { .. }) => return Ok(None),
            found => found.map_err(self.fail("read", key))?,
        };
        if found.meta.size > limit {
            return Err(StorageError::TooLarge { place: format!("{}/{key}", self.settings), limit });
        }
        found.bytes().await.map(Some).map_err(self.fail("read", key))
    }

    /// A part of a content, in memory that holds nothing else.
    pub(super) async fn fetch(&self, key: &Key, part: Range<u64>) -> Result<Option<Vec<u8>>, StorageError> {
        // It is never closed.
        let _turn = self.fetches.acquire().await;
        let options = GetOptions { range: Some(GetRange::Bounded(part.clone())), ..GetOptions::default() };
        let found = match self.store.get_opts(&self.path(key)?, options).await {
            Err(Error::NotFound { .. }) => return Ok(None),
            found => found.map_err(self.fail("read", key))?,
        };
        let length = part.end.saturating_sub(part.start);
        let short = || StorageError::Short { place: format!("{}/{key}", self.settings) };
        if found.range != part {
            return Err(short());
        }
        let mut fetched = Vec::with_capacity(usize::try_from(length).unwrap_or_default());
        let mut stream = found.into_stream();
        loop {
            match stream.try_next().await {
                Ok(Some(bytes)) => fetched.extend_from_slice(&bytes),
                Ok(None) if fetched.len() as u64 == length => return Ok(Some(fetched)),
                Ok(None) => return Err(short()),
                Err(error) => return Err(self.fail("read", key)(error)),
            }
        }
    }

    pub(super) async fn delete(&self, key: &Key) -> Result<(), StorageError> {
        match self.store.delete(&self.path(key)?).await {
            Err(Error::NotFound { .. }) => Ok(()),
            deleted => deleted.map_err(self.fail("delete", key)),
        }
    }

    pub(super) async fn list(&self, prefix: &Key) -> Result<Vec<Listed>, StorageError> {
        let listed = self.store.list(Some(&self.path(prefix)?)).try_collect::<Vec<_>>().await;
        let ours = self.settings.prefix.as_ref().map_or(0, |prefix| prefix.as_str().len() + 1);
        let listed = listed.map_err(self.fail("list", prefix))?.into_iter().filter_map(|object| {
            let key = object.location.as_ref().get(ours..)?.parse().ok()?;
            let modified = Timestamp::from_second(object.last_modified.timestamp()).unwrap_or(Timestamp::MAX);
            Some(Listed { key, modified })
        });
        Ok(listed.collect())
    }

    pub(super) async fn is_empty(&self, prefix: &Key) -> Result<bool, StorageError> {
        let first = self.store.list(Some(&self.path(prefix)?)).try_next().await;
        let unusable = |source| StorageError::Unusable { place: self.settings.to_string(), source };
        Ok(first.map_err(unusable)?.is_none())
    }

    pub(super) async fn presigned(&self, key: &Key, lifetime: Duration) -> Result<String, StorageError> {
        let url = self.store.signed_url(object_store::signer::Method::GET, &self.path(key)?, lifetime).await;
        Ok(url.map_err(self.fail("sign a URL of", key))?.into())
    }
}
