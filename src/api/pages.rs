//! The pages for people, and the client for programs: files of `page/` and `client/`, which
//! `build.rs` has made part of the program.
//!
//! Pure: no file is read at run time. Knows neither rooms nor accounts; the pages ask the server's
//! own routes for whatever they show.

use std::sync::OnceLock;

use miniz_oxide::inflate::decompress_to_vec_with_limit;

use super::route::RouteError;
use crate::http::{Request, Response, Status, accepts_gzip, is_known};

/// What a page may do: nothing that is not in a file of this very server. No script and no style
/// in the page itself, no frame around it, no form that the browser sends by itself.
const CONTENT_SECURITY_POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; \
    img-src 'self'; connect-src 'self'; base-uri 'none'; form-action 'none'; \
    frame-ancestors 'none'";

/// One file.
#[derive(Debug)]
struct Page {
    path: &'static str,
    media_type: &'static str,
    /// Weak (RFC 9110, 8.8.3), as it names both forms.
    entity_tag: &'static str,
    /// What it has when it is not compressed.
    plain_bytes: usize,
    /// The file as it was written, once a client has wanted it so: all files together are the
    /// bound of what is kept.
    plain: OnceLock<Vec<u8>>,
    /// As gzip (RFC 1952).
    compressed: &'static [u8],
}

/// What gzip has around the compressed bytes: a header without a name, and check sums.
const GZIP_HEADER_BYTES: usize = 10;
const GZIP_TRAILER_BYTES: usize = 8;

impl Page {
    /// The file as it was written. Every browser takes it compressed; this is for curl. It is
    /// inflated once: a client may ask for it a thousand times in one read.
    fn plain(&'static self) -> &'static [u8] {
        self.plain.get_or_init(|| {
            let end = self.compressed.len() - GZIP_TRAILER_BYTES;
            let deflated = &self.compressed[GZIP_HEADER_BYTES..end];
            let plain = decompress_to_vec_with_limit(deflated, self.plain_bytes);
            debug_assert!(plain.is_ok(), "build.rs has compressed it");
            plain.unwrap_or_default()
        })
    }
}

// `static PAGES`: all of them.
include!(concat!(env!("OUT_DIR"), "/pages.rs"));

/// The path under which [`respond`] has the page of a room.
pub const ROOM: &str = "/r/";

/// The answer to `request` with what is at `path`; 404 if nothing is.
///
/// Caches may keep it, but have to ask each time whether it is still the same, so that a new
/// version of the server never meets an old half of its page.
pub fn respond(request: &Request, path: &str, status: Status) -> Response {
    let Some(page) = PAGES.iter().find(|page| page.path == path) else {
        return (&RouteError::NotFound).into();
    };
    let mut response = if status == Status::OK && is_known(request, page.entity_tag) {
        Response::not_modified()
    } else if accepts_gzip(request) {
        Response::new(status, page.media_type, page.compressed)
            .with_header("Content-Encoding", "gzip")
    } else {
        Response::new(status, page.media_type, page.plain())
    };
    response = response
        .with_header("ETag", page.entity_tag)
        .with_header("Cache-Control", "no-cache")
        .with_header("Vary", "Accept, Accept-Encoding");
    if page.media_type.starts_with("text/html") {
        response = response
            .with_header("Content-Security-Policy", CONTENT_SECURITY_POLICY)
            .with_header("Referrer-Policy", "no-referrer");
    }
    response
}

#[cfg(test)]
mod tests {
    use std::ptr;

    use super::PAGES;

    /// What a browser is sent for a room: everything but the page behind an invitation's link.
    const WIRE_BYTES_MAX: usize = 60_000;

    #[test]
    fn all_of_it_is_small() {
        let wire: usize = PAGES.iter().map(|page| page.compressed.len()).sum();
        assert!(wire < WIRE_BYTES_MAX, "{wire} bytes");
        for page in &PAGES {
            assert!(page.compressed.len() < page.plain_bytes, "{}", page.path);
            assert_eq!(page.plain().len(), page.plain_bytes, "{}", page.path);
        }
    }

    #[test]
    fn a_page_is_inflated_once() {
        for page in &PAGES {
            assert!(ptr::eq(page.plain(), page.plain()), "{}", page.path);
        }
    }

    #[test]
    fn pages_name_only_what_there_is() {
        for page in PAGES.iter().filter(|page| page.media_type.starts_with("text/html")) {
            let text = str::from_utf8(page.plain()).expect("pages are UTF-8");
            let prefix = if page.path == super::ROOM { "\"../page/" } else { "\"page/" };
            let names = text.split(prefix).skip(1).filter_map(|rest| rest.split('"').next());
            let files: Vec<_> = names.filter(|name| *name != "..").collect();
            assert!(files.len() >= 3, "{}: {files:?}", page.path);
            for file in files {
                let path = format!("/page/{file}");
                assert!(PAGES.iter().any(|page| page.path == path), "{}: {path}", page.path);
            }
        }
    }

    #[test]
    fn no_page_has_anything_inline() {
        for page in PAGES.iter().filter(|page| page.media_type.starts_with("text/html")) {
            let text = str::from_utf8(page.plain()).expect("pages are UTF-8");
            for inline in ["<style", " style=", " onclick=", "<script>", "javascript:", "//"] {
                assert!(!text.contains(inline), "{} has {inline}", page.path);
            }
        }
    }
}
