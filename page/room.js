// A room as it is seen: who is there, the note, the chat, the way in for others.
//
// A chat message is a broadcast of {"type":"chat","text":"…"}. What other programs broadcast is
// shown as text, whatever it is.

import { SyncClient, SyncError } from "../client.js";
import { qrImage } from "./qr.js";
import { ROOT, byId, say } from "./text.js";

/** How long somebody has not typed before the note is sent. */
const NOTE_PAUSE_MS = 300;
/** Messages that are shown; the oldest go first. */
const LOG_MAX = 200;
/** Characters of a stranger's name or message that are shown. */
const NAME_MAX = 40;
const TEXT_MAX = 4_000;

export class Room {
  #client;
  #options;
  #listening = new AbortController();
  #code = "";
  #room = null; // as it was last seen
  #latencyMs = null;
  #noteState = ["", {}];
  #noteTimer = null;
  #noteVersion = 0;
  #unsaved = false;

  constructor(options) {
    this.#options = options;
    this.#client = new SyncClient({ url: ROOT, token: options.token });
    const on = (type, listener) => this.#client.on(type, listener);
    on("state", (event) => this.#stateChanged(event));
    on("joined", ({ room }) => this.#joined(room));
    on("left", ({ error }) => error && options.onLost(error));
    on("peers", (event) => this.#peersChanged(event));
    on("document", ({ document }) => this.#documentChanged(document));
    on("data", ({ from, data }) => this.#heard(from, data));
    on("latency", ({ latencyMs }) => {
      this.#latencyMs = latencyMs;
      this.#renderConnection();
    });
    on("error", ({ error }) => this.#log(null, say(error.code, { message: error.message })));
    this.#listen();
    byId("log").replaceChildren();
    byId("note").value = "";
    byId("room-code").textContent = "";
    byId("people").replaceChildren();
  }

  /** Enters the room; rejected if the server refuses. */
  async enter(code) {
    const { host, name } = this.#options;
    this.#code = code;
    byId("own-name").value = name;
    this.render();
    const [peerId, hostToken] = [host?.hostId, host?.hostToken];
    await this.#join({ peerId, host: Boolean(host), hostToken, name });
  }

  /** Leaves, for good. */
  close() {
    if (this.#unsaved) this.#sendNote();
    clearTimeout(this.#noteTimer);
    this.#listening.abort();
    this.#client.close();
  }

  /** Shows everything afresh, in the language that is chosen now. */
  render() {
    this.#renderConnection();
    this.#renderPeople();
    this.#renderNote();
    this.#renderInvitation();
  }

  // --- what happens in the room ---

  #stateChanged({ state, code, reason }) {
    if (state !== "open") this.#latencyMs = null;
    if (state === "open") this.#client.ping();
    if (state === "waiting" && code === 1006) this.#options.onRefused();
    if (state === "waiting" && this.#unsaved) this.#noteState = ["noteOffline"];
    if (state === "closed" && code === 1008) {
      this.#options.onRefused();
      this.#options.onLost(new SyncError("closedFor", reason));
      return;
    }
    this.render();
  }

  #joined(room) {
    this.#room = room;
    this.#code = room.roomCode;
    if (!this.#unsaved) byId("note").value = room.document;
    document.title = `${room.roomCode} · Khun Phaen Sync`;
    this.render();
  }

  #peersChanged({ peers, joined, left }) {
    this.#room = { ...this.#room, peers };
    if (joined) this.#announce("came", joined);
    if (left) this.#announce("left", left);
    this.#renderPeople();
  }

  #documentChanged(document) {
    // What is being typed here is newer, and about to be sent.
    if (this.#unsaved) return;
    const note = byId("note");
    const { selectionStart, selectionEnd, scrollTop } = note;
    note.value = document;
    if (note.ownerDocument.activeElement === note) {
      note.setSelectionRange(selectionStart, selectionEnd);
    }
    note.scrollTop = scrollTop;
  }

  #heard(from, data) {
    const isChat = data?.type === "chat" && typeof data.text === "string";
    const text = isChat ? data.text : typeof data === "string" ? data : JSON.stringify(data);
    const peer = this.#room?.peers.find(({ id }) => id === from);
    this.#log(peer ? nameOf(peer) : from, text);
  }

  // --- what is done here ---

  #listen() {
    const { signal } = this.#listening;
    const on = (id, type, listener) => byId(id).addEventListener(type, listener, { signal });
    on("note", "input", () => {
      this.#unsaved = true;
      this.#noteVersion += 1;
      this.#setNoteState(this.#client.room ? "noteSaving" : "noteOffline");
      clearTimeout(this.#noteTimer);
      this.#noteTimer = setTimeout(() => this.#sendNote(), NOTE_PAUSE_MS);
    });
    on("say", "submit", (event) => {
      event.preventDefault();
      this.#sendMessage();
    });
    on("rename", "submit", (event) => {
      event.preventDefault();
      this.#rename(byId("own-name").value.trim()).catch(this.#options.onLost);
    });
    on("copy", "click", () => copyLink());
    on("share", "click", () => {
      navigator.share({ title: document.title, url: byId("link").value }).catch(() => {});
    });
  }

  /** Enters anew, as that is how the others hear of a name. */
  async #rename(name) {
    this.#options.onRenamed(name);
    const { host } = this.#options;
    const { peerId } = this.#room;
    clearTimeout(this.#noteTimer);
    this.#client.leave();
    await this.#join({ peerId, host: Boolean(host), hostToken: host?.hostToken, name });
    if (this.#unsaved) this.#sendNote();
  }

  #join({ name, ...options }) {
    const metadata = name ? { name } : {};
    return this.#client.join({ room: this.#code, metadata, ...options });
  }

  async #sendNote() {
    const version = this.#noteVersion;
    try {
      await this.#client.syncDocument(byId("note").value);
      if (version !== this.#noteVersion) return;
      this.#unsaved = false;
      this.#setNoteState("noteSaved");
    } catch (error) {
      if (version !== this.#noteVersion || ["closed", "left"].includes(error.code)) return;
      this.#unsaved = false;
      const reason = say(error.code, { message: error.message });
      this.#setNoteState("noteRefused", { reason });
    }
  }

  async #sendMessage() {
    const field = byId("message");
    const text = field.value.trim();
    if (!text) return;
    field.value = "";
    field.focus();
    try {
      await this.#client.broadcast({ type: "chat", text });
      this.#log(say("you"), text);
    } catch {
      this.#log(null, say("notSent", { text }));
      if (!field.value) field.value = text;
    }
  }

  // --- showing ---

  #renderConnection() {
    const { state } = this.#client;
    byId("dot").className = state;
    const text = say(state === "idle" ? "connecting" : state);
    if (byId("connection").textContent !== text) byId("connection").textContent = text;
    const ms = this.#latencyMs;
    byId("latency").textContent = ms === null ? "" : say("latency", { ms: Math.round(ms) });
  }

  #renderPeople() {
    const peers = this.#room?.peers ?? [];
    byId("count").textContent = peers.length > 0 ? `(${peers.length})` : "";
    byId("people").replaceChildren(...peers.map((peer) => {
      const item = element("li", element("span", nameOf(peer)));
      if (peer.id === this.#room.peerId) item.append(element("small", say("you")));
      if (peer.isHost) item.append(element("small", say("host")));
      return item;
    }));
  }

  #renderNote() {
    const { sync_writers: writers } = this.#options.server;
    const mayWrite = this.#room?.isHost || (this.#room && writers === "any");
    byId("note").readOnly = !mayWrite;
    if (this.#room && !mayWrite) this.#noteState = ["noteReadOnly"];
    else if (this.#noteState[0] === "noteReadOnly") this.#noteState = [""];
    const [key, values] = this.#noteState;
    byId("note-state").textContent = key ? say(key, values) : "";
  }

  #setNoteState(...state) {
    this.#noteState = state;
    this.#renderNote();
  }

  #renderInvitation() {
    const link = new URL(`r/${this.#code}`, ROOT).href;
    byId("room-code").textContent = this.#code;
    byId("link").value = link;
    byId("copied").textContent = "";
    byId("share").hidden = !navigator.share;
    const image = qrImage(link, say("qrLabel", { room: this.#code }));
    byId("qr-details").hidden = !image;
    byId("qr").replaceChildren(...(image ? [image] : []));
  }

  #announce(key, peer) {
    byId("presence").textContent = say(key, { name: nameOf(peer) });
  }

  /** One more line. `name` is null for what nobody has said. */
  #log(name, text) {
    const log = byId("log");
    const atEnd = log.scrollHeight - log.scrollTop - log.clientHeight < 40;
    const line = element("p");
    if (name !== null) line.append(element("b", `${name}:`), " ");
    const shown = String(text).slice(0, TEXT_MAX);
    line.append(name === null ? element("small", shown) : shown);
    log.append(line);
    while (log.childElementCount > LOG_MAX) log.firstElementChild.remove();
    if (atEnd) log.scrollTop = log.scrollHeight;
  }
}

async function copyLink() {
  const link = byId("link");
  try {
    await navigator.clipboard.writeText(link.value);
  } catch {
    // Browsers have a clipboard for pages over https only; the old way works everywhere.
    link.select();
    if (!document.execCommand("copy")) return;
    byId("copy").focus();
  }
  byId("copied").textContent = say("copied");
}

/** What somebody is called. Nobody can be trusted to have a name, or a short one. */
function nameOf(peer) {
  const name = peer.metadata?.name;
  const given = typeof name === "string" ? name.trim() : "";
  const number = peer.id.replace(/^peer_/, "").slice(0, 4);
  return given ? given.slice(0, NAME_MAX) : `${say("someone")} ${number}`;
}

function element(name, ...children) {
  const made = document.createElement(name);
  made.append(...children);
  return made;
}
