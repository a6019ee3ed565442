//! Makes `page/` and the client part of the program: each file compressed, with an entity tag. Writes the table that `src/api/pages.rs` includes. Leaves out of a release what nothing
//! reads there.

use std::fmt::Write as _;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::{env, fs, io};

use flate2::Compression;
use flate2::write::GzEncoder;
use sha2::{Digest, Sha256};

/// Where a file is served, and what it is in the tree.
const FILES: [(&str, &str); 14] = [
    ("/", "page/index.html"),
    ("/r/", "page/index.html"),
    ("/setup-password", "page/setup.html"),
    ("/admin", "page/admin.html"),
    ("/client.js", "client/khun-phaen-sync.js"),
    ("/page/admin.js", "page/admin.js"),
    ("/page/admin-text.js", "page/admin-text.js"),
    ("/page/favicon.svg", "page/favicon.svg"),
    ("/page/main.js", "page/main.js"),
    ("/page/qr.js", "page/qr.js"),
    ("/page/room.js", "page/room.js"),
    ("/page/setup.js", "page/setup.js"),
    ("/page/style.css", "page/style.css"),
    ("/page/text.js", "page/text.js"),
];

/// For the linker: no tables for unwinding the stack. In the release profile a panic ends the
/// process, and they are a tenth of the program. What a C compiler puts around a program stays: in
/// a static one it names its own table. `INSERT` adds to the linker's own script instead of
/// replacing it; GNU ld and LLD both know it.
const NO_UNWIND_TABLES: &str = "\
SECTIONS { /DISCARD/ : { *(EXCLUDE_FILE(*crtbegin*.o *crtend*.o) .eh_frame) } }
INSERT AFTER .text;
";

fn main() -> io::Result<()> {
    let root = PathBuf::from(env::var_os("CARGO_MANIFEST_DIR").expect("cargo sets it"));
    let out = PathBuf::from(env::var_os("OUT_DIR").expect("cargo sets it"));
    println!("cargo::rerun-if-changed=build.rs");
    let mut table = format!("static PAGES: [Page; {}] = [\n", FILES.len());
    for (number, (path, file)) in FILES.into_iter().enumerate() {
        println!("cargo::rerun-if-changed={file}");
        let body = from_below(path, fs::read(root.join(file))?);
        let media_type = media_type(file);
        let tag = u64::from_be_bytes(*Sha256::digest(&body).first_chunk().expect("32 bytes"));
        fs::write(out.join(format!("{number}.gz")), gzip(&body)?)?;
        writeln!(
            table,
            "Page {{ path: {path:?}, media_type: {media_type:?}, \
             entity_tag: \"W/\\\"{tag:016x}\\\"\", \
             plain_bytes: {}, plain: OnceLock::new(), \
             compressed: include_bytes!(concat!(env!(\"OUT_DIR\"), \"/{number}.gz\")) }},",
            body.len()
        )
        .map_err(io::Error::other)?;
    }
    table.push_str("];\n");
    fs::write(out.join("pages.rs"), table)?;
    leave_out_unwind_tables(&out)
}

fn leave_out_unwind_tables(out: &Path) -> io::Result<()> {
    let is = |name, value| env::var_os(name).is_some_and(|found| found == value);
    if !is("PROFILE", "release") || !is("CARGO_CFG_TARGET_OS", "linux") {
        return Ok(());
    }
    let script = out.join("no-unwind-tables.ld");
    fs::write(&script, NO_UNWIND_TABLES)?;
    println!("cargo::rustc-link-arg-bins=-Wl,-T,{}", script.display());
    Ok(())
}

/// The file for a place one folder further down. All links of a page are relative, so that the
/// server may be a folder of a site.
fn from_below(path: &str, body: Vec<u8>) -> Vec<u8> {
    if path != "/r/" {
        return body;
    }
    let text = String::from_utf8(body).expect("pages are UTF-8");
    text.replace("\"page/", "\"../page/").into_bytes()
}

fn media_type(file: &str) -> &'static str {
    match Path::new(file).extension().and_then(|extension| extension.to_str()) {
        Some("html") => "text/html; charset=utf-8",
        Some("css") => "text/css; charset=utf-8",
        Some("js") => "text/javascript; charset=utf-8",
        Some("svg") => "image/svg+xml",
        _ => panic!("{file}: of which media type is that?"),
    }
}

fn gzip(body: &[u8]) -> io::Result<Vec<u8>> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::best());
    encoder.write_all(body)?;
    encoder.finish()
}
