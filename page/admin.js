// The page for administrators: first set-up, log in, and then what the server does, its rooms and
// its users. The login is a cookie that no script can read; nothing is kept here.

import { TEXTS } from "./admin-text.js";
import { ROOT, ask, byId, learn, locale, say, speak } from "./text.js";

const VIEWS = ["first", "login", "panel"];
/** How often figures and rooms are asked for while somebody can see them. */
const REFRESH_MS = 3_000;
/** Rooms that are asked for at once. */
const ROOMS_AT_ONCE = 50;
/** Complaints that go by themselves once the server answers again. */
const UNASKED = ["network", "store_unavailable"];
/** Characters of a stranger's name that are shown. */
const NAME_MAX = 40;

learn(TEXTS);

let view = null;
let me = null; // who is logged in
let stats = null;
let rooms = null; // the last list of rooms
let pages = 1; // how many lists of rooms are shown
let users = [];
let problem = null; // the key of the text shown as an alert, and its values
let news = null; // the same for what has been done
let invitation = null; // whose it is, and the link
let answered = null; // what is to be called with the answer to the question
let timer = null;

// --- what the server says ---

/** An answer that is none. */
class Refused extends Error {
  constructor(status, message) {
    super(message);
    this.status = status;
  }
}

/** Asks for something that must work. Whoever is not logged in any more is shown the way back. */
async function demand(path, options) {
  const answer = await ask(path, options);
  if (answer.status >= 200 && answer.status < 300) return answer;
  throw new Refused(answer.status, answer.error ?? String(answer.status));
}

/** Says what went wrong; `known` has texts for what certain statuses mean here. */
function explain(error, known = {}) {
  if (!(error instanceof Refused)) return complain("network");
  const { status, message } = error;
  if (status === 401) return logIn("loggedOut");
  if (status === 403) return logIn("notAdmin");
  const usual = { 404: "gone", 429: "rate_limited", 503: "store_unavailable" };
  return complain(known[status] ?? usual[status] ?? "refused", { message });
}

function complain(key, values) {
  problem = key ? [key, values] : null;
  const text = problem ? say(...problem) : "";
  if (byId("alert").textContent !== text) byId("alert").textContent = text;
}

function tell(key, values) {
  complain(null);
  news = key ? [key, values] : null;
  showNews();
}

function showNews() {
  byId("done").textContent = news ? say(...news) : "";
}

// --- the views ---

function show(name, focus) {
  view = name;
  for (const other of VIEWS) byId(other).hidden = other !== name;
  document.title = `${say(name === "first" ? "firstTitle" : "adminTitle")} · Khun Phaen Sync`;
  byId(focus ?? `${name}-title`).focus();
}

/** To the login, perhaps with the reason. */
function logIn(reason) {
  clearTimeout(timer);
  me = stats = rooms = invitation = null;
  users = [];
  tell(null);
  decide(false);
  show("login", reason ? "email" : undefined);
  if (reason) complain(reason);
}

/** Shows what belongs to whoever opens the page. */
async function arrive() {
  const answer = await ask("api/auth/me");
  if (answer.status === 200) return enter(answer);
  if (answer.status !== 401) return logIn("store_unavailable");
  // While there is no user, and only then, the server asks for its set-up token here.
  const { status } = await ask("api/auth/invite", { method: "POST", body: {} });
  return status === 403 ? show("first") : logIn();
}

async function enter(account) {
  if (account.role !== "admin") {
    await ask("api/auth/logout", { method: "POST" });
    return logIn("notAdmin");
  }
  me = account;
  pages = 1;
  tell(null);
  render();
  show("panel");
  await listUsers();
  return refresh();
}

async function submitLogin(email, password) {
  complain(null);
  const body = { email, password, cookie: true };
  const answer = await ask("api/auth/login", { method: "POST", body });
  byId("password").value = "";
  if (answer.status === 200) {
    const account = await ask("api/auth/me");
    return account.status === 401 ? logIn("noCookie") : enter(account);
  }
  const known = { 400: "wrongLogin", 401: "wrongLogin", 429: "rate_limited" };
  show("login", "password");
  return complain(known[answer.status] ?? "store_unavailable");
}

async function submitFirst() {
  const [email, password] = [byId("first-email").value, byId("first-password").value];
  const setupToken = byId("setup-token").value.trim();
  const refuse = (key, field, values) => {
    complain(key, values);
    byId(field).focus();
  };
  const bytes = new TextEncoder().encode(password).length;
  if (bytes < 8 || bytes > 1024) return refuse("badPassword", "first-password");
  if (password !== byId("first-again").value) return refuse("passwordsDiffer", "first-again");
  // Others are in no setting, and in no header.
  if (!/^[!-~]+$/.test(setupToken)) return refuse("wrongSetupToken", "setup-token");
  const body = { email, password };
  const answer = await ask("api/auth/invite", { method: "POST", body, setupToken });
  if (answer.status === 403) return refuse("wrongSetupToken", "setup-token");
  if (answer.status === 401) return logIn("usersAlready");
  if (answer.status === 400) return refuse("refused", "first-email", { message: answer.error });
  if (answer.status !== 200) return complain("store_unavailable");
  for (const id of ["setup-token", "first-password", "first-again"]) byId(id).value = "";
  return submitLogin(email, password);
}

async function logOut() {
  await ask("api/auth/logout", { method: "POST" });
  logIn();
}

// --- what is going on ---

/** Asks for figures and rooms, and again after a while as long as somebody looks. */
async function refresh() {
  clearTimeout(timer);
  if (view !== "panel" || document.hidden) return;
  const account = me;
  try {
    // One after the other: the second would show up as a job in the figures.
    const figures = await demand("api/admin/stats");
    const list = await listRooms();
    if (me !== account) return;
    [stats, rooms] = [figures, list];
    if (UNASKED.includes(problem?.[0])) complain(null);
    // What a question is about must not change under it.
    if (!byId("confirm").open) render();
  } catch (error) {
    if (me !== account) return;
    explain(error);
  }
  clearTimeout(timer);
  if (view === "panel") timer = setTimeout(refresh, REFRESH_MS);
}

/** As many lists of rooms as are shown, as one. */
async function listRooms() {
  const all = [];
  let next = null;
  let total = 0;
  for (let page = 0; page < pages && (page === 0 || next !== null); page += 1) {
    const after = next === null ? "" : `&after=${encodeURIComponent(next)}`;
    const list = await demand(`api/admin/rooms?limit=${ROOMS_AT_ONCE}${after}`);
    all.push(...list.rooms);
    ({ next, total } = list);
  }
  return { rooms: all, total, hasMore: next !== null };
}

async function listUsers() {
  try {
    ({ users } = await demand("api/auth/users"));
    render();
  } catch (error) {
    explain(error);
  }
}

// --- what is done ---

/** Asks whether that is meant; fulfilled with the answer. */
function confirmed(text, action) {
  decide(false);
  byId("confirm-text").textContent = text;
  byId("confirm-yes").textContent = action;
  byId("confirm").showModal();
  return new Promise((done) => {
    answered = done;
  });
}

/** Ends the question that is asked, if there is one. */
function decide(isMeant) {
  const done = answered;
  answered = null;
  if (byId("confirm").open) byId("confirm").close();
  done?.(isMeant);
}

async function closeRoom({ room_code: room, connection_count: count }) {
  if (!(await confirmed(say("closeRoomSure", { room, count }), say("closeRoom")))) return;
  try {
    await demand(`api/admin/rooms/${encodeURIComponent(room)}`, { method: "DELETE" });
    tell("roomClosed", { room });
    byId("rooms-title").focus();
  } catch (error) {
    explain(error);
  }
  await refresh();
}

/** Changes a user, or deletes one if there is no `change`, after asking `question`, if there is. */
async function act(user, action, question, change) {
  const { user_id: id, email } = user;
  if (question && !(await confirmed(say(question, { email }), say(action)))) return;
  const options = change ? { method: "PUT", body: change } : { method: "DELETE" };
  try {
    await demand(`api/auth/users/${encodeURIComponent(id)}`, options);
    tell(change ? "userChanged" : "userRemoved", { email });
    if (!change) byId("users-title").focus();
  } catch (error) {
    explain(error, { 409: "lastAdmin" });
  }
  if (view === "panel") await listUsers();
}

async function invite() {
  const body = { email: byId("invite-email").value.trim(), role: byId("invite-role").value };
  try {
    const { setup_link: link } = await demand("api/auth/invite", { method: "POST", body });
    tell(null);
    invitation = { email: body.email, link: new URL(link.replace(/^\//, ""), ROOT).href };
    byId("invite-form").reset();
    render();
    byId("invite-link").focus();
    byId("invite-link").select();
  } catch (error) {
    explain(error, { 409: "emailTaken" });
    byId("invite-email").focus();
  }
  if (view === "panel") await listUsers();
}

async function copy(text) {
  const field = byId("invite-link");
  try {
    await navigator.clipboard.writeText(text);
  } catch {
    // Browsers have a clipboard for pages over https only; the old way works everywhere.
    const before = document.activeElement;
    field.select();
    if (!document.execCommand("copy")) return;
    before.focus();
  }
  tell("copied");
}

// --- showing ---

function element(name, ...children) {
  const made = document.createElement(name);
  made.append(...children);
  return made;
}

/** A button for what can be done with one of many things. */
function button(key, what, press, isDangerous = false) {
  const action = say(key);
  const made = element("button", action);
  made.type = "button";
  made.setAttribute("aria-label", say("actionFor", { action, what }));
  if (isDangerous) made.className = "danger";
  made.addEventListener("click", press);
  return made;
}

/** Shows entries, and touches only those that have changed: one may have the focus. */
function list(id, entries, keyOf, make) {
  const parent = byId(id);
  const known = new Map([...parent.children].map((item) => [item.dataset.key, item]));
  entries.forEach((entry, index) => {
    const [key, state] = [keyOf(entry), JSON.stringify([locale(), entry])];
    let item = known.get(key);
    known.delete(key);
    if (item?.dataset.state !== state) {
      const fresh = make(entry);
      const buttons = [...(item?.querySelectorAll("button") ?? [])];
      const focused = buttons.indexOf(document.activeElement);
      item?.replaceWith(fresh);
      item = fresh;
      item.dataset.key = key;
      item.dataset.state = state;
      if (focused >= 0) item.querySelectorAll("button")[focused]?.focus();
    }
    if (parent.children[index] !== item) parent.insertBefore(item, parent.children[index] ?? null);
  });
  for (const gone of known.values()) gone.remove();
}

const number = (value, options) => new Intl.NumberFormat(locale(), options).format(value);

/** As sizes are written in the settings. */
function bytes(count) {
  const [unit, size] = count < 1 << 20 ? ["KiB", 1 << 10] : ["MiB", 1 << 20];
  return `${number(count / size, { maximumFractionDigits: 1 })} ${unit}`;
}

function duration(seconds) {
  const units = [["day", 86_400], ["hour", 3_600], ["minute", 60], ["second", 1]];
  const first = units.findIndex(([, size]) => seconds >= size || size === 1);
  let rest = seconds;
  const shown = units.slice(first, first + 2).map(([unit, size]) => {
    const count = Math.floor(rest / size);
    rest -= count * size;
    return number(count, { style: "unit", unit, unitDisplay: "long" });
  });
  return shown.join(" ");
}

function time(text) {
  const format = new Intl.DateTimeFormat(locale(), { dateStyle: "short", timeStyle: "short" });
  return format.format(new Date(text));
}

function render() {
  byId("who").textContent = me ? say("loggedInAs", { email: me.email }) : "";
  renderFigures();
  renderRooms();
  byId("users-count").textContent = users.length > 0 ? `(${number(users.length)})` : "";
  list("users", users, ({ user_id: id }) => id, userEntry);
  byId("invited").hidden = !invitation;
  byId("invite-link").value = invitation?.link ?? "";
  byId("invite-label").textContent = invitation ? say("inviteLink", invitation) : "";
}

function renderFigures() {
  if (!stats) return byId("figures").replaceChildren();
  const { memory, jobs } = stats;
  const of = (count, max) => say("ofMax", { count: number(count), max: number(max) });
  const figures = [
    ["version", stats.version],
    ["uptime", duration(stats.uptime_seconds)],
    ["connections", of(stats.connections, stats.connections_max)],
    ["rooms", of(stats.rooms, stats.rooms_max)],
    ["members", number(stats.members)],
    ["documents", bytes(stats.document_bytes)],
    ["store", say(stats.store === "ok" ? "storeOk" : "storeDegraded")],
    ["jobs", say("jobsValue", { running: number(jobs.running), waiting: number(jobs.waiting) })],
  ];
  byId("figures").replaceChildren(...figures.map(([key, value]) =>
    element("div", element("dt", say(key)), element("dd", value))));
  const meter = byId("memory");
  meter.max = memory.budget_bytes;
  meter.high = memory.budget_bytes * 0.8;
  meter.optimum = 0;
  meter.value = memory.used_bytes;
  const text = say("ofMax", { count: bytes(memory.used_bytes), max: bytes(memory.budget_bytes) });
  byId("memory-text").textContent = text;
  meter.textContent = text;
}

function renderRooms() {
  byId("rooms-count").textContent = rooms ? `(${number(rooms.total)})` : "";
  byId("no-rooms").hidden = rooms?.total !== 0;
  byId("more-rooms").hidden = !rooms?.hasMore;
  list("rooms", rooms?.rooms ?? [], ({ room_code: code }) => code, roomEntry);
}

function roomEntry(room) {
  const { room_code: code, members, peer_count: count } = room;
  const link = element("a", code);
  link.href = new URL(`r/${encodeURIComponent(code)}`, ROOT).href;
  const people = element("ul", ...members.map((member) => {
    const item = element("li", element("span", nameOf(member)));
    if (member.is_host) item.append(element("small", say("host")));
    item.append(element("small", say("since", { time: time(member.joined_at) })));
    return item;
  }));
  const rest = count - members.length;
  if (rest > 0) {
    people.append(element("li", element("small", say("others", { count: number(rest) }))));
  }
  const empty = room.empty_since && say("nobody", { time: time(room.empty_since) });
  const state = say("documentOf", {
    bytes: bytes(room.document_bytes), revision: number(room.revision),
    state: say(room.stored ? "stored" : "notStored"),
  });
  const close = button("closeRoom", code, () => closeRoom(room), true);
  return element("li", element("h3", link), count > 0 ? people : element("p", empty ?? ""),
    element("p", state), element("p", close));
}

/** What somebody is called. Nobody can be trusted to have a name, or a short one. */
function nameOf({ id, name }) {
  const given = name?.trim() ?? "";
  const part = id.replace(/^peer_/, "").slice(0, 4);
  return given ? given.slice(0, NAME_MAX) : `${say("someone")} ${part}`;
}

function userEntry(user) {
  const { email, role, profile, is_active: isActive, setup_token: token } = user;
  const names = [profile?.first_name, profile?.last_name].filter(Boolean).join(" ");
  const name = profile?.nickname || names;
  const heading = element("h3", email);
  if (user.user_id === me?.user_id) heading.append(" ", element("small", say("you")));
  const marks = [name, say(role === "admin" ? "roleAdmin" : "roleUser")];
  if (!isActive) marks.push(say("inactive"));
  if (token) marks.push(say("invitedState"));
  const does = (action, question, change, isDangerous) =>
    button(action, email, () => act(user, action, question, change), isDangerous);
  const buttons = [
    role === "admin"
      ? does("makeUser", "makeUserSure", { role: "user" })
      : does("makeAdmin", null, { role: "admin" }),
    isActive
      ? does("deactivate", "deactivateSure", { is_active: false })
      : does("activate", null, { is_active: true }),
    does("remove", "removeSure", null, true),
  ];
  if (token) {
    const link = new URL(`setup-password?token=${encodeURIComponent(token)}`, ROOT).href;
    buttons.unshift(button("copyLink", email, () => {
      invitation = { email, link };
      render();
      copy(link);
    }));
  }
  return element("li", heading, element("p", marks.filter(Boolean).join(" · ")),
    element("p", ...buttons));
}

// --- what is pressed ---

function submits(form, action) {
  byId(form).addEventListener("submit", (event) => {
    event.preventDefault();
    action().catch(explain);
  });
}

submits("first-form", submitFirst);
submits("login-form", () => submitLogin(byId("email").value, byId("password").value));
submits("invite-form", invite);
byId("logout").addEventListener("click", () => logOut().catch(explain));
byId("copy-link").addEventListener("click", () => copy(invitation.link));
byId("more-rooms").addEventListener("click", () => {
  pages += 1;
  refresh();
});
byId("confirm-no").addEventListener("click", () => decide(false));
byId("confirm-yes").addEventListener("click", () => decide(true));
byId("confirm").addEventListener("close", () => {
  // It comes late; the next question may be asked already.
  if (!byId("confirm").open) decide(false);
});
document.addEventListener("visibilitychange", refresh);

speak(() => {
  if (problem) complain(...problem);
  showNews();
  render();
});
arrive().catch(() => logIn("network"));
