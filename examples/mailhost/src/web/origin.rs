//! Where a request comes from: from a page of this host, or from somebody else's.

use axum::extract::Request;
use axum::http::HeaderMap;
use axum::http::header::{HOST, ORIGIN};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};

use super::problem::Problem;

/// Refuses whatever changes something and was sent by a page of another site.
pub(super) async fn own_pages_only(request: Request, next: Next) -> Response {
    if request.method().is_safe() || is_own(request.headers()) {
        next.run(request).await
    } else {
        Problem::Foreign.into_response()
    }
}

/// Whether a browser that says where a request comes from says that it comes from here. Others have a seal alone to show.
pub(super) fn is_own(headers: &HeaderMap) -> bool {
    let header = |name: &str| headers.get(name).map(|value| value.to_str().unwrap_or_default());
    match (header("sec-fetch-site"), header(ORIGIN.as_str())) {
        // "none" is a visitor's own doing, such as to send the same once more.
        (Some(site), _) => matches!(site, "same-origin" | "none"),
        (None, Some(origin)) => {
            let at = origin.split_once("://").map(|(_, authority)| authority);
            at.is_some_and(|at| header(HOST.as_str()).is_some_and(|host| host.eq_ignore_ascii_case(at)))
        }
        (None, None) => true,
    }
}

#[cfg(test)]
mod tests {
    use axum::http::HeaderValue;

    use super::*;

    #[test]
    fn browsers_say_where_a_request_comes_from() {
        for (fields, own) in [
            (&[][..], true),
            (&[("sec-fetch-site", "same-origin")], true),
            (&[("sec-fetch-site", "none")], true),
            (&[("sec-fetch-site", "same-site")], false),
            (&[("sec-fetch-site", "cross-site")], false),
            (&[("origin", "https://mail.example.test"), ("host", "Mail.example.test")], true),
            (&[("origin", "https://example.test"), ("host", "mail.example.test")], false),
            (&[("origin", "null"), ("host", "mail.example.test")], false),
            (&[("origin", "https://mail.example.test")], false),
            (&[("sec-fetch-site", "cross-site"), ("origin", "https://a"), ("host", "a")], false),
        ] {
            let mut headers = HeaderMap::new();
            for (name, value) in fields {
                headers.insert(*name, HeaderValue::from_static(value));
            }
            assert_eq!(is_own(&headers), own, "{fields:?}");
        }
    }
}
