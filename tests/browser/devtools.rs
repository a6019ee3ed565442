//! Chromium without a window, driven over its DevTools protocol.

use std::collections::VecDeque;
use std::env;
use std::net::TcpStream;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;

use serde_json::{Value, json};
use tungstenite::{Message, WebSocket};

use crate::support::{DEADLINE, Directory, Log};

/// Names under which systems have it.
const NAMES: [&str; 4] = ["chromium", "chromium-browser", "google-chrome", "google-chrome-stable"];
/// What it says on standard error once it can be driven, right before the URL for that.
const READY: &str = "DevTools listening on ";
/// No window, no sandbox (which root cannot have), and no talk with anybody but us.
const FLAGS: [&str; 12] = [
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-dev-shm-usage",
    "--disable-quic",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--no-first-run",
    "--no-proxy-server",
    "--remote-debugging-port=0",
    "about:blank",
];

/// A running browser with a profile of its own. Killed when dropped.
#[derive(Debug)]
pub(crate) struct Browser {
    child: Child,
    log: Arc<Log>,
    socket: WebSocket<TcpStream>,
    last_id: u64,
    /// Events that came while an answer was awaited.
    events: VecDeque<Value>,
    _profile: Arc<Directory>,
}

/// How a page is to be shown.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Look<'a> {
    /// Of the viewport, in CSS pixels.
    pub(crate) width: u32,
    pub(crate) height: u32,
    pub(crate) dark: bool,
    /// What the browser's owner reads, as in `Accept-Language`.
    pub(crate) language: &'a str,
}

/// An open tab.
#[derive(Debug)]
pub(crate) struct Page {
    target: String,
    session: String,
}

impl Browser {
    /// Starts one; `None` if this machine has none.
    pub(crate) fn start() -> Option<Self> {
        let profile = Directory::new();
        let mut child = Command::new(executable()?)
            .args(FLAGS)
            .arg(format!("--user-data-dir={}", profile.path().display()))
            // Else it leaves settings behind there.
            .env("HOME", profile.path())
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .expect("the browser can be started");
        let log = Log::collect(child.stderr.take().expect("its standard error is piped"));
        let Some(line) = log.wait_for(READY) else {
            let _ended_already = child.kill();
            panic!("the browser does not start:\n{}", log.text());
        };
        let (_, url) = line.trim().split_once(READY).expect("the line was chosen for this part");
        let socket = open(url);
        let events = VecDeque::new();
        Some(Self { child, log, socket, last_id: 0, events, _profile: profile })
    }

    /// Opens `url` in a tab of its own and waits until it is loaded.
    pub(crate) fn open(&mut self, url: &str) -> Page {
        let page = self.tab(&json!({ "url": "about:blank" }));
        self.visit(&page, url);
        page
    }

    /// The same for somebody else: nothing is shared with other tabs, and all that goes wrong in
    /// the page is collected.
    pub(crate) fn open_as_somebody(&mut self, url: &str, look: Look<'_>) -> Page {
        let context =
            text(&self.call(None, "Target.createBrowserContext", &json!({}))["browserContextId"]);
        let page = self.tab(&json!({ "url": "about:blank", "browserContextId": context }));
        self.call(Some(&page), "Runtime.enable", &json!({}));
        self.call(Some(&page), "Log.enable", &json!({}));
        self.show(&page, look);
        self.visit(&page, url);
        page
    }

    /// Has `page` shown in another way.
    pub(crate) fn show(&mut self, page: &Page, look: Look<'_>) {
        let Look { width, height, dark, language } = look;
        let is_phone = width < 600;
        let scheme = if dark { "dark" } else { "light" };
        let screen =
            json!({ "width": width, "height": height, "deviceScaleFactor": 1, "mobile": is_phone });
        let media = json!({ "features": [{ "name": "prefers-color-scheme", "value": scheme }] });
        let agent = json!({ "userAgent": "", "acceptLanguage": language });
        self.call(Some(page), "Emulation.setDeviceMetricsOverride", &screen);
        self.call(Some(page), "Emulation.setEmulatedMedia", &media);
        self.call(Some(page), "Emulation.setUserAgentOverride", &agent);
        // Only the page in front has the focus; here all of them are.
        self.call(Some(page), "Emulation.setFocusEmulationEnabled", &json!({ "enabled": true }));
    }

    fn tab(&mut self, parameters: &Value) -> Page {
        let created = self.call(None, "Target.createTarget", parameters);
        let target = text(&created["targetId"]);
        let attach = json!({ "targetId": target, "flatten": true });
        let session = text(&self.call(None, "Target.attachToTarget", &attach)["sessionId"]);
        let page = Page { target, session };
        self.call(Some(&page), "Page.enable", &json!({}));
        page
    }

    /// Has `page` load `url` and waits until it has.
    pub(crate) fn visit(&mut self, page: &Page, url: &str) {
        let navigated = self.call(Some(page), "Page.navigate", &json!({ "url": url }));
        assert_eq!(navigated.get("errorText"), None, "{url}");
        self.wait_for_event(page, "Page.loadEventFired");
    }

    /// Waits until a JavaScript expression is true in `page`.
    #[track_caller]
    pub(crate) fn wait_for(&mut self, page: &Page, expression: &str) {
        let watch = format!(
            "new Promise((done) => {{
               const last = performance.now() + {};
               const look = () => {{
                 if ({expression}) done(true);
                 else if (performance.now() > last) done(document.body.innerText);
                 else setTimeout(look, 20);
               }};
               look();
             }})",
            DEADLINE.as_millis() * 3 / 4
        );
        let seen = self.evaluate(page, &watch);
        assert_eq!(seen, true, "{expression} does not come true");
    }

    /// Presses a key, with its name in the UI Events specification, in `page`.
    pub(crate) fn press(&mut self, page: &Page, key: &str) {
        let (code, text) = match key {
            "Tab" => (9, ""),
            "Enter" => (13, "\r"),
            "Escape" => (27, ""),
            _ => panic!("{key}: which code has that key?"),
        };
        for kind in ["keyDown", "keyUp"] {
            let text = if kind == "keyDown" { text } else { "" };
            let event = json!({ "type": kind, "key": key, "code": key, "text": text,
                "windowsVirtualKeyCode": code });
            self.call(Some(page), "Input.dispatchKeyEvent", &event);
        }
    }

    /// Types `text` into whatever has the focus in `page`.
    pub(crate) fn write(&mut self, page: &Page, text: &str) {
        self.call(Some(page), "Input.insertText", &json!({ "text": text }));
    }

    /// What `page` looks like, as a PNG in base64.
    pub(crate) fn picture(&mut self, page: &Page) -> String {
        text(&self.call(Some(page), "Page.captureScreenshot", &json!({ "format": "png" }))["data"])
    }

    /// What has gone wrong in `page` since it was asked last: faults of its scripts, messages of
    /// theirs, violations of its policy, and what could not be loaded.
    pub(crate) fn faults(&mut self, page: &Page) -> Vec<String> {
        // Whatever happened before comes before the answer.
        self.evaluate(page, "0");
        let is_fault = |event: &Value| {
            let kind = match event["method"].as_str() {
                Some("Runtime.exceptionThrown") => return true,
                Some("Runtime.consoleAPICalled") => &event["params"]["type"],
                Some("Log.entryAdded") => &event["params"]["entry"]["level"],
                _ => return false,
            };
            kind == "error" || kind == "warning"
        };
        let session = &page.session;
        let (faults, others): (Vec<Value>, Vec<Value>) = self
            .events
            .drain(..)
            .partition(|event| event["sessionId"] == *session && is_fault(event));
        self.events = others.into();
        faults.iter().map(Value::to_string).collect()
    }

    /// The value of a JavaScript expression in `page`; of what it promises, if it is a promise.
    #[track_caller]
    pub(crate) fn evaluate(&mut self, page: &Page, expression: &str) -> Value {
        let parameters =
            json!({ "expression": expression, "awaitPromise": true, "returnByValue": true });
        let mut answer = self.call(Some(page), "Runtime.evaluate", &parameters);
        assert_eq!(answer.get("exceptionDetails"), None, "{expression}");
        answer["result"]["value"].take()
    }

    /// Closes the tab.
    pub(crate) fn close(&mut self, page: &Page) {
        self.call(None, "Target.closeTarget", &json!({ "targetId": page.target }));
    }

    /// Sends a command and waits for its answer.
    #[track_caller]
    fn call(&mut self, page: Option<&Page>, method: &str, parameters: &Value) -> Value {
        self.last_id += 1;
        let mut command = json!({ "id": self.last_id, "method": method, "params": parameters });
        if let Some(page) = page {
            command["sessionId"] = json!(page.session);
        }
        self.socket.send(Message::text(command.to_string())).expect("the browser reads");
        loop {
            let mut message = self.next(method);
            if message["id"] == self.last_id {
                assert_eq!(message.get("error"), None, "{method}");
                return message["result"].take();
            }
            self.events.push_back(message);
        }
    }

    fn wait_for_event(&mut self, page: &Page, method: &str) {
        loop {
            let event = match self.events.pop_front() {
                Some(event) => event,
                None => self.next(method),
            };
            if event["sessionId"] == page.session && event["method"] == method {
                return;
            }
        }
    }

    #[track_caller]
    fn next(&mut self, awaited: &str) -> Value {
        match self.socket.read() {
            Ok(Message::Text(text)) => serde_json::from_str(&text).expect("the browser sends JSON"),
            Ok(other) => panic!("{awaited}: {other:?} is no answer"),
            Err(error) => panic!("{awaited}: {error}; the browser's log:\n{}", self.log.text()),
        }
    }
}

impl Drop for Browser {
    fn drop(&mut self) {
        // Asked to, it ends all of its processes and leaves nothing behind.
        let close = json!({ "id": self.last_id + 1, "method": "Browser.close" });
        let _gone_already = self.socket.send(Message::text(close.to_string()));
        self.log.wait_for_end();
        let _ended_already = self.child.kill();
        let _reaped_already = self.child.wait();
    }
}

fn executable() -> Option<PathBuf> {
    if let Some(path) = env::var_os("CHROMIUM") {
        return Some(path.into());
    }
    let path = env::var_os("PATH")?;
    let directories: Vec<PathBuf> = env::split_paths(&path).collect();
    NAMES
        .iter()
        .flat_map(|name| directories.iter().map(move |directory| directory.join(name)))
        .find(|path| path.is_file())
}

/// Opens the browser's WebSocket. An address that is no name needs no resolver.
fn open(url: &str) -> WebSocket<TcpStream> {
    let rest = url.strip_prefix("ws://").expect("a WebSocket URL");
    let (address, _) = rest.split_once('/').expect("an address and a path");
    let stream = TcpStream::connect(address).expect("the browser listens");
    stream.set_read_timeout(Some(DEADLINE)).expect("the deadline is not zero");
    tungstenite::client(url, stream).expect("the browser speaks WebSocket").0
}

fn text(value: &Value) -> String {
    value.as_str().expect("an id is a string").to_owned()
}
