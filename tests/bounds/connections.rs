//! What one connection may take its time for, and what happens then.

use sync_server::config::Config;

use crate::world::{World, after, after_ms, close_code, text_frame};

/// One byte a second from `from` on, until `to`.
fn drip(world: &mut World, client: usize, byte: &str, from: u64, to: u64) {
    for second in from..to {
        world.pass_until(after(second));
        world.send(client, byte);
    }
}

fn world() -> World {
    World::new(Config { room_auto_create: true, room_store: false, ..Config::default() })
}

#[test]
fn a_head_has_ten_seconds_however_it_comes() {
    let mut world = world();
    let client = world.connect();
    world.send(client, "GET /health HTTP/1.1\r\nX: ");
    drip(&mut world, client, "x", 1, 10);
    assert_eq!(world.take(client), b"");
    world.pass_until(after(10));
    assert!(world.take_text(client).starts_with("HTTP/1.1 408 "));
    assert_eq!(world.network.clients[client].shut_at, Some(after(10)));
    // What it still sends is thrown away, and for two seconds the answer has time to arrive.
    world.send(client, "x\r\n\r\nGET /health HTTP/1.1\r\nHost: a\r\n\r\n");
    world.pass_until(after(60));
    assert_eq!(world.take(client), b"");
    assert_eq!(world.network.clients[client].gone_at, Some(after(12)));
}

#[test]
fn who_says_nothing_at_all_is_dropped_without_a_word() {
    let mut world = world();
    let client = world.connect();
    world.pass_until(after(60));
    assert_eq!(world.take(client), b"");
    assert_eq!(world.network.clients[client].gone_at, Some(after(10)));
}

#[test]
fn empty_lines_are_no_request() {
    let mut world = world();
    let client = world.connect();
    drip(&mut world, client, "\r\n", 0, 10);
    world.pass_until(after(60));
    assert_eq!(world.network.clients[client].gone_at, Some(after(10)));
}

#[test]
fn a_body_has_thirty_seconds_from_the_end_of_the_head_on() {
    let mut world = world();
    let client = world.connect();
    world.pass_until(after(5));
    world.send(client, "POST /api/rooms HTTP/1.1\r\nHost: a\r\nContent-Length: 100\r\n\r\n");
    drip(&mut world, client, " ", 6, 35);
    assert_eq!(world.take(client), b"");
    world.pass_until(after(35));
    assert!(world.take_text(client).starts_with("HTTP/1.1 408 "));
    world.pass_until(after(60));
    assert_eq!(world.network.clients[client].gone_at, Some(after(37)));
}

#[test]
fn a_connection_is_kept_for_seventy_five_seconds_between_two_requests() {
    let mut world = world();
    let client = world.connect();
    world.pass_until(after(9));
    world.send(client, "GET /health HTTP/1.1\r\nHost: a\r\n\r\n");
    assert!(world.take_text(client).starts_with("HTTP/1.1 200 "));
    // A second request: its head has its own ten seconds.
    world.pass_until(after(80));
    world.send(client, "GET /health HTTP/1.1\r\n");
    world.pass_until(after(89));
    world.send(client, "Host: a\r\n\r\n");
    assert!(world.take_text(client).starts_with("HTTP/1.1 200 "));
    world.pass_until(after(300));
    assert_eq!(world.take(client), b"");
    assert_eq!(world.network.clients[client].gone_at, Some(after(89 + 75)));
}

#[test]
fn a_write_may_stall_for_thirty_seconds_and_each_byte_counts() {
    let mut world = world();
    let (http, web_socket) = (world.connect(), world.join("ROOM"));
    for client in [http, web_socket] {
        world.network.clients[client].is_stalled = true;
    }
    world.pass_until(after(5));
    world.send(http, "GET /health HTTP/1.1\r\nHost: a\r\n\r\n");
    world.say(web_socket, r#"{"action":"ping"}"#);
    // The other one proves its life meanwhile.
    world.pass_until(after(34));
    world.say(web_socket, r#"{"action":"ping"}"#);
    world.take_in(web_socket, 1);
    world.pass_until(after(60));
    assert_eq!(world.network.clients[http].gone_at, Some(after(35)));
    world.say(web_socket, r#"{"action":"ping"}"#);
    world.pass_until(after(100));
    assert_eq!(world.network.clients[web_socket].gone_at, Some(after(64)));
}

#[test]
fn who_does_nothing_is_closed_after_a_minute_and_dripping_is_nothing() {
    let mut world = world();
    let (silent, dripping, pinging) = (world.upgrade(), world.upgrade(), world.upgrade());
    let (alive, message) = ([0x8A, 0x80, 0, 0, 0, 0], text_frame(&" ".repeat(120)));
    for second in 0..119 {
        world.pass_until(after(second));
        world.send(silent, alive);
        world.send(dripping, &message[usize::try_from(second).expect("small")..][..1]);
        if second % 50 == 0 {
            world.say(pinging, r#"{"action":"ping"}"#);
        }
    }
    for client in [silent, dripping] {
        assert_eq!(close_code(&world.take(client)), Some(1008), "{client}");
        assert_eq!(
            world.network.clients[client].gone_at,
            Some(after(65)),
            "{client}: it did not answer"
        );
    }
    assert_eq!(world.network.clients[pinging].gone_at, None);
}

#[test]
fn a_silent_client_is_pinged_once_and_dropped_after_a_minute() {
    let mut world = world();
    let clients: Vec<usize> = (0..20).map(|_| world.join("ROOM")).collect();
    for client in &clients {
        world.take(*client);
    }
    let mut pinged = Vec::new();
    for ms in (0..60_000).step_by(100) {
        world.pass_until(after_ms(ms));
        for client in &clients {
            if world.take(*client) == [0x89, 0] {
                pinged.push(ms);
            }
        }
    }
    assert_eq!(pinged.len(), clients.len());
    let (first, last) = (pinged[0], pinged[pinged.len() - 1]);
    assert!(first >= 15_000 && last <= 25_000, "{pinged:?}");
    assert!(last - first > 5_000, "not in one burst: {pinged:?}");
    world.pass_until(after(61));
    assert!(clients.iter().all(|client| world.network.clients[*client].gone_at == Some(after(60))));
}

#[test]
fn a_close_is_answered_within_five_seconds_or_not_at_all() {
    let mut world = world();
    let (deaf, slow, stalled) = (world.join("ROOM"), world.join("ROOM"), world.join("ROOM"));
    world.network.clients[stalled].is_stalled = true;
    for client in [deaf, slow, stalled] {
        // Reserved bits: the server closes with 1002 and waits for nothing.
        let twenty_bad = text_frame("{}").repeat(20);
        world.send(client, twenty_bad);
    }
    assert_eq!(close_code(&world.take(deaf)), Some(1008));
    world.pass_until(after(4));
    // The answer: a Close with the same code. The server shuts its half, and lingers.
    world.send(slow, [0x88, 0x82, 0, 0, 0, 0, 0x03, 0xF0]);
    assert_eq!(world.network.clients[slow].shut_at, Some(after(4)));
    world.finish(slow);
    assert_eq!(world.network.clients[slow].gone_at, Some(after(4)));
    world.pass_until(after(29));
    assert_eq!(world.network.clients[deaf].gone_at, Some(after(5)));
    assert_eq!(world.network.clients[stalled].gone_at, None, "the Close itself has half a minute");
    world.pass_until(after(40));
    assert_eq!(world.network.clients[stalled].gone_at, Some(after(30)));
}

#[test]
fn a_close_that_leaves_late_has_its_five_seconds_from_then_on() {
    let mut world = world();
    let client = world.join("ROOM");
    world.network.clients[client].is_stalled = true;
    world.send(client, text_frame("{}").repeat(20));
    world.pass_until(after(20));
    world.read_again(client);
    assert_eq!(close_code(&world.take(client)), Some(1008));
    world.pass_until(after(60));
    assert_eq!(world.network.clients[client].gone_at, Some(after(25)));
}
