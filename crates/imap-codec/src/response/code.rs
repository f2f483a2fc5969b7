//! Response codes: what a program is to understand of an OK, NO, BAD or BYE.

use core::num::NonZeroU32;

use crate::encode::Writer;
use crate::extension::Capabilities;
use crate::extension::uid_plus;
use crate::parse::{Cursor, Parsed, ascii};
use crate::types::flag::{FlagSet, Flags};
use crate::types::sequence::SequenceSet;
use crate::types::string::{Atom, is_atom_char};

macro_rules! codes {
    ($($(#[$doc:meta])* $name:ident = $word:literal,)*) => {
        /// A response code: [RFC 9051 §7.1](https://www.rfc-editor.org/rfc/rfc9051#section-7.1) and extensions.
        #[derive(Clone, Debug, Eq, PartialEq)]
        #[non_exhaustive]
        pub enum Code<'a> {
            $($(#[$doc])* $name,)*
            /// `BADCHARSET`: those that are known, if they are named.
            BadCharset(Vec<Atom<'a>>),
            /// `CAPABILITY`
            Capability(Capabilities<'a>),
            /// `PERMANENTFLAGS`
            PermanentFlags(Flags<'a>),
            /// `UIDNEXT`
            UidNext(NonZeroU32),
            /// `UIDVALIDITY`
            UidValidity(NonZeroU32),
            /// `UNSEEN`: the first message without `\Seen`; IMAP4rev1 only.
            Unseen(NonZeroU32),
            /// `APPENDUID`: UIDVALIDITY and the UID (UIDPLUS).
            AppendUid(NonZeroU32, SequenceSet<'a>),
            /// `COPYUID`: UIDVALIDITY, the UIDs there were, and those of the copies, in the same order (UIDPLUS).
            CopyUid(NonZeroU32, SequenceSet<'a>, SequenceSet<'a>),
            /// `HIGHESTMODSEQ` (CONDSTORE)
            HighestModSeq(u64),
            /// `MODIFIED`: messages that STORE has left as they were (CONDSTORE).
            Modified(SequenceSet<'a>),
            /// One that is not known here, and what follows it.
            Other(Atom<'a>, Option<Argument<'a>>),
        }

        impl Code<'_> {
            /// Its word.
            pub fn name(&self) -> &str {
                match self {
                    $(Self::$name => $word,)*
                    Self::BadCharset(_) => "BADCHARSET",
                    Self::Capability(_) => "CAPABILITY",
                    Self::PermanentFlags(_) => "PERMANENTFLAGS",
                    Self::UidNext(_) => "UIDNEXT",
                    Self::UidValidity(_) => "UIDVALIDITY",
                    Self::Unseen(_) => "UNSEEN",
                    Self::AppendUid(..) => "APPENDUID",
                    Self::CopyUid(..) => "COPYUID",
                    Self::HighestModSeq(_) => "HIGHESTMODSEQ",
                    Self::Modified(_) => "MODIFIED",
                    Self::Other(name, _) => name.as_str(),
                }
            }

            /// Those that are one word.
            fn from_word(word: &str) -> Option<Self> {
                $(if word.eq_ignore_ascii_case($word) {
                    return Some(Self::$name);
                })*
                None
            }
        }
    };
}

codes! {
    /// To be shown to people.
    Alert = "ALERT",
    /// It exists already.
    AlreadyExists = "ALREADYEXISTS",
    /// Wrong user or password.
    AuthenticationFailed = "AUTHENTICATIONFAILED",
    /// Right password, but not as that user.
    AuthorizationFailed = "AUTHORIZATIONFAILED",
    /// It can never be.
    Cannot = "CANNOT",
    /// The client does something odd.
    ClientBug = "CLIENTBUG",
    /// The mailbox that was selected is not any more; what follows is of the next one.
    Closed = "CLOSED",
    /// People have to talk to people.
    ContactAdmin = "CONTACTADMIN",
    /// Something is broken on disk.
    Corruption = "CORRUPTION",
    /// The password is too old.
    Expired = "EXPIRED",
    /// Some messages have been expunged by others.
    ExpungeIssued = "EXPUNGEISSUED",
    /// There are mailboxes below it.
    HasChildren = "HASCHILDREN",
    /// Somebody else uses it.
    InUse = "INUSE",
    /// A limit of the server.
    Limit = "LIMIT",
    /// There are no persistent mod-sequences (CONDSTORE).
    NoModSeq = "NOMODSEQ",
    /// It does not exist.
    NonExistent = "NONEXISTENT",
    /// Not permitted.
    NoPerm = "NOPERM",
    /// The result of the search was not kept (SEARCHRES).
    NotSaved = "NOTSAVED",
    /// Over quota.
    OverQuota = "OVERQUOTA",
    /// A header or structure could not be read.
    Parse = "PARSE",
    /// Not without TLS.
    PrivacyRequired = "PRIVACYREQUIRED",
    /// The mailbox is selected read only.
    ReadOnly = "READ-ONLY",
    /// The mailbox is selected.
    ReadWrite = "READ-WRITE",
    /// The server has a bug.
    ServerBug = "SERVERBUG",
    /// The message is too large: [RFC 4469](https://www.rfc-editor.org/rfc/rfc4469), RFC 7889.
    TooBig = "TOOBIG",
    /// Create the mailbox, then try again.
    TryCreate = "TRYCREATE",
    /// UIDs do not last (UIDPLUS).
    UidNotSticky = "UIDNOTSTICKY",
    /// A part of the server is not there right now.
    Unavailable = "UNAVAILABLE",
    /// A part could not be decoded (BINARY).
    UnknownCte = "UNKNOWN-CTE",
    /// This special use cannot be had (CREATE-SPECIAL-USE).
    UseAttr = "USEATTR",
}

/// What follows a code that is not known here: ASCII on one line without `]`.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Argument<'a>(&'a str);

impl<'a> Argument<'a> {
    /// Takes visible ASCII and spaces, without `]`.
    pub fn new(text: &'a str) -> Result<Self, crate::error::Invalid> {
        let valid =
            !text.is_empty() && text.bytes().all(|octet| matches!(octet, b' '..=b'~') && octet != b']');
        if valid { Ok(Self(text)) } else { Err(crate::error::Invalid("the argument of a response code")) }
    }

    /// The text.
    pub const fn as_str(&self) -> &'a str {
        self.0
    }
}

impl<'a> Code<'a> {
    /// Reads a code in its brackets. `Err` leaves it to the caller to take it for text.
    pub(crate) fn parse(cursor: &mut Cursor<'a>) -> Parsed<Self> {
        cursor.expect(b'[', "a response code")?;
        let start = *cursor;
        let word = ascii(cursor.take_while(is_atom_char));
        let code = match word.to_ascii_uppercase().as_str() {
            "" => return cursor.error("a response code"),
            "BADCHARSET" if cursor.peek() != Some(b' ') => Self::BadCharset(Vec::new()),
            "CAPABILITY" => Self::Capability(Capabilities::parse(cursor)?),
            upper @ ("BADCHARSET" | "PERMANENTFLAGS" | "UIDNEXT" | "UIDVALIDITY" | "UNSEEN" | "APPENDUID"
            | "COPYUID" | "HIGHESTMODSEQ" | "MODIFIED") => {
                cursor.space()?;
                match upper {
                    "BADCHARSET" if cursor.peek() == Some(b'(') => Self::BadCharset(cursor.list(charset)?),
                    // Deviates from RFC 9051 §9: an example of its own leaves the parentheses out.
                    "BADCHARSET" => Self::BadCharset(vec![charset(cursor)?]),
                    "PERMANENTFLAGS" => Self::PermanentFlags(Flags::parse(cursor, FlagSet::All)?),
                    "UIDNEXT" => Self::UidNext(cursor.nz_number()?),
                    "UIDVALIDITY" => Self::UidValidity(cursor.nz_number()?),
                    "UNSEEN" => Self::Unseen(cursor.nz_number()?),
                    "HIGHESTMODSEQ" => Self::HighestModSeq(cursor.number64()?),
                    "MODIFIED" => Self::Modified(uid_plus::parse_numbers(cursor)?),
                    "APPENDUID" => {
                        let (validity, uids) = uid_plus::parse_append(cursor)?;
                        Self::AppendUid(validity, uids)
                    }
                    _ => {
                        let (validity, from, to) = uid_plus::parse_copy(cursor)?;
                        Self::CopyUid(validity, from, to)
                    }
                }
            }
            _ => match Self::from_word(word) {
                Some(code) if cursor.peek() == Some(b']') => code,
                _ => {
                    let mut argument = None;
                    if cursor.eat(b' ') {
                        let text = cursor.take_while(|octet| matches!(octet, b' '..=b'~') && octet != b']');
                        match Argument::new(ascii(text)) {
                            Ok(text) => argument = Some(text),
                            Err(_) => return start.error("the argument of a response code"),
                        }
                    }
                    Self::Other(Atom::trusted(word), argument)
                }
            },
        };
        cursor.expect(b']', "the end of a response code")?;
        Ok(code)
    }

    /// Writes the code in its brackets.
    pub(crate) fn write(&self, writer: &mut Writer<'_>) {
        writer.octet(b'[');
        writer.raw(self.name());
        match self {
            Self::BadCharset(charsets) if !charsets.is_empty() => {
                writer.octet(b' ');
                writer.list(charsets, |writer, charset| writer.raw(charset.as_str()));
            }
            Self::Capability(words) => words.write(writer),
            Self::PermanentFlags(flags) => {
                writer.octet(b' ');
                flags.write(writer);
            }
            Self::UidNext(number) | Self::UidValidity(number) | Self::Unseen(number) => {
                writer.octet(b' ');
                writer.number(u64::from(number.get()));
            }
            Self::AppendUid(validity, uids) => uid_plus::write(*validity, &[uids], writer),
            Self::CopyUid(validity, from, to) => uid_plus::write(*validity, &[from, to], writer),
            Self::HighestModSeq(modseq) => {
                writer.octet(b' ');
                writer.number(*modseq);
            }
            Self::Modified(set) => {
                writer.octet(b' ');
                set.write(writer);
            }
            Self::Other(_, Some(argument)) => {
                writer.octet(b' ');
                writer.raw(argument.as_str());
            }
            _ => {}
        }
        writer.octet(b']');
    }
}

/// `charset = atom / quoted`. No literal: a line of text for people has none.
fn charset<'a>(cursor: &mut Cursor<'a>) -> Parsed<Atom<'a>> {
    let quoted = cursor.eat(b'"');
    let charset = Atom::trusted(cursor.atom("a charset")?);
    if quoted {
        cursor.expect(b'"', "a quote")?;
    }
    Ok(charset)
}
