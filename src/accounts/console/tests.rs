//! Tests of `console` on the embedded store.

use serde_json::json;

use super::super::tests::fixture::*;
use super::*;
use crate::config::InitialAdmin;

#[test]
fn the_initial_admin_is_made_once_and_only_if_nobody_is_there() {
    let fixture = Fixture::with(|settings| {
        settings.initial_admin = Some(InitialAdmin {
            email: "root@x".into(),
            password: Secret::new(PASSWORD),
            nickname: Some("Root".into()),
        });
    });
    assert!(fixture.service.ensure_initial_admin(NOW).expect("made"));
    assert!(!fixture.service.ensure_initial_admin(NOW).expect("there already"));
    let (status, body) = fixture.ask(login("root@x", PASSWORD));
    assert_eq!((status, &body["role"]), (200, &json!("admin")));
    assert_eq!(body["profile"]["nickname"], "Root");
    assert!(!Fixture::with_users().service.ensure_initial_admin(NOW).expect("nothing to do"));
}

#[test]
fn the_console_adds_changes_and_disables_users() {
    let fixture = Fixture::new();
    let password = Secret::new(PASSWORD);
    let add = |email: &str, password: &str| {
        fixture.service.add_user(email, &Secret::new(password), Role::User, NOW)
    };
    let first = add(" First@X", PASSWORD).expect("added");
    assert_eq!((first.email.as_str(), first.role), ("first@x", Role::Admin));
    assert_eq!(add("second@x", PASSWORD).expect("added").role, Role::User);
    assert!(matches!(add("second@x", PASSWORD), Err(AccountError::Store(StoreError::EmailTaken))));
    assert!(matches!(add("x", PASSWORD), Err(AccountError::Input(_))));
    assert!(matches!(add("third@x", "short"), Err(AccountError::Input(_))));
    assert_eq!(fixture.emails(), ["first@x", "second@x"]);

    let token = fixture.token("second@x", PASSWORD);
    fixture.service.set_password(" SECOND@x", &Secret::new(OTHER)).expect("set");
    assert_eq!(fixture.ask(me(Some(&token))).0, 401);
    fixture.token("second@x", OTHER);
    fixture.service.disable_user("second@x").expect("disabled");
    assert_eq!(fixture.ask(login("second@x", OTHER)).0, 401);
    for result in [
        fixture.service.set_password("nobody@x", &password),
        fixture.service.disable_user("nobody@x"),
    ] {
        assert!(matches!(result, Err(AccountError::Store(StoreError::NotFound))));
    }
}

#[test]
fn a_password_from_the_console_ends_the_link() {
    let fixture = Fixture::with_users();
    let admin = fixture.token("admin@x", PASSWORD);
    let link = link_token(&fixture.ask(invite(Some(&admin), &json!({"email": "new@x"}))).1);
    fixture.service.set_password("new@x", &Secret::new(PASSWORD)).expect("set");
    assert_eq!(fixture.ask(setup_password(&link, OTHER)).0, 400);
    fixture.token("new@x", PASSWORD);
}
