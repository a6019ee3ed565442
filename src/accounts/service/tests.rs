//! Tests of `service` on the embedded store: every route, its rights, what follows.

use std::sync::Barrier;
use std::thread;
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use super::super::tests::fixture::*;
use super::*;

// --- the first user ---

#[test]
fn the_first_user_needs_the_setup_token_and_is_an_admin() {
    let fixture = Fixture::new();
    let body = json!({"email": " First@X ", "password": PASSWORD, "role": "user"});
    let refused = (403, error("Setup token missing or wrong"));
    for token in [None, Some(""), Some("wrong"), Some(&SETUP_TOKEN[1..])] {
        assert_eq!(fixture.ask(first_invite(token, &body)), refused, "{token:?}");
    }
    // A refused client does not learn what else is wrong.
    assert_eq!(fixture.ask(first_invite(None, &json!(1))), refused);
    let without_email = first_invite(Some(SETUP_TOKEN), &json!({"email": "x"}));
    assert_eq!(fixture.ask(without_email), (400, error("Invalid email")));
    assert!(fixture.emails().is_empty());

    let created = json!({
        "success": true, "message": "User created and activated", "activated": true,
    });
    assert_eq!(fixture.ask(first_invite(Some(SETUP_TOKEN), &body)), (200, created));
    assert_eq!(fixture.user("first@x").role, Role::Admin);

    // From now on it is worth nothing.
    let second = json!({"email": "second@x", "password": PASSWORD});
    let refused = (401, error("Not logged in"));
    for token in [None, Some("wrong"), Some(SETUP_TOKEN)] {
        assert_eq!(fixture.ask(first_invite(token, &second)), refused, "{token:?}");
    }
    assert_eq!(fixture.emails(), ["first@x"]);
}

#[test]
fn without_a_setup_token_set_there_is_no_first_user() {
    let fixture = Fixture::with(|config| config.initial_setup_token = None);
    let body = json!({"email": "first@x", "password": PASSWORD});
    for token in [None, Some(""), Some(SETUP_TOKEN)] {
        assert_eq!(fixture.ask(first_invite(token, &body)).0, 403, "{token:?}");
    }
    assert!(fixture.emails().is_empty());
}

#[test]
fn fifty_first_users_at_once_make_one() {
    let fixture = Fixture::new();
    let barrier = Barrier::new(50);
    let statuses: Vec<u16> = thread::scope(|scope| {
        let ask = |index: u32| {
            // Without a password: fifty hashes at once would measure the machine's memory.
            let body = json!({"email": format!("first{index}@x")});
            let request = first_invite(Some(SETUP_TOKEN), &body);
            let (barrier, fixture) = (&barrier, &fixture);
            scope.spawn(move || {
                barrier.wait();
                fixture.ask(request).0
            })
        };
        let threads: Vec<_> = (0..50).map(ask).collect();
        threads.into_iter().map(|thread| thread.join().expect("no panic")).collect()
    });
    assert_eq!(statuses.iter().filter(|&&status| status == 200).count(), 1, "{statuses:?}");
    assert_eq!(statuses.iter().filter(|&&status| status == 401).count(), 49, "{statuses:?}");
    assert_eq!(fixture.emails().len(), 1);
}

// --- links ---

#[test]
fn an_invited_user_sets_a_password_once() {
    let fixture = Fixture::with_users();
    let admin = fixture.token("admin@x", PASSWORD);
    let (status, answer) = fixture.ask(invite(Some(&admin), &json!({"email": "New@X"})));
    assert_eq!((status, &answer["success"]), (200, &json!(true)));
    assert_eq!(answer["message"], "User invited");
    assert_eq!(answer.get("activated"), None);
    let link = link_token(&answer);

    let holder = (200, json!({"success": true, "email": "new@x"}));
    assert_eq!(fixture.ask(login("new@x", "")).0, 401, "no password yet");
    assert_eq!(fixture.ask(setup_info(&link)), holder);
    assert_eq!(fixture.ask(setup_info(&link)), holder, "looking does not use it up");
    assert_eq!(fixture.ask(setup_password(&link, "short")).0, 400);
    assert_eq!(fixture.ask(setup_password(&link, PASSWORD)), holder);
    fixture.token("new@x", PASSWORD);

    let used = (400, error("Invalid or expired token"));
    assert_eq!(fixture.ask(setup_info(&link)), used);
    assert_eq!(fixture.ask(setup_password(&link, OTHER)), used);
    fixture.token("new@x", PASSWORD);
}

#[test]
fn a_link_counts_for_seven_days() {
    let fixture = Fixture::with_users();
    let admin = fixture.token("admin@x", PASSWORD);
    let link = link_token(&fixture.ask(invite(Some(&admin), &json!({"email": "new@x"}))).1);
    let after = |ms: i64| UnixMillis(NOW.0 + ms);
    let status = |request: AccountRequest, now: UnixMillis| fixture.reply(request, now).0;
    assert_eq!(SETUP_LINK_MS, 604_800_000);
    assert_eq!(status(setup_info(&link), after(SETUP_LINK_MS - 1)), 200);
    assert_eq!(status(setup_info(&link), after(SETUP_LINK_MS)), 400);
    assert_eq!(status(setup_password(&link, PASSWORD), after(SETUP_LINK_MS)), 400);
    assert_eq!(status(setup_password(&link, PASSWORD), after(SETUP_LINK_MS - 1)), 200);
}

#[test]
fn links_that_never_were() {
    let fixture = Fixture::with_users();
    let refused = (400, error("Invalid or expired token"));
    for token in ["", "x", "null", &"0".repeat(64), &"x".repeat(60_000)] {
        assert_eq!(fixture.ask(setup_info(token)), refused);
        assert_eq!(fixture.ask(setup_password(token, PASSWORD)), refused);
    }
}

#[test]
fn a_deactivated_user_cannot_come_back_by_the_link() {
    let fixture = Fixture::with_users();
    let admin = fixture.token("admin@x", PASSWORD);
    let link = link_token(&fixture.ask(invite(Some(&admin), &json!({"email": "new@x"}))).1);
    let id = fixture.user("new@x").user_id;
    assert_eq!(fixture.ask(update_user(Some(&admin), &id, &json!({"is_active": false}))).0, 200);
    assert_eq!(fixture.ask(setup_info(&link)).0, 400);
    assert_eq!(fixture.ask(setup_password(&link, PASSWORD)).0, 400);
}

#[test]
fn a_link_is_used_once_by_sixteen_at_once() {
    let fixture = Fixture::with_users();
    let admin = fixture.token("admin@x", PASSWORD);
    let link = link_token(&fixture.ask(invite(Some(&admin), &json!({"email": "new@x"}))).1);
    let barrier = Barrier::new(16);
    let winners = thread::scope(|scope| {
        let threads: Vec<_> = (0..16)
            .map(|index| {
                let request = setup_password(&link, &format!("password {index}"));
                let (barrier, fixture) = (&barrier, &fixture);
                scope.spawn(move || {
                    barrier.wait();
                    fixture.ask(request).0 == 200
                })
            })
            .collect();
        let won: Vec<bool> =
            threads.into_iter().map(|thread| thread.join().expect("no panic")).collect();
        won.into_iter().filter(|won| *won).count()
    });
    assert_eq!(winners, 1);
    let fits = |index| fixture.ask(login("new@x", &format!("password {index}"))).0 == 200;
    assert_eq!((0..16).filter(|&index| fits(index)).count(), 1);
}

// --- the shape of every answer ---

#[test]
fn what_a_user_sees() {
    let fixture = Fixture::with_users();
    let user = fixture.user("user@x");
    let (status, body, effects) = fixture.reply(login(" USER@x", PASSWORD), NOW);
    let token = body["token"].clone();
    let profile =
        json!({"first_name": null, "last_name": null, "nickname": null, "position": null});
    let expected = json!({
        "success": true, "id": user.id, "user_id": user.user_id, "email": "user@x",
        "role": "user", "token": token, "profile": profile,
    });
    assert_eq!((status, body, effects), (200, expected, vec![]));

    let token = Secret::new(token.as_str().expect("text"));
    let change = json!({
        "first_name": "Ann", "last_name": "Lee", "nickname": "An", "position": "QA",
        "discord_id": "42", "role": "admin", "email": "other@x",
    });
    let done = (200, json!({"success": true}), vec![]);
    assert_eq!(fixture.reply(update_me(Some(&token), &change), NOW), done);
    assert_eq!(fixture.reply(update_me(Some(&token), &json!({"position": null})), NOW), done);
    let expected = json!({
        "success": true, "id": user.id, "user_id": user.user_id, "email": "user@x",
        "role": "user", "discord_id": "42",
        "profile": {"first_name": "Ann", "last_name": "Lee", "nickname": "An", "position": null},
    });
    assert_eq!(fixture.ask(me(Some(&token))), (200, expected));
}

#[test]
fn what_an_admin_sees() {
    let fixture = Fixture::with_users();
    let admin = fixture.token("admin@x", PASSWORD);
    let body = json!({"email": "new@x", "role": "admin", "nickname": "N", "discord_id": "7"});
    let link = link_token(&fixture.ask(invite(Some(&admin), &body)).1);
    let (status, body) = fixture.ask(users(Some(&admin)));
    assert_eq!((status, &body["success"]), (200, &json!(true)));
    let list = body["users"].as_array().expect("a list");
    let emails: Vec<_> = list.iter().map(|user| user["email"].as_str().unwrap()).collect();
    assert_eq!(emails, ["admin@x", "user@x", "new@x"]);
    let new = fixture.user("new@x");
    assert_eq!(uuid::Uuid::parse_str(&new.user_id).expect("a UUID").get_version_num(), 7);
    let expected = json!({
        "id": new.id, "user_id": new.user_id, "email": "new@x", "role": "admin",
        "is_active": true, "created_at": "2026-11-23T11:39:29.000Z", "setup_token": link,
        "discord_id": "7",
        "profile":
            {"first_name": null, "last_name": null, "nickname": "N", "position": null},
    });
    assert_eq!(list[2], expected);
    assert_eq!(list[0]["setup_token"], Value::Null);
}

#[test]
fn logging_out_clears_the_cookie() {
    let request = request(AccountRoute::Logout, None, Vec::new());
    let reply = Fixture::new().service.handle(&request, NOW);
    assert_eq!((reply.status, reply.body.as_slice()), (200, &br#"{"success":true}"#[..]));
    assert!(matches!(reply.cookie, Some(CookieChange::Clear)));
}

#[test]
fn a_token_that_comes_as_a_cookie_is_in_no_answer() {
    let fixture = Fixture::with_users();
    let login = |more: &str| {
        let body = format!(r#"{{"email":"admin@x","password":"{PASSWORD}"{more}}}"#);
        fixture.service.handle(&request(AccountRoute::Login, None, body.into_bytes()), NOW)
    };
    for more in ["", r#","cookie":false"#, r#","cookie":null"#] {
        let reply = login(more);
        assert!(reply.cookie.is_none(), "{more}");
        assert!(String::from_utf8_lossy(&reply.body).contains("\"token\":"), "{more}");
    }
    let reply = login(r#","cookie":true"#);
    assert!(!String::from_utf8_lossy(&reply.body).contains("token"));
    let Some(CookieChange::Set(token)) = reply.cookie else { panic!("no cookie") };
    let identity = fixture.service.authenticate(Some(&token), NOW).expect("a token");
    assert_eq!(identity.role, Role::Admin);
}

// --- rights ---

#[test]
fn who_may_what() {
    type Route<'a> = dyn Fn(Who<'_>) -> AccountRequest + 'a;
    let fixture = Fixture::with_users();
    let admin = fixture.token("admin@x", PASSWORD);
    let user = fixture.token("user@x", PASSWORD);
    let expired = fixture.token("user@x", PASSWORD);
    let id = fixture.user("user@x").user_id;
    let nobody = [None, Some(Secret::new("x")), Some(Secret::new(""))];
    let routes: [(&str, &Route<'_>, bool); 6] = [
        ("me", &me, false),
        ("update me", &|who| update_me(who, &json!({"nickname": "N"})), false),
        ("invite", &|who| invite(who, &json!({"email": "new@x"})), true),
        ("users", &users, true),
        ("update user", &|who| update_user(who, &id, &json!({"nickname": "N"})), true),
        ("delete user", &|who| delete_user(who, &id), true),
    ];
    for (name, route, admin_only) in routes {
        for who in &nobody {
            assert_eq!(fixture.ask(route(who.as_ref())), (401, error("Not logged in")), "{name}");
        }
        let later = UnixMillis(NOW.0 + 3_600_000);
        assert_eq!(fixture.reply(route(Some(&expired)), later).0, 401, "{name}");
        let (status, body) = fixture.ask(route(Some(&user)));
        if admin_only {
            assert_eq!((status, body), (403, error("Admin only")), "{name}");
        } else {
            assert_eq!(status, 200, "{name}");
        }
        assert_eq!(fixture.ask(route(Some(&admin))).0, 200, "{name}");
    }
}

#[test]
fn bad_input_is_refused_with_the_reason() {
    let fixture = Fixture::with_users();
    let admin = fixture.token("admin@x", PASSWORD);
    let id = fixture.user("user@x").user_id;
    let short = error("Password must have 8 to 1024 bytes");
    for (request, answer) in [
        (invite(Some(&admin), &json!({"email": "x"})), error("Invalid email")),
        (invite(Some(&admin), &json!({"email": "n@x", "password": "1234567"})), short.clone()),
        (update_me(Some(&admin), &json!({"password": "1234567"})), short),
        (
            update_user(Some(&admin), &id, &json!({"role": "root"})),
            error("Role must be admin or user"),
        ),
        (update_user(Some(&admin), &id, &json!({"email": ""})), error("Invalid email")),
    ] {
        assert_eq!(fixture.ask(request), (400, answer));
    }
    for body in [&b""[..], b"{", b"[]", b"\xff"] {
        let body = || body.to_vec();
        for request in [
            request(AccountRoute::Login, None, body()),
            request(AccountRoute::SetupPassword, None, body()),
            request(AccountRoute::UpdateMe, Some(&admin), body()),
        ] {
            let (status, answer, effects) = fixture.reply(request, NOW);
            assert_eq!((status, effects), (400, vec![]), "{answer}");
        }
    }
}

#[test]
fn conflicts_and_the_unknown() {
    let fixture = Fixture::with_users();
    let admin = fixture.token("admin@x", PASSWORD);
    let id = fixture.user("user@x").user_id;
    let taken = (409, error("A user with this email already exists"));
    assert_eq!(fixture.ask(invite(Some(&admin), &json!({"email": "USER@x"}))), taken);
    assert_eq!(fixture.ask(update_user(Some(&admin), &id, &json!({"email": "Admin@X"}))), taken);
    assert_eq!(fixture.ask(update_user(Some(&admin), &id, &json!({"email": "User@X"}))).0, 200);
    let unknown = (404, error("User not found"));
    for id in ["x", "", "00000000-0000-7000-8000-000000000000"] {
        assert_eq!(fixture.ask(update_user(Some(&admin), id, &json!({}))), unknown);
        assert_eq!(fixture.ask(delete_user(Some(&admin), id)), unknown);
    }
}

#[test]
fn the_last_active_admin_stays() {
    let fixture = Fixture::with_users();
    let admin = fixture.token("admin@x", PASSWORD);
    let id = fixture.user("admin@x").user_id;
    // An admin that has not set a password yet cannot administrate.
    assert_eq!(
        fixture.ask(invite(Some(&admin), &json!({"email": "new@x", "role": "admin"}))).0,
        200
    );
    let last = (409, error("The last active admin cannot be deleted, demoted or deactivated"));
    let steps = [
        delete_user(Some(&admin), &id),
        update_user(Some(&admin), &id, &json!({"role": "user"})),
        update_user(Some(&admin), &id, &json!({"is_active": false})),
    ];
    for request in steps {
        assert_eq!(fixture.ask(request), last);
    }
    let disabled = fixture.service.disable_user("admin@x");
    assert!(matches!(disabled, Err(AccountError::Store(StoreError::LastAdmin))));
    assert_eq!(fixture.ask(me(Some(&admin))).0, 200, "nothing has ended");

    let password = Secret::new(PASSWORD);
    fixture.service.add_user("second@x", &password, Role::Admin, NOW).expect("added");
    assert_eq!(fixture.ask(delete_user(Some(&admin), &id)).0, 200);
}

#[test]
fn a_store_that_does_not_answer_is_told_to_the_caller_and_not_to_the_client() {
    let reply = refusal(StoreError::Unavailable("db.internal refused".into()).into());
    assert_eq!(reply.status, 503);
    assert_eq!(reply.effect, Some(Effect::StoreUnavailable("db.internal refused".into())));
    assert!(!String::from_utf8_lossy(&reply.body).contains("db.internal"));
    let reply = refusal(StoreError::Damaged("users".into()).into());
    let effect = Some(Effect::StoreUnavailable("users".into()));
    assert_eq!((reply.status, reply.effect), (503, effect));
}

// --- logins ---

#[test]
fn a_failed_login_looks_the_same_whatever_is_wrong() {
    let fixture = Fixture::with_users();
    fixture.store_user("invited@x", None, true);
    fixture.store_user("broken@x", Some("no hash"), true);
    let hash = password::hash(PASSWORD.as_bytes(), [1; password::SALT_BYTES]).expect("memory");
    fixture.store_user("inactive@x", Some(&hash), false);
    let long = format!("{}@x", "a".repeat(EMAIL_BYTES_MAX));
    for (email, password) in [
        ("user@x", OTHER),
        ("user@x", ""),
        ("nobody@x", PASSWORD),
        ("invited@x", ""),
        ("invited@x", PASSWORD),
        ("inactive@x", PASSWORD),
        ("broken@x", "no hash"),
        ("no e-mail at all", PASSWORD),
        ("", PASSWORD),
        (long.as_str(), PASSWORD),
    ] {
        let expected = (401, error("Invalid email or password"), vec![Effect::LoginFailed]);
        assert_eq!(fixture.reply(login(email, password), NOW), expected, "{email}");
    }
}

#[expect(clippy::disallowed_methods, reason = "how long an answer takes is what is tested")]
#[test]
fn a_failed_login_takes_the_same_time_whatever_is_wrong() {
    let fixture = Fixture::with_users();
    fixture.store_user("invited@x", None, true);
    let time = |email: &str| {
        let started = Instant::now();
        assert_eq!(fixture.ask(login(email, OTHER)).0, 401);
        started.elapsed()
    };
    let emails = ["user@x", "nobody@x", "invited@x"];
    let mut times: [Vec<Duration>; 3] = Default::default();
    // Taken in turn, so that a busy machine slows all three down.
    for _ in 0..15 {
        for (email, times) in emails.iter().zip(&mut times) {
            times.push(time(email));
        }
    }
    let medians = times.map(|mut times| {
        times.sort_unstable();
        times[times.len() / 2]
    });
    for median in &medians[1..] {
        let ratio = median.as_secs_f64() / medians[0].as_secs_f64();
        assert!((0.5..2.0).contains(&ratio), "{medians:?}");
    }
}

#[test]
fn a_bcrypt_user_logs_in_and_is_argon2id_afterwards() {
    let fixture = Fixture::with_users();
    let bcrypt = "$2a$05$CCCCCCCCCCCCCCCCCCCCC.E5YPO9kmyuRGyh0XouQYb4YMJKvyOeW";
    fixture.store_user("old@x", Some(bcrypt), true);
    let stored = || fixture.user("old@x").password_hash.expect("a hash").expose().to_owned();
    assert_eq!(fixture.ask(login("old@x", "U*V")).0, 401);
    assert_eq!(stored(), bcrypt, "a wrong password changes nothing");
    let token = fixture.token("old@x", "U*U");
    assert!(stored().starts_with("$argon2id$v=19$m=19456,t=2,p=1$"), "{}", stored());
    let upgraded = stored();
    fixture.token("old@x", "U*U");
    assert_eq!(stored(), upgraded, "once");
    assert_eq!(fixture.ask(me(Some(&token))).0, 200, "the upgrade ends no token");
}

// --- what ends tokens ---

#[test]
fn a_new_password_ends_all_tokens() {
    let fixture = Fixture::with_users();
    let user_id = fixture.user("user@x").user_id;
    let tokens = [fixture.token("user@x", PASSWORD), fixture.token("user@x", PASSWORD)];
    let change = update_me(Some(&tokens[0]), &json!({"password": OTHER}));
    let ended = vec![Effect::Revoked { user_id, below_version: 1 }];
    assert_eq!(fixture.reply(change, NOW), (200, json!({"success": true}), ended));
    for token in &tokens {
        assert_eq!(fixture.ask(me(Some(token))).0, 401);
    }
    assert_eq!(fixture.ask(login("user@x", PASSWORD)).0, 401);
    let token = fixture.token("user@x", OTHER);
    assert_eq!(fixture.ask(me(Some(&token))).0, 200);
}

#[test]
fn demoting_deactivating_and_deleting_end_tokens_and_other_changes_do_not() {
    let fixture = Fixture::with_users();
    let admin = fixture.token("admin@x", PASSWORD);
    let password = Secret::new(PASSWORD);
    fixture.service.add_user("second@x", &password, Role::Admin, NOW).expect("added");
    let user_id = fixture.user("second@x").user_id;
    let change = |change: &Value, ended_below: Option<u64>| {
        let revoked = |below_version| Effect::Revoked { user_id: user_id.clone(), below_version };
        let (status, _, effects) = fixture.reply(update_user(Some(&admin), &user_id, change), NOW);
        let expected: Vec<_> = ended_below.map(revoked).into_iter().collect();
        assert_eq!((status, effects), (200, expected), "{change}");
    };
    let holds = |token: &Secret| fixture.ask(me(Some(token))).0 == 200;

    for (body, ended_below) in [
        (json!({"nickname": "S"}), None),
        (json!({"email": "second@x", "role": "admin", "is_active": true}), None),
        (json!({"role": "user"}), Some(1)),
        (json!({"role": "user", "nickname": "T"}), None),
        (json!({"role": "admin"}), None),
    ] {
        let token = fixture.token("second@x", PASSWORD);
        change(&body, ended_below);
        assert_eq!(holds(&token), ended_below.is_none(), "{body}");
    }

    let token = fixture.token("second@x", PASSWORD);
    change(&json!({"is_active": false}), Some(2));
    assert!(!holds(&token));
    assert_eq!(fixture.ask(login("second@x", PASSWORD)).0, 401);
    change(&json!({"is_active": false}), None);
    change(&json!({"is_active": true}), None);
    assert!(!holds(&token), "an ended token does not come back");

    let token = fixture.token("second@x", PASSWORD);
    let deleted = fixture.reply(delete_user(Some(&admin), &user_id), NOW);
    let ended = vec![Effect::Revoked { user_id: user_id.clone(), below_version: u64::MAX }];
    assert_eq!(deleted, (200, json!({"success": true}), ended));
    assert!(!holds(&token));
    assert_eq!(fixture.ask(login("second@x", PASSWORD)).0, 401);
}

#[test]
fn what_a_token_says_is_not_believed_when_the_store_says_otherwise() {
    let fixture = Fixture::with_users();
    let password = Secret::new(PASSWORD);
    fixture.service.add_user("second@x", &password, Role::Admin, NOW).expect("added");
    let token = fixture.token("second@x", PASSWORD);
    let identity = fixture.service.authenticate(Some(&token), NOW).expect("logged in");
    assert_eq!((identity.role, identity.version), (Role::Admin, 0));
    // Another process on the same database, which ends no token.
    let id = fixture.user("second@x").user_id;
    let change = UserChange { role: Some(Role::User), ..UserChange::default() };
    fixture.store.update_user(&id, &change).expect("changed");
    let identity = fixture.service.authenticate(Some(&token), NOW).expect("still logged in");
    assert_eq!(identity.role, Role::User, "the store is asked, not the token");
    assert_eq!(fixture.ask(users(Some(&token))).0, 403);

    let change = UserChange { is_active: Some(false), ..UserChange::default() };
    fixture.store.update_user(&id, &change).expect("changed");
    let refused = fixture.service.authenticate(Some(&token), NOW);
    assert!(matches!(refused, Err(AuthError::NotLoggedIn)), "{refused:?}");
    assert_eq!(fixture.service.ended(vec![identity.clone()]), Ok(vec![identity]));
}

#[test]
fn connected_users_whose_tokens_ended_are_found() {
    let fixture = Fixture::with_users();
    let identity = |email: &str| {
        let token = fixture.token(email, PASSWORD);
        fixture.service.authenticate(Some(&token), NOW).expect("logged in")
    };
    let password = Secret::new(PASSWORD);
    fixture.service.add_user("gone@x", &password, Role::User, NOW).expect("added");
    fixture.service.add_user("off@x", &password, Role::User, NOW).expect("added");
    let [admin, user, gone, off] = ["admin@x", "user@x", "gone@x", "off@x"].map(identity);
    let all = vec![user.clone(), gone.clone(), admin, off.clone(), user.clone()];
    assert_eq!(fixture.service.ended(all.clone()), Ok(vec![]));
    assert_eq!(fixture.service.ended(vec![]), Ok(vec![]));

    fixture.service.set_password("user@x", &Secret::new(OTHER)).expect("set");
    fixture.service.disable_user("off@x").expect("disabled");
    fixture.store.delete_user(&gone.user_id).expect("deleted");
    assert_eq!(fixture.service.ended(all), Ok(vec![user.clone(), gone, off, user]));
}
