// Members of rooms of the real server.

import assert from "node:assert/strict";
import { test } from "node:test";

import { SyncError, connect } from "../khun-phaen-sync.js";
import { WebSocket, start } from "./server.js";

/** A host and a guest in a room of their own. */
async function meet(context, settings) {
  const server = await start(context, settings);
  const room = await server.room();
  const host = server.client();
  const guest = server.client();
  const { roomCode, hostId, hostToken } = room;
  const join = { room: roomCode, peerId: hostId, host: true, hostToken, metadata: { name: "Ann" } };
  const hosted = await host.join(join);
  const visited = await guest.join({ room: roomCode.toLowerCase(), metadata: { name: "บ๊อบ" } });
  await host.heard.next("peers");
  return { server, room, host, guest, hosted, visited };
}

test("rooms are made, and found again by their code", async (context) => {
  const server = await start(context);
  const made = await server.room({ code: "TEAM-1", hostId: "ann" });
  assert.deepEqual([made.roomCode, made.hostId, made.restored], ["TEAM-1", "ann", false]);
  assert.match(made.hostToken, /^[0-9a-f]{64}$/);
  const found = await server.room({ code: "TEAM-1" });
  assert.deepEqual([found.roomId, found.hostToken, found.restored], [made.roomId, null, true]);
  await assert.rejects(server.room({ code: "no room" }), SyncError);
});

test("a room shows who is there and who is host", async (context) => {
  const { room, host, guest, hosted, visited } = await meet(context);
  assert.equal(hosted.isHost, true);
  assert.equal(hosted.peerId, room.hostId);
  assert.equal(visited.isHost, false);
  assert.match(visited.peerId, /^peer_[0-9a-f]{8}$/);
  assert.equal(visited.roomCode, room.roomCode, "as the server writes it");
  assert.deepEqual(guest.room.peers.map((peer) => [peer.isHost, peer.metadata.name]),
    [[true, "Ann"], [false, "บ๊อบ"]]);
  assert.deepEqual(host.room.peers, guest.room.peers);
  await guest.leave();
  const { left, peers } = await host.heard.next("peers");
  assert.deepEqual([left.id, peers.length], [visited.peerId, 1]);
  assert.equal(guest.room, null);
  assert.equal(guest.state, "open");
});

test("without the host token nobody is host", async (context) => {
  const { server, room, host } = await meet(context);
  await host.leave();
  const liar = server.client();
  const { roomCode, hostId } = room;
  const joined = await liar.join({ room: roomCode, peerId: hostId, host: true, hostToken: "no" });
  assert.equal(joined.isHost, false);
});

test("messages arrive in the order of the calls, as they were", async (context) => {
  const { host, guest, visited } = await meet(context, { MESSAGE_RATE_LIMIT: "0" });
  const values = [null, true, 1.5, "ข้อความ <b>", [1, [2]], { a: { b: null } }];
  for (let number = 0; number < 500; number += 1) values.push(number);
  const acks = values.map((data, index) => guest.broadcast(data, { confirm: index % 2 === 0 }));
  await Promise.all(acks);
  assert.ok(await guest.ping() >= 0);
  while (host.heard.all("data").length < values.length) await host.ping();
  const heard = host.heard.all("data");
  assert.deepEqual(heard.map(({ data }) => data), values);
  assert.ok(heard.every(({ from }) => from === visited.peerId));
  assert.deepEqual(guest.heard.all("data"), [], "nobody hears themselves");
});

test("a document is acknowledged when even a crash cannot take it away", async (context) => {
  const { server, room, host, guest } = await meet(context);
  const text = "กขค\n".repeat(10_000);
  await host.syncDocument("a first one");
  await host.syncDocument(text);
  await server.stop("SIGKILL");
  assert.equal((await guest.heard.next("document")).document, "a first one");
  assert.equal((await guest.heard.next("document")).document, text);
  await server.run();
  await guest.heard.next("joined", ({ again }) => again);
  assert.equal(guest.room.document, text);
  assert.equal(await guest.requestSync(), text);
  await host.heard.next("joined", ({ again }) => again);
  assert.equal(host.room.isHost, true, "the host token was kept");
  assert.equal(host.room.peerId, room.hostId);
});

test("what the server refuses is told to whoever asked", async (context) => {
  const { server, guest } = await meet(context);
  await assert.rejects(guest.syncDocument("mine"), { name: "SyncError", code: "host_only" });
  await assert.rejects(guest.join({ room: "NOSUCH" }), { code: "room_not_found" });
  assert.ok(guest.room, "it is where it was");
  const outside = server.client();
  await assert.rejects(outside.join({ room: "NOSUCH" }), { code: "room_not_found" });
  await assert.rejects(outside.broadcast("hello"), { code: "offline" });
  await assert.rejects(outside.syncDocument("x"), { code: "not_in_room" });
  assert.equal(outside.state, "open");
});

test("anybody may write where the server lets them", async (context) => {
  const { host, guest } = await meet(context, { SYNC_WRITERS: "any" });
  await guest.syncDocument("from the guest");
  assert.equal((await host.heard.next("document")).document, "from the guest");
});

test("a login token opens a server that wants one", async (context) => {
  const settings = {
    REQUIRE_AUTH: "true",
    INITIAL_ADMIN_EMAIL: "ann@example.com",
    INITIAL_ADMIN_PASSWORD: "a good password",
  };
  const server = await start(context, settings);
  await assert.rejects(server.room(), { code: "unauthorized" });
  await server.logged("the administrator of the settings was made");
  const login = await fetch(new URL("api/auth/login", server.address), {
    method: "POST",
    body: JSON.stringify({ email: "ann@example.com", password: "a good password" }),
  });
  const { token } = await login.json();
  const { roomCode } = await server.room({ token });
  const member = server.client({ token: () => token });
  assert.equal((await member.join({ room: roomCode })).roomCode, roomCode);

  const stranger = server.client();
  stranger.connect();
  assert.equal((await stranger.heard.next("state", ({ code }) => code)).state, "waiting");
});

test("connect is the short way", async (context) => {
  const server = await start(context);
  const client = connect({ url: server.address, WebSocket });
  context.after(() => client.close());
  await client.connect();
  assert.ok(await client.ping() < 20_000);
});
