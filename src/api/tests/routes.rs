//! Methods and paths.

use crate::accounts::AccountRoute::*;
use crate::api::RouteError::*;
use crate::api::{AdminRoute, Route, route, routes};
use crate::base::room_code::is_room_code;
use crate::http::Response;

fn room(code: &str) -> Route {
    Route::Room { code: Some(code.to_owned()) }
}

fn close_room(code: &str) -> Route {
    Route::Admin(AdminRoute::CloseRoom { code: code.to_owned() })
}

#[test]
fn methods_and_paths_become_routes() {
    let table = [
        ("GET", "/", Ok(Route::Index)),
        ("HEAD", "/", Ok(Route::Index)),
        ("GET", "/r/ABC-d_9", Ok(Route::RoomPage { is_code: true })),
        ("HEAD", "/r/%41", Ok(Route::RoomPage { is_code: true })),
        ("GET", "/r/", Ok(Route::RoomPage { is_code: false })),
        ("GET", "/r/A%20B", Ok(Route::RoomPage { is_code: false })),
        ("GET", "/r/%E0", Ok(Route::RoomPage { is_code: false })),
        ("GET", "/r/A/B", Err(NotFound)),
        ("POST", "/r/A", Err(MethodNotAllowed { allow: "GET, HEAD, OPTIONS".to_owned() })),
        ("GET", "/setup-password", Ok(Route::Page)),
        ("GET", "/admin", Ok(Route::Page)),
        ("GET", "/admin/", Err(NotFound)),
        ("GET", "/client.js", Ok(Route::Page)),
        ("HEAD", "/page/main.js", Ok(Route::Page)),
        ("GET", "/health", Ok(Route::Health)),
        ("HEAD", "/health", Ok(Route::Health)),
        ("GET", "/health/ready", Ok(Route::Ready)),
        ("GET", "/metrics", Ok(Route::Metrics)),
        ("GET", "/ws", Ok(Route::WebSocket)),
        ("GET", "/api/whoami", Ok(Route::Whoami)),
        ("POST", "/api/rooms", Ok(Route::CreateRoom)),
        ("GET", "/api/rooms/ABC-d_9", Ok(room("ABC-d_9"))),
        ("HEAD", "/api/rooms/A", Ok(room("A"))),
        ("GET", "/api/rooms/%41%2d%5F", Ok(room("A-_"))),
        ("POST", "/api/auth/invite", Ok(Route::Account(Invite))),
        ("GET", "/api/auth/setup-info", Ok(Route::Account(SetupInfo))),
        ("POST", "/api/auth/setup-password", Ok(Route::Account(SetupPassword))),
        ("POST", "/api/auth/login", Ok(Route::Account(Login))),
        ("POST", "/api/auth/logout", Ok(Route::Account(Logout))),
        ("GET", "/api/auth/me", Ok(Route::Account(Me))),
        ("HEAD", "/api/auth/me", Ok(Route::Account(Me))),
        ("PUT", "/api/auth/me", Ok(Route::Account(UpdateMe))),
        ("GET", "/api/auth/users", Ok(Route::Account(Users))),
        ("PUT", "/api/auth/users/1-2", Ok(Route::Account(UpdateUser { id: "1-2".to_owned() }))),
        ("DELETE", "/api/auth/users/%41", Ok(Route::Account(DeleteUser { id: "A".to_owned() }))),
        ("GET", "/api/admin/stats", Ok(Route::Admin(AdminRoute::Stats))),
        ("GET", "/api/admin/rooms", Ok(Route::Admin(AdminRoute::Rooms))),
        ("HEAD", "/api/admin/rooms", Ok(Route::Admin(AdminRoute::Rooms))),
        ("DELETE", "/api/admin/rooms/%E0%B8%81", Ok(close_room("ก"))),
        ("OPTIONS", "/api/rooms", Ok(Route::Preflight)),
        ("OPTIONS", "*", Ok(Route::Preflight)),
        ("OPTIONS", "/nowhere", Ok(Route::Preflight)),
    ];
    for (method, path, expected) in table {
        assert_eq!(route(method, path), expected, "{method} {path}");
    }
}

#[test]
fn the_list_of_routes_is_the_truth() {
    for line in routes() {
        let (method, path) = line.split_once(' ').expect("method and path");
        assert!(route(method, &path.replace(['{', '}'], "")).is_ok(), "{line}");
    }
}

#[test]
fn other_methods_are_refused_with_those_there_are() {
    let table = [
        ("POST", "/", "GET, HEAD, OPTIONS"),
        ("get", "/", "GET, HEAD, OPTIONS"),
        ("BREW", "/health", "GET, HEAD, OPTIONS"),
        ("DELETE", "/ws", "GET, HEAD, OPTIONS"),
        ("GET", "/api/rooms", "POST, OPTIONS"),
        ("DELETE", "/api/rooms/A", "GET, HEAD, OPTIONS"),
        ("GET", "/api/auth/login", "POST, OPTIONS"),
        ("HEAD", "/api/auth/login", "POST, OPTIONS"),
        ("GET", "/api/admin/rooms/A", "DELETE, OPTIONS"),
        ("POST", "/api/admin/rooms", "GET, HEAD, OPTIONS"),
        ("PATCH", "/api/auth/me", "GET, HEAD, PUT, OPTIONS"),
        ("PUT", "/api/auth/users", "GET, HEAD, OPTIONS"),
        ("GET", "/api/auth/users/1", "PUT, DELETE, OPTIONS"),
    ];
    for (method, path, allow) in table {
        let error = route(method, path);
        assert_eq!(error, Err(MethodNotAllowed { allow: allow.to_owned() }), "{method} {path}");
        let response = Response::from(&error.expect_err("checked above"));
        assert_eq!((response.status().code(), response.header("allow")), (405, Some(allow)));
        assert_eq!(response.body(), br#"{"error":"Method not allowed"}"#);
    }
}

#[test]
fn other_paths_are_not_found() {
    let long = format!("/api/auth/users/{}", "x".repeat(129));
    let paths = [
        "/nowhere",
        "//",
        "/ws/",
        "/WS",
        "/%77s",
        "/health/",
        "/api",
        "/api/rooms/A/",
        "/api/rooms/A/B",
        "/api/auth/",
        "/api/auth/users/",
        "/api/auth/users/1/2",
        "/api/auth/users/%ff",
        "/api/admin/",
        "/api/admin/rooms/",
        "/api/admin/rooms/%ff",
        "/api/admin/rooms/A/B",
        &long,
        "*",
    ];
    for path in paths {
        assert_eq!(route("GET", path), Err(NotFound), "{path}");
        assert_eq!(route("PUT", path), Err(NotFound), "{path}");
    }
    let response = Response::from(&NotFound);
    assert_eq!(response.status().code(), 404);
    assert_eq!(response.body(), br#"{"error":"Not found"}"#);
}

#[test]
fn what_no_room_can_be_called_is_no_code() {
    let longest = "x".repeat(64);
    assert!(is_room_code(&longest) && is_room_code("a"));
    assert_eq!(route("GET", &format!("/api/rooms/{longest}")), Ok(room(&longest)));
    let longer = "x".repeat(65);
    for code in ["", "a.b", "a%20b", "a%2Fb", "%E0%B8%82", "%", "%FF", &longer] {
        assert!(!is_room_code(code), "{code}");
        let unknown = Ok(Route::Room { code: None });
        assert_eq!(route("GET", &format!("/api/rooms/{code}")), unknown, "{code}");
    }
}
