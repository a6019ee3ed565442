// Lost connections to the real server, and to one that says what no server of ours can be made to.

import assert from "node:assert/strict";
import { once } from "node:events";
import { test } from "node:test";

import { SyncClient } from "../khun-phaen-sync.js";
import { WebSocket, WebSocketServer, start } from "./server.js";

/** A host in a room of its own. */
async function settle(context, settings, options) {
  const server = await start(context, settings);
  const { roomCode, hostId, hostToken } = await server.room();
  const host = server.client(options);
  await host.join({ room: roomCode, peerId: hostId, host: true, hostToken });
  return { server, roomCode, host };
}

const again = (event) => event.again;

test("a restart of the server is survived by everybody, as who they were", async (context) => {
  const { server, roomCode, host } = await settle(context);
  const guest = server.client();
  const { peerId } = await guest.join({ room: roomCode });
  await host.syncDocument("before");
  await server.stop("SIGTERM");
  const { state } = await host.heard.next("state", ({ code }) => code === 1001);
  assert.equal(state, "waiting");
  const offline = host.syncDocument("written while it was away");
  await server.run();
  await host.heard.next("joined", again);
  await guest.heard.next("joined", again);
  assert.equal(guest.room.peerId, peerId);
  assert.equal(host.room.isHost, true);
  await offline;
  assert.equal(await guest.requestSync(), "written while it was away");
  while (guest.room.peers.length < 2) await guest.heard.next("peers");
  await guest.broadcast("back");
  assert.equal((await host.heard.next("data")).data, "back");
});

test("a half-open connection is noticed and replaced", async (context) => {
  const options = { pingIntervalMs: 50, pingTimeoutMs: 200 };
  const { server, host } = await settle(context, {}, options);
  const before = server.relay.connections;
  server.relay.freeze();
  const document = host.syncDocument("into the void");
  const { reason } = await host.heard.next("state", ({ state }) => state === "waiting");
  assert.equal(reason, "no answer to a ping");
  await host.heard.next("joined", again);
  await document;
  assert.equal(await host.requestSync(), "into the void");
  assert.equal(server.relay.connections, before + 1);
});

test("a cut connection is replaced", async (context) => {
  const { server, host } = await settle(context);
  server.relay.cut();
  const { code } = await host.heard.next("state", ({ state }) => state === "waiting");
  assert.equal(code, 1006);
  await host.heard.next("joined", again);
});

test("who breaks a rule is closed with 1008 and stays away", async (context) => {
  const { server, host } = await settle(context, { MESSAGE_RATE_LIMIT: "1" });
  const before = server.relay.connections;
  const refused = [];
  for (let number = 0; number < 200; number += 1) {
    refused.push(host.broadcast(number).catch((error) => error.code));
  }
  const closed = await host.heard.next("state", ({ state }) => state === "closed");
  assert.equal(closed.code, 1008);
  const codes = new Set(await Promise.all(refused));
  assert.deepEqual(codes, new Set([undefined, "rate_limited", "offline"]));
  await assert.rejects(host.syncDocument("x"), { code: "not_in_room" });
  assert.equal(server.relay.connections, before);
});

test("a room that did not survive is told", async (context) => {
  const { server, host } = await settle(context, { ROOM_STORE: "off" });
  await server.stop("SIGTERM");
  await server.run();
  const { error } = await host.heard.next("left");
  assert.equal(error.code, "room_not_found");
  assert.equal(host.state, "open");
});

test("close codes of a server: 1001 and 1013 bring it back, 1008 does not", async (context) => {
  const server = new WebSocketServer({ port: 0, host: "127.0.0.1" });
  context.after(() => server.close());
  await once(server, "listening");
  const codes = [1001, 1013, 1008];
  server.on("connection", (socket) => socket.close(codes.shift(), "as told"));
  const url = `ws://127.0.0.1:${server.address().port}/ws`;
  const client = new SyncClient({ url, WebSocket, random: () => 0 });
  const ends = [];
  await new Promise((done) => {
    client.on("state", ({ state, code }) => {
      if (code) ends.push([code, state]);
      if (state === "closed") done();
    });
    client.connect();
  });
  assert.deepEqual(ends, [[1001, "waiting"], [1013, "waiting"], [1008, "closed"]]);
});
