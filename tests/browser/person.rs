//! What somebody does at a page and sees of it, and what is looked at for those who see less.
//!
//! `TEST_AXE` names the folder in which `scripts/test` has installed axe-core; without it the tests
//! for accessibility say that they were skipped. With `SCREENSHOTS` naming a folder, the pictures
//! of the READMEs are written there.

use std::env;
use std::fs;
use std::path::{Path, PathBuf};

use serde_json::{Value, json};

use crate::devtools::{Browser, Look, Page};
use crate::support::{Server, skip};

pub(crate) const DESKTOP: Look<'static> =
    Look { width: 1100, height: 760, dark: false, language: "en" };
pub(crate) const PHONE: Look<'static> =
    Look { width: 390, height: 844, dark: false, language: "en" };

pub(crate) fn url(server: &Server, path: &str) -> String {
    format!("http://{}{path}", server.address())
}

/// The value of an element that has one, else its text.
pub(crate) fn text_of(browser: &mut Browser, page: &Page, id: &str) -> String {
    let element = format!("document.getElementById({})", json!(id));
    let text = browser.evaluate(page, &format!("{element}.value ?? {element}.innerText"));
    text.as_str().unwrap_or_else(|| panic!("{id} has no text")).to_owned()
}

/// Writes into a field in place of what is there.
pub(crate) fn fill(browser: &mut Browser, page: &Page, id: &str, text: &str) {
    let field = format!("document.getElementById({})", json!(id));
    browser.evaluate(page, &format!("{field}.focus(), {field}.select()"));
    browser.write(page, text);
}

pub(crate) fn click(browser: &mut Browser, page: &Page, selector: &str) {
    browser.evaluate(page, &format!("document.querySelector({}).click()", json!(selector)));
}

pub(crate) fn wait_for_text(browser: &mut Browser, page: &Page, id: &str, part: &str) {
    let element = format!("document.getElementById({})", json!(id));
    let text = format!("({element}.value ?? {element}.innerText)");
    browser.wait_for(page, &format!("{text}.includes({})", json!(part)));
}

pub(crate) fn wait_for_view(browser: &mut Browser, page: &Page, id: &str) {
    browser.wait_for(page, &format!("!document.getElementById({}).hidden", json!(id)));
}

/// Presses Tab until the element `id` has the focus; everything on the way must be visible.
#[track_caller]
pub(crate) fn tab_to(browser: &mut Browser, page: &Page, id: &str) {
    for _ in 0..40 {
        browser.press(page, "Tab");
        let focus = browser.evaluate(
            page,
            "(({ id, tagName }) => [id || tagName, getComputedStyle(document.activeElement)\
             .outlineStyle])(document.activeElement)",
        );
        if focus[0] == id {
            assert_ne!(focus[1], "none", "{id}: where the focus is can be seen");
            return;
        }
    }
    panic!("no way by Tab to {id}");
}

/// axe-core as a script, or `None` after saying that it is not there.
pub(crate) fn axe() -> Option<String> {
    let Some(folder) = env::var_os("TEST_AXE").map(PathBuf::from) else {
        skip("TEST_AXE is not set; scripts/test sets it", "REQUIRE_BROWSER");
        return None;
    };
    let axe = fs::read_to_string(folder.join("node_modules/axe-core/axe.min.js"));
    Some(axe.expect("axe-core is installed there"))
}

/// What axe-core finds in `page`, if it is serious.
pub(crate) fn accessibility_faults(browser: &mut Browser, page: &Page, axe: &str) -> Vec<String> {
    browser.evaluate(page, &format!("{axe}; 0"));
    let found = browser.evaluate(
        page,
        "axe.run({ resultTypes: ['violations'] }).then(({ violations }) => violations\
         .map(({ id, impact, nodes }) => [impact, id, nodes.map(({ html }) => html).join()]))",
    );
    let found = found.as_array().expect("a list");
    let is_serious = |fault: &&Value| fault[0] == "serious" || fault[0] == "critical";
    found.iter().filter(is_serious).map(Value::to_string).collect()
}

/// The page fits its screen, and what is pressed is large enough for a finger.
#[track_caller]
pub(crate) fn check_size(browser: &mut Browser, page: &Page, name: &str) {
    let fits = "document.documentElement.scrollWidth <= innerWidth";
    assert_eq!(browser.evaluate(page, fits), true, "{name}: no scrolling sideways");
    let small = "[...document.querySelectorAll('button, input, select, summary, textarea')]\
        .filter((e) => e.checkVisibility()).map((e) => [e.id || e.innerText, \
        e.getBoundingClientRect()]).filter(([, r]) => r.width < 44 || r.height < 44)\
        .map(([name]) => name)";
    assert_eq!(browser.evaluate(page, small), json!([]), "{name}: for fingers as well");
}

/// A picture of `page`, written to the file `name` if pictures are wanted.
pub(crate) fn keep_picture(browser: &mut Browser, page: &Page, name: &str) {
    let picture = bytes_of(&browser.picture(page));
    assert!(picture.starts_with(b"\x89PNG"), "{name}");
    if let Some(folder) = env::var_os("SCREENSHOTS") {
        fs::write(Path::new(&folder).join(name), picture).expect("SCREENSHOTS is a folder");
    }
}

/// The bytes of a text in base64 (RFC 4648, 4).
fn bytes_of(base64: &str) -> Vec<u8> {
    let digits = base64.bytes().filter_map(|byte| match byte {
        b'A'..=b'Z' => Some(byte - b'A'),
        b'a'..=b'z' => Some(byte - b'a' + 26),
        b'0'..=b'9' => Some(byte - b'0' + 52),
        b'+' => Some(62),
        b'/' => Some(63),
        _ => None,
    });
    let digits: Vec<u32> = digits.map(u32::from).collect();
    let groups = digits.chunks(4).flat_map(|group| {
        let bits = group.iter().fold(0, |bits, digit| bits << 6 | digit);
        let [_, bytes @ ..] = (bits << (6 * (4 - group.len()))).to_be_bytes();
        bytes.into_iter().take(group.len() - 1)
    });
    groups.collect()
}
