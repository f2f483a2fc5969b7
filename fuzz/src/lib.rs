//! The fuzz targets, one module each, without libFuzzer: `run` takes any octets and panics where a property fails.

pub mod common;
pub mod imap_arbitrary;
pub mod imap_client_hostile;
pub mod imap_command_peer;
pub mod imap_command_roundtrip;
pub mod imap_differences;
pub mod imap_fragment_split;
pub mod imap_response_peer;
pub mod imap_response_roundtrip;
pub mod imap_search_keys;
pub mod imap_sequence_set;
pub mod imap_server_split;
pub mod imap_utf7_roundtrip;
pub mod mailhost_srs_roundtrip;
pub mod mailhost_xml_text;
pub mod mailstore_crash;
pub mod mailstore_journal_recovery;
pub mod mailstore_mime_scan;
pub mod mailstore_search;
pub mod mx_lookup_answers;
pub mod pop3_client_split;
pub mod pop3_command_roundtrip;
pub mod pop3_response_roundtrip;
pub mod pop3_server_split;
pub mod relay_queue_operations;
pub mod sasl_client_hostile;
pub mod sasl_server_messages;
pub mod smtp_client_split;
pub mod smtp_command_roundtrip;
pub mod smtp_data_split;
pub mod smtp_reply_roundtrip;
pub mod smtp_server_split;
mod web;

pub use self::web::{
    mailhost_form_fields, mailhost_html_safe, mailhost_people_typed, mailhost_search_words,
    mailhost_text_markup,
};

// Parts of mailhost that parts of its webmail need, under the names that they have there.
#[allow(dead_code, reason = "the host uses more of it")]
#[path = "../../examples/mailhost/src"]
mod client {
    #[path = "client/text.rs"]
    pub(crate) mod text;
}
#[path = "../../examples/mailhost/src/logs"]
mod logs {
    mod safe;

    pub(crate) use self::safe::Safe;
}
#[allow(dead_code, reason = "the host uses more of it")]
#[path = "../../examples/mailhost/src/writing.rs"]
mod writing;

/// A target, as the replay needs it.
pub struct Target {
    /// Its name, which is also that of its corpus.
    pub name: &'static str,
    /// Checks one input.
    pub run: fn(&[u8]),
    /// The crate whose transcripts seed it: a folder of `crates/`.
    pub seeds: &'static str,
    /// What it takes from a transcript.
    pub side: Side,
    /// How many octets in front of the wire choose limits, pieces and answers.
    pub choices: usize,
}

/// The half of a transcript that a target reads.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Side {
    /// What the client said, as one input.
    Client,
    /// What the client said, each line an input.
    ClientLines,
    /// What the server said, as one input.
    Server,
}

/// All targets.
pub const TARGETS: &[Target] = &[
    Target {
        name: "imap_client_hostile",
        run: imap_client_hostile::run,
        seeds: "imap-codec",
        side: Side::Server,
        choices: 3,
    },
    Target {
        name: "imap_command_peer",
        run: imap_command_peer::run,
        seeds: "imap-codec",
        side: Side::Client,
        choices: 0,
    },
    Target {
        name: "imap_command_roundtrip",
        run: imap_command_roundtrip::run,
        seeds: "imap-codec",
        side: Side::ClientLines,
        choices: 0,
    },
    Target {
        name: "imap_fragment_split",
        run: imap_fragment_split::run,
        seeds: "imap-codec",
        side: Side::Client,
        choices: 3,
    },
    Target {
        name: "imap_response_peer",
        run: imap_response_peer::run,
        seeds: "imap-codec",
        side: Side::Server,
        choices: 0,
    },
    Target {
        name: "imap_response_roundtrip",
        run: imap_response_roundtrip::run,
        seeds: "imap-codec",
        side: Side::Server,
        choices: 0,
    },
    Target {
        name: "imap_search_keys",
        run: imap_search_keys::run,
        seeds: "imap-codec",
        side: Side::ClientLines,
        choices: 0,
    },
    Target {
        name: "imap_sequence_set",
        run: imap_sequence_set::run,
        seeds: "imap-codec",
        side: Side::ClientLines,
        choices: 0,
    },
    Target {
        name: "imap_server_split",
        run: imap_server_split::run,
        seeds: "imap-codec",
        side: Side::Client,
        choices: 3,
    },
    Target {
        name: "imap_utf7_roundtrip",
        run: imap_utf7_roundtrip::run,
        seeds: "imap-codec",
        side: Side::ClientLines,
        choices: 0,
    },
    Target {
        name: "mailhost_form_fields",
        run: mailhost_form_fields::run,
        seeds: "smtp-codec",
        side: Side::ClientLines,
        choices: 0,
    },
    Target {
        name: "mailhost_html_safe",
        run: mailhost_html_safe::run,
        seeds: "mailstore",
        side: Side::Client,
        choices: 0,
    },
    Target {
        name: "mailhost_people_typed",
        run: mailhost_people_typed::run,
        seeds: "smtp-codec",
        side: Side::ClientLines,
        choices: 0,
    },
    Target {
        name: "mailhost_search_words",
        run: mailhost_search_words::run,
        seeds: "imap-codec",
        side: Side::ClientLines,
        choices: 0,
    },
    Target {
        name: "mailhost_srs_roundtrip",
        run: mailhost_srs_roundtrip::run,
        seeds: "smtp-codec",
        side: Side::ClientLines,
        choices: 4,
    },
    Target {
        name: "mailhost_text_markup",
        run: mailhost_text_markup::run,
        seeds: "mailstore",
        side: Side::Client,
        choices: 1,
    },
    Target {
        name: "mailhost_xml_text",
        run: mailhost_xml_text::run,
        seeds: "mailstore",
        side: Side::Client,
        choices: 0,
    },
    Target {
        name: "mailstore_crash",
        run: mailstore_crash::run,
        seeds: "mailstore",
        side: Side::Client,
        choices: 2,
    },
    Target {
        name: "mailstore_journal_recovery",
        run: mailstore_journal_recovery::run,
        seeds: "mailstore",
        side: Side::Client,
        choices: 3,
    },
    Target {
        name: "mx_lookup_answers",
        run: mx_lookup_answers::run,
        seeds: "mx-lookup",
        side: Side::Server,
        choices: 2,
    },
    Target {
        name: "pop3_client_split",
        run: pop3_client_split::run,
        seeds: "pop3-codec",
        side: Side::Server,
        choices: 3,
    },
    Target {
        name: "pop3_command_roundtrip",
        run: pop3_command_roundtrip::run,
        seeds: "pop3-codec",
        side: Side::ClientLines,
        choices: 0,
    },
    Target {
        name: "pop3_response_roundtrip",
        run: pop3_response_roundtrip::run,
        seeds: "pop3-codec",
        side: Side::Server,
        choices: 0,
    },
    Target {
        name: "pop3_server_split",
        run: pop3_server_split::run,
        seeds: "pop3-codec",
        side: Side::Client,
        choices: 3,
    },
    Target {
        name: "mailstore_mime_scan",
        run: mailstore_mime_scan::run,
        seeds: "mailstore",
        side: Side::Client,
        choices: 3,
    },
    Target {
        name: "mailstore_search",
        run: mailstore_search::run,
        seeds: "mailstore",
        side: Side::Client,
        choices: 6,
    },
    Target {
        name: "relay_queue_operations",
        run: relay_queue_operations::run,
        seeds: "relay-queue",
        side: Side::Client,
        choices: 0,
    },
    Target {
        name: "sasl_client_hostile",
        run: sasl_client_hostile::run,
        seeds: "sasl-codec",
        side: Side::Server,
        choices: 2,
    },
    Target {
        name: "sasl_server_messages",
        run: sasl_server_messages::run,
        seeds: "sasl-codec",
        side: Side::Client,
        choices: 2,
    },
    Target {
        name: "smtp_client_split",
        run: smtp_client_split::run,
        seeds: "smtp-codec",
        side: Side::Server,
        choices: 3,
    },
    Target {
        name: "smtp_command_roundtrip",
        run: smtp_command_roundtrip::run,
        seeds: "smtp-codec",
        side: Side::ClientLines,
        choices: 0,
    },
    Target {
        name: "smtp_data_split",
        run: smtp_data_split::run,
        seeds: "smtp-codec",
        side: Side::Client,
        choices: 3,
    },
    Target {
        name: "smtp_reply_roundtrip",
        run: smtp_reply_roundtrip::run,
        seeds: "smtp-codec",
        side: Side::Server,
        choices: 0,
    },
    Target {
        name: "smtp_server_split",
        run: smtp_server_split::run,
        seeds: "smtp-codec",
        side: Side::Client,
        choices: 3,
    },
];
