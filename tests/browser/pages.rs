//! A web server of a few lines for the test's page, to give it an origin that is not the sync
//! server's.

use std::io::{BufRead, BufReader, Write};
use std::net::{TcpListener, TcpStream};
use std::thread;

/// The one page there is.
const PAGE: &str = include_str!("member.html");

/// The web server. Its thread ends with the process.
#[derive(Debug)]
pub(crate) struct Pages {
    port: u16,
}

impl Pages {
    /// Starts it on a free port.
    pub(crate) fn serve() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
        let port = listener.local_addr().expect("it is bound").port();
        thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                // A browser opens connections that it then does not use: each has its thread.
                thread::spawn(move || answer(stream));
            }
        });
        Self { port }
    }

    /// The origin under the name `host`, `127.0.0.1` or `localhost`: two origins for a browser.
    pub(crate) fn origin(&self, host: &str) -> String {
        format!("http://{host}:{}", self.port)
    }

    /// The address of the page.
    pub(crate) fn url(&self, host: &str) -> String {
        format!("{}/", self.origin(host))
    }
}

/// Answers one request, whatever it asks for. A browser that goes away meanwhile is no fault.
fn answer(mut stream: TcpStream) -> Option<()> {
    let reader = BufReader::new(stream.try_clone().ok()?);
    let blank = reader.lines().map_while(Result::ok).find(String::is_empty);
    blank?;
    let length = PAGE.len();
    let head = format!(
        "HTTP/1.1 200 OK\r\nContent-Type: text/html; charset=utf-8\r\n\
         Content-Length: {length}\r\nConnection: close\r\n\r\n"
    );
    stream.write_all(head.as_bytes()).ok()?;
    stream.write_all(PAGE.as_bytes()).ok()
}
