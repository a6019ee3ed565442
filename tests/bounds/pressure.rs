//! Who goes when memory is short, and what the kernel keeps for those who do not read.

use std::net::{IpAddr, Ipv4Addr};

use sync_server::config::Config;

use crate::world::{World, close_code, frame, open_config};

const KIB: usize = 1 << 10;
const MIB: usize = 1 << 20;
/// What a send buffer begins with, as it takes memory.
const SEND_BUFFER_BYTES: usize = 16 * KIB;

fn config(budget_bytes: usize) -> Config {
    let mut config = open_config();
    config.limits.memory_budget_bytes = budget_bytes;
    config
}

fn address(last: u8) -> IpAddr {
    IpAddr::V4(Ipv4Addr::new(203, 0, 113, last))
}

/// A member from `address` of whose message `bytes` bytes have come.
fn say_half(world: &mut World, address: IpAddr, bytes: usize) -> usize {
    let client = world.join_from(address, "ROOM");
    world.send(client, &frame(0x81, &vec![b' '; 4_000_000])[..bytes]);
    client
}

fn text(action: &str, bytes: usize) -> Vec<u8> {
    let (name, what) = action.split_once(' ').expect("an action and its field");
    let filling = "x".repeat(bytes);
    frame(0x81, format!(r#"{{"action":"{name}","{what}":"{filling}"}}"#).as_bytes())
}

#[test]
fn those_of_an_address_that_holds_more_than_its_share_go_first() {
    let mut world = World::new(config(16 * MIB));
    let bystander = world.join_from(address(1), "ROOM");
    let honest = say_half(&mut world, address(2), 3 * MIB);
    let greedy: Vec<usize> =
        (0..9).map(|_| say_half(&mut world, address(1), 3 * MIB / 2)).collect();
    let left = greedy.iter().filter(|client| world.is_open(**client)).count();
    assert!((1..9).contains(&left), "{left} of nine are left");
    assert!(world.is_open(honest), "it holds more than each of them, but is alone");
    assert!(world.is_open(bystander), "it holds nothing");
    let closed = greedy.iter().find(|client| !world.is_open(**client)).expect("one of them");
    assert_eq!(close_code(&world.take(*closed)), Some(1013), "come back later");
}

#[test]
fn when_closing_cannot_help_nothing_is_closed() {
    let mut world = World::new(config(16 * MIB));
    let clients: Vec<usize> = (0..3).map(|number| world.join(&format!("ROOM{number}"))).collect();
    for client in &clients {
        world.send(*client, text("sync_document document", 3 * MIB));
    }
    let holder = say_half(&mut world, address(1), 100 * KIB);
    // The documents alone are more than that.
    world.reload(&config(8 * MIB));
    world.send(clients[0], text("broadcast data", 10));
    assert!(world.is_open(holder) && clients.iter().all(|client| world.is_open(*client)));
}

#[test]
fn a_send_buffer_that_takes_nothing_counts_until_it_does() {
    let mut world = World::new(config(16 * MIB));
    let (client, other) = (world.join("ROOM"), world.join("ROOM"));
    world.network.clients[client].is_stalled = true;
    world.take_in(client, 10);
    let before = world.used_bytes();
    world.send(other, text("broadcast data", 100));
    let held = world.used_bytes() - before;
    assert!((SEND_BUFFER_BYTES..SEND_BUFFER_BYTES + 2 * KIB).contains(&held), "{held}");
    world.read_again(client);
    assert_eq!(world.used_bytes(), before);
}

#[test]
fn what_was_written_and_not_read_is_found_when_memory_is_short() {
    let mut world = World::new(config(16 * MIB));
    let (client, other) = (world.join("ROOM"), world.join("ROOM"));
    world.network.clients[client].is_stalled = true;
    world.take_in(client, MIB);
    let before = world.used_bytes();
    world.send(other, text("broadcast data", 10 * KIB));
    assert_eq!(world.used_bytes(), before, "as far as is known it was read");
    // It is asked about only when it could matter.
    world.reload(&config(before + 8 * KIB));
    world.send(other, text("broadcast data", 1));
    assert!(!world.is_open(client), "it holds a whole send buffer");
    assert!(world.is_open(other));
}

#[test]
fn a_reader_earns_a_larger_send_buffer_and_a_connection_that_is_closed_twice_is_reset() {
    let mut world = World::new(config(16 * MIB));
    let (client, other) = (world.join("ROOM"), world.join("ROOM"));
    world.network.clients[client].is_stalled = true;
    world.send(other, text("broadcast data", 3 * MIB));
    for _ in 0..10 {
        world.take_in(client, 100 * KIB);
    }
    let asked = world.network.clients[client].send_buffers.clone();
    assert_eq!(asked, [16, 32, 64, 128, 256].map(|kib| kib * KIB), "doubled, up to a bound");
    // It stops: asked to leave it stays, and what is on its way to it is not given back.
    world.reload(&config(MIB));
    world.send(other, text("broadcast data", 1));
    world.send(other, text("broadcast data", 1));
    assert!(world.network.clients[client].gone_at.is_some());
    assert!(world.network.clients[client].is_forsaken, "the kernel keeps nothing of it");
    assert!(world.is_open(other));
}
