// What becomes of joins, messages and documents when the connection is lost, in virtual time.

import assert from "node:assert/strict";
import { test } from "node:test";

import { SyncClient } from "../khun-phaen-sync.js";
import { Clock, Network, settled } from "./fakes.js";

/** A client in the room R. */
async function begin() {
  const clock = new Clock();
  const network = new Network();
  const { WebSocket } = network;
  const client = new SyncClient({ url: "ws://server/ws", WebSocket, clock, random: () => 0 });
  const joined = client.join({ room: "R", host: true, hostToken: "secret", metadata: { n: 1 } });
  await settled();
  network.socket.accept();
  network.socket.letIn("old");
  await joined;
  const lose = async (code = 1006) => {
    network.socket.end(code);
    await clock.pass(0);
  };
  const comeBack = async (document) => {
    network.socket.accept();
    network.socket.letIn(document);
    await settled();
  };
  const sent = () => network.socket.sent.filter(({ action }) => action === "sync_document");
  return { client, clock, network, lose, comeBack, sent };
}

/** What has become of a promise: `fulfilled`, a rejection's code, or `pending`. */
async function fate(promise) {
  await settled();
  const ended = promise.then(() => "fulfilled", (error) => error.code);
  return Promise.race([ended, settled().then(() => "pending")]);
}

test("a room is joined again under the same name, with the same token", async () => {
  const { client, network, lose, comeBack } = await begin();
  const events = [];
  client.on("joined", ({ room, again }) => events.push([room.document, again]));
  await lose();
  assert.equal(client.room, null);
  await comeBack("new");
  const { id, ...join } = network.socket.sent[0];
  assert.deepEqual(join, {
    action: "join", room_code: "R", peer_id: "drawn", is_host: true, host_token: "secret",
    metadata: { n: 1 },
  });
  assert.deepEqual(events, [["new", true]]);
  assert.equal(client.room.document, "new");
});

test("offline only the newest document is kept, and fulfils all that waited", async () => {
  const { client, network, lose, comeBack, sent } = await begin();
  const first = client.syncDocument("first");
  await lose();
  const second = client.syncDocument("second");
  const third = client.syncDocument("third");
  const documents = [];
  client.on("document", ({ document }) => documents.push(document));
  await comeBack("somebody else's");
  assert.deepEqual(sent().map(({ document }) => document), ["third"]);
  assert.deepEqual(documents, [], "ours is about to replace it");
  assert.equal(client.room.document, "third");
  assert.equal(await fate(first), "pending");
  network.socket.say({ type: "ack", id: sent()[0].id });
  for (const promise of [first, second, third]) assert.equal(await fate(promise), "fulfilled");
  await lose();
  await comeBack("third");
  assert.deepEqual(sent(), [], "what is stored is not sent again");
});

test("the ack of a document tells of all before it", async () => {
  const { client, network, sent } = await begin();
  const [first, second, third] = ["1", "2", "3"].map((text) => client.syncDocument(text));
  assert.deepEqual(sent().map(({ document }) => document), ["1", "2", "3"]);
  network.socket.say({ type: "ack", id: sent()[1].id });
  assert.deepEqual(await Promise.all([first, second, third].map(fate)),
    ["fulfilled", "fulfilled", "pending"]);
});

test("a refused document is told, and the one before it is not sent for it", async () => {
  const { client, network, lose, comeBack, sent } = await begin();
  const first = client.syncDocument("first");
  const second = client.syncDocument("second");
  network.socket.say({ type: "error", code: "host_only", message: "no", id: sent()[1].id });
  assert.equal(await fate(second), "host_only");
  await lose();
  assert.equal(await fate(first), "offline");
  await comeBack();
  assert.deepEqual(sent(), []);
});

test("more documents under way than are told apart all come to their end", async () => {
  const { client, network, sent } = await begin();
  const promises = Array.from({ length: 200 }, (_, index) => client.syncDocument(`${index}`));
  assert.equal(sent().length, 200, "each is sent at once");
  network.socket.say({ type: "ack", id: sent().at(-1).id });
  for (const promise of promises) assert.equal(await fate(promise), "fulfilled");
});

test("a message that is too long is not sent again and again", async () => {
  const { client, lose, comeBack, sent } = await begin();
  const promise = client.syncDocument("long");
  await lose(1009);
  assert.equal(await fate(promise), "too_large");
  await comeBack();
  assert.deepEqual(sent(), []);
  assert.equal(client.state, "open");
});

test("messages are not kept, and say so", async () => {
  const { client, network, lose } = await begin();
  const lost = client.broadcast("under way");
  const ping = client.ping();
  await lose();
  for (const promise of [lost, ping, client.broadcast("late"), client.requestSync()]) {
    assert.equal(await fate(promise), "offline");
  }
  assert.deepEqual(network.socket.sent, []);
});

test("no more waits than is bounded", async () => {
  const { client, network } = await begin();
  const many = Array.from({ length: 1_001 }, () => client.broadcast(1));
  assert.equal(await fate(many[999]), "pending");
  assert.equal(await fate(many[1_000]), "busy");
  assert.equal(await fate(client.broadcast(1, { confirm: false })), "fulfilled");
  network.socket.bufferedAmount = 1 << 30;
  assert.equal(await fate(client.broadcast(1, { confirm: false })), "busy");
});

test("a room that cannot be entered again is left, unless the reason passes", async () => {
  const refuse = async (code) => {
    const all = await begin();
    const events = [];
    all.client.on("left", ({ error }) => events.push(error.code));
    await all.lose();
    all.network.socket.accept();
    const { id } = all.network.socket.sent[0];
    const waiting = all.client.syncDocument("mine");
    all.network.socket.say({ type: "error", code, message: "no", id });
    return { ...all, events, waiting };
  };
  const gone = await refuse("room_not_found");
  assert.deepEqual(gone.events, ["room_not_found"]);
  assert.equal(await fate(gone.waiting), "room_not_found");
  assert.equal(gone.client.state, "open");
  assert.equal(await fate(gone.client.syncDocument("x")), "not_in_room");

  const full = await refuse("room_full");
  assert.deepEqual(full.events, []);
  assert.equal(full.client.state, "waiting");
  await full.clock.pass(30_000);
  await full.comeBack();
  assert.equal(full.client.room.document, "mine");
});

test("who cannot enter another room stays in theirs, also through a loss", async () => {
  const { client, network, lose } = await begin();
  const other = client.join({ room: "OTHER" });
  const { id } = network.socket.sent.at(-1);
  network.socket.say({ type: "error", code: "room_not_found", message: "no", id });
  assert.equal(await fate(other), "room_not_found");
  assert.equal(client.room.roomCode, "R");
  await lose();
  network.socket.accept();
  assert.equal(network.socket.sent[0].room_code, "R");
});

test("leaving ends what was meant for the room", async () => {
  const { client, network, lose } = await begin();
  const document = client.syncDocument("x");
  const events = [];
  client.on("left", ({ error }) => events.push(error));
  const left = client.leave();
  assert.equal(await fate(document), "left");
  assert.deepEqual(events, [null]);
  network.socket.say({ type: "ack", id: network.socket.sent.at(-1).id });
  assert.equal(await fate(left), "fulfilled");
  await lose();
  network.socket.accept();
  assert.deepEqual(network.socket.sent, [], "no room is joined again");
});

test("a listener's fault keeps no other from hearing", async () => {
  const { client, network } = await begin();
  const heard = [];
  const faults = [];
  const others = process.listeners("uncaughtException");
  process.removeAllListeners("uncaughtException");
  process.once("uncaughtException", (error) => faults.push(error.message));
  client.on("data", () => { throw new Error("mine"); });
  const stop = client.on("data", ({ data }) => heard.push(data));
  network.socket.say({ type: "data", from: "x", data: 1 });
  stop();
  await settled();
  for (const listener of others) process.on("uncaughtException", listener);
  network.socket.say({ type: "nonsense" });
  network.socket.onmessage({ data: "no JSON" });
  assert.deepEqual([heard, faults], [[1], ["mine"]]);
});
