//! The page of the server as people use it: with the eyes, with a keyboard, with a reader.

use serde_json::{Value, json};

use crate::browser;
use crate::devtools::{Browser, Look, Page};
use crate::person::{
    DESKTOP, PHONE, accessibility_faults, axe, check_size, click, fill, keep_picture, tab_to,
    text_of, url, wait_for_text, wait_for_view,
};
use crate::support::Server;

/// Settings of a server that only lets in who has an account.
const WITH_ACCOUNTS: [(&str, &str); 3] = [
    ("REQUIRE_AUTH", "true"),
    ("INITIAL_ADMIN_EMAIL", "ann@example.com"),
    ("INITIAL_ADMIN_PASSWORD", "a good password"),
];

/// Somebody who makes a room, under a name; their page.
fn create(browser: &mut Browser, server: &Server, look: Look<'_>, name: &str) -> Page {
    let page = browser.open_as_somebody(&url(server, "/"), look);
    wait_for_view(browser, &page, "home");
    fill(browser, &page, "name", name);
    click(browser, &page, "#create button");
    browser.wait_for(&page, "!document.getElementById('note').readOnly");
    page
}

/// Somebody who opens the link of the room that `host` is in.
fn follow(browser: &mut Browser, host: &Page, look: Look<'_>, name: &str) -> Page {
    let link = text_of(browser, host, "link");
    let page = browser.open_as_somebody(&link, look);
    browser.wait_for(&page, "document.querySelectorAll('#people li').length > 0");
    fill(browser, &page, "own-name", name);
    click(browser, &page, "#rename button");
    wait_for_text(browser, &page, "people", name);
    page
}

fn chat(browser: &mut Browser, page: &Page, text: &str) {
    fill(browser, page, "message", text);
    browser.press(page, "Enter");
}

/// The faults of a page that was told the truth: that its server is away.
fn faults_but_lost_connections(browser: &mut Browser, page: &Page) -> Vec<String> {
    let mut faults = browser.faults(page);
    faults.retain(|fault| !fault.contains("WebSocket connection to"));
    faults
}

#[test]
fn people_meet_and_outlive_a_restart_without_a_reload() {
    let Some(mut browser) = browser() else { return };
    let browser = &mut browser;
    let mut server = Server::start(&[]);
    let host = create(browser, &server, DESKTOP, "Ann");
    let guest = follow(browser, &host, PHONE, "บ๊อบ");
    wait_for_text(browser, &host, "people", "บ๊อบ");
    wait_for_text(browser, &guest, "people", "Ann");
    assert_eq!(text_of(browser, &host, "count"), "(2)");
    assert_eq!(browser.evaluate(&guest, "document.getElementById('note').readOnly"), true);
    for page in [&host, &guest] {
        browser.evaluate(page, "window.isTheSame = true");
    }

    fill(browser, &host, "note", "milk, <b>eggs</b>");
    wait_for_text(browser, &guest, "note", "milk, <b>eggs</b>");
    wait_for_text(browser, &host, "note-state", "Saved.");
    chat(browser, &host, "who buys <i>them</i>?");
    wait_for_text(browser, &guest, "log", "Ann: who buys <i>them</i>?");
    chat(browser, &guest, "ผมเอง");
    wait_for_text(browser, &host, "log", "บ๊อบ: ผมเอง");
    wait_for_text(browser, &host, "latency", "ms");

    let port = server.address().port().to_string();
    assert_eq!(server.stop(), Some(0));
    for page in [&host, &guest] {
        wait_for_text(browser, page, "connection", "Connection lost");
    }
    fill(browser, &host, "note", "written meanwhile");
    let server = Server::start_in(server.directory(), &[("PORT", &port)]);
    for page in [&host, &guest] {
        wait_for_text(browser, page, "connection", "Connected");
        wait_for_text(browser, page, "note", "written meanwhile");
    }
    wait_for_text(browser, &host, "note-state", "Saved.");
    wait_for_text(browser, &host, "people", "บ๊อบ");
    chat(browser, &guest, "back again");
    wait_for_text(browser, &host, "log", "back again");

    click(browser, &guest, "#leave");
    wait_for_text(browser, &host, "presence", "บ๊อบ has left.");
    for page in [&host, &guest] {
        assert_eq!(browser.evaluate(page, "window.isTheSame"), true, "nothing was loaded anew");
        assert_eq!(faults_but_lost_connections(browser, page), Vec::<String>::new());
    }
    drop(server);
}

#[test]
fn what_other_programs_say_is_shown_as_text() {
    let Some(mut browser) = browser() else { return };
    let browser = &mut browser;
    let server = Server::start(&[("SYNC_WRITERS", "any")]);
    let host = create(browser, &server, DESKTOP, "Ann");
    let code = text_of(browser, &host, "room-code");
    let mut other = server.connect();
    let evil = "<img src=x onerror=alert(1)>";
    other.join_with(&json!({
        "action": "join", "room_code": code, "peer_id": "x", "metadata": { "name": [evil] },
    }));
    wait_for_text(browser, &host, "people", "Guest x");
    other.broadcast(evil);
    wait_for_text(browser, &host, "log", evil);
    other.broadcast(json!({ "type": "cursor", "x": 1 }));
    wait_for_text(browser, &host, "log", r#"{"type":"cursor","x":1}"#);
    other.broadcast(Value::Null);
    wait_for_text(browser, &host, "log", "null");
    other.send_json(&json!({ "action": "sync_document", "document": evil }));
    wait_for_text(browser, &host, "note", evil);
    assert_eq!(browser.evaluate(&host, "document.querySelectorAll('main img').length"), 0);
    assert_eq!(browser.faults(&host), Vec::<String>::new());
}

#[test]
fn where_anybody_may_write_guests_do() {
    let Some(mut browser) = browser() else { return };
    let browser = &mut browser;
    let server = Server::start(&[("SYNC_WRITERS", "any")]);
    let host = create(browser, &server, DESKTOP, "Ann");
    let guest = follow(browser, &host, DESKTOP, "Bob");
    fill(browser, &guest, "note", "from the guest");
    wait_for_text(browser, &host, "note", "from the guest");
    fill(browser, &host, "note", "and back");
    wait_for_text(browser, &guest, "note", "and back");
}

#[test]
fn a_room_that_is_not_there_is_told() {
    let Some(mut browser) = browser() else { return };
    let browser = &mut browser;
    let server = Server::start(&[]);
    let page = browser.open_as_somebody(&url(&server, "/r/NOSUCH"), DESKTOP);
    wait_for_text(browser, &page, "alert", "There is no such room: NOSUCH");
    wait_for_view(browser, &page, "home");
    assert_eq!(browser.evaluate(&page, "document.activeElement.id"), "code");
    fill(browser, &page, "code", "not a code!");
    browser.press(&page, "Enter");
    wait_for_text(browser, &page, "alert", "That is no room code");
    assert_eq!(browser.faults(&page), Vec::<String>::new());

    let room = server.create_room(&json!({ "desired_room_code": "There" }));
    assert_eq!(room["success"], true);
    fill(browser, &page, "code", "see https://sync.example.com/r/There?x=1 tonight");
    browser.press(&page, "Enter");
    wait_for_text(browser, &page, "people", "you");
    assert_eq!(browser.evaluate(&page, "location.pathname"), "/r/There");
    browser.evaluate(&page, "history.back()");
    wait_for_view(browser, &page, "home");
}

#[test]
fn both_languages_are_spoken() {
    let Some(mut browser) = browser() else { return };
    let browser = &mut browser;
    let server = Server::start(&[]);
    let thai = Look { language: "th-TH,th;q=0.9,en;q=0.8", ..DESKTOP };
    let page = create(browser, &server, thai, "แอน");
    assert_eq!(browser.evaluate(&page, "document.documentElement.lang"), "th");
    wait_for_text(browser, &page, "connection", "เชื่อมต่อแล้ว");
    wait_for_text(browser, &page, "people", "เจ้าของห้อง");
    click(browser, &page, "[data-language=en]");
    assert_eq!(browser.evaluate(&page, "document.documentElement.lang"), "en");
    wait_for_text(browser, &page, "people", "host");
    let path = browser.evaluate(&page, "location.pathname");
    browser.visit(&page, &url(&server, path.as_str().expect("a path")));
    wait_for_text(browser, &page, "people", "host");
    let untold = "[...document.querySelectorAll('[data-text]')].filter((e) => !e.innerText && \
                  e.checkVisibility()).map((e) => e.dataset.text)";
    assert_eq!(browser.evaluate(&page, untold), json!([]));
    let texts = "import('/page/text.js').then(({ KEYS }) => KEYS.map((keys) => keys.join()))";
    let keys = browser.evaluate(&page, texts);
    assert_eq!(keys[0], keys[1], "every text is there in both languages");
}

#[test]
fn a_keyboard_is_enough() {
    let Some(mut browser) = browser() else { return };
    let browser = &mut browser;
    let server = Server::start(&[]);
    let page = browser.open_as_somebody(&url(&server, "/"), DESKTOP);
    wait_for_view(browser, &page, "home");
    tab_to(browser, &page, "name");
    browser.write(&page, "Ann");
    browser.press(&page, "Tab");
    browser.press(&page, "Enter");
    browser.wait_for(&page, "!document.getElementById('note').readOnly");
    assert_eq!(browser.evaluate(&page, "document.activeElement.id"), "room-title");
    tab_to(browser, &page, "note");
    browser.write(&page, "typed");
    wait_for_text(browser, &page, "note-state", "Saved.");
    tab_to(browser, &page, "message");
    browser.write(&page, "hello");
    browser.press(&page, "Enter");
    wait_for_text(browser, &page, "log", "hello");
    assert_eq!(browser.evaluate(&page, "document.activeElement.id"), "message");
    tab_to(browser, &page, "copy");
    browser.press(&page, "Enter");
    wait_for_text(browser, &page, "copied", "copied");
    browser.press(&page, "Tab");
    browser.press(&page, "Enter");
    browser.wait_for(&page, "document.querySelector('#qr svg').checkVisibility()");
    browser.evaluate(&page, "document.getElementById('room-title').focus()");
    tab_to(browser, &page, "leave");
    browser.press(&page, "Enter");
    wait_for_view(browser, &page, "home");
    assert_eq!(browser.evaluate(&page, "document.activeElement.id"), "home-title");
    assert_eq!(browser.faults(&page), Vec::<String>::new());
}

#[test]
fn an_invitation_leads_to_a_password_and_that_into_a_room() {
    let Some(mut browser) = browser() else { return };
    let browser = &mut browser;
    let server = Server::start(&WITH_ACCOUNTS);
    server.wait_for_log("the administrator of the settings was made");
    let login = json!({ "email": "ann@example.com", "password": "a good password" });
    let login = server.http("POST", "/api/auth/login", &[], &login.to_string()).json();
    let bearer = format!("Bearer {}", login["token"].as_str().expect("a token"));
    let invite = json!({ "email": "bob@example.com" }).to_string();
    let invited =
        server.http("POST", "/api/auth/invite", &[("Authorization", &bearer)], &invite).json();
    let link = invited["setup_link"].as_str().expect("a link");

    let page = browser.open_as_somebody(&url(&server, link), PHONE);
    wait_for_text(browser, &page, "email", "bob@example.com");
    assert_eq!(browser.evaluate(&page, "location.search"), "", "the token is out of sight");
    fill(browser, &page, "password", "another password");
    fill(browser, &page, "again", "another passw0rd");
    browser.press(&page, "Enter");
    wait_for_text(browser, &page, "alert", "not the same");
    fill(browser, &page, "again", "another password");
    browser.press(&page, "Enter");
    wait_for_text(browser, &page, "alert", "Your password is set.");
    assert_eq!(browser.faults(&page), Vec::<String>::new());

    browser.visit(&page, &url(&server, "/"));
    wait_for_view(browser, &page, "login");
    fill(browser, &page, "email", "bob@example.com");
    fill(browser, &page, "password", "a wrong password");
    browser.press(&page, "Enter");
    wait_for_text(browser, &page, "alert", "wrong");
    fill(browser, &page, "password", "another password");
    browser.press(&page, "Enter");
    wait_for_view(browser, &page, "home");
    click(browser, &page, "#create button");
    browser.wait_for(&page, "!document.getElementById('note').readOnly");

    let used = browser.open_as_somebody(&url(&server, link), PHONE);
    wait_for_text(browser, &used, "alert", "This link is not valid");
}

#[test]
fn readers_and_eyes_of_all_kinds_are_served() {
    let Some(axe) = axe() else { return };
    let Some(mut browser) = browser() else { return };
    let browser = &mut browser;
    let server = Server::start(&[]);
    let closed = Server::start(&WITH_ACCOUNTS);
    for (dark, language) in [(false, "en"), (false, "th"), (true, "en"), (true, "th")] {
        let look = Look { dark, language, ..DESKTOP };
        let room = create(browser, &server, look, "Ann");
        chat(browser, &room, "hello");
        click(browser, &room, "summary");
        let home = browser.open_as_somebody(&url(&server, "/"), look);
        wait_for_view(browser, &home, "home");
        let refused = browser.open_as_somebody(&url(&server, "/r/NOSUCH"), PHONE);
        wait_for_text(browser, &refused, "alert", "NOSUCH");
        let login = browser.open_as_somebody(&url(&closed, "/"), look);
        wait_for_view(browser, &login, "login");
        let setup = browser.open_as_somebody(&url(&closed, "/setup-password?token=x"), look);
        browser.wait_for(&setup, "document.getElementById('alert').innerText");
        browser.evaluate(&setup, "document.getElementById('setup').hidden = false");
        for page in [&room, &home, &refused, &login, &setup] {
            let faults = accessibility_faults(browser, page, &axe);
            assert_eq!(faults, Vec::<String>::new(), "dark: {dark}, {language}");
            browser.close(page);
        }
    }
    let page = browser.open_as_somebody(&url(&server, "/"), DESKTOP);
    browser.evaluate(&page, "document.body.innerHTML = '<img src=\"/page/favicon.svg\">'");
    let faults = accessibility_faults(browser, &page, &axe);
    assert!(!faults.is_empty(), "what is wrong is found");
}

#[test]
fn it_fits_the_screen_and_its_pictures_are_those_of_the_readme() {
    let Some(mut browser) = browser() else { return };
    let browser = &mut browser;
    let server = Server::start(&[("SYNC_WRITERS", "any")]);
    let words = [
        (
            "en",
            ["Ann", "Bob"],
            "Saturday\n\n- milk\n- eggs\n- bring the long table",
            "Saved.",
            ["who buys the eggs?", "I do"],
        ),
        (
            "th",
            ["แอน", "บ๊อบ"],
            "วันเสาร์\n\n- นม\n- ไข่\n- ยกโต๊ะยาวมาด้วย",
            "บันทึกแล้ว",
            ["ใครซื้อไข่", "ผมเอง"],
        ),
    ];
    for (language, [ann, bob], note, saved, [question, answer]) in words {
        let desktop = Look { language, ..DESKTOP };
        let phone = Look { language, dark: true, ..PHONE };
        let host = create(browser, &server, desktop, ann);
        let guest = follow(browser, &host, phone, bob);
        fill(browser, &host, "note", note);
        wait_for_text(browser, &guest, "note", note);
        chat(browser, &host, question);
        wait_for_text(browser, &guest, "log", question);
        chat(browser, &guest, answer);
        wait_for_text(browser, &host, "log", answer);
        wait_for_text(browser, &host, "note-state", saved);
        for (name, page) in [("desktop", &host), ("phone", &guest)] {
            wait_for_text(browser, page, "latency", "ms");
            check_size(browser, page, name);
            browser.evaluate(page, "document.activeElement.blur(), scrollTo(0, 0)");
            keep_picture(browser, page, &format!("page-{name}-{language}.png"));
        }
    }
}
