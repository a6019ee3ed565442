// A member of the rooms of a Khun Phaen Sync Server, for browsers and Node 20 or newer. It needs
// nothing but a WebSocket. It keeps itself connected: when the connection is lost it comes back,
// joins its room again, and sends the newest document that the server has not yet acknowledged.
//
// The protocol is told in the server's README; the types are in khun-phaen-sync.d.ts.

/** The subprotocol that is offered to the server. */
export const SUBPROTOCOL = "khun-phaen.v1";

/** The longest wait before the first try to connect again, and before any later one. */
export const RETRY_MS_MIN = 1_000;
export const RETRY_MS_MAX = 30_000;
// A server may answer a wrong room code 20 s late, and reads nothing of its client meanwhile.
const JOIN_MS_MAX = 30_000;
/** A connection that has lasted this long counts as stable: the next waits begin small again. */
export const STABLE_MS = 30_000;

/** Operations that may wait for the server's answer, and bytes that may wait to leave. */
const PENDING_MAX = 1_000;
const BUFFERED_BYTES_MAX = 16 << 20;
/** Documents under way that are told apart. Of more, the oldest count as one. */
const DOCUMENTS_MAX = 64;

/** Close codes after which the same would only happen again (RFC 6455, 7.4.1). */
const FINAL_CODES = new Set([1000, 1002, 1003, 1007, 1008, 1010]);
const NO_CLOSE_FRAME = 1006;
const TOO_BIG = 1009;
/** Errors of a join that pass by themselves. */
const PASSING = new Set([
  "internal", "rate_limited", "room_full", "store_unavailable", "too_many_rooms",
]);

/** What the server or the connection has refused; `code` is for programs. */
export class SyncError extends Error {
  constructor(code, message) {
    super(message);
    this.name = "SyncError";
    this.code = code;
  }
}

/** Makes a room, or finds the one that has the code `options.code`, over HTTP. */
export async function createRoom(server, options = {}) {
  const body = { host_auth: options.hostAuth ?? "token" };
  if (options.code !== undefined) body.desired_room_code = options.code;
  if (options.hostId !== undefined) body.desired_host_id = options.hostId;
  const headers = { "Content-Type": "application/json" };
  if (options.token) headers.Authorization = `Bearer ${options.token}`;
  const response = await (options.fetch ?? fetch)(new URL("api/rooms", folder(server)), {
    method: "POST", headers, body: JSON.stringify(body),
  });
  const room = await response.json().catch(() => ({}));
  if (!response.ok) {
    const code = { 401: "unauthorized", 429: "rate_limited" }[response.status] ?? "internal";
    throw new SyncError(code, room.error ?? `The server answers ${response.status}`);
  }
  return {
    roomCode: room.room_code,
    roomId: room.room_id,
    hostId: room.host_id,
    hostToken: room.host_token ?? null,
    restored: room.restored === true,
    hasDocument: room.has_document === true,
  };
}

/** A client that has begun to connect. */
export function connect(options) {
  const client = new SyncClient(options);
  client.connect();
  return client;
}

/** One connection, and the room that it is in. */
export class SyncClient {
  #url;
  #token;
  #WebSocket;
  #clock;
  #random;
  #ping;
  #listeners = new Map();
  #timers = new Map();

  #state = "idle";
  #socket = null;
  #generation = 0; // of the socket: what is heard of an older one counts no more
  #attempt = 0;
  #opening = []; // who waits for the connection
  #stopWatching = null;

  #wanted = null; // the room to be in, through all connections
  #room = null; // the room that the server says it is in
  #joinId = null;
  #lastId = 0;
  #pending = new Map(); // id → who waits for its ack
  #documents = []; // oldest first: sent and not acknowledged, or waiting for a connection
  #pings = [];

  constructor(options) {
    const WebSocketClass = options.WebSocket ?? globalThis.WebSocket;
    if (typeof WebSocketClass !== "function") {
      throw new TypeError("There is no WebSocket here: pass one as options.WebSocket");
    }
    this.#WebSocket = WebSocketClass;
    this.#url = webSocketUrl(options.url);
    this.#token = options.token;
    this.#random = options.random ?? Math.random;
    this.#clock = options.clock ?? {
      now: () => performance.now(),
      setTimeout: (done, ms) => setTimeout(done, ms),
      clearTimeout: (timer) => clearTimeout(timer),
    };
    this.#ping = {
      intervalMs: options.pingIntervalMs ?? 20_000,
      timeoutMs: options.pingTimeoutMs ?? 10_000,
    };
  }

  /** `idle`, `connecting`, `open`, `waiting` (to try again) or `closed` (for good). */
  get state() {
    return this.#state;
  }

  /** The room that this client is in at present, or `null`. */
  get room() {
    const room = this.#room;
    if (!room?.isComplete) return null;
    const { roomCode, peerId, hostId, document } = room;
    const peers = [...room.peers.values()];
    return { roomCode, peerId, hostId, isHost: isHost(room), peers, document };
  }

  /** Calls `listener` with every event of `type`; returns a function that ends that. */
  on(type, listener) {
    const listeners = this.#listeners.get(type) ?? new Set();
    this.#listeners.set(type, listeners.add(listener));
    return () => listeners.delete(listener);
  }

  /** Connects, unless it does already. Fulfilled once connected, rejected if closed for good. */
  connect() {
    if (this.#state === "open") return Promise.resolve();
    const opened = promised((waiter) => this.#opening.push(waiter));
    if (this.#state === "idle" || this.#state === "closed") {
      this.#attempt = 0;
      this.#stopWatching ??= watchPage(() => this.#wake());
      this.#open();
    }
    return opened;
  }

  /** Closes for good. What still waits for an answer is rejected. */
  close() {
    if (this.#state !== "closed") this.#end(1000, "closed by this client");
  }

  /** Enters a room, now or once connected, and enters it again after each loss. */
  join(options) {
    this.#refuseJoin(new SyncError("superseded", "Another join came after this one"));
    const { room, peerId, host = false, hostToken, metadata = null } = options;
    return promised((waiter) => {
      const before = this.#wanted;
      this.#wanted = { room, peerId, host, hostToken, metadata, waiter, before };
      // What was meant for another room must not land in this one.
      if (this.#room && this.#room.asked !== room) {
        this.#refuseDocuments(new SyncError("left", "The room was left"));
      }
      if (this.#state === "open") this.#sendJoin();
      else this.connect();
    });
  }

  /** Leaves the room; the connection stays. */
  leave() {
    const wasIn = this.#room !== null || this.#joinId !== null;
    const error = new SyncError("left", "The room was left");
    this.#refuseJoin(error);
    this.#refuseDocuments(error);
    this.#wanted = this.#joinId = null;
    this.#forgetRoom(null);
    if (!wasIn || this.#state !== "open") return Promise.resolve();
    return this.#ask({ action: "leave" });
  }

  /** Sends `data`, any JSON value, to everybody else in the room. Nothing is kept if offline. */
  broadcast(data, options = {}) {
    if (!this.#room?.isComplete) return refused("offline", "Not in a room at present");
    if (options.confirm === false) return this.#tell({ action: "broadcast", data });
    return this.#ask({ action: "broadcast", data });
  }

  /**
   * Makes `document` the room's. Fulfilled once it, or a newer one of ours, is stored. Offline the
   * newest one is kept and sent when the room is entered again.
   */
  syncDocument(document) {
    if (!this.#wanted) return refused("not_in_room", "Join a room first");
    return promised((waiter) => {
      const last = this.#documents.at(-1);
      if (last && last.id === null) {
        last.document = document;
        last.waiters.push(waiter);
      } else {
        if (last) last.document = null;
        this.#documents.push({ id: null, document, waiters: [waiter] });
      }
      if (this.#documents.length > DOCUMENTS_MAX) {
        const [oldest] = this.#documents.splice(0, 1);
        this.#documents[0].waiters.unshift(...oldest.waiters);
      }
      if (this.#room?.isComplete) this.#sendDocument();
    });
  }

  /** Asks for the room's document as the server has it. */
  requestSync() {
    if (!this.#room?.isComplete) return refused("offline", "Not in a room at present");
    const room = this.#room;
    return quiet(this.#ask({ action: "request_sync" }).then(() => room.document));
  }

  /** The milliseconds until the server's answer. */
  ping() {
    if (this.#state !== "open") return refused("offline", "Not connected at present");
    if (this.#pings.length >= PENDING_MAX) return refused("busy", "Too many pings under way");
    return promised((waiter) => {
      this.#pings.push({ waiter, sentAt: this.#clock.now() });
      this.#send({ action: "ping" });
      this.#expectSign();
    });
  }

  // --- the connection ---

  // Never fails: what goes wrong becomes the next state.
  async #open() {
    const generation = ++this.#generation;
    this.#cancel("retry");
    this.#become("connecting");
    this.#after("connect", this.#ping.timeoutMs, () => this.#drop("no connection in time"));
    let token = this.#token;
    try {
      if (typeof token === "function") token = await token();
    } catch (error) {
      if (generation === this.#generation) this.#lost(NO_CLOSE_FRAME, String(error));
      return;
    }
    if (generation !== this.#generation) return;
    let socket;
    try {
      const protocols = token ? [SUBPROTOCOL, `bearer.${token}`] : [SUBPROTOCOL];
      socket = new this.#WebSocket(this.#url, protocols);
    } catch (error) {
      // A URL or a token that can be none will not become one.
      this.#end(NO_CLOSE_FRAME, String(error));
      return;
    }
    this.#socket = socket;
    const current = (action) => (event) => {
      if (generation === this.#generation) action(event);
    };
    socket.onopen = current(() => this.#opened());
    socket.onmessage = current((event) => this.#receive(event.data));
    socket.onclose = current((event) => this.#lost(event.code, event.reason));
    // The close event that follows says all that is known. Without a listener Node would end.
    socket.onerror = () => {};
  }

  #opened() {
    this.#cancel("connect");
    this.#after("stable", STABLE_MS, () => (this.#attempt = 0));
    this.#nextPing();
    this.#become("open");
    for (const waiter of this.#opening.splice(0)) waiter.resolve();
    if (this.#wanted && this.#state === "open") this.#sendJoin();
  }

  /** The connection is over, and the server has said so, or the network. */
  #lost(code, reason) {
    if (code === TOO_BIG) {
      const error = new SyncError("too_large", "The message is longer than the server allows");
      this.#refuseDocuments(error);
      if (this.#joinId !== null) this.#refuseJoin(error);
    }
    if (FINAL_CODES.has(code) || (code === TOO_BIG && !this.#wanted)) {
      this.#end(code, reason);
      return;
    }
    this.#release(reason);
    const longest = Math.min(RETRY_MS_MAX, RETRY_MS_MIN * 2 ** this.#attempt);
    this.#attempt += 1;
    const retryInMs = this.#random() * longest;
    this.#after("retry", retryInMs, () => this.#open());
    this.#become("waiting", { code, reason, retryInMs });
  }

  /** Gives the connection up without waiting for the other end, which may be gone. */
  #drop(why) {
    this.#lost(NO_CLOSE_FRAME, why);
  }

  #end(code, reason) {
    this.#release(reason);
    this.#stopWatching?.();
    this.#stopWatching = null;
    const error = new SyncError("closed", `The connection was closed: ${reason || code}`);
    this.#refuseJoin(error);
    this.#refuseDocuments(error);
    this.#wanted = null;
    const opening = this.#opening.splice(0);
    this.#become("closed", { code, reason });
    for (const waiter of opening) waiter.reject(error);
  }

  /** Lets go of the socket, so that there are never two, and of all that it would have answered. */
  #release(reason) {
    this.#generation += 1;
    for (const name of [...this.#timers.keys()]) this.#cancel(name);
    const socket = this.#socket;
    this.#socket = null;
    if (socket) {
      socket.onopen = socket.onmessage = socket.onclose = null;
      if (socket.readyState < 2) socket.close();
      // Of `ws`: its close waits for the other end, half a minute long.
      if (typeof socket.terminate === "function") setTimeout(() => socket.terminate(), 1_000);
    }
    const error = new SyncError("offline", `The connection was lost: ${reason || "no reason"}`);
    const waiting = [...this.#pending.values(), ...this.#pings.map((ping) => ping.waiter)];
    this.#pending.clear();
    this.#pings = [];
    this.#joinId = null;
    this.#room = null;
    const unsure = this.#documents.splice(0);
    const waiters = unsure.flatMap((entry) => entry.waiters);
    const document = unsure.at(-1)?.document ?? null;
    if (document !== null) this.#documents.push({ id: null, document, waiters });
    else waiting.push(...waiters);
    for (const waiter of waiting) waiter.reject(error);
  }

  /** Somebody looks at the page again, or the network is back: waiting makes no sense any more. */
  #wake() {
    if (this.#state === "waiting") this.#open();
    else if (this.#state === "open") this.ping();
  }

  #nextPing() {
    this.#after("ping", this.#ping.intervalMs, () => {
      this.ping();
      this.#nextPing();
    });
  }

  /** From a ping on, something has to be heard within the time, or the connection is half open. */
  #expectSign() {
    if (this.#timers.has("sign")) return;
    const { timeoutMs } = this.#ping;
    const ms = this.#joinId === null ? timeoutMs : Math.max(timeoutMs, JOIN_MS_MAX);
    this.#after("sign", ms, () => this.#drop("no answer to a ping"));
  }

  // --- sending ---

  #sendJoin() {
    const { room, peerId, host, hostToken, metadata } = this.#wanted;
    const message = { action: "join", room_code: room, is_host: host, metadata };
    if (peerId !== undefined && peerId !== null) message.peer_id = peerId;
    if (hostToken) message.host_token = hostToken;
    this.#joinId = message.id = ++this.#lastId;
    this.#send(message);
  }

  #sendDocument() {
    const newest = this.#documents.at(-1);
    if (!newest || newest.id !== null) return;
    newest.id = ++this.#lastId;
    this.#room.document = newest.document;
    this.#send({ action: "sync_document", document: newest.document, id: newest.id });
  }

  /** Sends what is acknowledged. */
  #ask(message) {
    if (this.#pending.size >= PENDING_MAX) return refused("busy", "Too much waits for an answer");
    if (this.#isBlocked()) return refused("busy", "Too much waits to be sent");
    return promised((waiter) => {
      const id = ++this.#lastId;
      this.#pending.set(id, waiter);
      this.#send({ ...message, id });
    });
  }

  /** Sends what nobody waits for. */
  #tell(message) {
    if (this.#isBlocked()) return refused("busy", "Too much waits to be sent");
    this.#send(message);
    return Promise.resolve();
  }

  #isBlocked() {
    return (this.#socket?.bufferedAmount ?? 0) > BUFFERED_BYTES_MAX;
  }

  #send(message) {
    // A socket that is closing already takes nothing; its close event is on its way.
    if (this.#socket?.readyState === 1) this.#socket.send(JSON.stringify(message));
  }

  // --- receiving ---

  #receive(text) {
    this.#cancel("sign");
    let message;
    try {
      message = JSON.parse(text);
    } catch {
      return;
    }
    const room = this.#room;
    switch (message?.type) {
      case "connected": return this.#connected(message);
      case "room_info": return room && this.#roomInfo(room, message);
      case "document_sync": return room && this.#documentSync(room, message);
      case "peer_joined": return room && this.#peersChanged(room, { joined: message.peer });
      case "peer_left": return room && this.#peersChanged(room, { left: message.peer_id });
      case "data": return this.#emit("data", { from: message.from, data: message.data });
      case "pong": return this.#pong();
      case "ack": return this.#acknowledged(message.id);
      case "error": return this.#refused(message);
      default: // A newer server may say more than this client knows.
    }
  }

  #connected({ peer_id: peerId, room_code: roomCode }) {
    if (!this.#wanted) return;
    // The name that the server has drawn is kept, so that the others see the same peer come back.
    this.#wanted.peerId = peerId;
    const asked = this.#wanted.room;
    const nothingYet = { hostId: null, peers: new Map(), document: "", isComplete: false };
    this.#room = { asked, roomCode, peerId, ...nothingYet };
  }

  #roomInfo(room, { host_id: hostId, peers }) {
    room.hostId = hostId;
    room.peers = new Map(peers.map((peer) => [peer.id, fromWire(peer)]));
  }

  #documentSync(room, { document }) {
    const isOurs = this.#documents.at(-1)?.id === null;
    // What waits to be sent is newer to whoever wrote it than what they had before the loss.
    room.document = isOurs ? this.#documents.at(-1).document : document;
    if (room.isComplete && !isOurs) this.#emit("document", { document });
  }

  #peersChanged(room, { joined, left }) {
    const gone = room.peers.get(left) ?? null;
    const come = joined ? fromWire(joined) : null;
    if (come) room.peers.set(come.id, come);
    else room.peers.delete(left);
    if (room.isComplete) {
      this.#emit("peers", { peers: [...room.peers.values()], joined: come, left: gone });
    }
  }

  #pong() {
    const ping = this.#pings.shift();
    if (!ping) return;
    const latencyMs = this.#clock.now() - ping.sentAt;
    ping.waiter.resolve(latencyMs);
    this.#emit("latency", { latencyMs });
  }

  #acknowledged(id) {
    if (id === this.#joinId && this.#room) {
      this.#joinId = null;
      this.#room.isComplete = true;
      const { waiter } = this.#wanted;
      this.#wanted.waiter = this.#wanted.before = null;
      this.#sendDocument();
      const room = this.room;
      waiter?.resolve(room);
      this.#emit("joined", { room, again: !waiter });
      return;
    }
    const at = this.#documents.findIndex((entry) => entry.id !== null && entry.id === id);
    if (at >= 0) {
      // Newer than all before it, and so are they stored.
      const stored = this.#documents.splice(0, at + 1);
      for (const waiter of stored.flatMap((entry) => entry.waiters)) waiter.resolve();
      return;
    }
    this.#pending.get(id)?.resolve();
    this.#pending.delete(id);
  }

  #refused({ id, code, message }) {
    const error = new SyncError(code ?? "internal", message ?? "Refused");
    if (id !== undefined && id === this.#joinId) {
      this.#joinRefused(error);
      return;
    }
    const at = this.#documents.findIndex((entry) => entry.id !== null && entry.id === id);
    if (at >= 0) {
      const [entry] = this.#documents.splice(at, 1);
      for (const waiter of entry.waiters) waiter.reject(error);
    } else if (this.#pending.has(id)) {
      this.#pending.get(id).reject(error);
      this.#pending.delete(id);
    } else {
      this.#emit("error", { error });
    }
  }

  #joinRefused(error) {
    this.#joinId = null;
    if (this.#wanted.waiter) {
      this.#refuseJoin(error);
    } else if (PASSING.has(error.code)) {
      this.#drop(error.message);
    } else {
      this.#wanted = null;
      this.#refuseDocuments(error);
      this.#room = { isComplete: true };
      this.#forgetRoom(error);
    }
  }

  #refuseJoin(error) {
    const { waiter, before } = this.#wanted ?? {};
    if (!waiter) return;
    // Whoever cannot enter another room stays where they are.
    this.#wanted = this.#room ? before : null;
    waiter.reject(error);
  }

  #refuseDocuments(error) {
    for (const entry of this.#documents.splice(0)) {
      for (const waiter of entry.waiters) waiter.reject(error);
    }
  }

  #forgetRoom(error) {
    const wasIn = this.#room?.isComplete;
    this.#room = null;
    if (wasIn) this.#emit("left", { error });
  }

  // --- telling, and time ---

  #become(state, details = {}) {
    this.#state = state;
    this.#emit("state", { state, ...details });
  }

  #emit(type, event) {
    for (const listener of [...(this.#listeners.get(type) ?? [])]) {
      try {
        listener(event);
      } catch (error) {
        // A listener's fault is shown where faults are shown, and keeps no other from hearing.
        queueMicrotask(() => { throw error; });
      }
    }
  }

  #after(name, ms, action) {
    this.#cancel(name);
    this.#timers.set(name, this.#clock.setTimeout(() => {
      this.#timers.delete(name);
      action();
    }, ms));
  }

  #cancel(name) {
    this.#clock.clearTimeout(this.#timers.get(name));
    this.#timers.delete(name);
  }
}

/** A promise whose `resolve` and `reject` are given away. */
function promised(begin) {
  return quiet(new Promise((resolve, reject) => begin({ resolve, reject })));
}

/** `promise`, for which nobody has to wait. */
function quiet(promise) {
  promise.catch(() => {});
  return promise;
}

function refused(code, message) {
  return promised((waiter) => waiter.reject(new SyncError(code, message)));
}

function isHost(room) {
  return room.peers.get(room.peerId)?.isHost === true;
}

function fromWire(peer) {
  const { id, joined_at: joinedAt, is_host: isHost, metadata } = peer;
  return { id, joinedAt, isHost, metadata };
}

function folder(server) {
  const url = new URL(server, globalThis.location?.href);
  if (!url.pathname.endsWith("/")) url.pathname += "/";
  return url;
}

/** The address for a WebSocket: `/ws` of a server, or what is one already. */
function webSocketUrl(url) {
  const given = new URL(url, globalThis.location?.href);
  if (!given.protocol.startsWith("http")) return given.href;
  const found = given.pathname.endsWith("/ws") ? given : new URL("ws", folder(given));
  found.protocol = found.protocol.replace("http", "ws");
  return found.href;
}

/** Calls `wake` when somebody looks at this page again or it has a network again. */
function watchPage(wake) {
  const page = globalThis.document;
  if (typeof page?.addEventListener !== "function") return () => {};
  const whenVisible = () => {
    if (page.visibilityState === "visible") wake();
  };
  page.addEventListener("visibilitychange", whenVisible);
  globalThis.addEventListener?.("online", wake);
  globalThis.addEventListener?.("pageshow", whenVisible);
  return () => {
    page.removeEventListener("visibilitychange", whenVisible);
    globalThis.removeEventListener?.("online", wake);
    globalThis.removeEventListener?.("pageshow", whenVisible);
  };
}
