//! A repository on a server.

use super::pace::{Next, Pace};
use super::proxy::{self, ProxyUrl};
use super::transfer::{Answer, FetchError, Target, Validators, read_bounded};
use crate::device_key;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};
use ureq::Agent;
use ureq::http::{HeaderName, Response, StatusCode, header};
use ureq::tls::{Certificate, ClientCert, PemItem, PrivateKey, RootCerts, TlsConfig, parse_pem};

/// The authorities that Debian's ca-certificates installs.
pub(crate) const SYSTEM_ROOTS: &str = "/etc/ssl/certs/ca-certificates.crt";

/// A file whose size nobody signed yet is small; a server that drips it must not hold the device up.
const LONGEST_UNSIGNED: Duration = Duration::from_secs(300);

/// Longest answer to a question, in bytes.
const LONGEST_ANSWER: u64 = 128 << 10;

/// Longest validator that is kept, in bytes.
const MAX_VALIDATOR: usize = 256;

/// How to reach a repository on a server.
#[derive(Debug, Clone, Default)]
pub(crate) struct Remote {
    /// Such as `https://updates.example.org/debian`, without a slash at its end.
    pub(crate) base: String,
    /// PEM of the authority that signed the server's certificate; none: the system's.
    pub(crate) ca: Option<PathBuf>,
    /// What is shown to a repository that is not for everybody.
    pub(crate) credentials: Credentials,
    /// None: as the environment says.
    pub(crate) proxy: Option<ProxyUrl>,
    /// For packages, in bytes a second.
    pub(crate) rate_limit: Option<u64>,
}

/// What a device shows a repository that is not for everybody: files that hold it.
#[derive(Debug, Clone, Default)]
pub(crate) struct Credentials {
    pub(crate) token: Option<PathBuf>,
    /// A certificate chain and its key, in PEM.
    pub(crate) certificate: Option<(PathBuf, PathBuf)>,
    /// The same of the device's own identity, shown once there is one.
    pub(crate) own: Option<(PathBuf, PathBuf)>,
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
        let own = self.own.as_ref().filter(|(certificate, key)| certificate.exists() && key.exists());
        let Some((certificate, key)) = self.certificate.as_ref().or(own) else { return Ok(None) };
        let fail = |path: &Path| {
            let path = path.to_owned();
            move |reason: String| FetchError::Credentials { path, reason }
        };
        let text = std::fs::read_to_string(key).map_err(|error| fail(key)(error.to_string()))?;
        let pem = device_key::in_pem(&text);
        let key = PrivateKey::from_pem(pem.as_bytes()).map_err(|error| fail(key)(error.to_string()))?;
        let pem = std::fs::read(certificate).map_err(|error| fail(certificate)(error.to_string()))?;
        let chain = certificates(&pem).map_err(fail(certificate))?;
        Ok(Some(ClientCert::new_with_certs(&chain, key)))
    }
}

/// Talks to one server.
#[derive(Clone)]
pub(crate) struct Http {
    agent: Agent,
    base: String,
    authorization: Option<String>,
    rate_limit: Option<u64>,
}

impl Http {
    pub(crate) fn new(remote: &Remote) -> Result<Self, FetchError> {
        let is_https = remote.base.starts_with("https://");
        let mut config = Agent::config_builder()
            .http_status_as_error(false)
            .max_redirects(3)
            // A redirect does not lead from a protected connection to an open one.
            .https_only(is_https)
            .proxy(proxy::choose(remote.proxy.as_ref(), &remote.base)?)
            .user_agent(concat!("debfleet-updater/", env!("CARGO_PKG_VERSION")))
            .timeout_connect(Some(Duration::from_secs(20)))
            .timeout_recv_response(Some(Duration::from_secs(30)))
            .timeout_per_read(Some(Duration::from_secs(30)));
        if is_https {
            let roots = authorities(remote.ca.as_deref().unwrap_or(Path::new(SYSTEM_ROOTS)))?;
            let tls = TlsConfig::builder().root_certs(RootCerts::Specific(Arc::new(roots)));
            config = config.tls_config(tls.client_cert(remote.credentials.client_cert()?).build());
        }
        let authorization = remote.credentials.authorization()?;
        let (base, rate_limit) = (remote.base.clone(), remote.rate_limit);
        Ok(Self { agent: config.build().into(), base, authorization, rate_limit })
    }

    pub(super) fn base(&self) -> &str {
        &self.base
    }

    pub(super) fn url(&self, path: &str) -> String {
        format!("{}/{path}", self.base)
    }

    pub(super) fn fetch_if_new(&self, path: &str, limit: u64, known: &Validators) -> Result<Answer, FetchError> {
        let url = self.url(path);
        let conditions =
            [(header::IF_NONE_MATCH, known.etag.clone()), (header::IF_MODIFIED_SINCE, known.last_modified.clone())];
        let conditions: Vec<_> = conditions.into_iter().filter_map(|(name, value)| Some((name, value?))).collect();
        let response = self.get(&url, &conditions, LONGEST_UNSIGNED)?;
        if response.status() == StatusCode::NOT_MODIFIED && !conditions.is_empty() {
            return Ok(Answer::NotModified);
        }
        demand(&response, &url, StatusCode::OK)?;
        let validators = Validators {
            etag: validator(&response, &header::ETAG),
            last_modified: validator(&response, &header::LAST_MODIFIED),
        };
        Ok(Answer::New(read_bounded(response.into_body().into_reader(), &url, limit)?, validators))
    }

    pub(super) fn fetch(&self, path: &str, limit: u64) -> Result<Vec<u8>, FetchError> {
        let url = self.url(path);
        let response = self.get(&url, &[], Pace::new(None).longest(limit))?;
        demand(&response, &url, StatusCode::OK)?;
        read_bounded(response.into_body().into_reader(), &url, limit)
    }

    pub(super) fn download(&self, path: &str, target: &mut Target) -> Result<(), FetchError> {
        let url = self.url(path);
        let mut pace = Pace::new(self.rate_limit);
        let longest = pace.longest(target.size);
        let rest = [(header::RANGE, format!("bytes={}-", target.have))];
        let mut response = self.get(&url, if target.have > 0 { &rest } else { &[] }, longest)?;
        let continues = response.status() == StatusCode::PARTIAL_CONTENT && continues_at(&response, target.have);
        if !continues {
            let other_range = [StatusCode::PARTIAL_CONTENT, StatusCode::RANGE_NOT_SATISFIABLE];
            if target.have > 0 && other_range.contains(&response.status()) {
                response = self.get(&url, &[], longest)?;
            }
            // A server that does not know ranges sends everything again.
            demand(&response, &url, StatusCode::OK)?;
            target.restart()?;
        }
        let began = Instant::now();
        target.append(response.into_body().into_reader(), &url, pace.buffer(), |got| {
            match pace.after(got, began.elapsed()) {
                Next::GoOn => {}
                Next::Pause(pause) => std::thread::sleep(pause),
                Next::GiveUp => return Err(io::Error::other("the server sends too slowly; the next attempt goes on")),
            }
            Ok(())
        })
    }

    /// Sends JSON to a path of the server's, and gives whether it was accepted and the answer, in JSON too.
    pub(crate) fn post(&self, path: &str, body: &[u8]) -> Result<(bool, Vec<u8>), FetchError> {
        let url = format!("{}{path}", self.base);
        let request = self.agent.post(&url).config().timeout_recv_body(Some(LONGEST_UNSIGNED)).build();
        let response = request.content_type("application/json").send(body).map_err(|error| FetchError::Transport {
            url: url.clone(),
            reason: proxy::without_user_info(&error.to_string()),
        })?;
        let status = response.status();
        let is_json =
            response.headers().get(header::CONTENT_TYPE).is_some_and(|kind| kind.as_bytes().ends_with(b"json"));
        if !is_json {
            demand(&response, &url, StatusCode::OK)?;
        }
        Ok((status.is_success(), read_bounded(response.into_body().into_reader(), &url, LONGEST_ANSWER)?))
    }

    fn get(
        &self,
        url: &str,
        headers: &[(HeaderName, String)],
        longest: Duration,
    ) -> Result<Response<ureq::Body>, FetchError> {
        let mut request = self.agent.get(url).config().timeout_recv_body(Some(longest)).build();
        // A redirect does not take it along.
        if let Some(authorization) = &self.authorization {
            request = request.header(header::AUTHORIZATION, authorization);
        }
        for (name, value) in headers {
            request = request.header(name, value);
        }
        request.call().map_err(|error| FetchError::Transport {
            url: url.to_owned(),
            reason: proxy::without_user_info(&error.to_string()),
        })
    }
}

fn demand(response: &Response<ureq::Body>, url: &str, wanted: StatusCode) -> Result<(), FetchError> {
    let status = response.status();
    if status == wanted {
        return Ok(());
    }
    // The form with a date is not worth a clock: without a number the usual delay holds.
    let retry_after = response.headers().get(header::RETRY_AFTER).and_then(|value| value.to_str().ok()?.parse().ok());
    Err(FetchError::Status { url: url.to_owned(), status, retry_after: retry_after.map(Duration::from_secs) })
}

fn validator(response: &Response<ureq::Body>, name: &HeaderName) -> Option<String> {
    let value = response.headers().get(name)?.to_str().ok()?;
    (value.len() <= MAX_VALIDATOR).then(|| value.to_owned())
}

fn continues_at(response: &Response<ureq::Body>, have: u64) -> bool {
    let range = response.headers().get(header::CONTENT_RANGE).and_then(|value| value.to_str().ok());
    range.is_some_and(|range| range.starts_with(&format!("bytes {have}-")))
}

/// The certificates of a PEM file.
pub(crate) fn authorities(path: &Path) -> Result<Vec<Certificate<'static>>, FetchError> {
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
