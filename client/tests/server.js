// The real server, and a relay before it that can be told to stop or to point elsewhere.
//
// SYNC_SERVER names the server's executable, CLIENTS the folder in which `ws` is installed.

import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtemp, rm } from "node:fs/promises";
import { createRequire } from "node:module";
import net from "node:net";
import { tmpdir } from "node:os";
import path from "node:path";
import { createInterface } from "node:readline";

import { SyncClient, createRoom } from "../khun-phaen-sync.js";

export const { WebSocket, WebSocketServer } = createRequire(`${process.env.CLIENTS}/`)("ws");

/** What ends with the test `context`. */
export async function start(context, settings = {}) {
  const directory = await mkdtemp(path.join(tmpdir(), "sync-client-"));
  const running = { port: null, process: null, log: null };
  const relay = await Relay.start(() => running.port);
  const clients = [];
  context.after(async () => {
    for (const client of clients) client.close();
    await stop("SIGKILL");
    await relay.end();
    await rm(directory, { recursive: true, force: true });
  });

  async function run() {
    const child = spawn(process.env.SYNC_SERVER, {
      cwd: directory,
      env: { BIND_ADDR: "127.0.0.1", PORT: "0", DATA_DIR: `${directory}/data`, ...settings },
      stdio: ["ignore", "ignore", "pipe"],
    });
    running.process = child;
    running.log = new Log(child);
    const [, port] = await running.log.line(/listening on .*http:\/\/127\.0\.0\.1:(\d+)/);
    running.port = Number(port);
  }

  async function stop(signal = "SIGTERM") {
    const child = running.process;
    if (!child || child.exitCode !== null || child.signalCode !== null) return;
    child.kill(signal);
    await once(child, "exit");
  }

  /** A client by way of the relay, with what it has heard. */
  function client(options = {}) {
    const url = `ws://127.0.0.1:${relay.port}/ws`;
    const made = new SyncClient({ url, WebSocket, random: () => 0.02, ...options });
    clients.push(made);
    return Object.assign(made, { heard: new Heard(made) });
  }

  await run();
  const address = `http://127.0.0.1:${relay.port}/`;
  const room = (options) => createRoom(address, options);
  const logged = (text) => running.log.line(new RegExp(text));
  return { run, stop, client, room, logged, relay, address };
}

/** What a server says on standard error. */
class Log {
  #lines = [];
  #waiters = [];
  #hasEnded = false;

  constructor(child) {
    const wake = () => this.#waiters.splice(0).forEach((waiter) => waiter());
    createInterface(child.stderr)
      .on("line", (line) => { this.#lines.push(line); wake(); })
      .on("close", () => { this.#hasEnded = true; wake(); });
  }

  /** The first line that matches. */
  async line(pattern) {
    for (;;) {
      const found = this.#lines.map((line) => pattern.exec(line)).find((match) => match);
      if (found) return found;
      assert.ok(!this.#hasEnded, `${pattern} is not in its log:\n${this.#lines.join("\n")}`);
      await new Promise((done) => this.#waiters.push(done));
    }
  }
}

/** The events of a client, to be waited for. */
class Heard {
  #events = [];
  #waiters = [];

  constructor(client) {
    for (const type of ["state", "joined", "left", "peers", "document", "data", "error"]) {
      client.on(type, (event) => this.#add({ type, ...event }));
    }
  }

  #add(event) {
    this.#events.push(event);
    for (const waiter of this.#waiters.splice(0)) waiter();
  }

  /** The next event of `type` that `wanted` accepts, and forgets all before it. */
  async next(type, wanted = () => true) {
    for (;;) {
      const at = this.#events.findIndex((event) => event.type === type && wanted(event));
      if (at >= 0) return this.#events.splice(0, at + 1).at(-1);
      await new Promise((done) => this.#waiters.push(done));
    }
  }

  /** All of `type` that came so far. */
  all(type) {
    return this.#events.filter((event) => event.type === type);
  }
}

/** A TCP relay to the port that `target` gives. */
class Relay {
  #sockets = new Set();
  #frozen = new WeakSet();
  connections = 0;

  static async start(target) {
    const relay = new Relay();
    relay.server = net.createServer((client) => {
      relay.connections += 1;
      const server = net.connect(target(), "127.0.0.1");
      relay.#join(client, server);
      relay.#join(server, client);
    });
    relay.server.listen(0, "127.0.0.1");
    await once(relay.server, "listening");
    relay.port = relay.server.address().port;
    return relay;
  }

  #join(from, to) {
    this.#sockets.add(from);
    from.on("data", (bytes) => this.#frozen.has(from) || to.write(bytes));
    from.on("end", () => this.#frozen.has(from) || to.end());
    from.on("error", () => to.destroy());
    from.on("close", () => this.#sockets.delete(from));
  }

  /** What is connected now goes on to look connected, but nothing comes through any more. */
  freeze() {
    assert.ok(this.#sockets.size > 0, "somebody is connected");
    for (const socket of this.#sockets) this.#frozen.add(socket);
  }

  /** Cuts what is connected now. */
  cut() {
    for (const socket of this.#sockets) socket.destroy();
  }

  async end() {
    this.server.close();
    this.cut();
    await once(this.server, "close");
  }
}
