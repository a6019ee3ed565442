// When the client connects again, in virtual time.

import assert from "node:assert/strict";
import { test } from "node:test";

import { STABLE_MS, SyncClient } from "../khun-phaen-sync.js";
import { Clock, Network, settled } from "./fakes.js";

/** A client whose first connection is being made. */
async function begin(options = {}) {
  const clock = new Clock();
  const network = new Network();
  const states = [];
  const { WebSocket } = network;
  const client = new SyncClient({
    url: "ws://server/ws", WebSocket, clock, random: () => 0.5, ...options,
  });
  client.on("state", (event) => states.push(event));
  client.connect();
  await settled();
  const lastWait = () => states.findLast(({ state }) => state === "waiting").retryInMs;
  return { client, clock, network, states, lastWait };
}

/** The waits after so many losses in a row. */
async function waits(count, random) {
  const { clock, network, states, lastWait } = await begin({ random });
  for (let loss = 0; loss < count; loss += 1) {
    network.socket.end(1006);
    await clock.pass(lastWait());
  }
  return states.filter(({ state }) => state === "waiting").map(({ retryInMs }) => retryInMs);
}

test("waits are drawn between nothing and a bound that doubles up to half a minute", async () => {
  const bounds = [1_000, 2_000, 4_000, 8_000, 16_000, 30_000, 30_000, 30_000];
  for (const share of [0, 0.25, 0.999]) {
    const expected = bounds.map((bound) => bound * share);
    assert.deepEqual(await waits(bounds.length, () => share), expected);
  }
});

test("only a connection that lasts lets the waits begin small again", async () => {
  const { clock, network, lastWait } = await begin();
  const lose = async (lastedMs) => {
    network.socket.accept();
    for (let passed = 0; passed < lastedMs; passed += 1_000) {
      await clock.pass(1_000);
      network.socket.say({ type: "pong" });
    }
    network.socket.end(1001);
    await clock.pass(lastWait());
    return lastWait();
  };
  assert.equal(await lose(0), 500);
  assert.equal(await lose(STABLE_MS - 1_000), 1_000);
  assert.equal(await lose(0), 2_000);
  assert.equal(await lose(STABLE_MS), 500);
  assert.equal(await lose(0), 1_000);
});

test("close codes decide whether it comes back", async () => {
  const table = [
    [1000, "closed"], [1001, "waiting"], [1002, "closed"], [1006, "waiting"], [1007, "closed"],
    [1008, "closed"], [1009, "closed"], [1011, "waiting"], [1012, "waiting"], [1013, "waiting"],
  ];
  for (const [code, expected] of table) {
    const { client, clock, network } = await begin();
    network.socket.accept();
    network.socket.end(code, "because");
    assert.equal(client.state, expected, `after ${code}`);
    await clock.pass(1_000);
    assert.equal(network.sockets.length, expected === "waiting" ? 2 : 1, `after ${code}`);
    client.close();
    assert.equal(clock.running, 0, "nothing goes on by itself");
  }
});

test("closed for good rejects what waits, and connect begins anew", async () => {
  const { client, network } = await begin();
  const opened = client.connect();
  const joined = client.join({ room: "R" });
  network.socket.end(1008, "logged out");
  await assert.rejects(opened, { code: "closed", message: /logged out/ });
  await assert.rejects(joined, { code: "closed" });
  const again = client.connect();
  await settled();
  network.socket.accept();
  await again;
  assert.equal(client.state, "open");
});

test("an old socket is closed before the next one opens, and is heard no more", async () => {
  const { client, clock, network } = await begin({ pingIntervalMs: 1_000, pingTimeoutMs: 500 });
  const [old] = network.sockets;
  old.accept();
  client.join({ room: "R" });
  old.letIn();
  await clock.pass(1_000 + 500 + 500);
  assert.deepEqual(network.trace, ["open 1", "close 1", "open 2"]);
  network.socket.accept();
  old.say({ type: "data", from: "a ghost", data: 1 });
  old.end(1008);
  assert.equal(client.state, "open");
});

test("a connection that is never made is given up", async () => {
  const { client, clock, network } = await begin({ pingTimeoutMs: 700 });
  await clock.pass(700);
  assert.equal(client.state, "waiting");
  assert.deepEqual(network.trace, ["open 1", "close 1"]);
});

test("whatever is heard counts as a sign of life", async () => {
  const { client, clock, network } = await begin({ pingIntervalMs: 1_000, pingTimeoutMs: 500 });
  network.socket.accept();
  await clock.pass(1_400);
  network.socket.say({ type: "data", from: "x", data: 1 });
  await clock.pass(300);
  assert.equal(client.state, "open");
});

test("a page that is looked at, or has its network back, tries at once", async (context) => {
  const page = Object.assign(new EventTarget(), { visibilityState: "hidden" });
  const windowEvents = new EventTarget();
  globalThis.document = page;
  globalThis.addEventListener = windowEvents.addEventListener.bind(windowEvents);
  globalThis.removeEventListener = windowEvents.removeEventListener.bind(windowEvents);
  context.after(() => {
    delete globalThis.document;
    delete globalThis.addEventListener;
    delete globalThis.removeEventListener;
  });

  const { client, clock, network } = await begin({ random: () => 0.9, pingTimeoutMs: 500 });
  network.socket.end(1006);
  page.dispatchEvent(new Event("visibilitychange"));
  await settled();
  assert.equal(client.state, "waiting", "it is still hidden");
  page.visibilityState = "visible";
  page.dispatchEvent(new Event("visibilitychange"));
  await settled();
  assert.equal(network.sockets.length, 2);

  network.socket.accept();
  page.dispatchEvent(new Event("visibilitychange"));
  assert.equal(network.socket.sent.at(-1).action, "ping", "is the connection still there?");
  await clock.pass(500);
  assert.equal(client.state, "waiting", "it was half open");
  windowEvents.dispatchEvent(new Event("online"));
  await settled();
  assert.equal(network.sockets.length, 3);

  client.close();
  windowEvents.dispatchEvent(new Event("online"));
  page.dispatchEvent(new Event("visibilitychange"));
  await settled();
  assert.equal(network.sockets.length, 3, "closed is closed");
});

test("the token is asked for at each connection, and travels as a subprotocol", async () => {
  const tokens = ["one", "two"];
  const { clock, network } = await begin({ token: async () => tokens.shift() });
  assert.deepEqual(network.socket.protocols, ["khun-phaen.v1", "bearer.one"]);
  network.socket.end(1006);
  await clock.pass(1_000);
  assert.deepEqual(network.socket.protocols, ["khun-phaen.v1", "bearer.two"]);
  assert.equal(network.socket.url, "ws://server/ws");

  const failing = await begin({ token: () => Promise.reject(new Error("no network")) });
  assert.equal(failing.client.state, "waiting", "it may work the next time");
});

test("what can be no WebSocket is told at once", async () => {
  assert.throws(() => new SyncClient({ url: "ws://server/ws", WebSocket: null }), TypeError);
  const WebSocket = class {
    constructor() {
      throw new SyntaxError("no such protocol");
    }
  };
  const { client } = await begin({ WebSocket });
  assert.equal(client.state, "closed");
});

test("servers are named by their address or by that of their WebSocket", async () => {
  const table = [
    ["https://host/", "wss://host/ws"], ["http://host:3001", "ws://host:3001/ws"],
    ["https://host/base", "wss://host/base/ws"], ["https://host/base/ws", "wss://host/base/ws"],
    ["ws://host/other", "ws://host/other"],
  ];
  for (const [url, expected] of table) {
    const { network } = await begin({ url });
    assert.equal(network.socket.url, expected);
  }
});

test("a wrong code that is answered late is waited for, on the same connection", async () => {
  const { client, clock, network } = await begin();
  network.socket.accept();
  await clock.pass(15_000);
  const refused = assert.rejects(client.join({ room: "NOWHERE" }), { code: "room_not_found" });
  await clock.pass(20_000);
  assert.equal(network.sockets.length, 1);
  const { id } = network.socket.sent.find(({ action }) => action === "join");
  network.socket.say({ type: "error", code: "room_not_found", message: "Room not found", id });
  await refused;
  client.close();
});
