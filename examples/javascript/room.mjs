// A room from Node 22 or newer, with the client of this project, which comes back by itself when
// the connection is lost.
//
//   node examples/javascript/room.mjs http://localhost:3001           makes a room
//   node examples/javascript/room.mjs http://localhost:3001 ABC234    joins one
//
// Node 20 has a WebSocket too, with --experimental-websocket.
//
// Each line that is typed is said to everybody; the host's is also the room's document. Ctrl-C or
// the end of the input ends it.

import { createInterface } from "node:readline";

import { connect, createRoom } from "../../client/khun-phaen-sync.js";

const [server = "http://localhost:3001", code] = process.argv.slice(2);

const created = code ? null : await createRoom(server);
const client = connect({ url: server });

client.on("state", ({ state, reason }) => console.log("connection:", state, reason ?? ""));
client.on("peers", ({ joined, left }) => {
  if (joined) console.log("+", joined.id);
  if (left) console.log("-", left.id);
});
client.on("data", ({ from, data }) => console.log(`${from}: ${JSON.stringify(data)}`));
client.on("document", ({ document }) => console.log("document:", document));

const room = await client.join(
  created
    ? { room: created.roomCode, peerId: created.hostId, host: true, hostToken: created.hostToken }
    : { room: code },
);
console.log(`in ${room.roomCode} as ${room.peerId}, with ${room.peers.length - 1} others`);

for await (const text of createInterface({ input: process.stdin })) {
  await client.broadcast({ text });
  if (client.room?.isHost) {
    await client.syncDocument(text);
    console.log("stored");
  }
}
client.close();
