//! A structure as octets, to be kept beside a message. `docs/format.md` gives them one by one.

use bytes::{Buf as _, BufMut, Bytes};

use super::field::Field;
use super::scan::{MAX_DEPTH, MAX_PARTS};
use super::{Entry, Form, NONE, Structure};

/// The version of the octets, which is the first of them.
const VERSION: u8 = 1;

impl Structure {
    /// Appends it as octets: 100 to 400 for a message of one part.
    ///
    /// They are worth keeping up to [`MAX_STORED`]; beyond, the message is scanned when it is asked for.
    pub fn encode(&self, out: &mut Vec<u8>) {
        out.put_u8(VERSION);
        number(self.size, out);
        number(self.entries.len() as u64, out);
        for entry in &self.entries {
            out.put_u8(entry.depth);
            out.put_u8(entry.form as u8);
            number(entry.header, out);
            number(entry.body - entry.header, out);
            number(entry.end - entry.body, out);
            number(entry.lines, out);
            number(u64::from(entry.values.1 - entry.values.0), out);
            if entry.form == Form::Multipart {
                number(entry.first - entry.body, out);
                // Counted from the end, and one more, so that zero can mean that there is none.
                number(if entry.last == NONE { 0 } else { entry.end - entry.last + 1 }, out);
            }
        }
        out.put_slice(&self.values);
    }

    /// Reads what [`Structure::encode`] has written for a message of `size` octets; anything else is `None`.
    ///
    /// Whatever is read lies within the message.
    pub fn decode(mut octets: Bytes, size: u64) -> Option<Self> {
        if octets.try_get_u8().ok()? != VERSION || get(&mut octets)? != size {
            return None;
        }
        let count = usize::try_from(get(&mut octets)?).ok()?;
        // Each takes seven octets at least.
        if count == 0 || count > 2 * MAX_PARTS || count > octets.len() {
            return None;
        }
        let mut entries = Vec::with_capacity(count);
        let mut values = 0_u32;
        for _ in 0..count {
            let depth = octets.try_get_u8().ok()?;
            let form = match octets.try_get_u8().ok()? {
                0 => Form::Leaf,
                1 => Form::Multipart,
                2 => Form::Message,
                _ => return None,
            };
            let header = get(&mut octets)?;
            let body = header.checked_add(get(&mut octets)?)?;
            let end = body.checked_add(get(&mut octets)?)?;
            let mut entry = Entry::new(depth, header, values);
            (entry.form, entry.body, entry.end, entry.lines) = (form, body, end, get(&mut octets)?);
            if entry.lines > end - body {
                return None;
            }
            values = values.checked_add(u32::try_from(get(&mut octets)?).ok()?)?;
            entry.values.1 = values;
            if form == Form::Multipart {
                entry.first = body.checked_add(get(&mut octets)?)?;
                if let Some(behind) = get(&mut octets)?.checked_sub(1) {
                    entry.last = end.checked_sub(behind)?;
                }
            }
            entries.push(entry);
        }
        if octets.len() != values as usize || link(&mut entries, size).is_none() {
            return None;
        }
        for entry in &entries {
            let mut rest = &octets[entry.values.0 as usize..entry.values.1 as usize];
            while !rest.is_empty() {
                let (_, value) = record(&mut rest)?;
                // A value can be put into any line of any protocol.
                if memchr::memchr3(b'\r', b'\n', 0, value).is_some() {
                    return None;
                }
            }
        }
        Some(Self { size, entries, values: octets })
    }
}

/// Checks that the parts lie within each other, and says what follows from how they lie.
fn link(entries: &mut [Entry], size: u64) -> Option<()> {
    // What is open, and up to where it has been looked at.
    let mut open = Vec::<(usize, u64)>::new();
    for at in 0..=entries.len() {
        let depth = entries.get(at).map_or(0, |entry| usize::from(entry.depth));
        while open.len() > depth {
            let (outer, seen) = open.pop()?;
            let entry = &mut entries[outer];
            entry.next = at as u32;
            let closed = match entry.form {
                Form::Multipart if entry.last != NONE => seen <= entry.last && entry.last <= entry.end,
                Form::Multipart | Form::Message => seen == entry.end,
                Form::Leaf => true,
            };
            if !closed || entry.form != Form::Leaf && at == outer + 1 {
                return None;
            }
        }
        let Some(&entry) = entries.get(at) else { break };
        if open.len() != depth || depth > usize::from(MAX_DEPTH) + 1 {
            return None;
        }
        match open.last_mut() {
            None if at > 0 || entry.header != 0 || entry.end != size => return None,
            None => entries[at].message = true,
            Some((outer, seen)) => {
                let outer = &entries[*outer];
                let message = outer.form == Form::Message;
                let fits = match outer.form {
                    Form::Leaf => false,
                    Form::Message => entry.header == outer.body && *seen == outer.body,
                    Form::Multipart => entry.header >= *seen && entry.end <= outer.end,
                };
                if !fits
                    || message && (entry.end != outer.end || at > 0 && entries[at - 1].depth >= entry.depth)
                {
                    return None;
                }
                *seen = entry.end;
                entries[at].message = message;
            }
        }
        let from = if entry.form == Form::Multipart { entry.first } else { entry.body };
        if from < entry.body || from > entry.end {
            return None;
        }
        open.push((at, from));
    }
    Some(())
}

/// The next field that is kept, and what it says.
pub(crate) fn record<'a>(rest: &mut &'a [u8]) -> Option<(Field, &'a [u8])> {
    let field = Field::from_number(rest.try_get_u8().ok()?)?;
    let length = usize::try_from(get(rest)?).ok()?;
    let (value, behind) = rest.split_at_checked(length)?;
    *rest = behind;
    Some((field, value))
}

/// A number, seven bits to an octet, the low ones first.
pub(crate) fn number(mut number: u64, out: &mut Vec<u8>) {
    while number > 0x7f {
        out.push(number as u8 | 0x80);
        number >>= 7;
    }
    out.push(number as u8);
}

/// What [`number`] has written: in as few octets as it can be.
fn get(octets: &mut impl bytes::Buf) -> Option<u64> {
    let mut number = 0_u64;
    for shift in (0..64).step_by(7) {
        let octet = octets.try_get_u8().ok()?;
        let bits = u64::from(octet & 0x7f);
        if bits << shift >> shift != bits || octet == 0 && shift > 0 {
            return None;
        }
        number |= bits << shift;
        if octet & 0x80 == 0 {
            return Some(number);
        }
    }
    None
}

/// More octets than this are not worth keeping.
pub const MAX_STORED: usize = 64 << 10;
