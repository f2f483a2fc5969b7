//! Parts of the webmail that read what others wrote, compiled in by themselves under the names that they have in `mailhost`, and
//! the targets that look at them.

#[path = "mailhost_form_fields.rs"]
pub mod mailhost_form_fields;
#[path = "mailhost_html_safe.rs"]
pub mod mailhost_html_safe;
#[path = "mailhost_people_typed.rs"]
pub mod mailhost_people_typed;
#[path = "mailhost_search_words.rs"]
pub mod mailhost_search_words;
#[path = "mailhost_text_markup.rs"]
pub mod mailhost_text_markup;

#[allow(dead_code, reason = "the host uses more of it")]
#[path = "../../examples/mailhost/src/web/compose"]
mod compose {
    pub(in crate::web) mod fields;
    pub(in crate::web) mod recipients;
}
#[path = "../../examples/mailhost/src/web/cookie.rs"]
mod cookie;
#[allow(dead_code, reason = "the host uses more of it")]
#[path = "../../examples/mailhost/src/web/flowed.rs"]
mod flowed;
#[path = "../../examples/mailhost/src/web/onward.rs"]
mod onward;
#[allow(dead_code, reason = "the host uses more of it")]
#[path = "../../examples/mailhost/src/web/when.rs"]
mod when;

#[allow(dead_code, unused_imports, reason = "the host uses more of it")]
#[path = "../../examples/mailhost/src/web/mail"]
mod mail {
    pub(in crate::web) mod act {
        pub(in crate::web) mod done;
    }
    pub(in crate::web) mod html;
    #[path = "html/judge.rs"]
    pub(in crate::web) mod judge;
    pub(in crate::web) mod letters;
    pub(in crate::web) mod list {
        pub(in crate::web) mod text;
    }
    pub(in crate::web) mod search {
        pub(in crate::web) mod query;
    }
    pub(in crate::web) mod text;
}
