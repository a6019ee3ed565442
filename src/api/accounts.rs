//! Account requests from and to HTTP.

use super::credentials::credentials;
use super::route::AccountRoute;
use crate::accounts::{AccountReply, AccountRequest, SECURE_COOKIE};
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
    let credentials = credentials(request, allowed_origins);
    let body = request.body().to_vec();
    match route {
        AccountRoute::Invite => {
            let setup_token = request.header("x-setup-token").map(Secret::new);
            AccountRequest::Invite { credentials, setup_token, body }
        }
        AccountRoute::SetupInfo => {
            let token = request.query_value("token").unwrap_or_default();
            AccountRequest::SetupInfo { token: Secret::new(token) }
        }
        AccountRoute::SetupPassword => AccountRequest::SetupPassword { body },
        AccountRoute::Login => AccountRequest::Login { body },
        AccountRoute::Logout => AccountRequest::Logout,
        AccountRoute::Me => AccountRequest::Me { credentials },
        AccountRoute::UpdateMe => AccountRequest::UpdateMe { credentials, body },
        AccountRoute::Users => AccountRequest::Users { credentials },
        AccountRoute::UpdateUser { id } => AccountRequest::UpdateUser { credentials, id, body },
        AccountRoute::DeleteUser { id } => AccountRequest::DeleteUser { credentials, id },
    }
}

/// `reply` for a client that speaks TLS if it `is_secure`, perhaps with a proxy before us.
pub fn account_response(reply: AccountReply, is_secure: bool) -> Response {
    let mut response = Response::json_text(Status::from_code(reply.status), reply.body);
    if reply.status == Status::SERVICE_UNAVAILABLE.code() {
        response = response.after(RETRY_AFTER_SECONDS);
    }
    if let Some(cookie) = &reply.set_cookie {
        let secure = if is_secure { SECURE_COOKIE } else { "" };
        response.set_header("Set-Cookie", &format!("{}{secure}", cookie.expose()));
    }
    response
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
