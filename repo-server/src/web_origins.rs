//! Which web pages may open a WebSocket here. A browser says with each whose page it is (RFC 6454, RFC 6455 §4.1), and lets
//! any page open one to any server.

/// Origins of pages that are not this server's own.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct WebOrigins(Vec<WebOrigin>);

/// Where a page comes from: `https://app.example.org:8443`.
#[derive(Debug, Clone, PartialEq, Eq)]
struct WebOrigin {
    scheme: &'static str,
    /// In lower case; with the port unless that is the scheme's own.
    host: String,
}

/// Not an origin.
#[derive(Debug, thiserror::Error)]
#[error("web-origin: {0:?} is not the origin of web pages; write for example https://app.example.org, without a path")]
pub struct WrongOrigin(String);

impl WebOrigins {
    /// From origins as people write them.
    pub fn parse(texts: &[String]) -> Result<Self, WrongOrigin> {
        let origin = |text: &String| WebOrigin::parse(text).ok_or_else(|| WrongOrigin(text.clone()));
        texts.iter().map(origin).collect::<Result<_, _>>().map(Self)
    }

    /// Whether a page of this origin may speak with the server, which it reaches by this scheme and host.
    pub(crate) fn allow(&self, origin: &str, scheme: &str, host: &str) -> bool {
        let Some(origin) = WebOrigin::parse(origin) else { return false };
        self.0.contains(&origin) || WebOrigin::of(scheme, host) == Some(origin)
    }
}

impl WebOrigin {
    fn parse(text: &str) -> Option<Self> {
        let (scheme, host) = text.split_once("://")?;
        Self::of(scheme, host)
    }

    fn of(scheme: &str, host: &str) -> Option<Self> {
        let scheme = ["http", "https"].into_iter().find(|known| known.eq_ignore_ascii_case(scheme))?;
        let port = if scheme == "http" { ":80" } else { ":443" };
        let is_part_of_host = |c: char| c.is_ascii_alphanumeric() || "-.:[]".contains(c);
        let host = host.to_ascii_lowercase();
        let host = host.strip_suffix(port).unwrap_or(&host);
        (!host.is_empty() && host.chars().all(is_part_of_host)).then(|| Self { scheme, host: host.to_owned() })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_pages_of_this_server_and_of_origins_that_were_named_may() {
        let named = WebOrigins::parse(&["https://App.example.org".to_owned(), "http://[::1]:3000".to_owned()]).unwrap();
        let may = |origin: &str| named.allow(origin, "https", "Fleet.example.org:8443");
        for good in [
            "https://fleet.example.org:8443",
            "https://app.example.org",
            "https://app.example.org:443",
            "http://[::1]:3000",
        ] {
            assert!(may(good), "{good}");
        }
        for bad in [
            "https://fleet.example.org",
            "http://fleet.example.org:8443",
            "https://app.example.org.evil.net",
            "https://evil.net",
            "http://app.example.org",
            "https://app.example.org/",
            "null",
            "",
            "https://",
            "file://",
        ] {
            assert!(!may(bad), "{bad}");
        }
        assert!(named.allow("https://h", "https", "h:443") && named.allow("http://h:80", "http", "h"));
        for bad in ["app.example.org", "https://a/b", "wss://a", "*", "https://a@b"] {
            assert!(WebOrigins::parse(&[bad.to_owned()]).is_err(), "{bad}");
        }
    }
}
