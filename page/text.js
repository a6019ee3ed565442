// What the pages say, in English and Thai, and how it gets into them.

const ENGLISH = {
  language: "Language",
  footer: "Khun Phaen Sync Server: rooms, live, on a server of your own.",
  homeTitle: "A room for now",
  homeLead: "Make a room and pass its link on. Everybody in it sees the same note, the chat, " +
    "and who is there.",
  yourName: "Your name",
  rename: "Change",
  createTitle: "New room",
  createLead: "You become its host and write its note.",
  create: "Create a room",
  joinTitle: "Join a room",
  codeOrLink: "Code or link",
  join: "Join",
  loginTitle: "Log in",
  loginLead: "This server lets in only people who have an account.",
  email: "E-mail",
  password: "Password",
  login: "Log in",
  room: "Room",
  leave: "Leave",
  note: "Shared note",
  people: "People",
  chat: "Chat",
  message: "Message",
  send: "Send",
  invite: "Invite",
  link: "Link to this room",
  copy: "Copy",
  share: "Share",
  copied: "The link is copied.",
  qr: "QR code",
  qrLabel: "QR code of the link to room {room}",
  you: "you",
  host: "host",
  someone: "Guest",
  came: "{name} has come.",
  left: "{name} has left.",
  connecting: "Connecting…",
  open: "Connected",
  waiting: "Connection lost. Trying again…",
  closed: "Disconnected",
  latency: "{ms} ms",
  noteReadOnly: "Only the host can write here.",
  noteSaving: "Saving…",
  noteSaved: "Saved.",
  noteOffline: "Kept here; it is sent once the connection is back.",
  noteRefused: "Not saved: {reason}",
  notSent: "Not sent: {text}",
  setupTitle: "Choose your password",
  newPassword: "New password",
  passwordAgain: "The same once more",
  passwordRule: "At least 8 characters.",
  setPassword: "Set the password",
  passwordsDiffer: "The two passwords are not the same.",
  passwordSet: "Your password is set. You can log in now.",
  toRooms: "To the rooms",
  badLink: "This link is not valid, or no longer: each works once, for 7 days. Ask for a new one.",
  badCode: "That is no room code: letters A–Z, digits, _ and - only.",
  badPassword: "The password must have 8 to 1024 bytes.",
  wrongLogin: "E-mail or password is wrong.",
  room_not_found: "There is no such room: {room}",
  host_only: "only the host can write the note.",
  room_full: "The room is full.",
  too_many_rooms: "The server has as many rooms as it can hold.",
  too_large: "that is too long.",
  rate_limited: "Too much at once. Wait a minute and try again.",
  unauthorized: "You are not logged in any more.",
  store_unavailable: "The server cannot reach its data at present. Try again later.",
  network: "The server does not answer. Is it running?",
  internal: "The server has failed: {message}",
  closedFor: "The server has closed the connection: {message}",
};

const THAI = {
  language: "ภาษา",
  footer: "Khun Phaen Sync Server: ห้องสด ๆ บนเซิร์ฟเวอร์ของคุณเอง",
  homeTitle: "เปิดห้องคุยกัน",
  homeLead: "สร้างห้องแล้วส่งลิงก์ต่อ ทุกคนในห้องจะเห็นโน้ตเดียวกัน แชตเดียวกัน และเห็นว่าใครอยู่บ้าง",
  yourName: "ชื่อของคุณ",
  rename: "เปลี่ยน",
  createTitle: "ห้องใหม่",
  createLead: "คุณจะเป็นเจ้าของห้องและเป็นคนเขียนโน้ต",
  create: "สร้างห้อง",
  joinTitle: "เข้าห้อง",
  codeOrLink: "รหัสห้องหรือลิงก์",
  join: "เข้าห้อง",
  loginTitle: "เข้าสู่ระบบ",
  loginLead: "เซิร์ฟเวอร์นี้ให้เข้าเฉพาะคนที่มีบัญชี",
  email: "อีเมล",
  password: "รหัสผ่าน",
  login: "เข้าสู่ระบบ",
  room: "ห้อง",
  leave: "ออกจากห้อง",
  note: "โน้ตของห้อง",
  people: "คนในห้อง",
  chat: "แชต",
  message: "ข้อความ",
  send: "ส่ง",
  invite: "ชวนเข้าห้อง",
  link: "ลิงก์ของห้องนี้",
  copy: "คัดลอก",
  share: "แชร์",
  copied: "คัดลอกลิงก์แล้ว",
  qr: "คิวอาร์โค้ด",
  qrLabel: "คิวอาร์โค้ดของลิงก์เข้าห้อง {room}",
  you: "คุณ",
  host: "เจ้าของห้อง",
  someone: "ผู้มาเยือน",
  came: "{name} เข้ามาแล้ว",
  left: "{name} ออกไปแล้ว",
  connecting: "กำลังเชื่อมต่อ…",
  open: "เชื่อมต่อแล้ว",
  waiting: "การเชื่อมต่อหลุด กำลังลองใหม่…",
  closed: "ไม่ได้เชื่อมต่อ",
  latency: "{ms} ms",
  noteReadOnly: "มีแต่เจ้าของห้องที่เขียนตรงนี้ได้",
  noteSaving: "กำลังบันทึก…",
  noteSaved: "บันทึกแล้ว",
  noteOffline: "เก็บไว้ที่นี่ก่อน จะส่งเมื่อเชื่อมต่อได้อีกครั้ง",
  noteRefused: "บันทึกไม่ได้: {reason}",
  notSent: "ส่งไม่ได้: {text}",
  setupTitle: "ตั้งรหัสผ่านของคุณ",
  newPassword: "รหัสผ่านใหม่",
  passwordAgain: "รหัสผ่านเดิมอีกครั้ง",
  passwordRule: "อย่างน้อย 8 ตัวอักษร",
  setPassword: "ตั้งรหัสผ่าน",
  passwordsDiffer: "รหัสผ่านสองช่องไม่ตรงกัน",
  passwordSet: "ตั้งรหัสผ่านแล้ว เข้าสู่ระบบได้เลย",
  toRooms: "ไปที่ห้อง",
  badLink: "ลิงก์นี้ใช้ไม่ได้หรือหมดอายุแล้ว แต่ละลิงก์ใช้ได้ครั้งเดียวภายใน 7 วัน โปรดขอลิงก์ใหม่",
  badCode: "รหัสห้องมีได้แค่ตัวอักษร A–Z ตัวเลข _ และ -",
  badPassword: "รหัสผ่านต้องยาว 8 ถึง 1024 ไบต์",
  wrongLogin: "อีเมลหรือรหัสผ่านไม่ถูกต้อง",
  room_not_found: "ไม่มีห้องนี้: {room}",
  host_only: "มีแต่เจ้าของห้องที่เขียนโน้ตได้",
  room_full: "ห้องเต็มแล้ว",
  too_many_rooms: "เซิร์ฟเวอร์มีห้องเต็มจำนวนแล้ว",
  too_large: "ยาวเกินไป",
  rate_limited: "ถี่เกินไป โปรดรอสักนาทีแล้วลองใหม่",
  unauthorized: "คุณไม่ได้อยู่ในระบบแล้ว",
  store_unavailable: "ตอนนี้เซิร์ฟเวอร์เข้าถึงข้อมูลไม่ได้ โปรดลองใหม่ภายหลัง",
  network: "เซิร์ฟเวอร์ไม่ตอบ เซิร์ฟเวอร์เปิดอยู่หรือไม่",
  internal: "เซิร์ฟเวอร์ผิดพลาด: {message}",
  closedFor: "เซิร์ฟเวอร์ปิดการเชื่อมต่อ: {message}",
};

const LANGUAGES = { en: ENGLISH, th: THAI };

/** Adds what only some page says: texts by name, for each language. */
export function learn(texts) {
  for (const [name, more] of Object.entries(texts)) Object.assign(LANGUAGES[name], more);
}

/** The names of all texts, in each language. */
export const KEYS = Object.values(LANGUAGES).map((texts) => Object.keys(texts));

/** The address of the server, which may be a folder of a site. */
export const ROOT = new URL("..", import.meta.url);

/** The language that is chosen, as a tag for `Intl`. */
export const locale = () => language;

let language = LANGUAGES[stored("language")] ? stored("language") : preferred();
let whenChanged = () => {};

function preferred() {
  const known = navigator.languages.map((tag) => tag.slice(0, 2)).find((tag) => LANGUAGES[tag]);
  return known ?? "en";
}

/** What this browser remembers under `key`. A browser may refuse to remember anything. */
export function stored(key) {
  try {
    return localStorage.getItem(`khun-phaen.${key}`);
  } catch {
    return null;
  }
}

export function store(key, value) {
  try {
    localStorage.setItem(`khun-phaen.${key}`, value);
  } catch {
    // It is remembered as long as this page lives, then.
  }
}

/** The element with this id. */
export const byId = (id) => document.getElementById(id);

/** The text `key` in the chosen language, with `values` in place of its {names}. */
export function say(key, values = {}) {
  const text = LANGUAGES[language][key] ?? values.message ?? key;
  return text.replace(/\{(\w+)\}/g, (_, name) => values[name] ?? "");
}

/** Fills the page with text, and again when another language is chosen; then calls `changed`. */
export function speak(changed = () => {}) {
  whenChanged = changed;
  for (const button of document.querySelectorAll("[data-language]")) {
    button.addEventListener("click", () => {
      language = button.dataset.language;
      store("language", language);
      fill();
    });
  }
  fill();
}

function fill() {
  document.documentElement.lang = language;
  for (const element of document.querySelectorAll("[data-text]")) {
    element.textContent = say(element.dataset.text);
  }
  for (const element of document.querySelectorAll("[data-label]")) {
    element.setAttribute("aria-label", say(element.dataset.label));
  }
  for (const button of document.querySelectorAll("[data-language]")) {
    button.setAttribute("aria-pressed", String(button.dataset.language === language));
  }
  whenChanged();
}

/** Asks the server; what it answers, with its status. */
export async function ask(path, { method = "GET", body, token, setupToken } = {}) {
  const headers = { Accept: "application/json" };
  if (body) headers["Content-Type"] = "application/json";
  if (setupToken) headers["X-Setup-Token"] = setupToken;
  if (token) headers.Authorization = `Bearer ${token}`;
  const response = await fetch(new URL(path, ROOT), {
    method, headers, body: body && JSON.stringify(body),
  });
  return { status: response.status, ...(await response.json().catch(() => ({}))) };
}
