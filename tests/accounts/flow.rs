//! The walk through all account routes, as the README shows it.

use std::sync::{Arc, Barrier};
use std::thread;

use serde_json::{Value, json};

use crate::SETUP_TOKEN;
use crate::mongodb_server;
use crate::support::{Deadline, Server, WebSocketClient};

/// Asks as `token`, if there is one; the status and the body.
fn ask(server: &Server, method: &str, path: &str, token: &str, body: &Value) -> (u16, Value) {
    let bearer = format!("Bearer {token}");
    let mut headers = vec![("X-Setup-Token", SETUP_TOKEN)];
    if !token.is_empty() {
        headers = vec![("Authorization", bearer.as_str())];
    }
    let response = server.http(method, path, &headers, &body.to_string());
    (response.status, response.json())
}

fn login(server: &Server, email: &str, password: &str) -> Value {
    let body = json!({ "email": email, "password": password });
    let (status, answer) = ask(server, "POST", "/api/auth/login", "", &body);
    assert_eq!(status, 200, "{answer}");
    answer
}

fn text(value: &Value, field: &str) -> String {
    value[field].as_str().unwrap_or_else(|| panic!("no {field} in {value}")).to_owned()
}

#[test]
fn the_whole_flow_works_on_sqlite() {
    let server = Server::start(&[("INITIAL_SETUP_TOKEN", SETUP_TOKEN)]);
    whole_flow(&server);
    assert!(!server.log().contains("a good password"));
}

#[test]
fn the_whole_flow_works_on_mongodb() {
    let Some(mongo) = mongodb_server::Server::start() else { return };
    let uri = mongo.uri();
    let settings = [
        ("INITIAL_SETUP_TOKEN", SETUP_TOKEN),
        ("MONGODB_URI", uri.as_str()),
        ("JWT_SECRET", "a secret that is longer than 32 bytes"),
    ];
    let server = Server::start(&settings);
    wait_until_healthy(&server);
    whole_flow(&server);
    assert!(!server.directory().path().join("data").exists(), "DATA_DIR is not touched");
    assert!(!server.log().contains("tester-secret"), "the URI's password is in the log");
}

fn wait_until_healthy(server: &Server) {
    let deadline = Deadline::start();
    while server.get("/health").json()["store"] != "ok" {
        assert!(!deadline.left().is_zero(), "the store never answered: {}", server.log());
    }
}

fn whole_flow(server: &Server) {
    let ann = json!({ "email": " Ann@Example.com ", "password": "a good password" });
    let wrong =
        server.http("POST", "/api/auth/invite", &[("X-Setup-Token", "another")], &ann.to_string());
    assert_eq!(wrong.status, 403);
    let (status, made) = ask(server, "POST", "/api/auth/invite", "", &ann);
    assert_eq!((status, &made["activated"]), (200, &json!(true)), "{made}");
    let again = ask(server, "POST", "/api/auth/invite", "", &json!({"email": "eve@example.com"}));
    assert_eq!(again.0, 401, "the setup token is worth nothing any more");

    let admin = login(server, "ann@example.com", "a good password");
    assert_eq!(
        (text(&admin, "role"), text(&admin, "email")),
        ("admin".into(), "ann@example.com".into())
    );
    let token = text(&admin, "token");
    let bob = json!({ "email": "bob@example.com", "first_name": "บ๊อบ" });
    let (status, invited) = ask(server, "POST", "/api/auth/invite", &token, &bob);
    assert_eq!(status, 200, "{invited}");
    let link = text(&invited, "setup_link");
    let (_, link) = link.split_once("token=").expect("a token in the link");
    let info = server.get(&format!("/api/auth/setup-info?token={link}"));
    assert_eq!(info.json()["email"], "bob@example.com");
    let set = json!({ "token": link, "password": "another password" });
    assert_eq!(ask(server, "POST", "/api/auth/setup-password", "", &set).0, 200);
    assert_eq!(ask(server, "POST", "/api/auth/setup-password", "", &set).0, 400, "once");

    let bob = login(server, "bob@example.com", "another password");
    let (bobs_token, bobs_id) = (text(&bob, "token"), text(&bob, "user_id"));
    let (status, me) = ask(server, "GET", "/api/auth/me", &bobs_token, &Value::Null);
    assert_eq!((status, &me["profile"]["first_name"]), (200, &json!("บ๊อบ")));
    let rename = json!({ "nickname": "Bobby" });
    assert_eq!(ask(server, "PUT", "/api/auth/me", &bobs_token, &rename).0, 200);
    assert_eq!(ask(server, "GET", "/api/auth/users", &bobs_token, &Value::Null).0, 403);

    let (_, users) = ask(server, "GET", "/api/auth/users", &token, &Value::Null);
    let users = users["users"].as_array().expect("a list");
    assert_eq!(users.len(), 2);
    assert_eq!(users[1]["profile"]["nickname"], "Bobby");
    let path = format!("/api/auth/users/{bobs_id}");
    assert_eq!(ask(server, "PUT", &path, &token, &json!({ "role": "admin" })).0, 200);
    assert_eq!(ask(server, "PUT", &path, &token, &json!({ "role": "user" })).0, 200);
    let (status, _) = ask(server, "GET", "/api/auth/me", &bobs_token, &Value::Null);
    assert_eq!(status, 401, "demoting ends tokens");
    let own = format!("/api/auth/users/{}", text(&admin, "user_id"));
    assert_eq!(ask(server, "DELETE", &own, &token, &Value::Null).0, 409, "the last one");
    assert_eq!(ask(server, "DELETE", &path, &token, &Value::Null).0, 200);
    assert_eq!(ask(server, "DELETE", &path, &token, &Value::Null).0, 404);
    let gone = json!({ "email": "bob@example.com", "password": "another password" });
    let unknown = json!({ "email": "nobody@example.com", "password": "another password" });
    let answers = [gone, unknown].map(|body| ask(server, "POST", "/api/auth/login", "", &body));
    assert_eq!(answers[0], answers[1]);
    assert_eq!(answers[0].0, 401);
}

/// Sends 24 first-user requests to `servers` at the same moment; how many made a user.
fn first_users(servers: &[Arc<Server>]) -> usize {
    let barrier = Arc::new(Barrier::new(24));
    let threads: Vec<_> = (0..24)
        .map(|number| {
            let server = Arc::clone(&servers[number % servers.len()]);
            let barrier = Arc::clone(&barrier);
            thread::spawn(move || {
                let email = format!("first{number}@example.com");
                let body = json!({ "email": email, "password": "a good password" });
                barrier.wait();
                ask(&server, "POST", "/api/auth/invite", "", &body).0
            })
        })
        .collect();
    let statuses: Vec<u16> =
        threads.into_iter().map(|thread| thread.join().expect("no panic")).collect();
    assert!(statuses.iter().all(|status| [200, 401].contains(status)), "{statuses:?}");
    statuses.iter().filter(|status| **status == 200).count()
}

#[test]
fn of_24_first_users_at_once_one_is_made_on_sqlite() {
    let server = Arc::new(Server::start(&[("INITIAL_SETUP_TOKEN", SETUP_TOKEN)]));
    assert_eq!(first_users(&[server]), 1);
}

#[test]
fn of_24_first_users_at_once_one_is_made_on_mongodb_through_two_servers() {
    let Some(mongo) = mongodb_server::Server::start() else { return };
    let uri = mongo.uri();
    let settings = [("INITIAL_SETUP_TOKEN", SETUP_TOKEN), ("MONGODB_URI", uri.as_str())];
    let servers = [Server::start(&settings), Server::start(&settings)].map(Arc::new);
    for server in &servers {
        wait_until_healthy(server);
    }
    assert_eq!(first_users(&servers), 1);
}

#[test]
fn a_user_who_is_deactivated_elsewhere_is_disconnected() {
    let settings = [
        ("INITIAL_SETUP_TOKEN", SETUP_TOKEN),
        ("REQUIRE_AUTH", "true"),
        ("JWT_SECRET", "a secret that is longer than 32 bytes"),
    ];
    let server = Server::start(&settings);
    let elsewhere = Server::start_in(server.directory(), &settings);
    let ann = json!({ "email": "ann@example.com", "password": "a good password" });
    assert_eq!(ask(&server, "POST", "/api/auth/invite", "", &ann).0, 200);
    let admin = text(&login(&server, "ann@example.com", "a good password"), "token");
    let bob = json!({ "email": "bob@example.com", "password": "another password" });
    assert_eq!(ask(&server, "POST", "/api/auth/invite", &admin, &bob).0, 200);
    let bob = login(&elsewhere, "bob@example.com", "another password");
    let (token, id) = (text(&bob, "token"), text(&bob, "user_id"));
    let protocols = format!("khun-phaen.v1, bearer.{token}");
    let headers = [("Sec-WebSocket-Protocol", protocols.as_str())];
    let here = WebSocketClient::connect(server.address(), &headers);
    let mut here = here.expect("a good token lets in");
    let path = format!("/api/auth/users/{id}");
    assert_eq!(ask(&elsewhere, "PUT", &path, &admin, &json!({ "is_active": false })).0, 200);
    here.expect_close(1008);
}

#[test]
fn logins_that_fail_are_slowed_down_and_lock_nobody_out_from_elsewhere() {
    let server =
        Server::start(&[("INITIAL_SETUP_TOKEN", SETUP_TOKEN), ("TRUSTED_PROXIES", "127.0.0.1")]);
    let ann = json!({ "email": "ann@example.com", "password": "a good password" });
    assert_eq!(ask(&server, "POST", "/api/auth/invite", "", &ann).0, 200);
    let attempt = |address: &str, password: &str| {
        let body = json!({ "email": "Ann@example.com", "password": password }).to_string();
        let headers = [("X-Forwarded-For", address)];
        server.http("POST", "/api/auth/login", &headers, &body)
    };
    for _ in 0..10 {
        assert_eq!(attempt("203.0.113.1", "a guess").status, 401);
    }
    let slowed = attempt("203.0.113.1", "a good password");
    assert_eq!(slowed.status, 429);
    assert!(slowed.header("retry-after").is_some());
    assert_eq!(attempt("203.0.113.2", "a good password").status, 200, "from elsewhere");
}

#[test]
fn the_administrator_of_the_settings_is_made_once() {
    let settings = [
        ("INITIAL_ADMIN_EMAIL", "root@example.com"),
        ("INITIAL_ADMIN_PASSWORD", "from the settings"),
        ("INITIAL_ADMIN_NICKNAME", "Root"),
    ];
    let mut server = Server::start(&settings);
    server.wait_for_log("the administrator of the settings was made");
    let admin = login(&server, "root@example.com", "from the settings");
    assert_eq!(
        (admin["role"].as_str(), admin["profile"]["nickname"].as_str()),
        (Some("admin"), Some("Root"))
    );
    let directory = Arc::clone(server.directory());
    assert_eq!(server.stop(), Some(0));
    let server = Server::start_in(&directory, &settings);
    login(&server, "root@example.com", "from the settings");
    assert!(!server.log().contains("was made"));
}
