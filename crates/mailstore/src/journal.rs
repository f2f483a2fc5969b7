//! The journal: segments of self-describing records. `docs/format.md` gives it octet by octet.

pub(crate) mod entry;
pub(crate) mod reader;
pub(crate) mod recovery;
pub(crate) mod segment;
pub(crate) mod writer;

#[cfg(test)]
mod tests {
    use super::entry::Record;
    use super::entry::tests::samples;
    use super::segment::{Header, Live};
    use super::writer::Writer;

    const FORMAT: &str = include_str!("../docs/format.md");

    /// CRC-32, written down a second time.
    fn crc(octets: &[u8]) -> u32 {
        !octets.iter().fold(!0, |crc, octet| {
            (0..8).fold(crc ^ u32::from(*octet), |crc, _| (crc >> 1) ^ (0xedb8_8320 * (crc & 1)))
        })
    }

    fn number(octets: &[u8]) -> u64 {
        octets.iter().rev().fold(0, |number, octet| number << 8 | u64::from(*octet))
    }

    #[test]
    fn headers_are_laid_out_as_documented() {
        for count in [0, 2, 126, 127, 128] {
            let live: Vec<_> = (1..=count)
                .map(|n| Live { number: n, salt: 100 + n, start: 8_192, limit: 20_000 + n })
                .collect();
            let (of, salt, floor) = (0x1122, 0x3344_5566_7788_99aa, 0x5566);
            let octets = Header { number: of, salt, floor, live }.encode();
            let n = usize::try_from(count).expect("few");
            let length = (52 + 32 * n).next_multiple_of(4_096);
            assert_eq!(octets.len(), 2 * length);
            for (which, copy) in octets.chunks(length).enumerate() {
                assert_eq!(&copy[..8], b"PSTRDJRN");
                assert_eq!(number(&copy[8..10]), 1);
                assert_eq!(number(&copy[10..12]), which as u64);
                assert_eq!(number(&copy[12..16]), count);
                assert_eq!(number(&copy[16..24]), length as u64);
                assert_eq!(number(&copy[24..32]), 0x1122);
                assert_eq!(number(&copy[32..40]), 0x3344_5566_7788_99aa);
                assert_eq!(number(&copy[40..48]), 0x5566);
                for (index, live) in copy[48..48 + 32 * n].chunks(32).enumerate() {
                    let index = index as u64 + 1;
                    let fields: Vec<_> = live.chunks(8).map(number).collect();
                    assert_eq!(fields, [index, 100 + index, 8_192, 20_000 + index]);
                }
                assert_eq!(number(&copy[48 + 32 * n..52 + 32 * n]), u64::from(crc(&copy[..48 + 32 * n])));
                assert!(copy[52 + 32 * n..].iter().all(|octet| *octet == 0));
            }
        }
    }

    #[test]
    fn records_are_framed_as_documented() {
        let (salt, base) = (0x3344_5566_7788_99aa_u64, 8_192_u64);
        let mut writer = Writer::new(salt, base);
        let samples: Vec<Record> = samples()
            .into_iter()
            .filter(|r| !matches!(r, Record::Batch { .. } | Record::Seal { .. }))
            .collect();
        for record in &samples {
            writer.push(record);
        }
        let octets = writer.finish();
        let mut at = 0;
        let salted = |at: usize, octets: &[u8]| {
            let place = (base + at as u64).to_le_bytes();
            u64::from(crc(&[&salt.to_le_bytes()[..], &place[..], octets].concat()))
        };
        for kind in samples.iter().map(Record::kind).chain([9]) {
            let frame = &octets[at..at + 16];
            let n = number(&frame[..4]) as usize;
            let payload = &octets[at + 16..at + 16 + n];
            assert_eq!(
                (number(&frame[4..5]), number(&frame[5..6]), number(&frame[6..8])),
                (u64::from(kind), 1, 0)
            );
            assert_eq!(number(&frame[8..12]), salted(at, payload));
            assert_eq!(number(&frame[12..16]), salted(at, &frame[..12]));
            if kind == 9 {
                let fields = (number(&payload[..8]), number(&payload[8..12]), number(&payload[12..20]));
                assert_eq!(fields, (base, samples.len() as u64, base));
            }
            at += (16 + n).next_multiple_of(8);
        }
        assert_eq!(at, octets.len());
        let seal = Writer::seal(salt, base + at as u64);
        assert_eq!((seal.len(), number(&seal[..4]), seal[4]), (24, 8, 10));
        assert_eq!(number(&seal[16..]), base + at as u64);
    }

    /// The rows of the table of payloads, each with its fields as offset and size.
    fn rows() -> Vec<(u8, Vec<(String, String)>)> {
        let table = FORMAT.split("### Payloads").nth(1).expect("it is there");
        let mut rows: Vec<(u8, Vec<(String, String)>)> = Vec::new();
        for line in table.split("```").nth(1).expect("it is there").lines() {
            let mut words = line.split_whitespace().peekable();
            if words.next_if_eq(&"kind").is_some() {
                let kind = words.next().and_then(|kind| kind.parse().ok()).expect("a number");
                words.next();
                rows.push((kind, Vec::new()));
            }
            let is_offset = |word: &str| word.starts_with(|c: char| c.is_ascii_digit());
            while let Some(offset) = words.next() {
                if is_offset(offset)
                    && let Some(size) =
                        words.next_if(|size| is_offset(size) || ["-", "k", "n"].contains(size))
                {
                    let fields = &mut rows.last_mut().expect("a row has begun").1;
                    fields.push((offset.to_owned(), size.to_owned()));
                }
            }
        }
        rows
    }

    #[test]
    fn payloads_are_laid_out_as_documented() {
        let rows = rows();
        assert_eq!(rows.len(), samples().len());
        for (record, (kind, fields)) in samples().iter().zip(rows) {
            assert_eq!(record.kind(), kind);
            let mut payload = bytes::BytesMut::new();
            record.encode(&mut payload);
            // The keys of the samples have one octet.
            let value = |text: &str| match text {
                "k" => 1,
                "4+k" => 5,
                "n" => 5,
                "40+n" => 45,
                text => text.parse().expect("a number"),
            };
            let mut end = 0;
            for (offset, size) in fields {
                assert_eq!(value(&offset), end, "{record:?}");
                end = if size == "-" { payload.len() } else { end + value(&size) };
            }
            assert_eq!(end, payload.len(), "{record:?}");
        }
    }

    #[test]
    fn fields_stand_where_they_are_documented() {
        let field = |kind: usize, at: usize, size: usize| {
            let mut payload = bytes::BytesMut::new();
            samples()[kind - 1].encode(&mut payload);
            number(&payload[at..at + size])
        };
        assert_eq!([field(2, 0, 8), field(2, 8, 8)], [10, 70_000]);
        let mailbox = [(0, 8), (8, 8), (16, 4), (20, 8), (28, 8), (36, 1), (37, 1), (38, 2), (40, 1)]
            .map(|(at, size)| field(3, at, size));
        assert_eq!(mailbox, [3, 2, 77, 6, 5, 3, 2, 5, u64::from(b'I')]);
        assert_eq!([field(3, 45, 1), field(3, 46, 1), field(3, 56, 1)], [10, u64::from(b'$'), 1]);
        assert_eq!([field(5, 0, 8), field(5, 8, 4), field(5, 12, 8), field(5, 28, 8)], [3, 1, 5, 9]);
        assert_eq!([field(5, 20, 8), field(5, 36, 8)], [u64::MAX, 0x101]);
        assert_eq!([field(6, 0, 8), field(6, 8, 4), field(6, 12, 8)], [3, 1, 5]);
        assert_eq!([field(8, 0, 2), field(8, 2, 2), field(8, 4, 1), field(8, 5, 1)], [1, 1, 107, 1]);
        assert_eq!([field(12, 0, 8), field(12, 8, 8), field(12, 16, 4)], [12, 4, 78]);
        assert_eq!(
            [(0, 8), (8, 4), (12, 8), (20, 8)].map(|(at, size)| field(13, at, size)),
            [3, 1, 5, 0x102]
        );
        assert_eq!([field(14, 0, 8), field(14, 8, 1)], [9, u64::from(b's')]);
        assert_eq!([field(15, 0, 8), field(15, 8, 8), field(15, 16, 8)], [2, 1_000, u64::MAX]);
        assert_eq!([field(7, 0, 2), field(7, 2, 2), field(7, 4, 1), field(7, 5, 1)], [1, 1, 107, 118]);
    }
}
