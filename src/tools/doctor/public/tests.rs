//! Facts in, findings out.

use super::*;
use crate::config::url_parts;
use crate::http::parse_answer;
use crate::tools::doctor::finding::Severity::{self, Ok as Fine, Problem, Warning};

const URL: &str = "https://sync.example.com/a";
const HEALTH: &str = r#"{"status":"healthy","version":"1.2.3","store":"ok","rooms":0,
    "connections":1,"uptime_seconds":60}"#;

fn url(text: &str) -> UrlParts<'_> {
    url_parts(text).expect("a URL")
}

fn ip(text: &str) -> IpAddr {
    text.parse().expect("an address")
}

/// An answer with further `fields`, each with its line end.
fn answer(status: u16, fields: &str, body: &str) -> ServerAnswer {
    let length = body.len();
    let text = format!("HTTP/1.1 {status} X\r\n{fields}Content-Length: {length}\r\n\r\n{body}");
    parse_answer(text.as_bytes(), true).expect("HTTP").expect("whole").0
}

fn whoami(address: &str, forwarded: &str, websocket_url: &str) -> ServerAnswer {
    let body = format!(
        r#"{{"address":"{address}","forwarded":"{forwarded}","websocket_url":"{websocket_url}"}}"#
    );
    answer(200, "", &body)
}

fn local(uptime_seconds: u64) -> Health {
    let text = HEALTH.replace("60", &uptime_seconds.to_string());
    serde_json::from_str(&text).expect("as the server writes it")
}

/// All is well at `URL`.
fn facts() -> PublicFacts {
    PublicFacts {
        health: Ok(answer(200, "", HEALTH)),
        local: Some(local(60)),
        whoami: Ok((
            whoami("203.0.113.9", "believed", "wss://sync.example.com/a/ws"),
            ip("192.168.1.7"),
        )),
        opened: Opened::Answered,
        idle: None,
        ping_interval_seconds: 25,
    }
}

/// Each finding has this severity and this part of its text.
#[track_caller]
fn check(at: &str, facts: &PublicFacts, expected: &[(Severity, &str)]) {
    let findings = judge_public(url(at), facts);
    assert_eq!(findings.len(), expected.len(), "{findings:#?}");
    for (finding, (severity, part)) in findings.iter().zip(expected) {
        assert_eq!(finding.severity, *severity, "{finding}");
        assert!(finding.text.contains(part), "{part:?} is not in {finding}");
        let is_advised = *severity == Fine || finding.text.contains(": ");
        assert!(is_advised, "what is to be changed? {finding}");
    }
}

#[test]
fn a_good_proxy_has_nothing_to_change() {
    let fine = "it opens, and an action is answered; how long it may be silent is tried with \
                --slow (a proxy's time-out should be 50 s or more, the server pings after 25 s)";
    let seen = "the server sees you as 203.0.113.9";
    let leads = "leads to a sync server, version 1.2.3";
    check(URL, &facts(), &[(Fine, leads), (Fine, seen), (Fine, fine)]);
}

#[test]
fn what_is_not_ours_is_all_that_is_said() {
    let trouble = |trouble| PublicFacts { health: Err(trouble), ..facts() };
    let why = || "why".to_owned();
    for (found, severity, part) in [
        (Trouble::Name(why()), Problem, "sync.example.com has no address here (why): correct"),
        (Trouble::Connection(why()), Problem, "takes no connections (why): start the proxy"),
        (Trouble::Tls(why()), Problem, "cannot be trusted (why): it needs a certificate"),
        (Trouble::Http(why()), Problem, "does not answer (why): see the proxy's log"),
        (Trouble::NoTls, Warning, "try curl -i https://sync.example.com/a/health"),
    ] {
        check(URL, &trouble(found), &[(severity, part)]);
    }
    let answered = |answer| PublicFacts { health: Ok(answer), ..facts() };
    for (found, part) in [
        (answer(301, "Location: https://b/\r\n", ""), "redirects to https://b/: give the address"),
        (answer(301, "", ""), "answers 301"),
        (answer(502, "", ""), "answers 502: the proxy does not reach the server"),
        (answer(404, "", ""), "has no /health (404)"),
        (answer(401, "", ""), "answers 401: the proxy lets nobody in"),
        (answer(200, "", "<html>"), "is another program"),
        (answer(418, "", ""), "answers 418"),
    ] {
        check(URL, &answered(found), &[(Problem, part)]);
    }
}

#[test]
fn another_sync_server_is_told_by_how_long_it_is_up() {
    for (uptime, is_ours) in [(45, true), (75, true), (44, false), (76, false)] {
        let found = PublicFacts { local: Some(local(uptime)), ..facts() };
        let first = &judge_public(url(URL), &found)[0];
        assert_eq!(first.severity == Fine, is_ours, "{first}");
    }
    assert_eq!(judge_public(url(URL), &PublicFacts { local: None, ..facts() }).len(), 3);
}

#[test]
fn the_server_must_know_its_clients() {
    let ws = "wss://sync.example.com/a/ws";
    let plain = "ws://sync.example.com/a/ws";
    let https = "https://sync.example.com/a";
    let http = "http://sync.example.com/a";
    let seen = |at: &str, own: &str, answer: ServerAnswer, severity, part: &str| {
        let found = PublicFacts { whoami: Ok((answer, ip(own))), ..facts() };
        check(at, &found, &[(Fine, ""), (severity, part), (Fine, "")]);
    };
    let ignored = whoami("172.17.0.1", "ignored", ws);
    seen(
        https,
        "10.0.0.2",
        ignored,
        Problem,
        "look like 172.17.0.1: set TRUSTED_PROXIES=172.17.0.1",
    );
    seen(https, "10.0.0.2", whoami("10.0.0.2", "believed", ws), Fine, "sees you as 10.0.0.2");
    seen(https, "10.0.0.2", whoami("10.0.0.3", "believed", ws), Warning, "you came from 10.0.0.2");
    seen(https, "10.0.0.2", whoami("100.64.0.1", "believed", ws), Warning, "a further proxy");
    seen(https, "10.0.0.2", whoami("2001:db8::1", "believed", ws), Fine, "sees you as 2001:db8::1");
    seen(https, "127.0.0.1", whoami("127.0.0.1", "none", ws), Problem, "does not say who its");
    seen(http, "127.0.0.1", whoami("127.0.0.1", "none", plain), Fine, "there is no proxy");
    seen(http, "::ffff:10.0.0.2", whoami("10.0.0.2", "none", plain), Fine, "there is no proxy");
    seen(http, "10.0.0.2", whoami("172.17.0.1", "none", plain), Warning, "something between hides");
    let nginx = answer(
        200,
        "Server: nginx\r\n",
        &format!(r#"{{"address":"127.0.0.1","forwarded":"none","websocket_url":"{plain}"}}"#),
    );
    seen(http, "127.0.0.1", nginx, Problem, "does not say who its clients are");
    seen(https, "10.0.0.2", answer(404, "", "{}"), Warning, "answers 404: have the proxy pass it");
    seen(https, "10.0.0.2", answer(200, "", "{}"), Warning, "answers 200: have the proxy pass it");
}

#[test]
fn clients_must_be_told_the_address_that_works() {
    let told = |websocket_url| {
        let whoami = Ok((whoami("203.0.113.9", "believed", websocket_url), ip("10.0.0.2")));
        PublicFacts { whoami, ..facts() }
    };
    for wrong in
        ["ws://sync.example.com/a/ws", "wss://127.0.0.1:3001/ws", "wss://sync.example.com/ws"]
    {
        let part = format!("{wrong} instead of wss://sync.example.com/a/ws: set PUBLIC_URL={URL}");
        check(URL, &told(wrong), &[(Fine, ""), (Fine, ""), (Problem, &part), (Fine, "")]);
    }
    check(URL, &told("wss://SYNC.example.com/a/ws"), &[(Fine, ""), (Fine, ""), (Fine, "")]);
}

#[test]
fn each_way_to_lose_an_upgrade_has_its_advice() {
    let error = |status, message: &str| {
        Opened::Refused(answer(status, "", &format!(r#"{{"error":"{message}"}}"#)))
    };
    for (opened, severity, part) in [
        (
            error(426, "This is a WebSocket endpoint"),
            Problem,
            "does not pass on the header Upgrade",
        ),
        (
            error(400, "The Connection header does not name Upgrade"),
            Problem,
            "does not pass on Connection: Upgrade (400)",
        ),
        (
            error(400, "A WebSocket is opened with GET and HTTP/1.1"),
            Problem,
            "speaks HTTP/1.0 to the server",
        ),
        (error(400, "other"), Problem, "answers 400 instead of 101: have the proxy pass it on"),
        (error(502, ""), Problem, "answers 502 instead of 101"),
        (error(503, ""), Problem, "takes no more connections (503): see MAX_CONNECTIONS"),
        (error(401, "Not logged in"), Fine, "the rest needs a login"),
        (error(401, "Authorization Required"), Problem, "answers 401 instead of 101"),
        (Opened::Mute("why".to_owned()), Problem, "nothing comes through (why)"),
        (Opened::Failed(Trouble::Http("why".to_owned())), Problem, "has no answer (why)"),
    ] {
        let found = PublicFacts { opened, ..facts() };
        check(URL, &found, &[(Fine, ""), (Fine, ""), (severity, part)]);
    }
}

#[test]
fn silence_is_judged_if_it_was_tried() {
    for (idle, severity, part) in [
        (Idle::Open { seconds: 55 }, Fine, "said nothing for 55 s is open"),
        (Idle::Open { seconds: 26 }, Fine, "said nothing for 26 s is open"),
        (Idle::Open { seconds: 25 }, Warning, "pings only after 25 s: lower PING_INTERVAL"),
        (
            Idle::Ended { seconds: 20, why: "reset".to_owned() },
            Problem,
            "ended after 20 s (reset): lengthen the proxy's time-out",
        ),
    ] {
        let found = PublicFacts { idle: Some(idle), ..facts() };
        check(URL, &found, &[(Fine, ""), (Fine, ""), (Fine, "answered"), (severity, part)]);
    }
}
