// Where an invitation's link leads: asks whose it is, and sets the password.

import { ask, byId, say, speak } from "./text.js";

const token = new URLSearchParams(location.search).get("token") ?? "";
let problem = null;

// The token is worth a password. It stays out of the history, and of what is copied from there.
history.replaceState(null, "", location.pathname);

function show(key) {
  problem = key;
  byId("alert").textContent = key ? say(key) : "";
}

async function begin() {
  const info = await ask(`api/auth/setup-info?token=${encodeURIComponent(token)}`);
  if (info.status !== 200) return show(info.status === 400 ? "badLink" : "store_unavailable");
  byId("email").value = info.email;
  byId("setup").hidden = false;
  byId("password").focus();
}

async function submit() {
  const password = byId("password").value;
  const bytes = new TextEncoder().encode(password).length;
  if (bytes < 8 || bytes > 1024) return refuse("badPassword", "password");
  if (password !== byId("again").value) return refuse("passwordsDiffer", "again");
  const answer = await ask("api/auth/setup-password", { method: "POST", body: { token, password } });
  if (answer.status === 400) return show("badLink");
  if (answer.status !== 200) return show("store_unavailable");
  byId("setup").hidden = true;
  byId("done").hidden = false;
  show("passwordSet");
  byId("title").focus();
}

function refuse(key, field) {
  show(key);
  byId(field).focus();
}

byId("setup").addEventListener("submit", (event) => {
  event.preventDefault();
  submit().catch(() => show("network"));
});
speak(() => show(problem));
begin().catch(() => show("network"));
