//! Messages good and bad.

use super::*;

fn action(text: &str) -> ClientAction<'_> {
    match parse(text) {
        Ok(message) => message.action,
        Err(error) => panic!("{text}: {error}"),
    }
}

fn refused(text: &str) -> (ErrorCode, String) {
    let error = parse(text).expect_err(text);
    assert!(error.message.len() < 300, "an error does not repeat a long message");
    (error.code, error.message)
}

fn data(json: &str) -> ClientAction<'_> {
    ClientAction::Broadcast { data: RawJson(json) }
}

#[test]
fn every_action_is_read() {
    let table = [
        (r#"{"action":"ping"}"#, ClientAction::Ping),
        (r#"{"action":"leave"}"#, ClientAction::Leave),
        (" \n{\t\"action\" : \"request_sync\" }\r\n", ClientAction::RequestSync),
        (r#"{"action":"broadcast","data":"text"}"#, data(r#""text""#)),
        (
            r#"{"action":"sync_document","document":"a\"\ud800\u0e01"}"#,
            ClientAction::SyncDocument { document: RawJson(r#""a\"\ud800\u0e01""#) },
        ),
        (
            r#"{"action":"join","room_code":"ABC234"}"#,
            ClientAction::Join(Join {
                room_code: "ABC234".into(),
                peer_id: None,
                is_host: false,
                metadata: "null".into(),
                host_token: None,
            }),
        ),
        (
            r#"{"host_token":"t\u0031","metadata":{"n": 1.0},"is_host":true,"peer_id":"นก",
                "room_code":"r\/1","action":"join"}"#,
            ClientAction::Join(Join {
                room_code: "r/1".into(),
                peer_id: Some("นก".into()),
                is_host: true,
                metadata: r#"{"n": 1.0}"#.into(),
                host_token: Some(TokenHash::of("t1")),
            }),
        ),
    ];
    for (text, expected) in table {
        assert_eq!(action(text), expected, "{text}");
    }
}

#[test]
fn data_is_the_bytes_that_came() {
    for json in [
        "null",
        "false",
        "-0.10",
        "1e400",
        "123456789012345678901234567890",
        r#""\ud800 \u0041\/""#,
        "{\"b\":1,\n\t\"a\" : [ ] ,\"a\":2}",
        r#"[[[{"action":"join"}]]]"#,
    ] {
        let text = format!("{{\"data\": \n{json} ,\"action\":\"broadcast\"}}");
        assert_eq!(action(&text), data(json));
    }
}

#[test]
fn what_an_action_does_not_use_is_not_looked_at() {
    let table = [
        r#"{"action":"ping","data":1,"document":2,"room_code":3,"is_host":"maybe","peer_id":[]}"#,
        r#"{"future":{"action":"join"},"action":"ping","":null,"Action":"leave"}"#,
        r#"{"action":"leave","action":"ping"}"#,
        r#"{"\u0061ction":"\u0070ing"}"#,
    ];
    for text in table {
        assert_eq!(action(text), ClientAction::Ping, "{text}");
    }
    let nulls = r#"{"action":"join","room_code":"R","peer_id":null,"is_host":null,
        "metadata":null,"host_token":null}"#;
    assert_eq!(action(nulls), action(r#"{"action":"join","room_code":"R"}"#));
}

#[test]
fn plain_fields_are_borrowed() {
    let text = r#"{"action":"join","room_code":"R","peer_id":"p"}"#;
    let ClientAction::Join(Join { room_code, peer_id, .. }) = action(text) else {
        panic!("not a join");
    };
    for field in [Some(room_code), peer_id] {
        assert!(matches!(field, Some(Cow::Borrowed(_))), "{field:?}");
    }
}

#[test]
fn a_host_token_is_not_shown() {
    let join = action(r#"{"action":"join","room_code":"R","host_token":"hunter2"}"#);
    assert!(!format!("{join:?}").contains("hunter2"));
}

#[test]
fn an_id_comes_back_as_it_came_from_errors_too() {
    let long = format!("\"{}\"", "x".repeat(ID_BYTES_MAX - 2));
    for id in [r#""""#, r#""a\u0031\n""#, "0", "-7", "12345678901234567890123", &long] {
        for (action, expected) in [
            ("ping", None),
            ("fly", Some(ErrorCode::UnknownAction)),
            ("broadcast", Some(ErrorCode::BadMessage)),
        ] {
            let text = format!(r#"{{"id": {id} ,"action":"{action}"}}"#);
            let (code, found) = match parse(&text) {
                Ok(message) => (None, message.id),
                Err(error) => (Some(error.code), error.id),
            };
            assert_eq!(code, expected, "{text}");
            assert_eq!(found.map(|id| id.to_owned()).as_ref().map(MessageId::as_json), Some(id));
        }
    }
    for text in [r#"{"action":"ping"}"#, r#"{"action":"ping","id":null}"#] {
        assert_eq!(parse(text).expect(text).id, None);
    }
}

#[test]
fn what_is_not_a_message_is_bad() {
    let table = [
        ("", "EOF while parsing a value at line 1 column 0"),
        (" ", "EOF while parsing a value at line 1 column 1"),
        ("ping", "expected a JSON object"),
        (r#"["ping"]"#, "expected a JSON object"),
        (r#""action""#, "expected a JSON object"),
        ("null", "expected a JSON object"),
        ("\u{feff}{}", "expected a JSON object"),
        ("{}", "missing field `action`"),
        (r#"{"action":null}"#, "`action` must be a string"),
        (r#"{"action":["ping"]}"#, "`action` must be a string"),
        (r#"{"action":"\ud800"}"#, "`action` must be a string of whole characters"),
        (r#"{"action":"ping""#, "EOF while parsing an object at line 1 column 16"),
        (r#"{"action":"ping"} {"#, "trailing characters at line 1 column 19"),
        (r#"{"action":"ping",}"#, "trailing comma at line 1 column 18"),
        (r#"{action:"ping"}"#, "key must be a string at line 1 column 2"),
        (r#"{"action":"ping","id":1.5}"#, "`id` must be a string or an integer"),
        (r#"{"action":"ping","id":1e3}"#, "`id` must be a string or an integer"),
        (r#"{"action":"ping","id":true}"#, "`id` must be a string or an integer"),
        (r#"{"action":"ping","id":[1]}"#, "`id` must be a string or an integer"),
        (r#"{"action":"broadcast"}"#, "missing field `data`"),
        (r#"{"action":"broadcast","data":01}"#, "invalid number at line 1 column 31"),
        (r#"{"action":"broadcast","data":"\x"}"#, "invalid escape at line 1 column 32"),
        (r#"{"action":"sync_document"}"#, "missing field `document`"),
        (r#"{"action":"sync_document","document":null}"#, "`document` must be a string"),
        (r#"{"action":"sync_document","document":{}}"#, "`document` must be a string"),
        (r#"{"action":"join","peer_id":"p"}"#, "missing field `room_code`"),
        (r#"{"action":"join","room_code":null}"#, "`room_code` must be a string"),
        (r#"{"action":"join","room_code":""}"#, "`room_code` must not be empty"),
        (r#"{"action":"join","room_code":"R","peer_id":""}"#, "`peer_id` must not be empty"),
        (r#"{"action":"join","room_code":"R","peer_id":1}"#, "`peer_id` must be a string"),
        (r#"{"action":"join","room_code":"R","is_host":1}"#, "`is_host` must be true or false"),
        (r#"{"action":"join","room_code":"R","host_token":1}"#, "`host_token` must be a string"),
    ];
    for (text, why) in table {
        let expected = (ErrorCode::BadMessage, format!("Invalid message format: {why}"));
        assert_eq!(refused(text), expected, "{text}");
    }
}

#[test]
fn long_nonsense_is_not_repeated() {
    let long = "x".repeat(100_000);
    let table = [
        (long.clone(), ErrorCode::BadMessage),
        (format!("\"{long}\""), ErrorCode::BadMessage),
        (format!(r#"{{"{long}":1}}"#), ErrorCode::BadMessage),
        (format!(r#"{{"action":{{"{long}":1}}}}"#), ErrorCode::BadMessage),
        (format!(r#"{{"action":"{long}"}}"#), ErrorCode::UnknownAction),
        (format!(r#"{{"action":"{}"}}"#, "ก\\n".repeat(100)), ErrorCode::UnknownAction),
        (format!(r#"{{"action":"ping","id":"{long}"}}"#), ErrorCode::TooLarge),
    ];
    for (text, code) in table {
        assert_eq!(refused(&text).0, code);
    }
    assert_eq!(refused(r#"{"action":"fly"}"#).1, "Unknown action: fly");
}

#[test]
fn every_length_has_its_limit() {
    let join = |field: &str, value: &str| match field {
        "room_code" => format!(r#"{{"action":"join","room_code":"{value}"}}"#),
        _ => format!(r#"{{"action":"join","room_code":"R","{field}":"{value}"}}"#),
    };
    // A Thai letter is one character of three bytes.
    let table = [
        ("room_code", "R", ROOM_CODE_BYTES_MAX, "64 bytes"),
        ("peer_id", "ก", PEER_ID_CHARS_MAX, "128 characters"),
        ("metadata", "m", METADATA_BYTES_MAX - 2, "4096 bytes"),
        ("host_token", "t", HOST_TOKEN_BYTES_MAX, "256 bytes"),
        ("id", "i", ID_BYTES_MAX - 2, "128 bytes"),
    ];
    for (field, unit, length_max, limit) in table {
        assert!(parse(&join(field, &unit.repeat(length_max))).is_ok(), "{field}");
        let expected = (ErrorCode::TooLarge, format!("`{field}` is longer than {limit}"));
        assert_eq!(refused(&join(field, &unit.repeat(length_max + 1))), expected);
    }
    assert_eq!(refused(&join("room_code", &"ก".repeat(22))).0, ErrorCode::TooLarge);
}

/// Goal: nesting costs neither stack nor more time than other text. Method: as much of it as a
/// message may have, in a field that is used and in one that is not.
#[test]
fn nesting_has_no_limit() {
    const DEPTH: usize = 2 << 20;
    let nested = "[".repeat(DEPTH) + &"]".repeat(DEPTH);
    assert_eq!(action(&format!(r#"{{"action":"broadcast","data":{nested}}}"#)), data(&nested));
    let text = format!(r#"{{"action":"ping","other":{nested}}}"#);
    assert_eq!(action(&text), ClientAction::Ping);
    let open = format!(r#"{{"action":"broadcast","data":{}"#, "{\"a\":[".repeat(DEPTH / 3));
    assert_eq!(refused(&open).0, ErrorCode::BadMessage);
}
