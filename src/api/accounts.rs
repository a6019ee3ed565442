//! Account requests from and to HTTP.

use super::credentials::{TOKEN_COOKIE, credentials};
use crate::accounts::{AccountReply, AccountRequest, AccountRoute, CookieChange};
use crate::base::secret::Secret;
use crate::base::throttle::RetryAfter;
use crate::config::AllowedOrigins;
use crate::http::{RETRY_AFTER_SECONDS, Request, Response, Status};

/// What the accounts need of `request`.
pub fn account_request(
    route: AccountRoute,
    request: &Request,
    allowed_origins: &AllowedOrigins,
) -> AccountRequest {
    let setup_token = match route {
        AccountRoute::Invite => request.header("x-setup-token").map(Secret::new),
        AccountRoute::SetupInfo => request.query_value("token").map(Secret::new),
        _ => None,
    };
    let credentials = credentials(request, allowed_origins);
    AccountRequest { route, credentials, setup_token, body: request.body().to_vec() }
}

/// `reply` for a client that speaks TLS if it `is_secure`, perhaps with a proxy before us.
pub fn account_response(reply: AccountReply, is_secure: bool) -> Response {
    let mut response = Response::json_text(Status::from_code(reply.status), reply.body);
    if reply.status == Status::SERVICE_UNAVAILABLE.code() {
        response = response.after(RETRY_AFTER_SECONDS);
    }
    if let Some(change) = &reply.cookie {
        let secure = if is_secure { "; Secure" } else { "" };
        response.set_header("Set-Cookie", &format!("{}{secure}", cookie(change)));
    }
    response
}

/// The value of `Set-Cookie`: a token is out of reach of scripts, kept until the browser is closed,
/// and sent with requests of our own pages only.
fn cookie(change: &CookieChange) -> String {
    match change {
        CookieChange::Set(token) => {
            format!("{TOKEN_COOKIE}={}; Path=/; HttpOnly; SameSite=Strict", token.expose())
        }
        CookieChange::Clear => format!("{TOKEN_COOKIE}=; Path=/; Max-Age=0; SameSite=Lax"),
    }
}

/// An address, or an e-mail at it, has failed to log in too often.
pub fn too_many_failed_logins(wait: RetryAfter) -> Response {
    let message = "Too many failed logins; try again later";
    Response::error(Status::TOO_MANY_REQUESTS, message).after(wait.seconds())
}

/// The request's token is none, or has ended.
pub fn not_logged_in() -> Response {
    Response::error(Status::UNAUTHORIZED, "Not logged in")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cookies_are_for_our_own_pages_and_no_script() {
        let token = CookieChange::Set(Secret::new("t"));
        assert_eq!(cookie(&token), "_khun_ph_token=t; Path=/; HttpOnly; SameSite=Strict");
        let cleared = cookie(&CookieChange::Clear);
        assert!(cleared.starts_with("_khun_ph_token=;") && cleared.contains("Max-Age=0"));
    }
}
