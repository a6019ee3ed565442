//! Codes, ids, tokens, dates and sizes survive their text.

use std::task::Poll;

use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::{Index, select};
use sync_server::accounts::AccountRoute;
use sync_server::accounts::token::{InvalidToken, Tokens};
use sync_server::api::{Route, route};
use sync_server::base::hex;
use sync_server::base::ids::{ConnId, RoomKey};
use sync_server::base::room_code::is_room_code;
use sync_server::base::secret::Secret;
use sync_server::base::time::{Now, UnixMillis};
use sync_server::config::{Config, HostAuth, SyncWriters};
use sync_server::http::query_value;
use sync_server::rooms::{
    Create, CreateDone, Event, NodeId, Output, RoomChange, RoomView, Rooms, RoomsConfig,
    StoreUnavailable, StoredRoom, TokenHash,
};
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

use crate::cases;

/// The first millisecond of the year 0, and that after the year 9999.
const YEARS_OF_FOUR_DIGITS: std::ops::Range<i64> = -62_167_219_200_000..253_402_300_800_000;

/// Nobody who listens.
struct Silence;

impl Output for Silence {
    fn send(&mut self, _: ConnId, _: &Event<'_>) {}
    fn broadcast(&mut self, _: &[ConnId], _: Option<ConnId>, _: &Event<'_>) {}
    fn lookup(&mut self, _: &str) -> Result<(), StoreUnavailable> {
        Err(StoreUnavailable)
    }
    fn read_document(&mut self, _: ConnId, _: RoomKey, _: RoomView<'_>) {}
    fn dismissed(&mut self, _: RoomKey, _: &[ConnId]) {}
    fn delete(&mut self, _: RoomKey, _: &str, _: &str) {}
    fn persist(&mut self, _: RoomKey, _: u64, _: StoredRoom) {}
    fn durable(&mut self, _: RoomKey, _: u64) {}
    fn not_durable(&mut self, _: RoomKey) {}
    fn fresh_room_id(&mut self) -> String {
        String::new()
    }
    fn room_changed(&mut self, _: &str, _: RoomChange) {}
}

/// Percent-encodes what has to be, and of the rest what `how` says.
fn encode(text: &str, how: &[u8]) -> String {
    let bytes = text.bytes().zip(how.iter().cycle());
    let encoded = bytes.map(|(byte, how)| match how % 3 {
        0 if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) => {
            char::from(byte).to_string()
        }
        1 => format!("%{byte:02x}"),
        _ => format!("%{byte:02X}"),
    });
    encoded.collect()
}

/// `code` in another spelling.
fn respell(code: &str, how: &[bool]) -> String {
    let letters = code.chars().zip(how.iter().cycle());
    letters
        .map(|(letter, lower)| if *lower { letter.to_ascii_lowercase() } else { letter })
        .collect()
}

/// The code of the room in which somebody ends who asks for `asked` when there is only `made`.
fn found(made: &str, asked: &str) -> Option<String> {
    let mut rooms = Rooms::new(RoomsConfig {
        node: NodeId(0),
        rooms_max: 2,
        peers_per_room_max: 1,
        idle_timeout: None,
        auto_create: false,
        store: false,
        sync_writers: SyncWriters::Host,
        host_auth: HostAuth::PeerId,
    });
    let conn = ConnId { index: 0, generation: 0 };
    let create = Create {
        room_code: made,
        desired: true,
        room_id: "id",
        host_id: "host",
        host_auth: HostAuth::PeerId,
        host_token: TokenHash([0; 32]),
    };
    let Poll::Ready(located) = rooms.locate(made, conn, || (), &mut Silence) else {
        panic!("there is no store");
    };
    let created = rooms.create(located, &create, Now::default(), &mut Silence);
    assert!(matches!(created, Ok(CreateDone::Created(_))), "{created:?}");
    match rooms.locate(asked, conn, || (), &mut Silence) {
        Poll::Ready(located) => rooms.view(located, |room| room.code().to_owned()).ok(),
        Poll::Pending => panic!("there is no store"),
    }
}

/// The one setting that is given, with others beside it that let it be anything.
fn message_bytes_max(text: &str) -> Option<usize> {
    let config = Config::from_variables(|name| match name {
        "MAX_MESSAGE_BYTES" => Some(text.to_owned()),
        "SEND_QUEUE_BYTES" | "MEMORY_BUDGET_BYTES" => Some("1GiB".to_owned()),
        _ => None,
    });
    config.ok().map(|config| config.limits.message_bytes_max)
}

proptest! {
    #![proptest_config(cases(1_000))]

    #[test]
    fn a_room_is_found_by_its_code_in_small_letters(
        code in "[A-Z0-9_-]{1,64}",
        how in vec(any::<bool>(), 1..8),
        other in "[A-Za-z0-9_-]{1,64}",
    ) {
        prop_assert_eq!(found(&code, &respell(&code, &how)), Some(code.clone()));
        let is_same = other.to_uppercase() == code;
        prop_assert_eq!(found(&code, &other).is_some(), is_same, "{} {}", &code, &other);
        // Capitals are not tried in small letters.
        let small = code.to_lowercase();
        prop_assert_eq!(found(&small, &code).is_some(), small == code);
    }

    #[test]
    fn codes_and_ids_survive_a_path(
        code in "[A-Za-z0-9_-]{1,64}",
        id in any::<String>(),
        how in vec(any::<u8>(), 1..8),
    ) {
        let path = format!("/api/rooms/{}", encode(&code, &how));
        prop_assert_eq!(route("GET", &path), Ok(Route::Room { code: Some(code) }));
        let path = format!("/api/auth/users/{}", encode(&id, &how));
        let expected = Route::Account(AccountRoute::DeleteUser { id: id.clone() });
        let is_id = (1..=128).contains(&id.len());
        prop_assert_eq!(route("DELETE", &path).ok(), is_id.then_some(expected));
    }

    #[test]
    fn other_codes_are_no_rooms(code in any::<String>(), how in vec(any::<u8>(), 1..8)) {
        let path = format!("/api/rooms/{}", encode(&code, &how));
        let expected = is_room_code(&code).then_some(code);
        prop_assert_eq!(route("GET", &path), Ok(Route::Room { code: expected }));
    }

    #[test]
    fn values_survive_a_query(
        value in any::<String>(),
        how in vec(any::<u8>(), 1..8),
        before in "([a-z]{1,4}=[a-z%]{0,4}&){0,3}",
        after in "(&[a-z]{1,5}=[a-z%]{0,4}){0,3}",
    ) {
        let query = format!("{before}TOKEN={}{after}", encode(&value, &how));
        prop_assert_eq!(query_value(&query, "TOKEN"), Some(value));
    }

    #[test]
    fn anything_may_stand_in_a_path_or_a_query(text in "[!-~]{0,60}") {
        let _room = (route("GET", &text), route("GET", &format!("/api/rooms/{text}")));
        let _value = (query_value(&text, "token"), query_value(&format!("token={text}"), "token"));
    }

    #[test]
    fn bytes_survive_hexadecimal(bytes in any::<[u8; 12]>(), text in "[0-9a-fA-Fg+ ]{0,10}") {
        prop_assert_eq!(hex::decode(&hex::encode(&bytes)), Some(bytes));
        prop_assert_eq!(hex::decode(&hex::encode(&bytes).to_uppercase()), Some(bytes));
        prop_assert_eq!(hex::decode::<11>(&hex::encode(&bytes)), None);
        if let Some(bytes) = hex::decode::<4>(&text) {
            prop_assert_eq!(hex::encode(&bytes), text.to_lowercase());
        }
    }

    #[test]
    fn tokens_say_what_was_put_in_and_nothing_else(
        who in any::<String>(),
        role in "admin|user|\\PC{0,10}",
        version in any::<u64>(),
        at_ms in 0..4_000_000_000_000_i64,
        place in any::<Index>(),
        other in select(b"AZaz09-_.=+/ \0".to_vec()),
    ) {
        let tokens = Tokens::new(&Secret::new("key"), 60);
        let now = UnixMillis(at_ms);
        let token = tokens.issue(&who, &role, version, now);
        let token = token.expose();
        let Ok(claims) = tokens.check(token, now) else { panic!("our own: {token}") };
        prop_assert_eq!((&claims.sub, &claims.role, claims.ver), (&who, &role, version));
        prop_assert_eq!((claims.iat, claims.exp), (now.seconds(), now.seconds() + 60));
        let place = place.index(token.len());
        let mut changed = token.as_bytes().to_vec();
        changed[place] = other;
        let changed = String::from_utf8(changed).expect("ASCII for ASCII");
        let verdict = tokens.check(&changed, now);
        prop_assert!(changed == token || verdict == Err(InvalidToken), "{} {}", token, changed);
        prop_assert_eq!(tokens.check(&token[..place], now), Err(InvalidToken));
    }

    #[test]
    fn anything_may_be_offered_as_a_token(text in any::<String>()) {
        let tokens = Tokens::new(&Secret::new("key"), 60);
        prop_assert_eq!(tokens.check(&text, UnixMillis(0)), Err(InvalidToken));
    }

    #[test]
    fn dates_are_read_by_others_as_they_were_meant(ms in YEARS_OF_FOUR_DIGITS) {
        let text = UnixMillis(ms).rfc3339();
        let Ok(read) = OffsetDateTime::parse(&text, &Rfc3339) else { panic!("{text}") };
        prop_assert_eq!(read.unix_timestamp_nanos(), i128::from(ms) * 1_000_000);
        prop_assert_eq!(text.len(), "2026-11-23T11:39:29.007Z".len());
    }

    #[test]
    fn sizes_are_what_their_units_say(
        number in 1_000..=20_000_u64,
        (unit, factor) in select(vec![
            ("", 1_u64), ("B", 1), ("k", 1 << 10), ("KiB", 1 << 10), ("kb", 1_000), ("M", 1 << 20),
            ("mib", 1 << 20), ("MB", 1_000_000), ("GiB", 1 << 30), ("gb", 1_000_000_000),
        ]),
        blank in select(vec!["", " "]),
    ) {
        let read = message_bytes_max(&format!("{number}{blank}{unit}"));
        let bytes = number * factor;
        // As the table of settings says.
        let is_allowed = (1 << 10..=64 << 20).contains(&bytes);
        prop_assert_eq!(read.map(|bytes| bytes as u64), is_allowed.then_some(bytes));
    }

    #[test]
    fn anything_may_stand_for_a_size(text in "[0-9]{0,22}[ ]?[a-zA-Z.+-]{0,3}") {
        let bytes = message_bytes_max(&text);
        prop_assert!(bytes.is_none_or(|bytes| bytes >= 1 << 10) || text.trim().is_empty());
    }
}
