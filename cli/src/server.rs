//! Asking a server, over a connection that keeps the token to itself.

use crate::report::printable;
use anyhow::{Context, Result, anyhow, bail};
use clap::Args;
use fleet_protocol::publishing::{IDEMPOTENCY_KEY, IN_PROGRESS, PROBLEM_MEDIA_TYPE, Problem, REPOSITORY_PATH};
use fleet_protocol::shadow::{ERROR_KIND, Rejected};
use serde::Serialize;
use serde::de::DeserializeOwned;
use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;
use ureq::http::{Response, Uri};
use ureq::tls::{Certificate, PemItem, RootCerts, TlsConfig, parse_pem};
use ureq::{Agent, Body, RequestBuilder};

/// Where Debian's ca-certificates puts the roots that the system trusts.
const SYSTEM_ROOTS: &str = "/etc/ssl/certs/ca-certificates.crt";
const TOKEN_VARIABLE: &str = "DEBFLEET_TOKEN";
/// No answer of the server's API is longer: five hundred things with all the attributes that they may have.
const MAX_ANSWER_BYTES: u64 = 32 << 20;
/// How often a request is sent whose connection breaks, and the pause before the next time.
const ATTEMPTS: u32 = 5;
const PAUSE: Duration = Duration::from_secs(1);

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

    /// Whether there is no such thing.
    pub(crate) fn is_missing(&self) -> bool {
        self.status == 404
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

/// Which server a command asks.
#[derive(Args)]
pub(crate) struct ServerOptions {
    /// The server's address; plain http only on this machine
    #[arg(long, value_name = "URL", env = "DEBFLEET_SERVER")]
    server: String,
    /// The certificate authority that vouches for the server, in PEM; absent: the system's
    #[arg(long, value_name = "FILE", env = "DEBFLEET_CA")]
    ca: Option<PathBuf>,
}

impl ServerOptions {
    /// The server, to be asked with the token of the environment.
    pub(crate) fn connect(&self) -> Result<Server> {
        let ca = self.ca.as_deref().filter(|path| !path.as_os_str().is_empty());
        Server::new(&self.server, ca, Token::from_environment()?)
    }
}

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

    /// Asks for what is at a path of the API.
    pub(crate) fn get<T: DeserializeOwned>(&self, path: &str) -> Result<T> {
        self.answer(self.prepare(self.agent.get(self.url(path))).call())
    }

    /// Asks to make something.
    pub(crate) fn post<T: DeserializeOwned>(&self, path: &str, body: &impl Serialize) -> Result<T> {
        self.answer(self.prepare(self.agent.post(self.url(path))).send_json(body))
    }

    /// Asks to make something that must not be made twice: with a key, so that it is asked again where the connection
    /// breaks before the answer, and carried out once.
    pub(crate) fn post_once<T: DeserializeOwned>(&self, path: &str, body: &impl Serialize) -> Result<T> {
        let key = format!("\"{:016x}\"", getrandom::u64().context("no random numbers for the request's key")?);
        let mut attempts = 1;
        loop {
            let request = self.prepare(self.agent.post(self.url(path))).header(IDEMPOTENCY_KEY, &key);
            match self.answer(request.send_json(body)) {
                Err(error) if attempts < ATTEMPTS && may_come_again(&error, attempts) => {
                    eprintln!("asking again: {error}");
                    std::thread::sleep(PAUSE);
                    attempts += 1;
                }
                answer => return answer,
            }
        }
    }

    /// Asks to set something.
    pub(crate) fn put<T: DeserializeOwned>(&self, path: &str, body: &impl Serialize) -> Result<T> {
        self.answer(self.prepare(self.agent.put(self.url(path))).send_json(body))
    }

    /// Asks to change something.
    pub(crate) fn patch<T: DeserializeOwned>(&self, path: &str, body: &impl Serialize) -> Result<T> {
        self.answer(self.prepare(self.agent.patch(self.url(path))).send_json(body))
    }

    /// Goes through a list page by page: `page` is given what the page before named as the next, first nothing.
    pub(crate) fn pages(&self, mut page: impl FnMut(&str) -> Result<Option<String>>) -> Result<()> {
        let mut after = String::new();
        while let Some(next) = page(&after)? {
            if next == after {
                bail!("{} gave a page that leads nowhere; check that it is a debfleet-server", self.address);
            }
            after = next;
        }
        Ok(())
    }

    /// Asks to end something.
    pub(crate) fn delete<T: DeserializeOwned>(&self, path: &str) -> Result<T> {
        self.answer(self.prepare(self.agent.delete(self.url(path))).call())
    }

    pub(crate) fn url(&self, path: &str) -> String {
        format!("{}{path}", self.address)
    }

    pub(crate) fn agent(&self) -> &Agent {
        &self.agent
    }

    /// A request that says who asks.
    pub(crate) fn prepare<B>(&self, request: RequestBuilder<B>) -> RequestBuilder<B> {
        request.header("authorization", format!("Bearer {}", self.token.0))
    }

    /// What the server says; its refusal is an error with its own words.
    pub(crate) fn answer<T: DeserializeOwned>(&self, answer: Result<Response<Body>, ureq::Error>) -> Result<T> {
        let mut answer = answer.map_err(explain)?;
        let status = answer.status();
        let media_type = answer.headers().get("content-type").and_then(|value| value.to_str().ok());
        let is_aws = answer.headers().contains_key(ERROR_KIND);
        let is_problem = media_type.is_some_and(|value| value.starts_with(PROBLEM_MEDIA_TYPE));
        let text = answer
            .body_mut()
            .with_config()
            .limit(MAX_ANSWER_BYTES)
            .read_to_string()
            .map_err(explain)
            .context("could not read the server's answer")?;
        if status.is_success() {
            return serde_json::from_str(&text)
                .context("its answer is not the one of a debfleet-server; check the URL");
        }
        let problem = serde_json::from_str::<Problem>(&text).ok().filter(|_| is_problem);
        let rejected = serde_json::from_str::<Rejected>(&text).ok().filter(|_| is_aws);
        let words = match problem {
            None if rejected.is_some() => {
                let message = rejected.map(|rejected| rejected.message).unwrap_or_default();
                format!("{} ({})", printable(&message), status.as_u16())
            }
            Some(Problem { title, detail, .. }) => {
                format!("{} ({}): {}", printable(&title), status.as_u16(), printable(&detail))
            }
            None if status.is_redirection() => {
                format!("the server answered {status}, which leads elsewhere; give the final address as --server")
            }
            None => format!("the server answered {status}; check that the URL is that of a debfleet-server"),
        };
        Err(Refusal { status: status.as_u16(), words }.into())
    }
}

/// Whether a request that was sent for the so-manieth time may be, or may have been, carried out all the same.
fn may_come_again(error: &anyhow::Error, attempts: u32) -> bool {
    use std::io::ErrorKind as K;
    match (error.downcast_ref::<ureq::Error>(), error.downcast_ref::<Refusal>()) {
        (Some(ureq::Error::Io(io)), _) => match io.kind() {
            K::UnexpectedEof | K::ConnectionReset | K::ConnectionAborted | K::BrokenPipe => true,
            // The server that was just there is being started again.
            K::ConnectionRefused => attempts > 1,
            _ => false,
        },
        (_, Some(refusal)) => refusal.words.starts_with(IN_PROGRESS),
        _ => false,
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

/// The roots that the system trusts.
pub(crate) fn system_roots() -> Result<Vec<Certificate<'static>>> {
    read_roots(None)
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
