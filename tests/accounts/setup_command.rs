//! `sync-server setup`: the first administrator by way of a running server.

use std::io::{Read, Write};
use std::net::TcpListener;
use std::thread;

use serde_json::json;

use crate::SETUP_TOKEN;
use crate::support::{Exited, Server, run};

const ANN: (&str, &str) = ("INITIAL_ADMIN_EMAIL", "ann@example.com");
const PASSWORD: (&str, &str) = ("INITIAL_ADMIN_PASSWORD", "a \"good\" รหัสผ่าน");
const TOKEN: (&str, &str) = ("INITIAL_SETUP_TOKEN", SETUP_TOKEN);

fn set_up(address: &impl ToString, token: (&str, &str)) -> Exited {
    let url = format!("http://{}", address.to_string());
    run(&["setup", &url], &[token, ANN, PASSWORD])
}

#[test]
fn it_makes_one_administrator_however_often_it_runs() {
    let server = Server::start(&[TOKEN]);
    let address = server.address();
    let wrong = set_up(&address, ("INITIAL_SETUP_TOKEN", "another-token-that-is-long"));
    let line = format!("sync-server: http://{address} has another INITIAL_SETUP_TOKEN, or none\n");
    assert_eq!((wrong.code, wrong.errors), (Some(2), line));

    let first = set_up(&address, TOKEN);
    let made = "the first administrator was made\n".to_owned();
    assert_eq!((first.code, first.output), (Some(0), made), "{}", first.errors);
    for token in [TOKEN, ("INITIAL_SETUP_TOKEN", "another-token-that-is-long")] {
        let again = set_up(&address, token);
        let nothing = "there are users already: nothing to do\n".to_owned();
        assert_eq!((again.code, again.output), (Some(0), nothing), "{}", again.errors);
    }

    let login = json!({ "email": ANN.1, "password": PASSWORD.1 }).to_string();
    let answer = server.http("POST", "/api/auth/login", &[], &login);
    assert_eq!((answer.status, &answer.json()["role"]), (200, &json!("admin")));
    assert!(!server.log().contains(SETUP_TOKEN) && !server.log().contains("good"));
}

#[test]
fn it_waits_for_a_database_and_says_what_else_is_wrong() {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let address = listener.local_addr().expect("it is bound");
    let answers = [(503, "The store does not answer"), (503, ""), (400, "No e-mail")];
    let server = thread::spawn(move || {
        for (status, message) in answers {
            let (mut stream, _) = listener.accept().expect("it asks again");
            assert!(stream.read(&mut [0; 4096]).expect("it asks") > 0);
            let body = json!({ "error": message }).to_string();
            let length = body.len();
            write!(stream, "HTTP/1.1 {status} X\r\nContent-Length: {length}\r\n\r\n{body}")
                .expect("it reads");
        }
    });
    let refused = set_up(&address, TOKEN);
    let line = format!("sync-server: http://{address} answered 400: No e-mail\n");
    assert_eq!((refused.code, refused.errors), (Some(2), line));
    server.join().expect("it was asked three times");
}

#[test]
fn it_names_what_is_not_set() {
    let problem = |settings: &[_]| {
        let exited = run(&["setup", "http://localhost:1"], settings);
        assert_eq!(exited.code, Some(2));
        exited.errors
    };
    assert_eq!(problem(&[ANN, PASSWORD]), "sync-server: INITIAL_SETUP_TOKEN is not set\n");
    assert_eq!(problem(&[TOKEN]), "sync-server: INITIAL_ADMIN_EMAIL is not set\n");
}
