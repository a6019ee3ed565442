//! Where a request's token is.

pub(super) use crate::http::bearer;
pub use crate::http::credentials;
