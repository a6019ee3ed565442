//! Tests of `input`.

use std::net::{IpAddr, Ipv4Addr};

use super::*;

fn check_email(input: &str, expected: Option<&str>) {
    assert_eq!(email(input).ok().as_deref(), expected, "{input:?}");
}

#[test]
fn emails_are_trimmed_lower_cased_and_bounded() {
    check_email("a@b", Some("a@b"));
    check_email(" \tAnn.Example@Example.COM\r\n", Some("ann.example@example.com"));
    check_email("ÄNNE@bücher.example", Some("änne@bücher.example"));
    for bad in ["", " ", "ann", "@", "ann@", "@example", "a@b@c", "a@@b", "a b@c", "a@b\0", "a\n@b"]
    {
        check_email(bad, None);
    }
    let longest = format!("{}@b", "a".repeat(login::EMAIL_BYTES_MAX - 2));
    check_email(&longest, Some(&longest));
    check_email(&format!("a{longest}"), None);
}

#[test]
fn passwords_are_counted_in_bytes() {
    for (password, good) in [
        ("1234567".to_owned(), false),
        ("12345678".to_owned(), true),
        ("ไก่".to_owned(), true),
        ("x".repeat(1024), true),
        ("x".repeat(1025), false),
    ] {
        assert_eq!(new_password(&password).is_ok(), good, "{} bytes", password.len());
    }
}

#[test]
fn an_invitation() {
    let full =
        br#"{"email":"A@b","password":"12345678","role":"admin","nickname":"An","extra":[1]}"#;
    let invite = Invite::parse(full).expect("good");
    assert_eq!((invite.email.as_str(), invite.role), ("a@b", Role::Admin));
    assert_eq!(invite.password, Some(Secret::new("12345678")));
    assert_eq!(invite.profile.nickname, Some("An".into()));
    assert_eq!(invite.profile.first_name, None);

    let short = br#"{"email":"a@b","password":null,"role":null,"position":null}"#;
    let invite = Invite::parse(short).expect("null is absent");
    assert_eq!((invite.password, invite.role), (None, Role::User));
}

#[test]
fn what_is_wrong_with_an_invitation() {
    let too_long = format!(r#"{{"email":"a@b","position":"{}"}}"#, "ü".repeat(201));
    let longest = format!(r#"{{"email":"a@b","position":"{}"}}"#, "ü".repeat(200));
    assert!(Invite::parse(longest.as_bytes()).is_ok());
    let discord = format!(r#"{{"email":"a@b","discord_id":"{}"}}"#, "1".repeat(65));
    for (body, reason) in [
        ("", "Invalid request body: "),
        ("[]", "Invalid request body: "),
        ("{", "Invalid request body: "),
        (r#"{"email":"a@b"} x"#, "Invalid request body: "),
        (r#"{"password":"12345678"}"#, "Invalid request body: missing field `email`"),
        (r#"{"email":5}"#, "Invalid request body: invalid type"),
        (r#"{"email":"a@b","email":"c@d"}"#, "Invalid request body: duplicate field"),
        (r#"{"email":"a@b","nickname":{}}"#, "Invalid request body: invalid type"),
        (r#"{"email":"ab"}"#, "Invalid email"),
        (r#"{"email":"a@b","password":""}"#, "Password must have 8 to 1024 bytes"),
        (r#"{"email":"a@b","role":"root"}"#, "Role must be admin or user"),
        (r#"{"email":"a@b","nickname":"a\u0000"}"#, "nickname must have at most 200 characters"),
        (too_long.as_str(), "position must have at most 200 characters"),
        (discord.as_str(), "discord_id must have at most 64 characters"),
    ] {
        let error = Invite::parse(body.as_bytes()).expect_err(body).to_string();
        assert!(error.starts_with(reason), "{body}: {error}");
    }
    let echo = format!(r#"{{"email":"a@b","role":["{}"]}}"#, "x".repeat(60_000));
    let error = Invite::parse(echo.as_bytes()).expect_err("a list is no role").to_string();
    assert!(error.len() < 300, "a complaint does not grow with the body");
}

#[test]
fn null_clears_a_profile_field_and_leaves_the_rest() {
    let body = br#"{"password":null,"first_name":null,"last_name":"","nickname":"N"}"#;
    let update = UpdateMe::parse(body).expect("good");
    assert_eq!(update.password, None);
    assert_eq!(update.change.first_name, Some(None));
    assert_eq!(update.change.last_name, Some(Some(String::new())));
    assert_eq!(update.change.nickname, Some(Some("N".into())));
    assert_eq!(update.change.position, None);
    assert_eq!(update.change.discord_id, None);

    let body = br#"{"email":null,"role":null,"is_active":null,"discord_id":null}"#;
    let update = user_change(body).expect("good");
    assert_eq!((update.email, update.role, update.is_active), (None, None, None));
    assert_eq!(update.discord_id, Some(None));
}

#[test]
fn a_users_update_checks_what_is_there() {
    let update = user_change(br#"{"email":" A@B ","role":"user","is_active":false}"#);
    let update = update.expect("good");
    assert_eq!(update.email.as_deref(), Some("a@b"));
    assert_eq!((update.role, update.is_active), (Some(Role::User), Some(false)));
    assert!(user_change(b"{}").is_ok());
    for (body, expected) in
        [(r#"{"email":"x"}"#, InvalidInput::Email), (r#"{"role":"Admin"}"#, InvalidInput::Role)]
    {
        assert_eq!(user_change(body.as_bytes()).expect_err(body), expected);
    }
    assert!(user_change(br#"{"is_active":1}"#).is_err());
}

#[test]
fn a_login_takes_any_email_and_any_password() {
    let login = Login::parse(br#"{"email":" ROOT ","password":"x"}"#).expect("good");
    assert_eq!((login.email.as_str(), login.password.expose()), ("root", "x"));
    for body in ["", "{}", r#"{"email":"a"}"#, r#"{"password":"x"}"#, r#"["a","x"]"#, "null"] {
        assert!(Login::parse(body.as_bytes()).is_err(), "{body}");
        let address = AddressKey::of(Ipv4Addr::LOCALHOST.into());
        assert_eq!(LoginKey::new(body.as_bytes(), address), None, "{body}");
    }
    assert!(SetupPassword::parse(br#"{"token":"t","password":"1234567"}"#).is_err());
}

#[test]
fn logins_are_counted_by_email_and_address() {
    let body = |email| format!(r#"{{"password":"x","email":"{email}"}}"#).into_bytes();
    let key = |email, last| {
        let address = AddressKey::of(IpAddr::V4(Ipv4Addr::new(192, 0, 2, last)));
        LoginKey::new(&body(email), address).expect("a login")
    };
    assert_eq!(key(" Ann@Example ", 1), key("ann@example", 1));
    assert_ne!(key("ann@example", 1), key("ann@example", 2));
    assert_ne!(key("ann@example", 1), key("bob@example", 1));
}

#[test]
fn secrets_do_not_show() {
    let shown = format!("{:?}", Login::parse(br#"{"email":"a","password":"hunter2"}"#));
    assert!(!shown.contains("hunter2"), "{shown}");
}
