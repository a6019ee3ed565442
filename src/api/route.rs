//! Methods and paths become routes.

pub use crate::http::{AccountRoute, AdminRoute, ROUTES, Route, RouteError, route};
