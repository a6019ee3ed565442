//! Addresses and origins: what an operator lists, and how a client's address is found and counted.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};

use crate::base::authority::{Authority, split_url, usual_port};

/// Proxies that a request is followed back through. What is further away is not looked at.
const HOPS_MAX: usize = 32;

/// Of one item of `X-Forwarded-For`: the longest IPv6 address in brackets, and a port.
const HOP_BYTES_MAX: usize = 64;

/// Items in each of the two lists; they are searched from one end to the other.
const ITEMS_MAX: usize = 256;

/// What is at the other end of a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RemoteEnd {
    /// A host, over TCP.
    Network(IpAddr),
    /// A program on this machine, over a Unix socket. One that may open it is trusted like a
    /// listed proxy; if it names no client, it counts as loopback.
    Local,
}

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
    /// Only these, with credentials; each `null`, or `scheme://host[:port]` in lower case and
    /// without the port that the scheme has anyway: as browsers send it (RFC 6454, section 6.2).
    List(Vec<String>),
}

/// `TRUSTED_PROXIES`: networks whose `X-Forwarded-*` headers count.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TrustedProxies(Vec<Network>);

/// The addresses whose first `prefix` bits are those of `address`.
///
/// Invariant: `prefix` is at most 32 for IPv4, 128 for IPv6; `address` is no mapped IPv4 address.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Network {
    address: IpAddr,
    prefix: u8,
}

impl RemoteEnd {
    /// The address that limits go by. IPv4 addresses in IPv6 form are seen through.
    pub fn address(self) -> IpAddr {
        match self {
            Self::Network(address) => address.to_canonical(),
            Self::Local => IpAddr::V4(Ipv4Addr::LOCALHOST),
        }
    }
}

impl From<IpAddr> for RemoteEnd {
    fn from(address: IpAddr) -> Self {
        Self::Network(address.to_canonical())
    }
}

impl fmt::Display for RemoteEnd {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Network(address) => address.fmt(f),
            Self::Local => f.write_str("unix"),
        }
    }
}

impl AddressKey {
    /// The key of `address`.
    pub fn of(address: IpAddr) -> Self {
        match address.to_canonical() {
            IpAddr::V4(v4) => Self::V4(v4),
            IpAddr::V6(v6) => {
                let [a, b, c, d, ..] = v6.segments().map(u64::from);
                Self::V6Net((a << 48) | (b << 32) | (c << 16) | d)
            }
        }
    }

    /// The network around it of so many leading bits: at most 32 of IPv4, 64 of IPv6.
    pub fn network(self, ipv4_bits: u8, ipv6_bits: u8) -> Self {
        match self {
            Self::V4(v4) => {
                let mask = u32::MAX.checked_shl(32_u32.saturating_sub(ipv4_bits.into()));
                Self::V4(Ipv4Addr::from_bits(v4.to_bits() & mask.unwrap_or(0)))
            }
            Self::V6Net(net) => {
                let mask = u64::MAX.checked_shl(64_u32.saturating_sub(ipv6_bits.into()));
                Self::V6Net(net & mask.unwrap_or(0))
            }
        }
    }
}

impl AllowedOrigins {
    /// Reads `*`, or a comma list of at most 256 origins; `None` if an item is none, or if there
    /// is no item.
    pub fn parse(text: &str) -> Option<Self> {
        if text.trim() == "*" {
            return Some(Self::Any);
        }
        let origins: Vec<String> = items(text).map(origin).collect::<Option<_>>()?;
        (1..=ITEMS_MAX).contains(&origins.len()).then_some(Self::List(origins))
    }

    /// Adds the site of `url`, which is in the form that [`public_url`](super::public_url) gives,
    /// to a list: pages of the server itself may use it.
    pub(super) fn add_site_of(&mut self, url: &str) {
        let Self::List(origins) = self else { return };
        let site = url.split_inclusive('/').take(3).collect::<String>();
        origins.extend(origin(&site).filter(|site| !origins.contains(site)));
    }

    /// Whether pages of `origin`, as in the request's `Origin`, may use the server.
    pub fn allows(&self, origin: &str) -> bool {
        match self {
            Self::Any => true,
            Self::List(origins) => {
                origins.iter().any(|listed| listed.eq_ignore_ascii_case(origin.trim()))
            }
        }
    }

    /// Whether `null` is listed.
    pub(super) fn has_null(&self) -> bool {
        matches!(self, Self::List(origins) if origins.iter().any(|origin| origin == "null"))
    }
}

impl TrustedProxies {
    /// Reads a comma list of at most 256 addresses and networks (`10.0.0.0/8`); `None` if an item
    /// is neither.
    pub fn parse(text: &str) -> Option<Self> {
        let networks: Vec<Network> = items(text).map(Network::parse).collect::<Option<_>>()?;
        (networks.len() <= ITEMS_MAX).then_some(Self(networks))
    }

    /// Whether `address` is one of them. IPv4 addresses in IPv6 form are seen through.
    pub fn contains(&self, address: IpAddr) -> bool {
        let address = address.to_canonical();
        self.0.iter().any(|network| network.contains(address))
    }

    /// Whether what `peer` says of its client is believed.
    pub fn trusts(&self, peer: RemoteEnd) -> bool {
        match peer {
            RemoteEnd::Network(address) => self.contains(address),
            RemoteEnd::Local => true,
        }
    }

    /// Whether `0.0.0.0/0` or `::/0` is listed.
    pub(super) fn has_whole_internet(&self) -> bool {
        self.0.iter().any(|network| network.prefix == 0)
    }
}

/// The client's address: the rightmost in `x_forwarded_for` (all values of that header field
/// joined by commas, empty if there is none) that is no trusted proxy's.
///
/// Each proxy adds the address that it was asked from on the right, so an item is to be believed
/// if everything right of it, and `peer`, is trusted. If `peer` is not, the header says nothing.
/// An item that is no address ends the walk at the item right of it: the last thing known.
pub fn client_address(peer: RemoteEnd, x_forwarded_for: &str, proxies: &TrustedProxies) -> IpAddr {
    let mut client = peer.address();
    let mut is_believed = proxies.trusts(peer);
    for hop in x_forwarded_for.rsplit(',').take(HOPS_MAX) {
        let Some(address) = hop_address(hop.trim()).filter(|_| is_believed) else { break };
        client = address.to_canonical();
        is_believed = proxies.contains(client);
    }
    client
}

impl Network {
    fn parse(text: &str) -> Option<Self> {
        let (address, prefix) = match text.split_once('/') {
            Some((address, prefix)) => {
                let is_number = prefix.bytes().all(|byte| byte.is_ascii_digit());
                (address, Some(prefix.parse::<u8>().ok().filter(|_| is_number)?))
            }
            None => (text, None),
        };
        let address: IpAddr = address.parse().ok()?;
        let prefix = prefix.unwrap_or(bits(address));
        if prefix > bits(address) {
            return None;
        }
        // `::ffff:10.0.0.0/104` is `10.0.0.0/8`; clients are compared in that form.
        let canonical = address.to_canonical();
        match prefix.checked_sub(bits(address) - bits(canonical)) {
            Some(prefix) => Some(Self { address: canonical, prefix }),
            None => Some(Self { address, prefix }),
        }
    }

    fn contains(self, address: IpAddr) -> bool {
        let same_bits = match (address, self.address) {
            (IpAddr::V4(one), IpAddr::V4(other)) => {
                (one.to_bits() ^ other.to_bits()).leading_zeros()
            }
            (IpAddr::V6(one), IpAddr::V6(other)) => {
                (one.to_bits() ^ other.to_bits()).leading_zeros()
            }
            _ => return false,
        };
        same_bits >= u32::from(self.prefix)
    }
}

fn bits(address: IpAddr) -> u8 {
    if address.is_ipv4() { 32 } else { 128 }
}

/// The items of a comma list, without blanks around them; empty ones don't count.
fn items(text: &str) -> impl Iterator<Item = &str> {
    text.split(',').map(str::trim).filter(|item| !item.is_empty())
}

/// An origin as browsers send it, or `None`. A `/` at its end, as copied from an address bar, is
/// forgiven.
fn origin(text: &str) -> Option<String> {
    if text == "null" {
        return Some(text.to_owned());
    }
    let text = text.to_ascii_lowercase();
    let (scheme, authority, rest) = split_url(&text)?;
    let is_scheme = scheme.starts_with(|c: char| c.is_ascii_alphabetic())
        && scheme.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"+-.".contains(&byte));
    let Authority { host, port } = Authority::parse_reachable(authority)?;
    if !is_scheme || !matches!(rest, "" | "/") {
        return None;
    }
    Some(match port.filter(|port| Some(*port) != usual_port(scheme)) {
        Some(port) => format!("{scheme}://{host}:{port}"),
        None => format!("{scheme}://{host}"),
    })
}

/// An address, perhaps with a port, IPv6 perhaps in brackets.
fn hop_address(text: &str) -> Option<IpAddr> {
    if text.len() > HOP_BYTES_MAX {
        return None;
    }
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
        assert_eq!(key("2001:db8::1"), AddressKey::V6Net(0x2001_0db8_0000_0000));
        assert_eq!(key("2001:db8::1"), key("2001:db8::ffff:1"));
        assert_ne!(key("2001:db8::1"), key("2001:db8:0:1::1"));
        assert_eq!(key("::ffff:10.0.0.1"), key("10.0.0.1"));
        assert_ne!(key("10.0.0.1"), key("10.0.0.2"));
    }

    #[test]
    fn an_address_is_in_networks_of_its_own_kind() {
        let network = |text, ipv4, ipv6| AddressKey::of(ip(text)).network(ipv4, ipv6);
        assert_eq!(network("10.1.2.3", 24, 0), AddressKey::of(ip("10.1.2.0")));
        assert_eq!(network("10.1.2.3", 16, 0), AddressKey::of(ip("10.1.0.0")));
        assert_eq!(network("10.1.2.3", 0, 64), AddressKey::of(ip("0.0.0.0")));
        let site = AddressKey::of(ip("2001:db8:1::"));
        assert_eq!(network("2001:db8:1:234::7", 0, 48), site);
        assert_eq!(network("2001:db8:1:234::7", 0, 56), AddressKey::of(ip("2001:db8:1:200::")));
        assert_eq!(network("2001:db8:1::7", 32, 64), site);
        assert_eq!(network("2001:db8:1::7", 32, 0), AddressKey::of(ip("::")));
    }

    #[test]
    fn networks_contain_what_their_prefix_says() {
        let listed = "10.0.0.0/8, 192.168.1.7,, fd00::/8 ,::1,::ffff:172.16.0.0/108";
        let proxies = TrustedProxies::parse(listed).expect("addresses and networks");
        for (address, expected) in [
            ("10.255.0.1", true),
            ("11.0.0.1", false),
            ("192.168.1.7", true),
            ("192.168.1.6", false),
            ("::ffff:10.1.2.3", true),
            ("fdab::1", true),
            ("fe80::1", false),
            ("::1", true),
            ("::", false),
            ("172.31.255.255", true),
            ("172.32.0.0", false),
        ] {
            assert_eq!(proxies.contains(ip(address)), expected, "{address}");
        }
        for (all, address) in [("0.0.0.0/0", "8.8.8.8"), ("::/0", "2001:db8::1")] {
            let proxies = TrustedProxies::parse(all).expect("a network");
            assert!(proxies.contains(ip(address)) && proxies.has_whole_internet(), "{all}");
        }
        assert!(!proxies.has_whole_internet());
        for bad in
            ["10.0.0.0/33", "ten", "10.0.0.0/-1", "10.0.0.0/+8", "::/129", "10.0.0.0/", "/8", "1.2"]
        {
            assert_eq!(TrustedProxies::parse(bad), None, "{bad}");
        }
    }

    #[test]
    fn the_client_is_the_rightmost_untrusted_hop() {
        let proxies = TrustedProxies::parse("10.0.0.0/8,::1").expect("addresses and networks");
        for (peer, header, expected) in [
            ("8.8.8.8", "1.2.3.4", "8.8.8.8"),
            ("8.8.8.8", "10.0.0.1", "8.8.8.8"),
            ("10.0.0.1", "1.2.3.4", "1.2.3.4"),
            ("10.0.0.1", "6.6.6.6, 1.2.3.4, 10.0.0.2", "1.2.3.4"),
            ("10.0.0.1", "6.6.6.6,1.2.3.4,\t10.0.0.2 ", "1.2.3.4"),
            ("10.0.0.1", "1.2.3.4:567", "1.2.3.4"),
            ("::1", "[2001:db8::1]:80", "2001:db8::1"),
            ("::1", "[2001:db8::1]", "2001:db8::1"),
            ("::1", "2001:db8::1", "2001:db8::1"),
            ("::ffff:10.0.0.1", "::ffff:1.2.3.4", "1.2.3.4"),
            ("10.0.0.1", "1.2.3.4, unknown, 10.0.0.2", "10.0.0.2"),
            ("10.0.0.1", "1.2.3.4, , 10.0.0.2", "10.0.0.2"),
            ("10.0.0.1", "_hidden", "10.0.0.1"),
            ("10.0.0.1", "[1.2.3.4", "10.0.0.1"),
            ("10.0.0.1", "", "10.0.0.1"),
            ("10.0.0.1", "10.0.0.3", "10.0.0.3"),
        ] {
            let client = client_address(ip(peer).into(), header, &proxies);
            assert_eq!(client, ip(expected), "{header:?}");
        }
    }

    #[test]
    fn a_peer_on_a_unix_socket_is_believed_and_else_loopback() {
        let listed = TrustedProxies::parse("10.0.0.0/8").expect("a network");
        for (header, expected) in [
            ("", "127.0.0.1"),
            ("unknown", "127.0.0.1"),
            ("1.2.3.4", "1.2.3.4"),
            ("6.6.6.6, 1.2.3.4", "1.2.3.4"),
            ("6.6.6.6, 1.2.3.4, 10.0.0.2", "1.2.3.4"),
        ] {
            assert_eq!(
                client_address(RemoteEnd::Local, header, &listed),
                ip(expected),
                "{header:?}"
            );
        }
        assert!(TrustedProxies::default().trusts(RemoteEnd::Local));
        assert!(!TrustedProxies::default().trusts(ip("127.0.0.1").into()));
        assert_eq!(size_of::<RemoteEnd>(), size_of::<IpAddr>(), "each connection has one");
    }

    #[test]
    fn a_long_header_is_followed_only_so_far() {
        let proxies = TrustedProxies::parse("10.0.0.0/8").expect("a network");
        let hops = |count: usize| format!("1.2.3.4{}", ",10.0.0.9".repeat(count));
        let client = |header: &str| client_address(ip("10.0.0.1").into(), header, &proxies);
        assert_eq!(client(&hops(HOPS_MAX - 1)), ip("1.2.3.4"));
        assert_eq!(client(&hops(HOPS_MAX)), ip("10.0.0.9"));
        assert_eq!(client(&hops(100_000)), ip("10.0.0.9"));
        assert_eq!(client(&"1".repeat(100_000)), ip("10.0.0.1"));
    }

    #[test]
    fn origins_are_kept_as_browsers_send_them() {
        let check = |text: &str, expected: &[&str]| {
            let expected = expected.iter().map(|origin| (*origin).to_owned()).collect();
            assert_eq!(AllowedOrigins::parse(text), Some(AllowedOrigins::List(expected)), "{text}");
        };
        check("https://App.Example.com/", &["https://app.example.com"]);
        check("https://a:443, http://a:80,", &["https://a", "http://a"]);
        check("http://a:443,https://a:8443", &["http://a:443", "https://a:8443"]);
        check("http://[::1]:5173,null", &["http://[::1]:5173", "null"]);
        check(
            "tauri://localhost,chrome-extension://ab",
            &["tauri://localhost", "chrome-extension://ab"],
        );
        assert_eq!(AllowedOrigins::parse(" * "), Some(AllowedOrigins::Any));
        for bad in [
            "",
            ",",
            "app.example.com",
            "https://",
            "://a",
            "1://a",
            "https://a/b",
            "https://a?b",
            "https://a//",
            "https://a,*",
            "https://*.example.com",
            "https://u@a",
            "https://a:",
            "https://a:0",
            "https://a:+1",
            "https://a:65536",
            "https://a:1:2",
            "https://[a]",
            "https://[::1",
            "https://[::1]x",
            "NULL",
            "https://ก",
        ] {
            assert_eq!(AllowedOrigins::parse(bad), None, "{bad}");
        }
    }

    #[test]
    fn origins_are_compared_without_case() {
        let origins = AllowedOrigins::parse("https://app.example.com,null").expect("two origins");
        for (origin, expected) in [
            ("https://app.example.com", true),
            ("HTTPS://APP.EXAMPLE.COM", true),
            (" null ", true),
            ("https://app.example.com:8443", false),
            ("http://app.example.com", false),
            ("https://app.example.com.evil.example", false),
            ("", false),
        ] {
            assert_eq!(origins.allows(origin), expected, "{origin}");
            assert!(AllowedOrigins::Any.allows(origin));
        }
        assert!(origins.has_null());
        assert!(!AllowedOrigins::Any.has_null());
    }

    #[test]
    fn lists_have_a_length() {
        let origins = |count| AllowedOrigins::parse(&"https://a,".repeat(count));
        assert!(origins(ITEMS_MAX).is_some());
        assert_eq!(origins(ITEMS_MAX + 1), None);
        let proxies = |count| TrustedProxies::parse(&"10.0.0.1,".repeat(count));
        assert!(proxies(ITEMS_MAX).is_some());
        assert_eq!(proxies(ITEMS_MAX + 1), None);
    }
}
