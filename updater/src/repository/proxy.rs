//! Through which proxy a repository is reached. A proxy's URL may hold a password, which is shown to nobody else.

use super::transfer::FetchError;
use std::fmt;
use ureq::Proxy;
use ureq::http::Uri;

/// The URL of a proxy; printing it leaves out user and password.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct ProxyUrl(String);

impl ProxyUrl {
    /// Checks a URL such as `http://user:password@proxy.example.org:3128`.
    pub(crate) fn parse(text: &str) -> Result<Self, &'static str> {
        let url = Self(text.to_owned());
        let is_http = text.starts_with("http://") || text.starts_with("https://");
        if is_http && url.proxy().is_ok() {
            Ok(url)
        } else {
            Err("must be a URL such as \"http://proxy.example.org:3128\"")
        }
    }

    fn proxy(&self) -> Result<Proxy, FetchError> {
        Proxy::new(&self.0).map_err(|error| FetchError::Proxy {
            proxy: self.to_string(),
            reason: without_user_info(&error.to_string()),
        })
    }
}

impl fmt::Display for ProxyUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&without_user_info(&self.0))
    }
}

impl fmt::Debug for ProxyUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// The configured proxy, or the one that the environment names for this kind of URL, as curl does: http_proxy,
/// https_proxy, all_proxy, but for the hosts of no_proxy.
pub(super) fn choose(configured: Option<&ProxyUrl>, base: &str) -> Result<Option<Proxy>, FetchError> {
    if let Some(configured) = configured {
        return configured.proxy().map(Some);
    }
    let scheme = if base.starts_with("https://") { "https_proxy" } else { "http_proxy" };
    let variable = |name: &str| std::env::var(name).or_else(|_| std::env::var(name.to_uppercase())).ok();
    let Some(url) = [scheme, "all_proxy"].into_iter().filter_map(variable).find(|url| !url.is_empty()) else {
        return Ok(None);
    };
    // ureq reads no_proxy together with any proxy of the environment.
    let uri = base.parse::<Uri>().ok();
    let is_exempt = Proxy::try_from_env().zip(uri).is_some_and(|(proxy, uri)| proxy.is_no_proxy(&uri));
    if is_exempt { Ok(None) } else { ProxyUrl(url).proxy().map(Some) }
}

/// The text with what stands between `//` and `@` of a URL left out.
pub(crate) fn without_user_info(text: &str) -> String {
    let mut shown = String::new();
    let mut rest = text;
    while let Some((before, behind)) = rest.split_once("//") {
        shown.push_str(before);
        shown.push_str("//");
        let end = behind.find(['/', '"', '\'', ' ', '\n']).unwrap_or(behind.len());
        rest = match behind[..end].rfind('@') {
            Some(at) => {
                shown.push_str("***@");
                &behind[at + 1..]
            }
            None => behind,
        };
    }
    shown + rest
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_password_is_shown_to_nobody() {
        let url =
            ProxyUrl::parse("http://me:se@cret@proxy.example.org:3128").unwrap_or_else(|problem| panic!("{problem}"));
        for text in [format!("{url}"), format!("{url:?}"), without_user_info("proxy = \"http://me:se@cret@proxy\" x")] {
            assert!(!text.contains("me") && !text.contains("cret"), "{text}");
            assert!(text.contains("//***@proxy"), "{text}");
        }
        assert_eq!(without_user_info("see https://a.b/c@d and //e"), "see https://a.b/c@d and //e");
    }

    #[test]
    fn what_is_no_proxy_is_refused() {
        for bad in ["", "proxy:3128", "socks5://proxy", "http://", "ftp://proxy"] {
            ProxyUrl::parse(bad).unwrap_err();
        }
    }
}
