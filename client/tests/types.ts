// What the types promise, used as a TypeScript program would. It is checked, not run.

import { SyncClient, SyncError, connect, createRoom, type Json, type Room } from "khun-phaen-sync";

const created = await createRoom("https://sync.example.com/", { code: "TEAM", token: null });
const token: string | null = created.hostToken;

const client: SyncClient = connect({ url: new URL("wss://sync.example.com/ws"), WebSocket });
const stop: () => void = client.on("data", ({ from, data }) => {
  const sender: string = from;
  const value: Json = data;
  console.log(sender, value);
});
client.on("state", ({ state, retryInMs }) => console.log(state === "waiting" && retryInMs));
client.on("left", ({ error }) => error instanceof SyncError && error.code === "room_not_found");
// @ts-expect-error there is no such event
client.on("nonsense", () => {});
// @ts-expect-error a room has to be named
client.join({ peerId: "me" });
// @ts-expect-error functions are no JSON
client.broadcast(() => {});
// @ts-expect-error the state is the client's own
client.state = "open";

const room: Room = await client.join({ room: created.roomCode, host: true, hostToken: token });
await client.syncDocument(room.document);
await client.broadcast({ list: [1, "two", null] }, { confirm: false });
const latency: number = await client.ping();
const document: string = await client.requestSync();
console.log(latency, document, client.room?.peers[0]?.metadata);
await client.leave();
client.close();
stop();
