//! A text in HTML as a document of its own, which a page shows in a frame.
//!
//! The document may do nothing: a policy of its own allows no script at all, even if one were left in it, no form, no frame, and
//! images from elsewhere only if the reader asks for them. Styles are a sheet that the policy names by its digest, so that not
//! even a style can be brought in. The frame is sandboxed twice, by the page that holds it and by its own policy, for whoever opens it
//! without the page. It keeps the origin of the page only so that images of the message can be asked for with the reader's cookie,
//! and the page can see how high it is.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::sync::Arc;

use axum::extract::{Path, Query, State};
use axum::http::HeaderName;
use axum::http::header::{CONTENT_SECURITY_POLICY, REFERRER_POLICY};
use axum::response::{IntoResponse, Response};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use maud::{DOCTYPE, PreEscaped, html};
use serde::Deserialize;
use sha2::{Digest as _, Sha256};

use super::html::{Clean, Images, sanitise};
use super::parts::{self, Contents, Text};
use super::read::{Address, Opened};
use crate::host::Host;
use crate::web::problem::Problem;
use crate::web::typed;
use crate::web::visit::SignedIn;

/// Which text, and how.
#[derive(Debug, Default, Deserialize)]
pub(super) struct Wish {
    /// The number of the part; the first text in HTML if there is none.
    part: Option<usize>,
    /// The number of the part that is the message, if it is one within another.
    inner: Option<usize>,
    /// `1` to load images from elsewhere.
    images: Option<u8>,
}

/// A text in HTML, made safe, and what of the message it shows.
pub(super) struct Made {
    pub(super) clean: Clean,
    /// Numbers of the parts that are in it as images.
    pub(super) shown: Vec<usize>,
}

pub(super) async fn document(
    State(host): State<Arc<Host>>,
    signed_in: SignedIn,
    Path((folder, uid)): Path<(u64, u32)>,
    Query(wish): Query<Wish>,
) -> Result<Response, Problem> {
    let opened = Opened::new(&host, &signed_in, Address { folder, uid }).await?;
    let contents = Contents::of(opened.root(wish.inner)?);
    let html = contents.texts.iter().find_map(|text| match text {
        Text::Html(html, _) if wish.part.is_none_or(|part| part == html.index()) => Some(*html),
        _ => None,
    });
    let remote = wish.images == Some(1);
    let Made { mut clean, .. } =
        make(&host, &opened, &contents, html.ok_or(Problem::NotFound)?, remote).await?;
    clean.style.insert_str(0, STYLE);
    let digest = STANDARD.encode(Sha256::digest(&clean.style));
    let images = if remote { " https: http:" } else { "" };
    let policy = format!(
        "sandbox allow-popups allow-popups-to-escape-sandbox allow-same-origin; default-src 'none'; \
         style-src 'sha256-{digest}'; img-src 'self' data:{images}; base-uri 'none'; form-action 'none'; frame-ancestors 'self'"
    );
    let page = html! {
        (DOCTYPE)
        html lang="und" {
            head {
                meta charset="utf-8";
                meta name="viewport" content="width=device-width, initial-scale=1";
                title { "A message" }
                style { (PreEscaped(&clean.style)) }
            }
            body { (PreEscaped(&clean.body)) }
        }
    };
    let headers: [(HeaderName, &str); 2] =
        [(CONTENT_SECURITY_POLICY, &policy), (REFERRER_POLICY, "no-referrer")];
    Ok((headers, typed("text/html; charset=utf-8", page.into_string())).into_response())
}

/// Reads a text in HTML and makes it safe.
pub(super) async fn make(
    host: &Host,
    opened: &Opened,
    contents: &Contents<'_>,
    text: mailstore::mime::Part<'_>,
    remote: bool,
) -> Result<Made, Problem> {
    let reader = opened.snapshot.reader();
    let read = parts::read_text(&reader, &opened.message, text).await;
    let (html, whole) = read.map_err(|error| Problem::failed("a message", error))?;
    // The first of an id counts.
    let mut ids = BTreeMap::<String, usize>::new();
    for part in contents.related.iter().chain(&contents.attached) {
        if let Some(id) = part.id()
            && parts::safe_image(*part).is_some()
        {
            ids.entry(parts::content_id(id)).or_insert_with(|| part.index());
        }
    }
    let path = opened.path();
    let job = move || {
        let shown = RefCell::new(Vec::new());
        let part = |id: &str| {
            let number = *ids.get(id)?;
            shown.borrow_mut().push(number);
            Some(format!("{path}/part/{number}?view=1"))
        };
        let clean = sanitise(&html, &Images { part: &part, remote });
        Made { clean, shown: shown.into_inner() }
    };
    let made = host.store.system().compute(job).await;
    let mut made = made.ok_or_else(|| Problem::failed("a message", "its HTML cannot be made safe"))?;
    made.clean.cut |= !whole;
    Ok(made)
}

/// On white paper, whatever the page is on: most messages are written for it.
const STYLE: &str = "html{background:#fff;color:#1d2330;color-scheme:light}\
    body{margin:0;padding:.75rem 1rem;font:1rem/1.5 system-ui,sans-serif;overflow-wrap:anywhere}\
    img{max-width:100%}pre{white-space:pre-wrap}a{color:#1f5fbf}\
    blockquote{margin:.5rem 0;padding-left:.75rem;border-left:3px solid #dde1ea}\n";
