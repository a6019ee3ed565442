//! Addresses, networks, and whom a chain of proxies speaks for.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::select;
use sync_server::config::{AddressKey, AllowedOrigins, RemoteEnd, TrustedProxies, client_address};

use crate::cases;

/// Any address; the interesting prefixes often.
fn address() -> impl Strategy<Value = IpAddr> {
    prop_oneof![
        any::<Ipv4Addr>().prop_map(IpAddr::V4),
        any::<Ipv6Addr>().prop_map(IpAddr::V6),
        any::<Ipv4Addr>().prop_map(|v4| IpAddr::V6(v4.to_ipv6_mapped())),
        any::<u64>().prop_map(|low| IpAddr::V6(Ipv6Addr::from_bits(0xfd << 120 | u128::from(low)))),
        any::<[u8; 3]>().prop_map(|[b, c, d]| IpAddr::from([10, b, c, d])),
    ]
}

/// The address as 128 bits, IPv4 in its mapped form: one space for both.
fn bits(address: IpAddr) -> u128 {
    match address {
        IpAddr::V4(v4) => v4.to_ipv6_mapped().to_bits(),
        IpAddr::V6(v6) => v6.to_bits(),
    }
}

/// Whether the first `prefix` of 128 bits are the same.
fn share(one: u128, other: u128, prefix: u32) -> bool {
    (one ^ other).checked_shr(128 - prefix).unwrap_or_default() == 0
}

/// `address` with the bits behind its first `kept` replaced by those of `noise`.
fn near(address: IpAddr, kept: u8, noise: u128) -> IpAddr {
    match address {
        IpAddr::V4(v4) => {
            let mask = u32::MAX.checked_shr(kept.into()).unwrap_or_default();
            let [.., a, b, c, d] = noise.to_be_bytes();
            let noise = u32::from_be_bytes([a, b, c, d]);
            Ipv4Addr::from_bits(v4.to_bits() & !mask | noise & mask).into()
        }
        IpAddr::V6(v6) => {
            let mask = u128::MAX.checked_shr(kept.into()).unwrap_or_default();
            Ipv6Addr::from_bits(v6.to_bits() & !mask | noise & mask).into()
        }
    }
}

/// How a proxy writes an address, and whether it is one of ours.
#[derive(Clone, Copy, Debug)]
struct Hop {
    is_ours: bool,
    address: IpAddr,
    form: u8,
}

impl Hop {
    fn text(&self) -> String {
        let Self { address, form, .. } = *self;
        match (form % 4, address) {
            (0, address) => format!(" {address} "),
            (1, IpAddr::V6(v6)) => format!("[{v6}]:443"),
            (2, IpAddr::V6(v6)) => format!("[{v6}]"),
            (1, IpAddr::V4(v4)) => format!("{v4}:1"),
            (_, address) => address.to_string(),
        }
    }
}

/// One of ours, in `192.0.2.0/24` or `2001:db8::/32`.
fn ours() -> impl Strategy<Value = Hop> {
    let address = prop_oneof![
        any::<u8>().prop_map(|last| IpAddr::from([192, 0, 2, last])),
        any::<u64>()
            .prop_map(|low| Ipv6Addr::from_bits(0x2001_0db8 << 96 | u128::from(low)).into()),
    ];
    (address, any::<u8>()).prop_map(|(address, form)| Hop { is_ours: true, address, form })
}

/// One from anywhere else.
fn theirs() -> impl Strategy<Value = Hop> {
    let address = address().prop_filter("ours", |address| !proxies().contains(*address));
    (address, any::<u8>()).prop_map(|(address, form)| Hop { is_ours: false, address, form })
}

fn hop() -> impl Strategy<Value = Hop> {
    prop_oneof![ours(), theirs()]
}

/// Who is connected to us, and the first hop that this makes.
fn peer() -> impl Strategy<Value = (RemoteEnd, Hop)> {
    let loopback = Hop { is_ours: true, address: Ipv4Addr::LOCALHOST.into(), form: 0 };
    prop_oneof![
        4 => hop().prop_map(|hop| (RemoteEnd::Network(hop.address), hop)),
        1 => Just((RemoteEnd::Local, loopback)),
    ]
}

/// A chain of proxies, some of them longer than anybody looks.
fn chain() -> impl Strategy<Value = Vec<Hop>> {
    let long = (vec(hop(), 0..4), vec(ours(), 28..36));
    prop_oneof![vec(hop(), 0..8), long.prop_map(|(left, right)| [left, right].concat()),]
}

/// `hops` as the header field has them.
fn header(hops: &[Hop]) -> String {
    hops.iter().map(Hop::text).collect::<Vec<_>>().join(",")
}

/// Who it is if we are connected to `first`: from the server outwards each of ours hands on, and
/// the first who is not is the client. After 32 nobody looks any further.
fn client(first: Hop, hops: &[Hop]) -> IpAddr {
    let mut client = first;
    for hop in hops.iter().rev().take(32) {
        if !client.is_ours {
            break;
        }
        client = *hop;
    }
    client.address.to_canonical()
}

fn proxies() -> TrustedProxies {
    TrustedProxies::parse("192.0.2.0/24, 2001:db8::/32").expect("two networks")
}

proptest! {
    #![proptest_config(cases(1_000))]

    #[test]
    fn a_network_has_the_addresses_that_share_its_prefix(
        network in address(),
        prefix in 0..=128_u8,
        noise in any::<u128>(),
        kept in 0..=128_u8,
        stranger in address(),
    ) {
        let width: u8 = if network.is_ipv4() { 32 } else { 128 };
        let parsed = TrustedProxies::parse(&format!("{network}/{prefix}"));
        prop_assert_eq!(parsed.is_some(), prefix <= width);
        let Some(proxies) = parsed else { return Ok(()) };
        for address in [network, near(network, kept.min(width), noise), stranger] {
            // A network of IPv6 addresses that is wider than all mapped ones has none of them.
            let is_same_kind =
                network.to_canonical().is_ipv4() == address.to_canonical().is_ipv4();
            let prefix = u32::from(prefix) + u32::from(128 - width);
            let is_wide = network.is_ipv6() && network.to_canonical().is_ipv4() && prefix < 96;
            let expected = share(bits(network), bits(address), prefix)
                && if is_wide { address.to_canonical().is_ipv6() } else { is_same_kind };
            let found = proxies.contains(address);
            prop_assert_eq!(found, expected, "{} in {}/{}", address, network, prefix);
        }
    }

    #[test]
    fn addresses_count_by_themselves_or_by_their_64_bits(
        one in address(),
        kept in 0..=128_u8,
        noise in any::<u128>(),
    ) {
        let width: u8 = if one.is_ipv4() { 32 } else { 128 };
        let other = near(one, kept.min(width), noise);
        let is_v4 = one.to_canonical().is_ipv4();
        let expected = if is_v4 || other.to_canonical().is_ipv4() {
            bits(one) == bits(other)
        } else {
            share(bits(one), bits(other), 64)
        };
        let is_one = AddressKey::of(one) == AddressKey::of(other);
        prop_assert_eq!(is_one, expected, "{} {}", one, other);
    }

    #[test]
    fn the_client_is_the_rightmost_that_is_none_of_ours((peer, hop) in peer(), hops in chain()) {
        let found = client_address(peer, &header(&hops), &proxies());
        prop_assert_eq!(found, client(hop, &hops), "{:?} {}", peer, header(&hops));
    }

    #[test]
    fn what_is_left_of_nonsense_is_not_believed(
        (peer, hop) in peer(),
        left in vec(hop(), 1..4),
        nonsense in "[a-zA-Z0-9 %/_-]{0,70}|\\[[0-9a-f]{0,4}\\]|[0-9]{1,3}(\\.[0-9]{1,3}){4}",
        right in vec(hop(), 1..4),
    ) {
        let header = [header(&left), nonsense, header(&right)].join(",");
        let found = client_address(peer, &header, &proxies());
        prop_assert_eq!(found, client(hop, &right), "{:?} {}", peer, header);
    }

    #[test]
    fn anything_may_be_listed(text in "[ -~]{0,60}", (peer, _) in peer()) {
        let _client = client_address(peer, &text, &proxies());
        let _any = (TrustedProxies::parse(&text), AllowedOrigins::parse(&text));
    }

    #[test]
    fn an_origin_that_is_listed_may_come_in_any_case(
        scheme in select(vec!["http", "https", "tauri"]),
        host in "[a-z][a-z0-9-]{0,10}(\\.[a-z]{2,5}){0,2}",
        port in proptest::option::of(1_u16..),
        other in "[a-z]{1,5}",
    ) {
        let port = port.map_or_else(String::new, |port| format!(":{port}"));
        let listed = format!("{scheme}://{host}{port}");
        let Some(origins) = AllowedOrigins::parse(&format!("https://other.example,{listed}/"))
        else {
            panic!("{listed}");
        };
        // A browser leaves the scheme's own port out.
        let sent = match (scheme, &*port) {
            ("http", ":80") | ("https", ":443") => format!("{scheme}://{host}"),
            _ => listed.clone(),
        };
        prop_assert!(origins.allows(&sent) && origins.allows(&sent.to_uppercase()));
        let other_host = format!("{scheme}://{other}.{host}{port}");
        for foreign in [format!("{sent}.{other}"), format!("{sent}x"), other_host, host] {
            prop_assert!(!origins.allows(&foreign), "{} {}", listed, foreign);
        }
    }
}
