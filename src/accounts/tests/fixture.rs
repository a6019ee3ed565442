//! A service on a new embedded database, and every request in one line.

use std::borrow::Borrow;
use std::sync::Arc;

use serde_json::{Value, json};

use super::{TempDir, os_entropy};
use crate::accounts::{AccountRequest, AccountRoute, Effect, Service};
use crate::base::secret::Secret;
use crate::base::time::UnixMillis;
use crate::config::Config;
use crate::store::sqlite::SqliteStore;
use crate::store::{Profile, Role, Store, User};

/// The token of a request.
pub(crate) type Who<'a> = Option<&'a Secret>;

pub(crate) const NOW: UnixMillis = UnixMillis(1_795_433_969_000);
pub(crate) const SETUP_TOKEN: &str = "let me in, I am the first";
pub(crate) const PASSWORD: &str = "correct horse";
pub(crate) const OTHER: &str = "battery staple";

/// A service on a new database, and its store.
pub(crate) struct Fixture {
    pub(crate) service: Service,
    pub(crate) store: Arc<dyn Store>,
    _directory: TempDir,
}

impl Fixture {
    pub(crate) fn new() -> Self {
        Self::with(|_| ())
    }

    pub(crate) fn with(change: impl FnOnce(&mut Config)) -> Self {
        let directory = TempDir::new();
        let store: Arc<dyn Store> =
            Arc::new(SqliteStore::open(directory.path()).expect("a new database"));
        let mut config = Config {
            jwt_secret: Some(Secret::new("0123456789abcdef0123456789abcdef")),
            jwt_ttl_seconds: 3_600,
            initial_setup_token: Some(Secret::new(SETUP_TOKEN)),
            ..Config::default()
        };
        change(&mut config);
        let service = Service::new(Arc::clone(&store), &config, os_entropy()).expect("a key");
        Self { service, store, _directory: directory }
    }

    /// With the admin `admin@x` and the user `user@x`, both with [`PASSWORD`].
    pub(crate) fn with_users() -> Self {
        let fixture = Self::new();
        let password = Secret::new(PASSWORD);
        for (email, role) in [("admin@x", Role::Admin), ("user@x", Role::User)] {
            fixture.service.add_user(email, &password, role, NOW).expect("added");
        }
        fixture
    }

    pub(crate) fn reply(
        &self,
        request: impl Borrow<AccountRequest>,
        now: UnixMillis,
    ) -> (u16, Value, Vec<Effect>) {
        let reply = self.service.handle(request.borrow(), now);
        let body = serde_json::from_slice(&reply.body).expect("every answer is JSON");
        (reply.status, body, reply.effect.into_iter().collect())
    }

    /// What the answer is at [`NOW`]; its effects are looked at elsewhere.
    pub(crate) fn ask(&self, request: impl Borrow<AccountRequest>) -> (u16, Value) {
        let (status, body, _) = self.reply(request, NOW);
        (status, body)
    }

    pub(crate) fn token(&self, email: &str, password: &str) -> Secret {
        let (status, body) = self.ask(login(email, password));
        assert_eq!(status, 200, "{email}: {body}");
        Secret::new(body["token"].as_str().expect("a token"))
    }

    pub(crate) fn user(&self, email: &str) -> User {
        self.store.user_by_email(email).expect("the store answers").expect("there is one")
    }

    pub(crate) fn emails(&self) -> Vec<String> {
        let users = self.service.list_users().expect("the store answers");
        users.into_iter().map(|user| user.email).collect()
    }

    /// Stores a user as it is, as an older server might have.
    pub(crate) fn store_user(&self, email: &str, password_hash: Option<&str>, is_active: bool) {
        let user = User {
            id: String::new(),
            user_id: format!("id of {email}"),
            email: email.into(),
            role: Role::User,
            password_hash: password_hash.map(Secret::new),
            created_at: NOW,
            setup_token: None,
            setup_expires_at: None,
            is_active,
            discord_id: None,
            version: 0,
            profile: Profile { id: format!("profile of {email}"), ..Profile::default() },
        };
        self.store.create_user(&user).expect("stored");
    }
}

pub(crate) fn bytes(body: &Value) -> Vec<u8> {
    serde_json::to_vec(body).expect("JSON")
}

pub(crate) fn request(route: AccountRoute, credentials: Who<'_>, body: Vec<u8>) -> AccountRequest {
    AccountRequest { route, credentials: credentials.cloned(), setup_token: None, body }
}

pub(crate) fn login(email: &str, password: &str) -> AccountRequest {
    let body = bytes(&json!({"email": email, "password": password}));
    request(AccountRoute::Login, None, body)
}

pub(crate) fn first_invite(setup_token: Option<&str>, body: &Value) -> AccountRequest {
    AccountRequest { setup_token: setup_token.map(Secret::new), ..invite(None, body) }
}

pub(crate) fn invite(credentials: Who<'_>, body: &Value) -> AccountRequest {
    request(AccountRoute::Invite, credentials, bytes(body))
}

pub(crate) fn me(credentials: Who<'_>) -> AccountRequest {
    request(AccountRoute::Me, credentials, Vec::new())
}

pub(crate) fn update_me(credentials: Who<'_>, body: &Value) -> AccountRequest {
    request(AccountRoute::UpdateMe, credentials, bytes(body))
}

pub(crate) fn users(credentials: Who<'_>) -> AccountRequest {
    request(AccountRoute::Users, credentials, Vec::new())
}

pub(crate) fn update_user(credentials: Who<'_>, id: &str, body: &Value) -> AccountRequest {
    request(AccountRoute::UpdateUser { id: id.into() }, credentials, bytes(body))
}

pub(crate) fn delete_user(credentials: Who<'_>, id: &str) -> AccountRequest {
    request(AccountRoute::DeleteUser { id: id.into() }, credentials, Vec::new())
}

pub(crate) fn setup_info(token: &str) -> AccountRequest {
    let setup_token = Some(Secret::new(token));
    AccountRequest { setup_token, ..request(AccountRoute::SetupInfo, None, Vec::new()) }
}

pub(crate) fn setup_password(token: &str, password: &str) -> AccountRequest {
    let body = bytes(&json!({"token": token, "password": password}));
    request(AccountRoute::SetupPassword, None, body)
}

pub(crate) fn error(text: &str) -> Value {
    json!({"error": text})
}

/// The token of a link such as an invitation answers.
pub(crate) fn link_token(answer: &Value) -> String {
    let link = answer["setup_link"].as_str().expect("a link");
    let token = link.strip_prefix("/setup-password?token=").expect("the page's address");
    assert_eq!(token.len(), 64, "256 bits in hexadecimal");
    assert!(token.bytes().all(|byte| byte.is_ascii_hexdigit()));
    token.to_owned()
}
