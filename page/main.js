// The page: from the first view to a room and back. What a room shows is in room.js.

import { SyncError, createRoom } from "../client.js";
import { Room } from "./room.js";
import { ROOT, ask, byId, say, speak, store, stored } from "./text.js";

const VIEWS = ["home", "login", "room"];
const CODE = /^[A-Za-z0-9_-]{1,64}$/;

let server = { require_auth: false, sync_writers: "host" };
let token = session("token");
let room = null;
let problem = null; // the key of the text shown as an alert, and its values

/** What is remembered until this tab is closed. */
function session(key, value) {
  try {
    if (value !== undefined) sessionStorage.setItem(`khun-phaen.${key}`, value);
    return sessionStorage.getItem(`khun-phaen.${key}`);
  } catch {
    return value ?? null;
  }
}

function complain(key, values) {
  problem = key ? [key, values] : null;
  byId("alert").textContent = problem ? say(...problem) : "";
}

/** Says what went wrong, whoever it was. */
function explain(error, values = {}) {
  if (!(error instanceof SyncError)) return complain("network");
  return complain(error.code, { message: error.message, ...values });
}

function show(view, focus) {
  for (const name of VIEWS) byId(name).hidden = name !== view;
  if (view !== "room") document.title = "Khun Phaen Sync";
  byId(focus ?? `${view}-title`).focus();
}

/** The code in the address of this page, `""` if it is the first one. */
function codeHere() {
  const path = location.pathname.slice(ROOT.pathname.length);
  return path.startsWith("r/") ? decode(path.slice(2)) : "";
}

function decode(part) {
  try {
    return decodeURIComponent(part);
  } catch {
    return part;
  }
}

/** The code that somebody has typed, or that is in the link that they have pasted. */
function codeIn(text) {
  const trimmed = text.trim();
  const [, linked] = /\/r\/([^/?#\s]+)/.exec(trimmed) ?? [];
  return linked ? decode(linked) : trimmed;
}

function go(code) {
  history.pushState(null, "", code ? new URL(`r/${code}`, ROOT) : ROOT);
}

/** Shows what belongs to the address of this page. */
async function arrive() {
  room?.close();
  room = null;
  if (server.require_auth && !token) return show("login");
  const code = codeHere();
  if (!code) return show("home");
  if (!CODE.test(code)) return turnAway("badCode");
  return enter(code);
}

function turnAway(key, values) {
  room?.close();
  room = null;
  history.replaceState(null, "", ROOT);
  show("home", "code");
  complain(key, values);
}

/** To the login, as the server does not know this token any more. */
function logOut() {
  room?.close();
  room = token = null;
  session("token", "");
  show("login", "email");
}

async function enter(code) {
  complain(null);
  const host = JSON.parse(stored(`host.${code.toUpperCase()}`) ?? "null");
  const entered = new Room({
    server, token, host, name: byId("name").value.trim(),
    onRenamed: (name) => {
      byId("name").value = name;
      store("name", name);
    },
    onLost: (error) => turnAway(error.code, { room: code, message: error.message }),
    onRefused: async () => {
      if (!server.require_auth) return;
      const { status } = await ask("api/auth/me", { token }).catch(() => ({}));
      if (status !== 401 || room !== entered) return;
      logOut();
      complain("unauthorized");
    },
  });
  room = entered;
  show("room");
  try {
    await entered.enter(code);
  } catch (error) {
    if (room !== entered) return;
    turnAway(error.code, { room: code, message: error.message });
  }
}

async function create() {
  complain(null);
  try {
    const made = await createRoom(ROOT, { token });
    const { hostId, hostToken } = made;
    store(`host.${made.roomCode.toUpperCase()}`, JSON.stringify({ hostId, hostToken }));
    go(made.roomCode);
    await enter(made.roomCode);
  } catch (error) {
    if (error.code === "unauthorized") logOut();
    explain(error);
  }
}

async function join() {
  const code = codeIn(byId("code").value);
  if (!CODE.test(code)) {
    complain("badCode");
    byId("code").focus();
    return;
  }
  go(code);
  await enter(code);
}

async function logIn() {
  complain(null);
  const body = { email: byId("email").value, password: byId("password").value };
  const answer = await ask("api/auth/login", { method: "POST", body });
  byId("password").value = "";
  if (answer.status === 200) {
    token = answer.token;
    session("token", token);
    await arrive();
    return;
  }
  const known = { 400: "wrongLogin", 401: "wrongLogin", 429: "rate_limited" };
  complain(known[answer.status] ?? "store_unavailable");
  byId("password").focus();
}

function submits(form, action) {
  byId(form).addEventListener("submit", (event) => {
    event.preventDefault();
    action().catch(explain);
  });
}

// Their addresses must stay what they are when the address of the page changes.
for (const link of document.querySelectorAll("[href]")) link.href = String(link.href);

submits("create", create);
submits("join", join);
submits("login-form", logIn);
byId("leave").addEventListener("click", () => {
  go("");
  complain(null);
  arrive();
});
byId("home-link").addEventListener("click", (event) => {
  if (event.ctrlKey || event.metaKey || event.shiftKey) return;
  event.preventDefault();
  byId("leave").click();
});
byId("name").value = stored("name") ?? "";
byId("name").addEventListener("change", () => store("name", byId("name").value.trim()));
addEventListener("popstate", () => {
  complain(null);
  arrive();
});

speak(() => {
  if (problem) complain(...problem);
  room?.render();
});
try {
  const { require_auth, sync_writers } = await ask("");
  server = { require_auth, sync_writers };
} catch {
  complain("network");
}
await arrive();
