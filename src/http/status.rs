//! Status codes (RFC 9110, section 15; RFC 6585).

/// A status code that this server answers with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Status(u16);

/// The codes that there are, each with its name here and its reason phrase.
macro_rules! statuses {
    ($($name:ident $code:literal $reason:literal,)*) => {
        #[expect(missing_docs, reason = "each has the name and meaning that its RFC gives it")]
        impl Status {
            $(pub const $name: Self = Self($code);)*
        }

        impl Status {
            /// The reason phrase; empty for a code that is not in the list below.
            pub(super) const fn reason(self) -> &'static str {
                match self.0 {
                    $($code => $reason,)*
                    _ => "",
                }
            }
        }
    };
}

statuses! {
    OK 200 "OK",
    CREATED 201 "Created",
    NO_CONTENT 204 "No Content",
    NOT_MODIFIED 304 "Not Modified",
    BAD_REQUEST 400 "Bad Request",
    UNAUTHORIZED 401 "Unauthorized",
    FORBIDDEN 403 "Forbidden",
    NOT_FOUND 404 "Not Found",
    METHOD_NOT_ALLOWED 405 "Method Not Allowed",
    REQUEST_TIMEOUT 408 "Request Timeout",
    CONFLICT 409 "Conflict",
    CONTENT_TOO_LARGE 413 "Content Too Large",
    URI_TOO_LONG 414 "URI Too Long",
    EXPECTATION_FAILED 417 "Expectation Failed",
    UPGRADE_REQUIRED 426 "Upgrade Required",
    TOO_MANY_REQUESTS 429 "Too Many Requests",
    REQUEST_HEADER_FIELDS_TOO_LARGE 431 "Request Header Fields Too Large",
    INTERNAL_SERVER_ERROR 500 "Internal Server Error",
    NOT_IMPLEMENTED 501 "Not Implemented",
    SERVICE_UNAVAILABLE 503 "Service Unavailable",
    HTTP_VERSION_NOT_SUPPORTED 505 "HTTP Version Not Supported",
}

impl Status {
    /// The three digits.
    pub const fn code(self) -> u16 {
        self.0
    }

    /// The status with this code. One that is not in the list above is a mistake of ours, and
    /// becomes 500.
    pub const fn from_code(code: u16) -> Self {
        let status = Self(code);
        if status.reason().is_empty() { Self::INTERNAL_SERVER_ERROR } else { status }
    }
}

#[cfg(test)]
mod tests {
    use super::Status;

    #[test]
    fn a_code_that_nobody_here_uses_is_our_mistake() {
        assert_eq!(Status::from_code(409), Status::CONFLICT);
        assert_eq!(Status::from_code(299), Status::INTERNAL_SERVER_ERROR);
        assert_eq!(Status::from_code(0).code(), 500);
    }
}
