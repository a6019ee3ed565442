//! Secrets in files: those of a container, and systemd's credentials.

use std::fs;

use serde_json::json;

use crate::support::{Directory, Server, run};

/// What the log says once the administrator of the settings can log in.
const MADE: &str = "the administrator of the settings was made";

/// Writes the file `name` and returns its path.
fn write(directory: &Directory, name: &str, text: &str) -> String {
    let path = directory.path().join(name);
    fs::write(&path, text).expect("the directory is ours");
    path.to_str().expect("it is text").to_owned()
}

#[track_caller]
fn log_in(server: &Server, password: &str) -> u16 {
    let body = json!({ "email": "ann@example.com", "password": password }).to_string();
    server.http("POST", "/api/auth/login", &[], &body).status
}

#[test]
fn a_credential_is_a_secret_unless_the_environment_has_it() {
    let credentials = Directory::new();
    write(&credentials, "INITIAL_ADMIN_PASSWORD", "of the credential\n");
    let directory = credentials.path().to_str().expect("it is text");
    let settings =
        [("CREDENTIALS_DIRECTORY", directory), ("INITIAL_ADMIN_EMAIL", "ann@example.com")];
    let server = Server::start(&settings);
    server.wait_for_log(MADE);
    assert_eq!(log_in(&server, "of the credential"), 200);
    let server = Server::start(
        &[&settings[..], &[("INITIAL_ADMIN_PASSWORD", "the environment's")]].concat(),
    );
    server.wait_for_log(MADE);
    assert_eq!(log_in(&server, "of the credential"), 401);
    assert_eq!(log_in(&server, "the environment's"), 200);
}

#[test]
fn a_variable_may_name_the_file_of_a_secret() {
    let directory = Directory::new();
    let token = write(&directory, "token", "a-setup-token-of-some-length\n");
    fs::write(directory.path().join(".env"), format!("INITIAL_SETUP_TOKEN_FILE={token}\n"))
        .expect("the directory is ours");
    let server = Server::start_in(&directory, &[]);
    let body = json!({ "email": "ann@example.com", "password": "a good password" }).to_string();
    let invite =
        |token| server.http("POST", "/api/auth/invite", &[("X-Setup-Token", token)], &body).status;
    assert_eq!(invite("another"), 403);
    assert_eq!(invite("a-setup-token-of-some-length"), 200);
    assert_eq!(log_in(&server, "a good password"), 200);
}

#[test]
fn a_secret_that_is_set_twice_or_has_no_file_is_one_line_and_exit_2() {
    let directory = Directory::new();
    let file = write(&directory, "secret", "hunter2");
    for (settings, expected) in [
        (
            &[("JWT_SECRET", "hunter2"), ("JWT_SECRET_FILE", &*file)][..],
            "JWT_SECRET and JWT_SECRET_FILE",
        ),
        (&[("MONGODB_URI_FILE", "/nowhere/at/all")], "MONGODB_URI_FILE: /nowhere/at/all"),
    ] {
        for arguments in [&[][..], &["--check-config"]] {
            let exited = run(arguments, settings);
            assert_eq!(exited.code, Some(2), "{exited:?}");
            assert_eq!(exited.errors.lines().count(), 1, "{exited:?}");
            assert!(exited.errors.contains(expected), "{exited:?}");
            assert!(!exited.errors.contains("hunter2"), "{exited:?}");
        }
    }
}
