//! The page for administrators as they use it: from the first set-up to closing a room.

use serde_json::{Value, json};

use crate::browser;
use crate::devtools::{Browser, Look, Page};
use crate::person::{
    DESKTOP, PHONE, accessibility_faults, axe, check_size, click, fill, keep_picture, tab_to,
    text_of, url, wait_for_text, wait_for_view,
};
use crate::support::Server;

const SETUP_TOKEN: &str = "a-setup-token-of-the-tests";
const PASSWORD: &str = "a good password";
const ADMIN: [(&str, &str); 2] =
    [("INITIAL_ADMIN_EMAIL", "ann@example.com"), ("INITIAL_ADMIN_PASSWORD", PASSWORD)];

/// A server whose administrator is there.
fn server() -> Server {
    let server = Server::start(&ADMIN);
    server.wait_for_log("the administrator of the settings was made");
    server
}

fn open(browser: &mut Browser, server: &Server, look: Look<'_>) -> Page {
    browser.open_as_somebody(&url(server, "/admin"), look)
}

/// The page of the administrator, who has logged in.
fn log_in(browser: &mut Browser, server: &Server, look: Look<'_>) -> Page {
    let page = open(browser, server, look);
    wait_for_view(browser, &page, "login");
    fill(browser, &page, "email", "ann@example.com");
    fill(browser, &page, "password", PASSWORD);
    browser.press(&page, "Enter");
    wait_for_view(browser, &page, "panel");
    wait_for_text(browser, &page, "figures", env!("CARGO_PKG_VERSION"));
    page
}

/// Presses the button that a reader calls so.
fn press(browser: &mut Browser, page: &Page, label: &str) {
    let button = format!("[aria-label={}]", json!(label));
    browser.wait_for(page, &format!("document.querySelector({})", json!(button)));
    click(browser, page, &button);
}

/// Says yes to the question that has come up, of which `part` is a part.
fn confirm(browser: &mut Browser, page: &Page, part: &str) {
    browser.wait_for(page, "document.getElementById('confirm').open");
    wait_for_text(browser, page, "confirm-text", part);
    click(browser, page, "#confirm-yes");
}

/// What has gone wrong in `page`, but answers that say no: a browser calls those errors.
fn faults_but_refusals(browser: &mut Browser, page: &Page) -> Vec<String> {
    let mut faults = browser.faults(page);
    faults.retain(|fault| !fault.contains("the server responded with a status of 40"));
    faults
}

#[test]
fn the_first_administrator_is_made_with_the_setup_token() {
    let Some(mut browser) = browser() else { return };
    let browser = &mut browser;
    let server = Server::start(&[("INITIAL_SETUP_TOKEN", SETUP_TOKEN)]);
    let page = open(browser, &server, DESKTOP);
    wait_for_view(browser, &page, "first");
    fill(browser, &page, "setup-token", "another");
    fill(browser, &page, "first-email", "ann@example.com");
    fill(browser, &page, "first-password", PASSWORD);
    fill(browser, &page, "first-again", "a good passw0rd");
    browser.press(&page, "Enter");
    wait_for_text(browser, &page, "alert", "not the same");
    fill(browser, &page, "first-again", PASSWORD);
    for wrong in ["another", "ตัวอื่น"] {
        fill(browser, &page, "setup-token", wrong);
        browser.press(&page, "Enter");
        wait_for_text(browser, &page, "alert", "not the set-up token");
        assert_eq!(browser.evaluate(&page, "document.activeElement.id"), "setup-token");
        click(browser, &page, "[data-language=en]");
    }
    fill(browser, &page, "setup-token", SETUP_TOKEN);
    browser.press(&page, "Enter");
    wait_for_view(browser, &page, "panel");
    wait_for_text(browser, &page, "who", "ann@example.com");
    wait_for_text(browser, &page, "users", "ann@example.com");
    let kept = "document.cookie + JSON.stringify([localStorage, sessionStorage])";
    let kept = browser.evaluate(&page, kept);
    assert!(!kept.to_string().contains("token"), "no script can read the login: {kept}");

    let late = open(browser, &server, DESKTOP);
    wait_for_view(browser, &late, "login");
    browser.visit(&page, &url(&server, "/admin"));
    wait_for_view(browser, &page, "panel");
    assert_eq!(faults_but_refusals(browser, &page), Vec::<String>::new());
}

#[test]
fn users_are_invited_changed_and_deleted() {
    let Some(mut browser) = browser() else { return };
    let browser = &mut browser;
    let server = server();
    let page = log_in(browser, &server, DESKTOP);
    for (email, text) in [("ann@example.com", "has this e-mail"), ("a@b@c", "Not done")] {
        browser.evaluate(&page, "document.getElementById('invite-email').type = 'text'");
        fill(browser, &page, "invite-email", email);
        browser.press(&page, "Enter");
        wait_for_text(browser, &page, "alert", text);
    }
    fill(browser, &page, "invite-email", "bob@example.com");
    browser.press(&page, "Enter");
    wait_for_text(browser, &page, "users", "invited, no password yet");
    assert_eq!(text_of(browser, &page, "alert"), "");
    let link = text_of(browser, &page, "invite-link");
    press(browser, &page, "Copy the invitation's link: bob@example.com");
    wait_for_text(browser, &page, "done", "copied");
    assert_eq!(text_of(browser, &page, "invite-link"), link);

    let bob = browser.open_as_somebody(&link, PHONE);
    wait_for_text(browser, &bob, "email", "bob@example.com");
    fill(browser, &bob, "password", "another password");
    fill(browser, &bob, "again", "another password");
    browser.press(&bob, "Enter");
    wait_for_text(browser, &bob, "alert", "Your password is set.");
    browser.visit(&bob, &url(&server, "/admin"));
    wait_for_view(browser, &bob, "login");
    fill(browser, &bob, "email", "bob@example.com");
    fill(browser, &bob, "password", "another password");
    browser.press(&bob, "Enter");
    wait_for_text(browser, &bob, "alert", "no administrator");

    press(browser, &page, "Make administrator: bob@example.com");
    wait_for_text(browser, &page, "done", "bob@example.com: changed.");
    fill(browser, &bob, "password", "another password");
    browser.press(&bob, "Enter");
    wait_for_view(browser, &bob, "panel");
    press(browser, &page, "Take administration away: bob@example.com");
    browser.press(&page, "Escape");
    browser.wait_for(&page, "!document.getElementById('confirm').open");
    press(browser, &page, "Deactivate: bob@example.com");
    confirm(browser, &page, "bob@example.com is logged out");
    wait_for_text(browser, &page, "users", "Administrator · deactivated");
    wait_for_view(browser, &bob, "login");
    wait_for_text(browser, &bob, "alert", "not logged in any more");
    press(browser, &page, "Activate: bob@example.com");
    browser.wait_for(&page, "!document.getElementById('users').innerText.includes('deactiv')");
    press(browser, &page, "Delete: bob@example.com");
    confirm(browser, &page, "for good?");
    wait_for_text(browser, &page, "done", "bob@example.com: deleted.");
    browser.wait_for(&page, "!document.getElementById('users').innerText.includes('bob')");

    press(browser, &page, "Take administration away: ann@example.com");
    confirm(browser, &page, "ann@example.com will not be");
    wait_for_text(browser, &page, "alert", "last active administrator");
    click(browser, &page, "#logout");
    wait_for_view(browser, &page, "login");
    browser.visit(&page, &url(&server, "/admin"));
    wait_for_view(browser, &page, "login");
    assert_eq!(faults_but_refusals(browser, &page), Vec::<String>::new());
}

#[test]
fn rooms_are_seen_live_and_closed() {
    let Some(mut browser) = browser() else { return };
    let browser = &mut browser;
    let mut server = server();
    let page = log_in(browser, &server, DESKTOP);
    wait_for_text(browser, &page, "no-rooms", "No room");
    let mut host = server.host("TEAM", "host");
    wait_for_text(browser, &page, "rooms", "TEAM");
    let evil = "<img src=x onerror=alert(1)>";
    let mut guest = server.connect();
    guest.join_with(&json!({ "action": "join", "room_code": "TEAM", "peer_id": "g",
        "metadata": { "name": evil } }));
    wait_for_text(browser, &page, "rooms", evil);
    host.send_json(&json!({ "action": "sync_document", "document": "milk", "id": 1 }));
    wait_for_text(browser, &page, "rooms", "revision 2, stored");
    guest.expect_type("document_sync");
    assert_eq!(browser.evaluate(&page, "document.querySelectorAll('main img').length"), 0);
    assert_eq!(text_of(browser, &page, "rooms-count"), "(1)");

    press(browser, &page, "Close the room and delete it: TEAM");
    browser.wait_for(&page, "document.getElementById('confirm').open");
    click(browser, &page, "#confirm-no");
    guest.expect_silence();
    press(browser, &page, "Close the room and delete it: TEAM");
    confirm(browser, &page, "Close room TEAM? Whoever is in it (2)");
    wait_for_text(browser, &page, "done", "Room TEAM is closed and deleted.");
    for member in [&mut host, &mut guest] {
        member.expect_close(1008);
    }
    wait_for_text(browser, &page, "no-rooms", "No room");
    assert_eq!(server.get("/api/rooms/TEAM").status, 404);
    assert_eq!(faults_but_refusals(browser, &page), Vec::<String>::new());

    let port = server.address().port().to_string();
    let directory = std::sync::Arc::clone(server.directory());
    assert_eq!(server.stop(), Some(0));
    wait_for_text(browser, &page, "alert", "does not answer");
    let server = Server::start_in(&directory, &[("PORT", &port)]);
    browser.wait_for(&page, "!document.getElementById('alert').innerText");
    let _guest = {
        server.create_room(&json!({ "desired_room_code": "NEXT" }));
        server.join("NEXT", "x")
    };
    wait_for_text(browser, &page, "rooms", "NEXT");
}

#[test]
fn a_room_that_is_closed_tells_its_people_why() {
    let Some(mut browser) = browser() else { return };
    let browser = &mut browser;
    let server = server();
    let page = log_in(browser, &server, DESKTOP);
    server.create_room(&json!({ "desired_room_code": "TEAM" }));
    let guest = browser.open_as_somebody(&url(&server, "/r/TEAM"), PHONE);
    wait_for_text(browser, &guest, "people", "you");
    press(browser, &page, "Close the room and delete it: TEAM");
    confirm(browser, &page, "Close room TEAM?");
    wait_for_text(browser, &guest, "alert", "closed by an administrator");
    wait_for_view(browser, &guest, "home");
    assert_eq!(browser.faults(&guest), Vec::<String>::new());
}

#[test]
fn long_lists_of_rooms_go_on_when_asked() {
    let Some(mut browser) = browser() else { return };
    let browser = &mut browser;
    let server = Server::start(&[&ADMIN[..], &[("ROOM_CREATE_RATE", "0")]].concat());
    server.wait_for_log("the administrator of the settings was made");
    for number in 0..60 {
        server.create_room(&json!({ "desired_room_code": format!("R{number:02}") }));
    }
    let page = log_in(browser, &server, PHONE);
    wait_for_text(browser, &page, "rooms", "R49");
    assert_eq!(text_of(browser, &page, "rooms-count"), "(60)");
    assert!(!text_of(browser, &page, "rooms").contains("R50"));
    click(browser, &page, "#more-rooms");
    wait_for_text(browser, &page, "rooms", "R59");
    browser.wait_for(&page, "document.getElementById('more-rooms').hidden");
}

#[test]
fn an_administrator_needs_no_mouse() {
    let Some(mut browser) = browser() else { return };
    let browser = &mut browser;
    let server = server();
    let _host = server.host("TEAM", "host");
    let page = open(browser, &server, DESKTOP);
    wait_for_view(browser, &page, "login");
    tab_to(browser, &page, "email");
    browser.write(&page, "ann@example.com");
    browser.press(&page, "Tab");
    browser.write(&page, "a wrong password");
    browser.press(&page, "Enter");
    wait_for_text(browser, &page, "alert", "wrong");
    assert_eq!(browser.evaluate(&page, "document.activeElement.id"), "password");
    browser.write(&page, PASSWORD);
    browser.press(&page, "Enter");
    wait_for_view(browser, &page, "panel");
    assert_eq!(browser.evaluate(&page, "document.activeElement.id"), "panel-title");
    wait_for_text(browser, &page, "rooms", "TEAM");
    browser.evaluate(&page, "document.querySelector('#rooms button').id = 'close'");
    tab_to(browser, &page, "close");
    browser.press(&page, "Enter");
    browser.wait_for(&page, "document.getElementById('confirm').open");
    assert_eq!(browser.evaluate(&page, "document.activeElement.id"), "confirm-no");
    browser.press(&page, "Tab");
    browser.press(&page, "Enter");
    wait_for_text(browser, &page, "done", "Room TEAM is closed and deleted.");
    assert_eq!(browser.evaluate(&page, "document.activeElement.id"), "rooms-title");
    tab_to(browser, &page, "invite-email");
    browser.write(&page, "bob@example.com");
    browser.press(&page, "Enter");
    wait_for_text(browser, &page, "users", "bob@example.com");
    assert_eq!(browser.evaluate(&page, "document.activeElement.id"), "invite-link");
    browser.evaluate(&page, "document.getElementById('panel-title').focus()");
    tab_to(browser, &page, "logout");
    browser.press(&page, "Enter");
    wait_for_view(browser, &page, "login");
}

/// What the page shows with people in a room and an invitation made, in one language.
fn busy(browser: &mut Browser, server: &Server, look: Look<'_>) -> Page {
    let page = log_in(browser, server, look);
    fill(browser, &page, "invite-email", &format!("bob-{}@example.com", look.width));
    browser.press(&page, "Enter");
    browser.wait_for(&page, "!document.getElementById('invited').hidden");
    wait_for_text(browser, &page, "rooms", "TEAM");
    page
}

#[test]
fn administrators_of_all_kinds_are_served() {
    let Some(axe) = axe() else { return };
    let Some(mut browser) = browser() else { return };
    let browser = &mut browser;
    let empty = Server::start(&[("INITIAL_SETUP_TOKEN", SETUP_TOKEN)]);
    for (dark, language) in [(false, "en"), (false, "th"), (true, "en"), (true, "th")] {
        let server = server();
        let _host = server.host("TEAM", "host");
        let look = Look { dark, language, ..DESKTOP };
        let first = open(browser, &empty, look);
        wait_for_view(browser, &first, "first");
        let login = open(browser, &server, look);
        wait_for_view(browser, &login, "login");
        let panel = busy(browser, &server, look);
        let asked = busy(browser, &server, Look { dark, language, ..PHONE });
        click(browser, &asked, "#rooms button");
        browser.wait_for(&asked, "document.getElementById('confirm').open");
        for page in [&first, &login, &panel, &asked] {
            let faults = accessibility_faults(browser, page, &axe);
            assert_eq!(faults, Vec::<String>::new(), "dark: {dark}, {language}");
            let untold = "[...document.querySelectorAll('[data-text]')].filter((e) => \
                !e.textContent).map((e) => e.dataset.text)";
            assert_eq!(browser.evaluate(page, untold), json!([]));
            browser.close(page);
        }
    }
    let page = open(browser, &empty, DESKTOP);
    let texts = "import('/page/admin-text.js').then(({ TEXTS }) => \
        Object.values(TEXTS).map((texts) => Object.keys(texts).join()))";
    let keys: Value = browser.evaluate(&page, texts);
    assert_eq!(keys[0], keys[1], "every text is there in both languages");
}

#[test]
fn the_page_fits_and_its_pictures_are_those_of_the_readme() {
    let Some(mut browser) = browser() else { return };
    let browser = &mut browser;
    for (language, names) in [("en", ["Ann", "Bob"]), ("th", ["แอน", "บ๊อบ"])] {
        let server = server();
        server.create_room(&json!({ "desired_room_code": "TEAM", "desired_host_id": names[0] }));
        let [mut host, guest] = names.map(|name| {
            let mut member = server.connect();
            member.join_with(&json!({ "action": "join", "room_code": "TEAM", "peer_id": name,
                "is_host": true, "metadata": { "name": name } }));
            member
        });
        host.expect_type("peer_joined");
        let document = "milk, eggs\n".repeat(800);
        host.send_json(&json!({ "action": "sync_document", "document": document, "id": 1 }));
        host.expect(&json!({ "type": "ack", "id": 1 }));
        server.create_room(&json!({ "desired_room_code": "QUIET" }));
        for (name, look) in [("desktop", DESKTOP), ("phone", Look { dark: true, ..PHONE })] {
            let page = busy(browser, &server, Look { language, ..look });
            wait_for_text(browser, &page, "rooms", names[1]);
            wait_for_text(browser, &page, "rooms", "QUIET");
            check_size(browser, &page, name);
            browser.evaluate(&page, "document.activeElement.blur(), scrollTo(0, 0)");
            keep_picture(browser, &page, &format!("admin-{name}-{language}.png"));
        }
        drop((host, guest));
    }
}
