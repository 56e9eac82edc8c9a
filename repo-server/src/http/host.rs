//! The Host header. It lands in a file that apt reads, so nothing but a host and a port passes.

use axum::http::{HeaderMap, Uri, header};
use std::net::Ipv6Addr;

/// The host that the client asked, with its port if it named one; from HTTP/2's `:authority` or from `Host`.
pub(super) fn requested_host<'a>(uri: &'a Uri, headers: &'a HeaderMap) -> Option<&'a str> {
    let text = match uri.authority() {
        Some(authority) => authority.as_str(),
        None => {
            let mut all = headers.get_all(header::HOST).iter();
            let host = all.next()?.to_str().ok()?;
            if all.next().is_some() {
                return None;
            }
            host
        }
    };
    is_host(text).then_some(text)
}

/// `name`, `name:port`, `192.0.2.1:port`, `[2001:db8::1]:port` (RFC 3986 §3.2.2, host names as in RFC 1123 §2.1).
fn is_host(text: &str) -> bool {
    let (host_is_good, port) = if let Some(rest) = text.strip_prefix('[') {
        let Some((address, after)) = rest.split_once(']') else { return false };
        let port = if after.is_empty() { None } else { Some(after.strip_prefix(':').unwrap_or("")) };
        (address.parse::<Ipv6Addr>().is_ok(), port)
    } else {
        let (host, port) = text.split_once(':').map_or((text, None), |(host, port)| (host, Some(port)));
        (is_host_name(host), port)
    };
    host_is_good && port.is_none_or(|port| port.bytes().all(|b| b.is_ascii_digit()) && port.parse::<u16>().is_ok())
}

fn is_host_name(name: &str) -> bool {
    let label_is_good = |label: &str| {
        (1..=63).contains(&label.len())
            && !label.starts_with('-')
            && !label.ends_with('-')
            && label.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-')
    };
    name.len() <= 253 && name.strip_suffix('.').unwrap_or(name).split('.').all(label_is_good)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hosts_with_and_without_port_pass() {
        for good in ["localhost", "127.0.0.1:8080", "updates.example.org:443", "[::1]", "[2001:db8::1]:8443", "a.b."] {
            assert!(is_host(good), "{good}");
        }
    }

    #[test]
    fn whatever_could_break_a_source_file_does_not() {
        let bad = [
            "",
            ":80",
            "a b",
            "a\tb",
            "a/b",
            "a\nTrusted: yes",
            "user@h",
            "h:",
            "h:x",
            "h:99999",
            "h:+1",
            "[::1",
            "[::1]80",
            "[::1]:",
            "[x]",
            "-a",
            "a..b",
            "a,b",
            "[fe80::1%25eth0]",
            "\u{e9}",
            "h:80:80",
            "a_b",
        ];
        for bad in bad {
            assert!(!is_host(bad), "{bad:?}");
        }
    }

    #[test]
    fn two_host_headers_are_none() {
        let mut headers = HeaderMap::new();
        let uri = Uri::from_static("/debian");
        assert_eq!(requested_host(&uri, &headers), None);
        headers.append(header::HOST, "a".parse().unwrap());
        assert_eq!(requested_host(&uri, &headers), Some("a"));
        assert_eq!(requested_host(&Uri::from_static("https://b:1/debian"), &headers), Some("b:1"));
        headers.append(header::HOST, "b".parse().unwrap());
        assert_eq!(requested_host(&uri, &headers), None);
    }
}
