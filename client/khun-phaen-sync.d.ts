// Types of khun-phaen-sync.js, and what its parts promise.

/** The subprotocol that is offered to the server. */
export const SUBPROTOCOL: "khun-phaen.v1";
/** The longest wait before the first try to connect again, in milliseconds. */
export const RETRY_MS_MIN: 1000;
/** The longest wait before any try to connect again, in milliseconds. */
export const RETRY_MS_MAX: 30000;
/** After so many milliseconds a connection counts as stable, and waits begin small again. */
export const STABLE_MS: 30000;

/** Any JSON value. */
export type Json = null | boolean | number | string | Json[] | { [name: string]: Json };

/** Codes of the server's errors (see its README), and of the client's own. */
export type ErrorCode =
  | "bad_message"
  | "unknown_action"
  | "room_not_found"
  | "not_in_room"
  | "host_only"
  | "room_full"
  | "too_many_rooms"
  | "too_large"
  | "rate_limited"
  | "unauthorized"
  | "store_unavailable"
  | "internal"
  /** Not connected or not in a room at present, or the connection was lost before the answer. */
  | "offline"
  /** Too much waits for an answer or to be sent. */
  | "busy"
  /** The connection was closed for good. */
  | "closed"
  /** The room was left before the answer. */
  | "left"
  /** Another join came before the answer. */
  | "superseded"
  | (string & {});

/** What the server or the connection has refused. */
export class SyncError extends Error {
  constructor(code: ErrorCode, message: string);
  readonly name: "SyncError";
  readonly code: ErrorCode;
}

/** Somebody in a room. */
export interface Peer {
  id: string;
  /** RFC 3339, UTC. */
  joinedAt: string;
  isHost: boolean;
  /** Whatever the peer's client said when it joined. */
  metadata: Json;
}

/** The room that a client is in. */
export interface Room {
  roomCode: string;
  /** The own name in it. */
  peerId: string;
  hostId: string;
  /** Whether this peer is the host. */
  isHost: boolean;
  /** Everybody, the own peer included. */
  peers: Peer[];
  /** `""` if there is none yet. */
  document: string;
}

/**
 * - `idle`: not begun
 * - `connecting`: a connection is being made
 * - `open`: connected; perhaps not in a room
 * - `waiting`: the connection was lost, and is made again after a while
 * - `closed`: for good; `connect()` begins anew
 */
export type State = "idle" | "connecting" | "open" | "waiting" | "closed";

/** The events, by type. */
export interface SyncEvents {
  /** The connection's state. With `waiting` and `closed`: why, by RFC 6455's close codes. */
  state: { state: State; code?: number; reason?: string; retryInMs?: number };
  /** In the room, for the first time or `again` after a loss. */
  joined: { room: Room; again: boolean };
  /** Out of the room: by `leave()`, or, with an error, because it could not be entered again. */
  left: { error: SyncError | null };
  /** Somebody came or went. */
  peers: { peers: Peer[]; joined: Peer | null; left: Peer | null };
  /** Somebody else has changed the room's document. */
  document: { document: string };
  /** Somebody has broadcast something. It may come from any program: trust nothing in it. */
  data: { from: string; data: Json };
  /** The time until the answer to a ping. */
  latency: { latencyMs: number };
  /** The server has refused something that nobody waits for. */
  error: { error: SyncError };
}

/** As much of a WebSocket as is used; `ws` from npm has it too. */
export interface WebSocketLike {
  readonly readyState: number;
  readonly bufferedAmount: number;
  onopen: ((event: any) => any) | null;
  onmessage: ((event: any) => any) | null;
  onclose: ((event: any) => any) | null;
  onerror: ((event: any) => any) | null;
  send(text: string): void;
  close(): void;
}

/** Where the time comes from; for tests. */
export interface Clock {
  now(): number;
  setTimeout(done: () => void, ms: number): unknown;
  clearTimeout(timer: any): void;
}

export interface Options {
  /** The server (`https://sync.example.com/`) or its WebSocket (`wss://sync.example.com/ws`). */
  url: string | URL;
  /** A login token, or what gets one for each connection. Sent as a subprotocol, in no URL. */
  token?: string | null | (() => string | null | undefined | Promise<string | null | undefined>);
  /** For Node before 22, which has none: `import WebSocket from "ws"`. */
  WebSocket?: new (url: string, protocols: string[]) => WebSocketLike;
  /** From one ping to the next; 20,000 milliseconds unless told. */
  pingIntervalMs?: number;
  /**
   * Without a sign for so long after a ping the connection is given up; 10,000 unless told. While
   * a join waits it is 30,000 at least, as a wrong code may be answered late.
   */
  pingTimeoutMs?: number;
  /** For tests: at least 0, below 1. */
  random?: () => number;
  clock?: Clock;
}

export interface JoinOptions {
  /** The room's code. */
  room: string;
  /** 1 to 128 characters. Unless told the server picks a name, which is then kept. */
  peerId?: string | null;
  /** Whether to join as host: `peerId` has to be the room's host id. */
  host?: boolean;
  /** What `createRoom` gave to the creator; kept for joining again. */
  hostToken?: string | null;
  /** What the others are to know, up to 4 KiB of JSON. */
  metadata?: Json;
}

/**
 * A connection that comes back by itself, and the room that it is in.
 *
 * After a loss it waits a random time, at most 1, 2, 4 … 30 seconds, and tries again: if the
 * network is gone, the server shuts down (1001) or is full (1013). It gives up after close code
 * 1008 and other refusals that would only come again. A page that is looked at again, or has its
 * network back, tries at once.
 *
 * Promises need not be awaited: one that is rejected unheard is no fault.
 */
export class SyncClient {
  constructor(options: Options);

  readonly state: State;
  /** `null` while not in a room, so also while the connection is lost. */
  readonly room: Room | null;

  /** Calls `listener` with every event of `type`. Returns a function that ends that. */
  on<Type extends keyof SyncEvents>(
    type: Type,
    listener: (event: SyncEvents[Type]) => void,
  ): () => void;

  /** Connects, unless it does already. Fulfilled once connected, rejected if closed for good. */
  connect(): Promise<void>;

  /** Closes for good. What still waits for an answer is rejected. */
  close(): void;

  /**
   * Enters a room, now or once connected, and enters it again after each loss. Rejected if the
   * server refuses: then the client is where it was before.
   */
  join(options: JoinOptions): Promise<Room>;

  /** Leaves the room; the connection stays. */
  leave(): Promise<void>;

  /**
   * Sends `data` to everybody else in the room, in the order of the calls. Fulfilled once the
   * server has acknowledged it, or, with `confirm: false`, at once, which halves the messages.
   * Offline it is rejected, and nothing is kept.
   */
  broadcast(data: Json, options?: { confirm?: boolean }): Promise<void>;

  /**
   * Makes `document` the room's document. Fulfilled once it, or a newer one of this client, is
   * durably stored. While the connection is lost the newest one is kept, and sent once in the room
   * again, over whatever the room has then: the last writer wins.
   */
  syncDocument(document: string): Promise<void>;

  /** The room's document as the server has it now. */
  requestSync(): Promise<string>;

  /** The milliseconds until the server's answer. */
  ping(): Promise<number>;
}

/** A client that has begun to connect. */
export function connect(options: Options): SyncClient;

export interface CreateOptions {
  /** A code of your own: 1 to 64 of A–Z, a–z, 0–9, `_` and `-`. Unless told one is drawn. */
  code?: string;
  /** The host's peer id. Unless told one is drawn. */
  hostId?: string;
  /** `token`, unless told: to be host takes the host token. */
  hostAuth?: "token" | "peer_id";
  /** A login token, for servers that want one. */
  token?: string | null;
  /** Another `fetch`; for tests. */
  fetch?: typeof fetch;
}

export interface CreatedRoom {
  roomCode: string;
  roomId: string;
  /** `null` if the room was there already and has another host than was asked for. */
  hostId: string | null;
  /** Given this once, to the creator. `null` if the room was there already. */
  hostToken: string | null;
  /** The room was there already. */
  restored: boolean;
  hasDocument: boolean;
}

/** Makes a room, or finds the one that has the code. `server` is its address over HTTP. */
export function createRoom(server: string | URL, options?: CreateOptions): Promise<CreatedRoom>;
