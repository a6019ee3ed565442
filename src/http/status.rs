//! Status codes (RFC 9110, section 15; RFC 6585).

/// A status code that this server answers with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Status(u16);

#[expect(missing_docs, reason = "each has the name and meaning that its RFC gives it")]
impl Status {
    pub const OK: Self = Self(200);
    pub const CREATED: Self = Self(201);
    pub const NO_CONTENT: Self = Self(204);
    pub const NOT_MODIFIED: Self = Self(304);
    pub const BAD_REQUEST: Self = Self(400);
    pub const UNAUTHORIZED: Self = Self(401);
    pub const FORBIDDEN: Self = Self(403);
    pub const NOT_FOUND: Self = Self(404);
    pub const METHOD_NOT_ALLOWED: Self = Self(405);
    pub const REQUEST_TIMEOUT: Self = Self(408);
    pub const CONFLICT: Self = Self(409);
    pub const CONTENT_TOO_LARGE: Self = Self(413);
    pub const URI_TOO_LONG: Self = Self(414);
    pub const EXPECTATION_FAILED: Self = Self(417);
    pub const UPGRADE_REQUIRED: Self = Self(426);
    pub const TOO_MANY_REQUESTS: Self = Self(429);
    pub const REQUEST_HEADER_FIELDS_TOO_LARGE: Self = Self(431);
    pub const INTERNAL_SERVER_ERROR: Self = Self(500);
    pub const NOT_IMPLEMENTED: Self = Self(501);
    pub const SERVICE_UNAVAILABLE: Self = Self(503);
    pub const HTTP_VERSION_NOT_SUPPORTED: Self = Self(505);
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

    /// The reason phrase; empty for a code that is not in the list above.
    pub(super) const fn reason(self) -> &'static str {
        match self.0 {
            200 => "OK",
            201 => "Created",
            204 => "No Content",
            304 => "Not Modified",
            400 => "Bad Request",
            401 => "Unauthorized",
            403 => "Forbidden",
            404 => "Not Found",
            405 => "Method Not Allowed",
            408 => "Request Timeout",
            409 => "Conflict",
            413 => "Content Too Large",
            414 => "URI Too Long",
            417 => "Expectation Failed",
            426 => "Upgrade Required",
            429 => "Too Many Requests",
            431 => "Request Header Fields Too Large",
            500 => "Internal Server Error",
            501 => "Not Implemented",
            503 => "Service Unavailable",
            505 => "HTTP Version Not Supported",
            _ => "",
        }
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
