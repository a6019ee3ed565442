//! Clients with an address of their own: all of 127.0.0.0/8 is this machine.

use std::net::{Ipv4Addr, SocketAddr, TcpStream};

use serde_json::Value;
use socket2::{Domain, Socket, Type};

use crate::support::{HttpClient, Response, WebSocketClient};

/// A connection to `to` that comes from 127.0.0.`last`.
pub(crate) fn connect_from(last: u8, to: SocketAddr) -> TcpStream {
    let from = SocketAddr::from((Ipv4Addr::new(127, 0, 0, last), 0));
    let socket = Socket::new(Domain::IPV4, Type::STREAM, None).expect("sockets can be made");
    socket.bind(&from.into()).expect("it is an address of loopback");
    socket.connect(&to.into()).expect("somebody listens");
    socket.into()
}

/// One request from 127.0.0.`last`.
#[track_caller]
pub(crate) fn ask(
    last: u8,
    to: SocketAddr,
    method: &str,
    path: &str,
    headers: &[(&str, &str)],
) -> Response {
    let mut client = HttpClient::over(connect_from(last, to));
    client.request(method, path, headers, if method == "POST" { "{}" } else { "" });
    client.response()
}

/// What the server says to `GET /api/whoami` from 127.0.0.`last`.
#[track_caller]
pub(crate) fn whoami(last: u8, to: SocketAddr, headers: &[(&str, &str)]) -> Value {
    let response = ask(last, to, "GET", "/api/whoami", headers);
    assert_eq!(response.status, 200, "{}", response.text());
    response.json()
}

/// An open WebSocket through `to`.
#[track_caller]
pub(crate) fn open(to: SocketAddr) -> WebSocketClient {
    WebSocketClient::connect(to, &[]).expect("the proxy passes on the upgrade")
}
