//! Which pages may read our answers (the Fetch standard's CORS protocol), and which may open a
//! WebSocket.

use crate::config::AllowedOrigins;

/// For every origin that may read at all.
const EXPOSED: &[u8] = b"Access-Control-Expose-Headers: Retry-After\r\n";
/// The answer to a preflight request: what a page may then send. A browser may remember it for
/// two hours, the longest that any of them does.
const PREFLIGHT: &[u8] = b"Access-Control-Allow-Methods: GET, POST, PUT, DELETE\r\n\
    Access-Control-Allow-Headers: Content-Type, Authorization, X-Setup-Token\r\n\
    Access-Control-Max-Age: 7200\r\n";

/// Whether `origin` stands in the list; `*` lists none by name.
pub(super) fn is_listed(origins: &AllowedOrigins, origin: &[u8]) -> bool {
    match origins {
        AllowedOrigins::Any => false,
        AllowedOrigins::List(list) => {
            list.iter().any(|listed| listed.as_bytes().eq_ignore_ascii_case(origin))
        }
    }
}

/// Appends the fields that tell a browser whether the page at `origin` may read this answer.
pub(super) fn write_fields(
    origins: &AllowedOrigins,
    origin: Option<&[u8]>,
    is_preflight: bool,
    out: &mut Vec<u8>,
) {
    match (origins, origin) {
        (AllowedOrigins::Any, _) => out.extend_from_slice(b"Access-Control-Allow-Origin: *\r\n"),
        (AllowedOrigins::List(_), origin) => {
            // Without it a cache would give one origin's answer to another.
            out.extend_from_slice(b"Vary: Origin\r\n");
            let Some(origin) = origin.filter(|origin| is_listed(origins, origin)) else { return };
            out.extend_from_slice(b"Access-Control-Allow-Origin: ");
            out.extend_from_slice(origin);
            out.extend_from_slice(b"\r\nAccess-Control-Allow-Credentials: true\r\n");
        }
    }
    out.extend_from_slice(if is_preflight { PREFLIGHT } else { EXPOSED });
}
