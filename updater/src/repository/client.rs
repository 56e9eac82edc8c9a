//! HTTP with bounds: no answer is read past the size that was promised, nor waited for without end.

use std::fs::{File, OpenOptions};
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;
use ureq::Agent;
use ureq::http::{Response, StatusCode, header};
use ureq::tls::{Certificate, ClientCert, PemItem, PrivateKey, RootCerts, TlsConfig, parse_pem};

/// The authorities that Debian's ca-certificates installs.
const SYSTEM_ROOTS: &str = "/etc/ssl/certs/ca-certificates.crt";

/// A body slower than this for its whole length is given up: bytes a second.
const SLOWEST_RATE: u64 = 1024;

/// Something that was not fetched.
#[derive(Debug, thiserror::Error)]
pub(crate) enum FetchError {
    #[error("could not read the authorities in {path}: {reason}")]
    Authorities { path: PathBuf, reason: String },
    #[error("could not fetch {url}: {reason}")]
    Transport { url: String, reason: String },
    #[error("could not use {path}, which shows the server who asks: {reason}")]
    Credentials { path: PathBuf, reason: String },
    #[error("could not fetch {url}: the server answered {status}{}", advice(*status))]
    Status { url: String, status: StatusCode },
    #[error("refused {url}: the server sends more than the {limit} bytes that were promised")]
    TooLong { url: String, limit: u64 },
    #[error("could not fetch {url}: it ended after {got} of {wanted} bytes; the next attempt continues there")]
    TooShort { url: String, got: u64, wanted: u64 },
    #[error("could not write {path}: {cause}")]
    Write { path: PathBuf, cause: io::Error },
}

fn advice(status: StatusCode) -> &'static str {
    match status {
        StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN => {
            "; check `token-file`, or `client-certificate` and `client-key`, in the configuration"
        }
        _ => "",
    }
}

/// What a device shows a repository that is not for everybody: files that hold it.
#[derive(Debug, Clone, Default)]
pub(crate) struct Credentials {
    pub(crate) token: Option<PathBuf>,
    /// A certificate chain and its key, in PEM.
    pub(crate) certificate: Option<(PathBuf, PathBuf)>,
}

impl Credentials {
    fn authorization(&self) -> Result<Option<String>, FetchError> {
        let Some(path) = &self.token else { return Ok(None) };
        let fail = |reason: String| FetchError::Credentials { path: path.clone(), reason };
        let text = std::fs::read_to_string(path).map_err(|error| fail(error.to_string()))?;
        let token = text.trim();
        if token.is_empty() || !token.bytes().all(|byte| byte.is_ascii_graphic()) {
            return Err(fail("it does not hold one token, such as `debfleet token create` prints".into()));
        }
        Ok(Some(format!("Bearer {token}")))
    }

    fn client_cert(&self) -> Result<Option<ClientCert>, FetchError> {
        let Some((certificate, key)) = &self.certificate else { return Ok(None) };
        let fail = |path: &Path| {
            let path = path.to_owned();
            move |reason: String| FetchError::Credentials { path, reason }
        };
        let pem = std::fs::read(key).map_err(|error| fail(key)(error.to_string()))?;
        let key = PrivateKey::from_pem(&pem).map_err(|error| fail(key)(error.to_string()))?;
        let pem = std::fs::read(certificate).map_err(|error| fail(certificate)(error.to_string()))?;
        let chain = certificates(&pem).map_err(fail(certificate))?;
        Ok(Some(ClientCert::new_with_certs(&chain, key)))
    }
}

/// Talks to one repository.
pub(crate) struct Client {
    agent: Agent,
    base: String,
    authorization: Option<String>,
}

impl Client {
    /// `base` is the repository's root, without a slash at its end; `ca` the authority of its certificate.
    pub(crate) fn new(base: &str, ca: Option<&Path>, credentials: &Credentials) -> Result<Self, FetchError> {
        let mut config = Agent::config_builder()
            .http_status_as_error(false)
            .max_redirects(3)
            .user_agent(concat!("debfleet-updater/", env!("CARGO_PKG_VERSION")))
            .timeout_connect(Some(Duration::from_secs(20)))
            .timeout_recv_response(Some(Duration::from_secs(30)))
            .timeout_per_read(Some(Duration::from_secs(30)));
        if base.starts_with("https://") {
            let roots = authorities(ca.unwrap_or(Path::new(SYSTEM_ROOTS)))?;
            let tls = TlsConfig::builder().root_certs(RootCerts::Specific(Arc::new(roots)));
            config = config.tls_config(tls.client_cert(credentials.client_cert()?).build());
        }
        let authorization = credentials.authorization()?;
        Ok(Self { agent: config.build().into(), base: base.to_owned(), authorization })
    }

    /// A small file, whole; refused above `limit` bytes.
    pub(crate) fn fetch(&self, path: &str, limit: u64) -> Result<Vec<u8>, FetchError> {
        let url = format!("{}/{path}", self.base);
        let response = self.get(&url, 0, limit)?;
        if response.status() != StatusCode::OK {
            return Err(FetchError::Status { url, status: response.status() });
        }
        let mut bytes = Vec::new();
        let mut body = response.into_body().into_reader().take(limit.saturating_add(1));
        body.read_to_end(&mut bytes).map_err(|error| transport(&url, &error))?;
        if bytes.len() as u64 > limit {
            return Err(FetchError::TooLong { url, limit });
        }
        Ok(bytes)
    }

    /// Fetches a file of exactly `size` bytes to `target`, going on behind what is already there.
    pub(crate) fn download(&self, path: &str, target: &Path, size: u64) -> Result<(), FetchError> {
        let url = format!("{}/{path}", self.base);
        let write_error = |cause| FetchError::Write { path: target.to_owned(), cause };
        let mut file = OpenOptions::new().create(true).truncate(false).write(true).open(target).map_err(write_error)?;
        let mut have = file.seek(SeekFrom::End(0)).map_err(write_error)?;
        if have > size {
            have = restart(&mut file).map_err(write_error)?;
        }
        if have < size {
            let mut response = self.get(&url, have, size - have)?;
            let continues = response.status() == StatusCode::PARTIAL_CONTENT && continues_at(&response, have);
            if !continues {
                let other_range = [StatusCode::PARTIAL_CONTENT, StatusCode::RANGE_NOT_SATISFIABLE];
                if have > 0 && other_range.contains(&response.status()) {
                    response = self.get(&url, 0, size)?;
                }
                // A server that does not know ranges sends everything again.
                if response.status() != StatusCode::OK {
                    return Err(FetchError::Status { url, status: response.status() });
                }
                have = restart(&mut file).map_err(write_error)?;
            }
            have += copy_bounded(response, &mut file, size - have, &url, target)?;
        }
        file.sync_all().map_err(write_error)?;
        if have < size {
            return Err(FetchError::TooShort { url, got: have, wanted: size });
        }
        Ok(())
    }

    fn get(&self, url: &str, from: u64, expected: u64) -> Result<Response<ureq::Body>, FetchError> {
        let longest = Duration::from_secs(60 + expected / SLOWEST_RATE);
        let mut request = self.agent.get(url).config().timeout_recv_body(Some(longest)).build();
        // A redirect does not take it along.
        if let Some(authorization) = &self.authorization {
            request = request.header(header::AUTHORIZATION, authorization);
        }
        if from > 0 {
            request = request.header(header::RANGE, format!("bytes={from}-"));
        }
        request.call().map_err(|error| transport(url, &error))
    }
}

fn transport(url: &str, error: &dyn std::fmt::Display) -> FetchError {
    FetchError::Transport { url: url.to_owned(), reason: error.to_string() }
}

fn authorities(path: &Path) -> Result<Vec<Certificate<'static>>, FetchError> {
    let fail = |reason: String| FetchError::Authorities { path: path.to_owned(), reason };
    let pem = std::fs::read(path).map_err(|error| fail(error.to_string()))?;
    certificates(&pem).map_err(fail)
}

fn certificates(pem: &[u8]) -> Result<Vec<Certificate<'static>>, String> {
    let mut certificates = Vec::new();
    for item in parse_pem(pem) {
        if let PemItem::Certificate(certificate) = item.map_err(|error| error.to_string())? {
            certificates.push(certificate);
        }
    }
    if certificates.is_empty() { Err("it holds no PEM certificate".into()) } else { Ok(certificates) }
}

fn restart(file: &mut File) -> io::Result<u64> {
    file.set_len(0)?;
    file.seek(SeekFrom::Start(0))
}

fn continues_at(response: &Response<ureq::Body>, have: u64) -> bool {
    let range = response.headers().get(header::CONTENT_RANGE).and_then(|value| value.to_str().ok());
    range.is_some_and(|range| range.starts_with(&format!("bytes {have}-")))
}

fn copy_bounded(
    response: Response<ureq::Body>,
    file: &mut File,
    limit: u64,
    url: &str,
    target: &Path,
) -> Result<u64, FetchError> {
    let mut body = response.into_body().into_reader();
    let mut buffer = vec![0; 128 << 10];
    let mut copied = 0;
    loop {
        let got = match body.read(&mut buffer) {
            Ok(0) => return Ok(copied),
            Ok(got) => got,
            // What arrived is kept: the caller sees that it is too short, and the next attempt continues there.
            Err(error) if copied > 0 && copied < limit => {
                tracing::debug!("{url} broke off: {error}");
                return Ok(copied);
            }
            Err(error) => return Err(transport(url, &error)),
        };
        if copied + got as u64 > limit {
            return Err(FetchError::TooLong { url: url.to_owned(), limit });
        }
        file.write_all(&buffer[..got]).map_err(|cause| FetchError::Write { path: target.to_owned(), cause })?;
        copied += got as u64;
    }
}
