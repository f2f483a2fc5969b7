//! Messages from a seed, as broken as mail can be.

/// A stream of numbers that follows from its seed.
pub(crate) struct Random(u64);

impl Random {
    pub(crate) const fn new(seed: u64) -> Self {
        Self(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) ^ 0x5851_f42d_4c95_7f2d)
    }

    pub(crate) fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 16
    }

    /// A number below this.
    pub(crate) fn below(&mut self, end: u64) -> u64 {
        self.next() % end.max(1)
    }

    /// Once in so many times.
    pub(crate) fn once_in(&mut self, times: u64) -> bool {
        self.below(times) == 0
    }

    pub(crate) fn pick<'t, T: ?Sized>(&mut self, from: &[&'t T]) -> &'t T {
        from[self.below(from.len() as u64) as usize]
    }
}

/// Boundaries that are prefixes of each other, closings of each other, and the same.
const BOUNDARIES: &[&str] = &["b", "b", "bb", "b--", "b1", "-", "=_x y", "b "];

const TYPES: &[&str] = &[
    "text/plain",
    "TEXT/HTML; charset=\"utf-8\"",
    "text",
    "/",
    "message/rfc822",
    "message/global",
    "message/partial; id=x; number=1",
    "image/png; name=\"a;b\\\"c.png\"",
    "application/octet-stream; name*0*=utf-8''%41; name*1=b",
    "multipart/mixed",
    "multipart/mixed; boundary=",
    "text/plain; (comment ; boundary=b) charset=us-ascii",
    "multipart/mixed; boundary=\"unfinished",
];

const LINES: &[&str] = &[
    "",
    " ",
    "text",
    "--",
    "-",
    "--b",
    "--b--",
    "--bb",
    "--b1 ",
    "--b----",
    " --b",
    "--=_x y--",
    "From someone Mon Jan  1 00:00:00 2024",
    "Subject: not a header",
    "Content-Type: multipart/mixed; boundary=b",
    "Content-Type: message/rfc822",
    "aGVsbG8=",
    "=3D soft =",
    "=4 = 41=e4 \t= ",
    "\u{fc}ml\u{e4}ut",
    "--b\r",
    "\r",
    ".",
];

/// A message, or what pretends to be one.
pub(crate) fn ambiguous(random: &mut Random) -> Vec<u8> {
    let mut out = Vec::new();
    entity(random, 4, true, &mut out);
    // Something is cut off, put in or turned around on the way.
    if random.once_in(4) {
        let at = random.below(out.len() as u64 + 1) as usize;
        match random.below(4) {
            0 => out.truncate(at),
            1 => drop(out.drain(..at)),
            2 => {
                let octet = random.pick(&["\r", "\n", "\0", "-", "\u{ff}"]);
                out.splice(at..at, octet.bytes());
            }
            _ => out = String::from_utf8_lossy(&out).replace("\r\n", "\n").into_bytes(),
        }
    }
    out
}

fn line_end(random: &mut Random, out: &mut Vec<u8>) {
    out.extend_from_slice(if random.once_in(30) { b"\n" } else { b"\r\n" });
}

fn field(random: &mut Random, name: &str, value: &str, out: &mut Vec<u8>) {
    let name = if random.once_in(3) { name.to_ascii_uppercase() } else { name.to_owned() };
    out.extend_from_slice(name.as_bytes());
    out.extend_from_slice(random.pick(&[": ", ":", " :", ":\t", ":\r\n ", ": \r\n\t"]).as_bytes());
    out.extend_from_slice(value.as_bytes());
    line_end(random, out);
}

fn header(random: &mut Random, kind: &str, message: bool, out: &mut Vec<u8>) {
    if message && !random.once_in(4) {
        for (name, values) in [
            (
                "From",
                &[
                    "Ann <ann@example.test>",
                    "ben@example.test (Ben)",
                    "=?utf-8?q?C=C3=A9line?= <c@x>",
                    "a, b",
                    "",
                ][..],
            ),
            ("To", &["undisclosed-recipients:;", "A: b@c, d@e;, f@g", "\"x", "<>", "(", "<@r:a@b>"]),
            (
                "Subject",
                &[
                    "hello",
                    "=?iso-8859-1?q?=A1?= =?utf-8?b?4oKs?=",
                    "=?utf-8?q?a_b=C3?=\r\n =?UTF-8?Q?=A4?= =?utf-8?x?c?=",
                    "a\r\n folded\r\n subject",
                    "caf\u{e9}",
                ],
            ),
            ("Date", &["Mon, 1 Jan 2024 00:00:00 +0000", "yesterday", ""]),
            ("X-Other", &["1", "\r\n 2"]),
        ] {
            for _ in 0..random.pick(&[&1_u8, &1, &0, &2]).to_owned() {
                let value = random.pick(values);
                field(random, name, value, out);
            }
        }
    }
    if !kind.is_empty() {
        field(random, "Content-Type", kind, out);
        if random.once_in(8) {
            let other = random.pick(TYPES);
            field(random, "Content-Type", other, out);
        }
    }
    if random.once_in(3) {
        let encoding =
            random.pick(&["base64", "quoted-printable", "7bit", "8BIT (really)", "x-uuencode", "\"base64\""]);
        field(random, "Content-Transfer-Encoding", encoding, out);
    }
    if random.once_in(6) {
        field(random, "Content-Disposition", "attachment; filename=\"a b.txt\"; size=3", out);
        field(random, "Content-ID", "<1@example.test>", out);
        field(random, "Content-Language", "en, de", out);
    }
    if random.once_in(12) {
        let line = random.pick(LINES);
        out.extend_from_slice(line.as_bytes());
        line_end(random, out);
    }
    if !random.once_in(12) {
        line_end(random, out);
    }
}

fn lines(random: &mut Random, most: u64, out: &mut Vec<u8>) {
    for _ in 0..random.below(most) {
        let line = random.pick(LINES);
        out.extend_from_slice(line.as_bytes());
        line_end(random, out);
    }
}

fn entity(random: &mut Random, depth: u32, message: bool, out: &mut Vec<u8>) {
    match if depth == 0 { 9 } else { random.below(10) } {
        0..=4 => {
            let boundary = random.pick(BOUNDARIES);
            let kind = random.pick(&["mixed", "alternative", "digest", "Mixed ", "report; report-type=x"]);
            let quoted = random.pick(&["\"", ""]);
            header(
                random,
                &format!("multipart/{kind};\r\n\tboundary={quoted}{boundary}{quoted}"),
                message,
                out,
            );
            lines(random, 3, out);
            for _ in 0..random.below(4) {
                if !random.once_in(10) && !out.ends_with(b"\n") {
                    line_end(random, out);
                }
                out.extend_from_slice(format!("--{boundary}").as_bytes());
                out.extend_from_slice(random.pick(&["", "", "", " ", "\t ", "x"]).as_bytes());
                line_end(random, out);
                entity(random, depth - 1, false, out);
            }
            if !random.once_in(5) {
                line_end(random, out);
                out.extend_from_slice(format!("--{boundary}--").as_bytes());
                if !random.once_in(4) {
                    line_end(random, out);
                }
            }
            lines(random, 3, out);
        }
        5 | 6 => {
            header(random, "message/rfc822", message, out);
            entity(random, depth - 1, true, out);
        }
        _ => {
            let kind = if random.once_in(4) { "" } else { random.pick(TYPES) };
            header(random, kind, message, out);
            lines(random, 6, out);
        }
    }
}

/// A message as it should be: every boundary is another one, and stands nowhere else.
pub(crate) fn sound(random: &mut Random) -> Vec<u8> {
    let (mut out, mut boundaries) = (Vec::new(), 0);
    sound_entity(random, 3, true, &mut boundaries, &mut out);
    out
}

fn sound_entity(random: &mut Random, depth: u32, message: bool, boundaries: &mut u32, out: &mut Vec<u8>) {
    if message {
        for (name, values) in [
            (
                "From",
                &["Ann <ann@example.test>", "ben@example.test (Ben)", "=?utf-8?q?C=C3=A9line?= <c@x.test>"][..],
            ),
            (
                "To",
                &[
                    "A: b@c.test, \"d, e\" <e@c.test>;",
                    "a@b.test, C D <c@d.test>",
                    "Joe Q. Public <j@x.test>",
                ],
            ),
            ("Subject", &["hello", "=?iso-8859-1?q?=A1?= =?utf-8?b?4oKs?= 5", "a\r\n folded\r\n subject"]),
            ("Date", &["Mon, 1 Jan 2024 00:00:00 +0000"]),
        ] {
            out.extend_from_slice(format!("{name}: {}\r\n", random.pick(values)).as_bytes());
        }
    }
    match if depth == 0 { 9 } else { random.below(10) } {
        0..=4 => {
            *boundaries += 1;
            let boundary = format!("=_boundary_{boundaries}_");
            let kind = random.pick(&["mixed", "alternative", "related", "digest"]);
            out.extend_from_slice(
                format!("Content-Type: multipart/{kind};\r\n boundary=\"{boundary}\"\r\n\r\n").as_bytes(),
            );
            if random.once_in(2) {
                out.extend_from_slice(b"For those who cannot read MIME.\r\n");
            }
            for _ in 0..1 + random.below(3) {
                out.extend_from_slice(format!("\r\n--{boundary}\r\n").as_bytes());
                if *kind == *"digest" && random.once_in(2) {
                    out.extend_from_slice(b"\r\n");
                    sound_entity(random, depth - 1, true, boundaries, out);
                } else {
                    sound_entity(random, depth - 1, false, boundaries, out);
                }
            }
            out.extend_from_slice(format!("\r\n--{boundary}--\r\n").as_bytes());
        }
        // mail-parser 0.11 loses what follows a message directly within a message, so there is none of those here.
        5 | 6 if !message => {
            out.extend_from_slice(b"Content-Type: message/rfc822\r\n\r\n");
            sound_entity(random, depth - 1, true, boundaries, out);
        }
        _ => {
            let (kind, encoding, body) = *random
                .pick(&[
                    &[("text/plain; charset=utf-8", "8bit", "gr\u{fc}\u{df}e\r\nzwei\r\n")][..],
                    &[("text/html; charset=iso-8859-1", "quoted-printable", "<p>caf=E9 soft=\r\n break</p>")],
                    &[("text/plain; charset=us-ascii", "base64", "aGVsbG8sIHdv\r\ncmxkCg==")],
                    &[("application/octet-stream; name=x", "base64", "AAEC/w==\r\n")],
                    &[("image/png", "base64", "iVBORw0KGgo=")],
                    &[("text/plain; charset=koi8-r", "quoted-printable", "=CD=C1=D4=D8")],
                    &[("message/delivery-status", "7bit", "Reporting-MTA: dns; x\r\n\r\nAction: failed\r\n")],
                ])
                .first()
                .expect("one");
            out.extend_from_slice(
                format!("Content-Type: {kind}\r\nContent-Transfer-Encoding: {encoding}\r\n\r\n{body}")
                    .as_bytes(),
            );
        }
    }
}
