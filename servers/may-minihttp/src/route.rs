//! The routes, matched by hand: may_minihttp has no router.

use contract::ApiError;

/// A request to a route that exists, with a method it has. Numbers are not yet checked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Route<'a> {
    /// `GET /ping`
    Ping,
    /// `GET /api/v1/users`, and its query.
    Users(&'a str),
    /// `GET /api/v1/users/{id}`
    User(&'a str),
    /// `GET /api/v1/orders`, and its query.
    Orders(&'a str),
    /// `GET /api/v1/orders/{id}`
    Order(&'a str),
    /// `POST /api/v1/orders`
    PlaceOrder,
    /// `GET /api/v1/wait`, and its query.
    Wait(&'a str),
    /// `GET /api/v1/download`, and its query.
    Download(&'a str),
    /// `POST /api/v1/upload`
    Upload,
}

/// Finds the route of a request; `target` is a path and, after a `?`, a query.
///
/// # Errors
/// [`ApiError::NotFound`], else [`ApiError::MethodNotAllowed`].
pub(crate) fn find<'a>(method: &str, target: &'a str) -> Result<Route<'a>, ApiError> {
    let (path, query) = target.split_once('?').unwrap_or((target, ""));
    if path == "/ping" {
        return get(method, Route::Ping);
    }
    let path = path.strip_prefix("/api/v1/").ok_or(ApiError::NotFound)?;
    match path.split_once('/') {
        None if path == "users" => get(method, Route::Users(query)),
        None if path == "orders" => match method {
            "GET" => Ok(Route::Orders(query)),
            "POST" => Ok(Route::PlaceOrder),
            _ => Err(method_not_allowed("GET, POST")),
        },
        None if path == "wait" => get(method, Route::Wait(query)),
        None if path == "download" => get(method, Route::Download(query)),
        None if path == "upload" => match method {
            "POST" => Ok(Route::Upload),
            _ => Err(method_not_allowed("POST")),
        },
        Some(("users", id)) if is_segment(id) => get(method, Route::User(id)),
        Some(("orders", id)) if is_segment(id) => get(method, Route::Order(id)),
        _ => Err(ApiError::NotFound),
    }
}

fn get<'a>(method: &str, route: Route<'a>) -> Result<Route<'a>, ApiError> {
    match method {
        "GET" => Ok(route),
        _ => Err(method_not_allowed("GET")),
    }
}

fn method_not_allowed(allow: &'static str) -> ApiError {
    ApiError::MethodNotAllowed { allow: Some(allow) }
}

/// A path ending in a slash, or with more after one, is another route.
fn is_segment(text: &str) -> bool {
    !text.is_empty() && !text.contains('/')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_slash_makes_another_route() {
        for target in [
            "/",
            "/ping/",
            "/api/v1",
            "/api/v1/",
            "/api/v1/users/",
            "/api/v1/users/1/",
            "/api/v1/orders/",
            "/api/v1/wait/",
            "/api/v1/wait/1",
            "/api/v1/orders//",
            "/api/v1//users",
            "//ping",
            "/api/v1/pings",
        ] {
            assert_eq!(find("GET", target), Err(ApiError::NotFound), "{target}");
            assert_eq!(find("PUT", target), Err(ApiError::NotFound), "{target}");
        }
    }

    #[test]
    fn the_query_is_no_part_of_the_path() {
        assert_eq!(find("GET", "/ping?x=/"), Ok(Route::Ping));
        assert_eq!(
            find("GET", "/api/v1/users?page=2"),
            Ok(Route::Users("page=2"))
        );
        assert_eq!(find("GET", "/api/v1/orders"), Ok(Route::Orders("")));
        assert_eq!(find("GET", "/api/v1/orders/abc?x"), Ok(Route::Order("abc")));
    }

    #[test]
    fn a_wrong_method_is_told_the_right_ones() {
        let allowed = |method, target| find(method, target).unwrap_err().allow();
        assert_eq!(allowed("DELETE", "/api/v1/users/abc"), Some("GET"));
        assert_eq!(allowed("POST", "/ping"), Some("GET"));
        assert_eq!(allowed("PUT", "/api/v1/orders"), Some("GET, POST"));
        assert_eq!(allowed("GET", "/api/v1/upload"), Some("POST"));
    }
}
