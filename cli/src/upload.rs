//! Sending packages to the server, over a connection that keeps the token to itself.

use crate::report::printable;
use anyhow::{Context, Result, anyhow, bail};
use debian_formats::names::SuiteName;
use fleet_protocol::publishing::{
    DEB_MEDIA_TYPE, PROBLEM_MEDIA_TYPE, Problem, Published, REPOSITORY_PATH, upload_path,
};
use indicatif::{ProgressBar, ProgressStyle};
use std::fs::File;
use std::io::{IsTerminal, Read};
use std::net::IpAddr;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;
use ureq::http::Uri;
use ureq::tls::{Certificate, PemItem, RootCerts, TlsConfig, parse_pem};
use ureq::{Agent, SendBody};

/// Where Debian's ca-certificates puts the roots that the system trusts.
const SYSTEM_ROOTS: &str = "/etc/ssl/certs/ca-certificates.crt";
const TOKEN_VARIABLE: &str = "DEBFLEET_TOKEN";
/// No answer of the server's API is longer.
const MAX_ANSWER_BYTES: u64 = 64 << 10;
/// Slower than this is a broken line, in bytes per second.
const SLOWEST: u64 = 10_000;

/// What proves to the server who publishes. It has no Debug and no Display, so that nothing prints it.
pub(crate) struct Token(String);

impl Token {
    pub(crate) fn from_environment() -> Result<Self> {
        let token = std::env::var(TOKEN_VARIABLE).unwrap_or_default();
        let token = token.trim();
        if token.is_empty() {
            bail!("{TOKEN_VARIABLE} is not set; set it to a token of the server (`debfleet-server init` prints one)");
        }
        if !token.bytes().all(|byte| byte.is_ascii_graphic()) {
            bail!("{TOKEN_VARIABLE} holds blanks or other characters that no token has; set it anew");
        }
        Ok(Self(token.to_owned()))
    }
}

/// The server's no, in its own words.
#[derive(Debug)]
pub(crate) struct Refusal {
    status: u16,
    words: String,
}

impl Refusal {
    /// Whether the version is published with other content.
    pub(crate) fn is_conflict(&self) -> bool {
        self.status == 409
    }

    /// Whether the same request would be refused again.
    pub(crate) fn is_final(&self) -> bool {
        (400..500).contains(&self.status)
    }
}

impl std::fmt::Display for Refusal {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.words)
    }
}

impl std::error::Error for Refusal {}

/// A server that may be given the token.
pub(crate) struct Server {
    agent: Agent,
    address: String,
    token: Token,
}

impl Server {
    pub(crate) fn new(address: &str, ca: Option<&Path>, token: Token) -> Result<Self> {
        let scheme = check_address(address)?;
        let mut config = Agent::config_builder()
            .user_agent(concat!("debfleet/", env!("CARGO_PKG_VERSION")))
            .http_status_as_error(false)
            // A redirect could lead the token elsewhere.
            .max_redirects(0)
            .max_redirects_will_error(false)
            .timeout_resolve(Some(Duration::from_secs(20)))
            .timeout_connect(Some(Duration::from_secs(20)))
            .timeout_send_request(Some(Duration::from_secs(30)))
            .timeout_await_100(Some(Duration::from_secs(2)))
            .timeout_recv_response(Some(Duration::from_secs(300)))
            .timeout_recv_body(Some(Duration::from_secs(60)));
        match scheme {
            Scheme::Https => {
                let roots = RootCerts::Specific(Arc::new(read_roots(ca)?));
                config = config.https_only(true).tls_config(TlsConfig::builder().root_certs(roots).build());
            }
            // A proxy would be given the token in clear.
            Scheme::HttpOnLoopback => config = config.proxy(None),
        }
        let agent = Agent::new_with_config(config.build());
        Ok(Self { agent, address: address.trim_end_matches('/').to_owned(), token })
    }

    /// Without a slash at its end.
    pub(crate) fn address(&self) -> &str {
        &self.address
    }

    /// Where a file of the repository is, by its path from the repository's root.
    pub(crate) fn repository_link(&self, path: &str) -> String {
        format!("{}{REPOSITORY_PATH}/{path}", self.address)
    }

    /// Sends one package; the server's refusal is an error with its own words.
    pub(crate) fn upload(&self, path: &Path, suite: &SuiteName) -> Result<Published> {
        let open = || format!("could not read {}", path.display());
        let file = File::open(path).with_context(open)?;
        let size = file.metadata().with_context(open)?.len();
        let progress = progress(path, size);
        let mut body = progress.wrap_read(file.take(size));
        let url = format!("{}{}", self.address, upload_path(suite.as_str()));
        let answer = self
            .agent
            .post(&url)
            .config()
            .timeout_send_body(Some(Duration::from_secs(60 + size / SLOWEST)))
            .build()
            .header("authorization", format!("Bearer {}", self.token.0))
            .header("content-type", DEB_MEDIA_TYPE)
            .header("content-length", size.to_string())
            // A refusal that needs no look at the package comes before it is sent.
            .header("expect", "100-continue")
            .send(SendBody::from_reader(&mut body));
        progress.finish_and_clear();
        let failed = || format!("could not publish {} at {}", path.display(), self.address);
        let mut answer = answer.map_err(explain).with_context(failed)?;
        let status = answer.status();
        let media_type = answer.headers().get("content-type").and_then(|value| value.to_str().ok());
        let is_problem = media_type.is_some_and(|value| value.starts_with(PROBLEM_MEDIA_TYPE));
        let text = answer
            .body_mut()
            .with_config()
            .limit(MAX_ANSWER_BYTES)
            .read_to_string()
            .map_err(explain)
            .context("could not read the server's answer")
            .with_context(failed)?;
        if status.is_success() {
            return serde_json::from_str(&text)
                .context("its answer is not the one of a debfleet-server; check the URL")
                .with_context(failed);
        }
        let problem = serde_json::from_str::<Problem>(&text).ok().filter(|_| is_problem);
        let words = match problem {
            Some(Problem { title, detail, .. }) => {
                format!("{} ({}): {}", printable(&title), status.as_u16(), printable(&detail))
            }
            None if status.is_redirection() => {
                format!("the server answered {status}, which leads elsewhere; give the final address as --server")
            }
            None => format!("the server answered {status}; check that the URL is that of a debfleet-server"),
        };
        Err(Refusal { status: status.as_u16(), words }).with_context(failed)
    }
}

#[derive(Debug, PartialEq, Eq)]
enum Scheme {
    Https,
    HttpOnLoopback,
}

/// In clear the token may travel only within this machine.
fn check_address(address: &str) -> Result<Scheme> {
    let example = "give one such as https://fleet.example.org:8443";
    let uri: Uri = address.parse().with_context(|| format!("--server {address:?} is not a URL; {example}"))?;
    let host = uri.host().unwrap_or_default().trim_start_matches('[').trim_end_matches(']');
    if host.is_empty() || uri.query().is_some() || uri.authority().is_some_and(|it| it.as_str().contains('@')) {
        bail!("--server {address:?} is not the plain address of a server; {example}");
    }
    let is_loopback = host == "localhost" || host.parse::<IpAddr>().is_ok_and(|ip| ip.is_loopback());
    match uri.scheme_str() {
        Some("https") => Ok(Scheme::Https),
        Some("http") if is_loopback => Ok(Scheme::HttpOnLoopback),
        Some("http") => bail!("--server {address} would carry the token in clear; use https (http only on loopback)"),
        _ => bail!("--server {address:?} is neither https nor http; {example}"),
    }
}

fn read_roots(ca: Option<&Path>) -> Result<Vec<Certificate<'static>>> {
    let path = ca.unwrap_or(Path::new(SYSTEM_ROOTS));
    let hint = if ca.is_some() { "--ca names no readable file" } else { "install ca-certificates, or give --ca" };
    let pem = std::fs::read(path).with_context(|| format!("could not read {}; {hint}", path.display()))?;
    let items: Result<Vec<_>, _> = parse_pem(&pem).collect();
    let items = items.map_err(explain).with_context(|| format!("{} is not PEM", path.display()))?;
    let certificates: Vec<_> = items
        .into_iter()
        .filter_map(|item| if let PemItem::Certificate(certificate) = item { Some(certificate) } else { None })
        .collect();
    if certificates.is_empty() {
        bail!("{} holds no certificate (PEM, `BEGIN CERTIFICATE`)", path.display());
    }
    Ok(certificates)
}

/// The library's error, and for the usual ones what to do.
fn explain(error: ureq::Error) -> anyhow::Error {
    let hint = match &error {
        ureq::Error::HostNotFound => "the server's name is not known; check the URL",
        ureq::Error::ConnectionFailed => "nothing answers there; check the URL and that the server runs",
        ureq::Error::Io(io) if io.kind() == std::io::ErrorKind::ConnectionRefused => {
            "nothing answers there; check the URL and that the server runs"
        }
        ureq::Error::Timeout(_) => "the server took too long; try again",
        ureq::Error::Io(io) if io.to_string().contains("lookup") => "the server's name is not known; check the URL",
        ureq::Error::Io(io) if io.kind() == std::io::ErrorKind::UnexpectedEof => {
            "the server hung up; check the URL, and that https is used where it is spoken"
        }
        error if error.to_string().contains("certificate") || error.to_string().contains("UnknownIssuer") => {
            "the server's certificate is not trusted; give the fleet's CA with --ca"
        }
        _ => return anyhow!(error),
    };
    anyhow!(error).context(hint)
}

fn progress(path: &Path, size: u64) -> ProgressBar {
    let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
    if !std::io::stderr().is_terminal() {
        eprintln!("uploading {name}, {}", crate::report::size(size));
        return ProgressBar::hidden();
    }
    let style = ProgressStyle::with_template("uploading {msg} [{bar:30}] {bytes}/{total_bytes}, {eta} left");
    let bar = ProgressBar::new(size).with_message(name);
    bar.with_style(style.unwrap_or_else(|_| ProgressStyle::default_bar()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_token_never_travels_in_clear() {
        for good in ["http://127.0.0.1:80", "http://localhost:8080/", "http://[::1]:80", "http://127.9.9.9"] {
            assert_eq!(check_address(good).unwrap(), Scheme::HttpOnLoopback, "{good}");
        }
        assert_eq!(check_address("https://fleet.example.org").unwrap(), Scheme::Https);
        for bad in [
            "http://fleet.example.org",
            "http://127.0.0.1.example.org",
            "http://127.0.0.1@example.org",
            "http://localhost.example.org",
            "http://10.0.0.1",
            "http://0.0.0.0",
            "ftp://localhost",
            "localhost:80",
            "",
            "/path",
        ] {
            assert!(check_address(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn a_servers_words_cannot_steer_the_terminal() {
        assert_eq!(printable("a\u{1b}[2Jb\n"), "a [2Jb ");
    }
}
