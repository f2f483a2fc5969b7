//! Parts of a message, and its source, as files: in slices, straight from where they lie, and never as anything that a browser would run.

use std::io;
use std::sync::Arc;

use axum::body::{Body, Bytes};
use axum::extract::{Path, Query, State};
use axum::http::header::{
    CONTENT_DISPOSITION, CONTENT_LENGTH, CONTENT_SECURITY_POLICY, CONTENT_TYPE, REFERRER_POLICY,
};
use axum::http::{HeaderMap, HeaderValue};
use axum::response::{IntoResponse, Response};
use futures_util::stream;
use serde::Deserialize;

use super::parts::{self, Slices};
use super::read::{Address, Opened};
use crate::host::Host;
use crate::web::problem::Problem;
use crate::web::visit::SignedIn;

/// How a file is to be given.
#[derive(Debug, Default, Deserialize)]
pub(super) struct Wish {
    /// `1` to look at it in the browser, if it is of a kind that can do no harm there.
    view: Option<u8>,
    /// `1` to keep it as a file.
    download: Option<u8>,
}

/// A part, without its transfer encoding.
pub(super) async fn part(
    State(host): State<Arc<Host>>,
    signed_in: SignedIn,
    Path((folder, uid, number)): Path<(u64, u32, usize)>,
    Query(wish): Query<Wish>,
) -> Result<Response, Problem> {
    let opened = Opened::new(&host, &signed_in, Address { folder, uid }).await?;
    let part = opened.part(number)?;
    let image = parts::safe_image(part);
    let name = parts::file_name(part);
    if wish.view == Some(1) && part.is("text", "plain") {
        let read = parts::read_text(&opened.snapshot.reader(), &opened.message, part).await;
        let (text, _) = read.map_err(|error| Problem::failed("an attachment", error))?;
        return Ok((headers("text/plain; charset=utf-8", false, &name), text).into_response());
    }
    let inline = wish.view == Some(1) && image.is_some();
    let content_type = match image {
        Some(image) => image,
        None if part.is("application", "pdf") => "application/pdf",
        None => "application/octet-stream",
    };
    let slices = Slices::of(&opened.message, part);
    Ok((headers(content_type, !inline, &name), streamed(opened, slices)).into_response())
}

/// All of a message, as it lies in the store.
pub(super) async fn source(
    State(host): State<Arc<Host>>,
    signed_in: SignedIn,
    Path((folder, uid)): Path<(u64, u32)>,
    Query(wish): Query<Wish>,
) -> Result<Response, Problem> {
    let opened = Opened::new(&host, &signed_in, Address { folder, uid }).await?;
    let keep = wish.download == Some(1);
    let content_type = if keep { "application/octet-stream" } else { "text/plain; charset=utf-8" };
    let mut headers = headers(content_type, keep, &format!("message-{folder}-{uid}.eml"));
    headers.insert(CONTENT_LENGTH, opened.message.size().into());
    let slices = Slices::source(&opened.message);
    Ok((headers, streamed(opened, slices)).into_response())
}

/// What is read goes out at the pace of whoever takes it, a slice at a time. The snapshot keeps it in place until then.
fn streamed(opened: Opened, slices: Slices) -> Body {
    let reader = opened.snapshot.reader();
    Body::from_stream(stream::try_unfold((opened, reader, slices), async |(opened, reader, mut slices)| {
        let mut octets = Vec::new();
        while let Some(()) = slices.next(&reader, &opened.message, &mut octets).await? {
            if !octets.is_empty() {
                return Ok::<_, io::Error>(Some((Bytes::from(octets), (opened, reader, slices))));
            }
        }
        Ok(None)
    }))
}

/// What comes from others is a file and no page: without a type that is guessed, without a script, and without an origin.
fn headers(content_type: &'static str, keep: bool, name: &str) -> HeaderMap {
    let disposition = disposition(keep, name);
    HeaderMap::from_iter([
        (CONTENT_TYPE, HeaderValue::from_static(content_type)),
        (CONTENT_DISPOSITION, disposition),
        (CONTENT_SECURITY_POLICY, HeaderValue::from_static("sandbox; default-src 'none'")),
        (REFERRER_POLICY, HeaderValue::from_static("no-referrer")),
    ])
}

/// RFC 6266 §4: the name twice, in the letters that every program knows, and as it is (RFC 8187 §3.2).
fn disposition(keep: bool, name: &str) -> HeaderValue {
    let plain: String = name
        .chars()
        .map(|c| if c.is_ascii_graphic() && !matches!(c, '"' | '\\' | '%') || c == ' ' { c } else { '_' })
        .collect();
    let mut encoded = String::new();
    for octet in name.bytes() {
        if octet.is_ascii_alphanumeric() || matches!(octet, b'-' | b'.' | b'_' | b'~') {
            encoded.push(octet.into());
        } else {
            encoded.push_str(&format!("%{octet:02X}"));
        }
    }
    let kind = if keep { "attachment" } else { "inline" };
    HeaderValue::try_from(format!("{kind}; filename=\"{plain}\"; filename*=UTF-8''{encoded}"))
        .expect("only letters, digits and signs that a header may have")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_files_fit_into_a_header() {
        for (name, header) in [
            ("a b.pdf", "attachment; filename=\"a b.pdf\"; filename*=UTF-8''a%20b.pdf"),
            ("naïve.txt", "attachment; filename=\"na_ve.txt\"; filename*=UTF-8''na%C3%AFve.txt"),
            ("\"\r\n;%\\", "attachment; filename=\"___;__\"; filename*=UTF-8''%22%0D%0A%3B%25%5C"),
        ] {
            assert_eq!(disposition(true, name), header);
        }
        assert!(disposition(false, "a").to_str().unwrap().starts_with("inline; "));
    }
}
