// A conversation of two members of the room ROOM, by way of the library `ws`.
//
// Usage: member.mjs URL, with the folder of the library in CLIENTS. Prints `all said` at the end.

import assert from "node:assert/strict";
import { once } from "node:events";
import { createRequire } from "node:module";

const WebSocket = createRequire(`${process.env.CLIENTS}/`)("ws");
const [url] = process.argv.slice(2);
const DOCUMENT = "กขค".repeat(350_000); // more than 1 MiB in UTF-8
const DEADLINE_MS = 20_000;

setTimeout(() => {
  console.error("it takes too long");
  process.exit(1);
}, DEADLINE_MS).unref();

class Member {
  #heard = [];
  #listeners = [];

  static async connect(options) {
    const member = new Member();
    member.socket = new WebSocket(url, options.protocols ?? [], options);
    member.socket.on("message", (bytes, isBinary) => {
      assert.equal(isBinary, false);
      const message = JSON.parse(bytes.toString());
      const listener = member.#listeners.shift();
      if (listener) listener(message);
      else member.#heard.push(message);
    });
    await once(member.socket, "open");
    return member;
  }

  send(message) {
    this.socket.send(JSON.stringify(message));
  }

  async expect(expected) {
    const message = this.#heard.length > 0
      ? this.#heard.shift()
      : await new Promise((done) => this.#listeners.push(done));
    for (const [name, value] of Object.entries(expected)) {
      assert.deepEqual(message[name], value, `${name} of ${JSON.stringify(message).slice(0, 200)}`);
    }
  }

  async join(peer, isHost) {
    this.send({ action: "join", room_code: "room", peer_id: peer, is_host: isHost });
    await this.expect({ type: "connected", peer_id: peer, room_code: "ROOM" });
    await this.expect({ type: "room_info", host_id: "host" });
  }
}

const host = await Member.connect({ perMessageDeflate: true });
const guest = await Member.connect({ protocols: ["khun-phaen.v1"], perMessageDeflate: false });
assert.equal(host.socket.extensions, "");
assert.equal(guest.socket.protocol, "khun-phaen.v1");
await host.join("host", true);
await guest.join("guest", false);
await host.expect({ type: "peer_joined" });

guest.send({ action: "broadcast", data: "hello" });
await host.expect({ type: "data", from: "guest", data: "hello" });
host.socket.send(Buffer.from('{"action":"broadcast","data":[1]}'));
await guest.expect({ type: "data", from: "host", data: [1] });
// A message in fragments.
guest.socket.send('{"action":"broad', { fin: false });
guest.socket.send('cast","data":"in parts"}', { fin: true });
await host.expect({ type: "data", data: "in parts" });

host.send({ action: "sync_document", document: DOCUMENT, id: "doc" });
await guest.expect({ type: "document_sync", document: DOCUMENT });
await host.expect({ type: "ack", id: "doc" });
guest.socket.ping("are you there?");
const [pong] = await once(guest.socket, "pong");
assert.equal(pong.toString(), "are you there?");

guest.socket.close(1000, "bye");
assert.equal((await once(guest.socket, "close"))[0], 1000);
await host.expect({ type: "peer_left", peer_id: "guest" });

host.socket.send("x".repeat(5 << 20));
assert.equal((await once(host.socket, "close"))[0], 1009);
console.log("all said");
