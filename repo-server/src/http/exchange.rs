//! What every request goes through: who the client is, the request's id, the line in the log, and the counting.

use super::peer::Peer;
use super::state::Scheme;
use crate::broker;
use crate::certificates::ClientCertificate;
use crate::metrics::Metrics;
use crate::proxies::TrustedProxies;
use axum::Router;
use axum::body::Body;
use axum::http::{HeaderMap, HeaderName, HeaderValue, Method, Request, Response};
use bytes::Bytes;
use hyper::body::{Body as HttpBody, Frame, Incoming, SizeHint};
use std::convert::Infallible;
use std::fmt::Write as _;
use std::net::IpAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::{Context, Poll, ready};
use std::time::Instant;
use tower::ServiceExt as _;
use tracing::{Instrument as _, Level};

const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");
const FORWARDED_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");
const FORWARDED_PROTO: HeaderName = HeaderName::from_static("x-forwarded-proto");
/// The longest id that is taken over from a client.
const MAX_ID: usize = 64;
/// What the log calls these lines, so that they can be asked for alone.
const ACCESS: &str = "access";

/// Who asks, and how. In the extensions of every request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Client {
    /// Where the request comes from; behind a trusted proxy, where that had it from.
    pub(crate) address: IpAddr,
    /// What the client speaks.
    pub(crate) scheme: Scheme,
    /// The client certificate of the fleet CA that it showed.
    pub(crate) certificate: Option<Arc<ClientCertificate>>,
}

/// One listener's routes, and what goes around them.
pub(crate) struct Front {
    router: Router,
    scheme: Scheme,
    metrics: Arc<Metrics>,
    proxies: Arc<TrustedProxies>,
    /// Who takes over a connection whose client asked for MQTT.
    pub(super) mqtt: Option<Arc<broker::Front>>,
    ids: RequestIds,
}

impl Front {
    pub(crate) fn new(
        router: Router,
        scheme: Scheme,
        metrics: Arc<Metrics>,
        proxies: Arc<TrustedProxies>,
        mqtt: Option<Arc<broker::Front>>,
    ) -> Self {
        Self { router, scheme, metrics, proxies, mqtt, ids: RequestIds::new() }
    }

    pub(super) fn is_proxy(&self, address: IpAddr) -> bool {
        self.proxies.trusts(address)
    }

    /// The response to a request that came over a connection from `peer`.
    pub(super) async fn answer(
        self: Arc<Self>,
        peer: Peer,
        mut request: Request<Incoming>,
    ) -> Result<Response<Watched>, Infallible> {
        let route = route_of(request.uri().path());
        let client = client(&self.proxies, peer, self.scheme, request.headers());
        let id = given_id(request.headers()).unwrap_or_else(|| self.ids.next());
        let line = is_logged(request.method()).then(|| {
            let (method, path) = (request.method().clone(), request.uri().path().to_owned());
            Box::new(Line { method, path, remote: client.address, id: id.clone(), began: Instant::now() })
        });
        request.extensions_mut().insert(client);
        let work = self.router.clone().oneshot(request.map(Body::new));
        let answered = if route == INDEX {
            // Read from memory; there is nothing to log that would need the id.
            work.await
        } else {
            let id = id.to_str().unwrap_or_default();
            work.instrument(tracing::error_span!("request", id)).await
        };
        let mut response = answered.unwrap_or_else(|never| match never {});
        response.headers_mut().insert(REQUEST_ID, id);
        let status = response.status().as_u16();
        self.metrics.answered(route, status);
        let end = End { metrics: self.metrics.clone(), route, status, sent: 0, line };
        Ok(response.map(|body| Watched { body, end }))
    }
}

const INDEX: &str = "index";

/// What a request is for, as one of few words.
fn route_of(path: &str) -> &'static str {
    let below = |prefix| path.starts_with(prefix);
    if below("/debian/dists/") {
        INDEX
    } else if below("/debian/pool/") {
        "pool"
    } else if below("/debian/") {
        "repository"
    } else if below("/api/") || below("/upload/") || below("/things/") {
        "api"
    } else if matches!(path, "/healthz" | "/readyz" | "/metrics") {
        "operations"
    } else {
        "other"
    }
}

/// Behind a trusted proxy, whom that names. What the proxy shows of itself says nothing about those behind it.
fn client(proxies: &TrustedProxies, peer: Peer, scheme: Scheme, headers: &HeaderMap) -> Client {
    let Peer { address: peer, certificate } = peer;
    if !proxies.trusts(peer) {
        return Client { address: peer.to_canonical(), scheme, certificate };
    }
    let passed = headers.get_all(FORWARDED_FOR).iter().filter_map(|value| value.to_str().ok());
    // An iterator over headers goes both ways, and so does one over the parts of a text.
    let address = proxies.client(peer, passed.flat_map(|value| value.split(',')));
    let scheme = match headers.get(FORWARDED_PROTO).map(HeaderValue::as_bytes) {
        Some(b"http") => Scheme::Http,
        Some(b"https") => Scheme::Https,
        _ => scheme,
    };
    Client { address, scheme, certificate: None }
}

/// The id that the client gave, if it can be put into a log and a header as it is.
fn given_id(headers: &HeaderMap) -> Option<HeaderValue> {
    let given = headers.get(REQUEST_ID)?;
    let is_plain = |byte: &u8| byte.is_ascii_alphanumeric() || b"._-".contains(byte);
    let bytes = given.as_bytes();
    ((1..=MAX_ID).contains(&bytes.len()) && bytes.iter().all(is_plain)).then(|| given.clone())
}

/// Ids that no other process gives.
struct RequestIds {
    prefix: String,
    next: AtomicU64,
}

impl RequestIds {
    fn new() -> Self {
        // Without randomness they are at least different from those of the process beside it.
        let prefix = getrandom::u64().unwrap_or_else(|_| std::process::id().into());
        Self { prefix: format!("{prefix:016x}-"), next: AtomicU64::new(1) }
    }

    fn next(&self) -> HeaderValue {
        let mut text = String::with_capacity(self.prefix.len() + 16);
        text.push_str(&self.prefix);
        // Writing into a text does not fail.
        let _ = write!(text, "{:x}", self.next.fetch_add(1, Ordering::Relaxed));
        HeaderValue::try_from(text).unwrap_or_else(|_| HeaderValue::from_static("-"))
    }
}

/// Requests that change something stand in the usual log, those that read only when asked for.
fn is_logged(method: &Method) -> bool {
    if method.is_safe() {
        tracing::enabled!(target: ACCESS, Level::DEBUG)
    } else {
        tracing::enabled!(target: ACCESS, Level::INFO)
    }
}

/// What the log tells of a request.
struct Line {
    method: Method,
    path: String,
    remote: IpAddr,
    id: HeaderValue,
    began: Instant,
}

/// What is counted of a response, and logged once it has gone, or its connection.
struct End {
    metrics: Arc<Metrics>,
    route: &'static str,
    status: u16,
    sent: u64,
    line: Option<Box<Line>>,
}

impl Drop for End {
    fn drop(&mut self) {
        let Some(line) = &self.line else { return };
        let (status, bytes) = (self.status, self.sent);
        let Line { method, path, remote, id, began } = &**line;
        let id = id.to_str().unwrap_or_default();
        let milliseconds = u64::try_from(began.elapsed().as_millis()).unwrap_or(u64::MAX);
        if method.is_safe() {
            tracing::debug!(target: ACCESS, %method, path, status, bytes, milliseconds, %remote, id, "answered");
        } else {
            tracing::info!(target: ACCESS, %method, path, status, bytes, milliseconds, %remote, id, "answered");
        }
    }
}

/// A response's body on its way out.
pub(super) struct Watched {
    body: Body,
    end: End,
}

impl HttpBody for Watched {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        let frame = ready!(Pin::new(&mut self.body).poll_frame(cx));
        if let Some(Ok(frame)) = &frame {
            let bytes = frame.data_ref().map_or(0, |data| data.len() as u64);
            self.end.sent += bytes;
            self.end.metrics.sent(self.end.route, bytes);
        }
        Poll::Ready(frame)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_well_formed_ids_are_taken_over() {
        let given = |value: &[u8]| {
            let mut headers = HeaderMap::new();
            headers.insert(REQUEST_ID, HeaderValue::from_bytes(value).unwrap());
            given_id(&headers).is_some()
        };
        assert!(given(b"0af7651916cd43dd-8448_eb.1"));
        for bad in [&b""[..], b"a b", b"a\"b", b"a\xffb", &[b'a'; 65]] {
            assert!(!given(bad), "{bad:?}");
        }
        let ids = RequestIds::new();
        assert_ne!(ids.next(), ids.next());
        let mut headers = HeaderMap::new();
        headers.insert(REQUEST_ID, ids.next());
        assert!(given_id(&headers).is_some());
    }

    #[test]
    fn forwarded_headers_count_only_from_trusted_proxies() {
        let mut headers = HeaderMap::new();
        headers.append(FORWARDED_FOR, "1.2.3.4, 198.51.100.7".parse().unwrap());
        headers.insert(FORWARDED_PROTO, "https".parse().unwrap());
        let key = rcgen::KeyPair::generate().unwrap();
        let shown = rcgen::CertificateParams::default().self_signed(&key).unwrap();
        let certificate = ClientCertificate::of_der(shown.der()).map(Arc::new);
        assert!(certificate.is_some());
        let peer = Peer { address: [127, 0, 0, 1].into(), certificate: certificate.clone() };
        let told = |proxies: &[&str]| {
            let proxies: Vec<String> = proxies.iter().map(|&text| text.to_owned()).collect();
            client(&TrustedProxies::parse(&proxies).unwrap(), peer.clone(), Scheme::Http, &headers)
        };
        assert_eq!(told(&[]), Client { address: peer.address, scheme: Scheme::Http, certificate });
        let behind = Client { address: [198, 51, 100, 7].into(), scheme: Scheme::Https, certificate: None };
        assert_eq!(told(&["127.0.0.1"]), behind);
    }

    #[test]
    fn every_path_belongs_to_one_of_few_routes() {
        for (path, route) in [
            ("/debian/dists/stable/InRelease", "index"),
            ("/debian/pool/main/h/hi/hi_1_all.deb", "pool"),
            ("/debian/stable.sources", "repository"),
            ("/api/v1/suites/stable/packages", "api"),
            ("/upload/stable/hi_1_all.deb", "api"),
            ("/things/lamp-1/shadow", "api"),
            ("/metrics", "operations"),
            ("/wp-login.php", "other"),
        ] {
            assert_eq!(route_of(path), route, "{path}");
        }
    }
}
