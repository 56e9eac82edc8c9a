//! Who is believed what it says about the clients behind it.

use ipnet::IpNet;
use std::net::IpAddr;

/// Addresses of proxies whose `X-Forwarded-*` headers count. Those of anybody else are ignored.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct TrustedProxies(Vec<IpNet>);

/// Not an address.
#[derive(Debug, thiserror::Error)]
#[error("trusted-proxies: {0:?} is not an address such as 127.0.0.1 nor a network such as 10.1.0.0/16")]
pub struct WrongProxy(String);

impl TrustedProxies {
    /// From addresses and networks as people write them.
    pub fn parse(texts: &[String]) -> Result<Self, WrongProxy> {
        let network = |text: &String| {
            let parsed = text.parse::<IpNet>().ok().or_else(|| Some(text.parse::<IpAddr>().ok()?.into()));
            parsed.ok_or_else(|| WrongProxy(text.clone()))
        };
        texts.iter().map(network).collect::<Result<_, _>>().map(Self)
    }

    pub(crate) fn trusts(&self, address: IpAddr) -> bool {
        // A socket for both families shows IPv4 addresses mapped.
        let address = address.to_canonical();
        self.0.iter().any(|network| network.contains(&address))
    }

    /// The client of a connection from `peer`, given the addresses that its request was passed on from, the nearest
    /// last. What stands before the first address that is not ours to trust, that one may have made up.
    pub(crate) fn client<'a>(&self, peer: IpAddr, passed: impl DoubleEndedIterator<Item = &'a str>) -> IpAddr {
        let mut client = peer.to_canonical();
        for text in passed.rev() {
            match (self.trusts(client), text.trim().parse::<IpAddr>()) {
                (true, Ok(address)) => client = address.to_canonical(),
                _ => break,
            }
        }
        client
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn client(peer: &str, passed: &[&str]) -> String {
        let trusted = ["127.0.0.1", "10.0.0.0/8", "::1"].map(str::to_owned);
        let proxies = TrustedProxies::parse(&trusted).unwrap();
        proxies.client(peer.parse().unwrap(), passed.iter().copied()).to_string()
    }

    #[test]
    fn only_proxies_that_are_trusted_are_believed() {
        assert_eq!(client("192.0.2.1", &["198.51.100.7"]), "192.0.2.1");
        assert_eq!(client("127.0.0.1", &[]), "127.0.0.1");
        assert_eq!(client("127.0.0.1", &["198.51.100.7"]), "198.51.100.7");
        assert_eq!(client("::ffff:127.0.0.1", &["198.51.100.7"]), "198.51.100.7");
        assert_eq!(client("::1", &["2001:db8::5"]), "2001:db8::5");
    }

    #[test]
    fn what_a_client_made_up_does_not_count() {
        assert_eq!(client("127.0.0.1", &["1.2.3.4", "198.51.100.7"]), "198.51.100.7");
        assert_eq!(client("127.0.0.1", &["1.2.3.4", "198.51.100.7", " 10.3.2.1"]), "198.51.100.7");
        assert_eq!(client("127.0.0.1", &["1.2.3.4", "unknown", "10.3.2.1"]), "10.3.2.1");
    }

    #[test]
    fn what_is_no_address_is_named() {
        for bad in ["", "proxy.example.org", "10.0.0.0/33", "10.0.0.1:80"] {
            assert!(TrustedProxies::parse(&[bad.to_owned()]).is_err(), "{bad:?}");
        }
    }
}
