//! Addresses and origins: what an operator lists, and how a client's address is counted.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};

/// Proxies that a request is followed through.
const HOPS_MAX: usize = 32;

/// What a per-address limit is keyed by: an IPv4 address, or the /64 of an IPv6 address (one
/// subscriber usually has a whole /64). An IPv4-mapped IPv6 address counts as IPv4.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum AddressKey {
    /// One IPv4 address.
    V4(Ipv4Addr),
    /// The upper 64 bits of an IPv6 address.
    V6Net(u64),
}

/// `ALLOWED_ORIGINS`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum AllowedOrigins {
    /// `*`: every origin, without credentials.
    #[default]
    Any,
    /// Only these, with credentials; each `scheme://host[:port]` in lower case.
    List(Vec<String>),
}

/// `TRUSTED_PROXIES`: networks whose `X-Forwarded-*` headers count.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TrustedProxies(Vec<Network>);

/// An address and how many of its first bits count.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Network {
    address: IpAddr,
    prefix: u8,
}

impl AddressKey {
    /// The key of `address`.
    pub fn of(address: IpAddr) -> Self {
        match address.to_canonical() {
            IpAddr::V4(v4) => Self::V4(v4),
            // The upper half of 128 bits fits 64.
            IpAddr::V6(v6) => Self::V6Net((v6.to_bits() >> 64) as u64),
        }
    }
}

impl AllowedOrigins {
    /// Reads `*` or a comma list; `None` if an item is no origin.
    pub fn parse(text: &str) -> Option<Self> {
        if text.trim() == "*" {
            return Some(Self::Any);
        }
        let items = text.split(',').map(|item| item.trim().trim_end_matches('/'));
        let origins: Option<Vec<String>> = items
            .filter(|item| !item.is_empty())
            .map(|item| is_origin(item).then(|| item.to_ascii_lowercase()))
            .collect();
        origins.filter(|origins| !origins.is_empty()).map(Self::List)
    }

    /// Whether pages of `origin` (as in the request's `Origin`) may use the server.
    pub fn allows(&self, origin: &str) -> bool {
        match self {
            Self::Any => true,
            Self::List(origins) => {
                origins.iter().any(|listed| listed.eq_ignore_ascii_case(origin.trim()))
            }
        }
    }
}

/// `null` (a page from a file), or scheme, host and perhaps port, without a path.
fn is_origin(text: &str) -> bool {
    let Some((scheme, host)) = text.split_once("://") else { return text == "null" };
    !scheme.is_empty()
        && scheme.bytes().all(|b| b.is_ascii_alphanumeric() || b"+-.".contains(&b))
        && !host.is_empty()
        && host.bytes().all(|b| b.is_ascii_alphanumeric() || b"-._:[]".contains(&b))
}

impl TrustedProxies {
    /// Reads a comma list of addresses and networks (`10.0.0.0/8`); `None` if an item is neither.
    pub fn parse(text: &str) -> Option<Self> {
        let items = text.split(',').map(str::trim).filter(|item| !item.is_empty());
        items.map(Network::parse).collect::<Option<Vec<_>>>().map(Self)
    }

    /// Whether `address` is one of them. IPv4 addresses in IPv6 form are seen through.
    pub fn contains(&self, address: IpAddr) -> bool {
        let address = address.to_canonical();
        self.0.iter().any(|network| network.contains(address))
    }
}

impl Network {
    fn parse(text: &str) -> Option<Self> {
        let (address, prefix) = match text.split_once('/') {
            Some((address, prefix)) => (address, Some(prefix.parse::<u8>().ok()?)),
            None => (text, None),
        };
        let address: IpAddr = address.parse().ok()?;
        let bits = if address.is_ipv4() { 32 } else { 128 };
        let prefix = prefix.unwrap_or(bits);
        (prefix <= bits).then_some(Self { address, prefix })
    }

    fn contains(self, address: IpAddr) -> bool {
        match (address, self.address) {
            (IpAddr::V4(a), IpAddr::V4(n)) => {
                let ignored = 32 - u32::from(self.prefix);
                let mask = u32::MAX.checked_shl(ignored).unwrap_or(0);
                a.to_bits() & mask == n.to_bits() & mask
            }
            (IpAddr::V6(a), IpAddr::V6(n)) => {
                let ignored = 128 - u32::from(self.prefix);
                let mask = u128::MAX.checked_shl(ignored).unwrap_or(0);
                a.to_bits() & mask == n.to_bits() & mask
            }
            _ => false,
        }
    }
}

/// The client's address: the rightmost in `forwarded_for` (all values of `X-Forwarded-For`, joined)
/// that is not a trusted proxy's. Only what trusted proxies wrote is believed, so an entry that
/// is no address ends the walk at the last one that is.
pub fn client_address(peer: IpAddr, forwarded_for: &str, proxies: &TrustedProxies) -> IpAddr {
    let mut client = peer.to_canonical();
    for hop in forwarded_for.rsplit(',').take(HOPS_MAX) {
        if !proxies.contains(client) {
            break;
        }
        let Some(address) = hop_address(hop.trim()) else { break };
        client = address.to_canonical();
    }
    client
}

/// An address, perhaps with a port, IPv6 perhaps in brackets.
fn hop_address(text: &str) -> Option<IpAddr> {
    let bare = text.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')).unwrap_or(text);
    let with_port = || text.parse::<SocketAddr>().map(|address| address.ip());
    bare.parse().or_else(|_| with_port()).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ip(text: &str) -> IpAddr {
        text.parse().expect("an address")
    }

    #[test]
    fn ipv6_counts_by_its_network_and_mapped_ipv4_as_ipv4() {
        let key = |text| AddressKey::of(ip(text));
        assert_eq!(key("2001:db8::1"), key("2001:db8::ffff:1"));
        assert_ne!(key("2001:db8::1"), key("2001:db8:0:1::1"));
        assert_eq!(key("::ffff:10.0.0.1"), key("10.0.0.1"));
    }

    #[test]
    fn networks_contain_what_their_prefix_says() {
        let proxies = TrustedProxies::parse("10.0.0.0/8, 192.168.1.7,fd00::/8 ,::1").unwrap();
        for (address, expected) in [
            ("10.255.0.1", true),
            ("11.0.0.1", false),
            ("192.168.1.7", true),
            ("192.168.1.8", false),
            ("::ffff:10.1.2.3", true),
            ("fdab::1", true),
            ("fe80::1", false),
            ("::1", true),
        ] {
            assert_eq!(proxies.contains(ip(address)), expected, "{address}");
        }
        assert!(TrustedProxies::parse("0.0.0.0/0").unwrap().contains(ip("8.8.8.8")));
        for bad in ["10.0.0.0/33", "ten", "10.0.0.0/-1", "::/129", "10.0.0.0/"] {
            assert_eq!(TrustedProxies::parse(bad), None, "{bad}");
        }
    }

    #[test]
    fn the_client_is_the_rightmost_untrusted_hop() {
        let proxies = TrustedProxies::parse("10.0.0.0/8,::1").unwrap();
        for (peer, header, expected) in [
            ("8.8.8.8", "1.2.3.4", "8.8.8.8"),
            ("10.0.0.1", "1.2.3.4", "1.2.3.4"),
            ("10.0.0.1", "6.6.6.6, 1.2.3.4, 10.0.0.2", "1.2.3.4"),
            ("10.0.0.1", "1.2.3.4:567", "1.2.3.4"),
            ("::1", "[2001:db8::1]:80", "2001:db8::1"),
            ("::1", "[2001:db8::1]", "2001:db8::1"),
            ("10.0.0.1", "1.2.3.4, unknown, 10.0.0.2", "10.0.0.2"),
            ("10.0.0.1", "", "10.0.0.1"),
            ("10.0.0.1", "10.0.0.3", "10.0.0.3"),
        ] {
            assert_eq!(client_address(ip(peer), header, &proxies), ip(expected), "{header}");
        }
        let long = "10.0.0.9,".repeat(100_000);
        assert_eq!(client_address(ip("10.0.0.1"), &long, &proxies), ip("10.0.0.1"));
    }

    #[test]
    fn origins_are_compared_without_case() {
        let origins = AllowedOrigins::parse("https://App.example.com/, http://localhost:5173,null");
        let origins = origins.unwrap();
        assert!(origins.allows("https://app.example.com"));
        assert!(origins.allows("null"));
        assert!(!origins.allows("https://app.example.com:8443"));
        assert!(!origins.allows("https://evil.example"));
        assert_eq!(AllowedOrigins::parse("*"), Some(AllowedOrigins::Any));
        for bad in ["", "app.example.com", "https://", "https://a/b", "https://a,*"] {
            assert_eq!(AllowedOrigins::parse(bad), None, "{bad}");
        }
    }
}
