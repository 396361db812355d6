//! Checks the layout of a response before the codec decodes it.
//!
//! `kafka-protocol` 0.18 reserves memory for as many elements as an array *claims* to have (`protocol/types.rs`,
//! `Vec::with_capacity`), up to 2³² of them: five bytes of garbage end the process, and no `catch_unwind` helps against a
//! failed allocation. So every response is walked first, allocating nothing; what passes really holds the elements that
//! it claims, and decoding it costs a small multiple of the frame, whose size is bounded.

use kafka_protocol::messages as m;

/// One field of a message, as the protocol's own JSON schemas list them.
#[derive(Debug)]
pub(super) enum Field {
    /// So many bytes.
    Fixed(usize),
    /// A string; null is allowed everywhere (the codec is stricter and says so itself).
    Text,
    /// Bytes.
    Blob,
    /// An array of structures.
    Many(&'static [Field]),
    /// An array of elements of so many bytes.
    Packed(usize),
    /// An array of strings.
    Texts,
    /// A structure within a structure, with tagged fields of its own.
    Struct(&'static [Field]),
    /// Present in these versions only (first, last).
    In(i16, i16, &'static Field),
}
use Field::{Blob, Fixed, In, Many, Packed, Text, Texts};

/// The layout of a response.
#[derive(Debug)]
pub(super) struct Shape {
    /// First version with compact lengths and tagged fields (KIP-482).
    pub flexible: i16,
    /// Its fields.
    pub fields: &'static [Field],
}

/// Requests that this reader makes, with the layout of their responses and the highest version it speaks.
pub(super) trait Asked: kafka_protocol::protocol::Request {
    /// Layout of the response.
    const SHAPE: Shape;
    /// Lowest and highest version spoken.
    const SPOKEN: (i16, i16);
    /// Its name, for sentences.
    const NAME: &'static str;
}

const LAST: i16 = i16::MAX;

macro_rules! asked {
    ($request:ident, $name:literal, $spoken:expr, $flexible:expr, $fields:expr) => {
        impl Asked for m::$request {
            const SHAPE: Shape = Shape { flexible: $flexible, fields: $fields };
            const SPOKEN: (i16, i16) = $spoken;
            const NAME: &'static str = $name;
        }
    };
}

// Version 0 on purpose: every broker knows it, so the negotiation itself needs none.
asked!(ApiVersionsRequest, "ApiVersions", (0, 0), 3, &[Fixed(2), Many(&[Fixed(6)])]);
asked!(SaslHandshakeRequest, "SaslHandshake", (1, 1), LAST, &[Fixed(2), Texts]);
asked!(SaslAuthenticateRequest, "SaslAuthenticate", (0, 2), 2, &[Fixed(2), Text, Blob, In(1, LAST, &Fixed(8))]);
asked!(
    MetadataRequest,
    "Metadata",
    (4, 12),
    9,
    &[
        Fixed(4),
        Many(&[Fixed(4), Text, Fixed(4), Text]),
        Text,
        Fixed(4),
        Many(&[
            Fixed(2),
            Text,
            In(10, LAST, &Fixed(16)),
            Fixed(1),
            Many(&[Fixed(10), In(7, LAST, &Fixed(4)), Packed(4), Packed(4), In(5, LAST, &Packed(4)),]),
            In(8, LAST, &Fixed(4)),
        ]),
        In(8, 10, &Fixed(4)),
    ]
);
asked!(
    ListGroupsRequest,
    "ListGroups",
    (1, 5),
    3,
    &[Fixed(4), Fixed(2), Many(&[Text, Text, In(4, LAST, &Text), In(5, LAST, &Text)])]
);
asked!(
    DescribeGroupsRequest,
    "DescribeGroups",
    (1, 6),
    5,
    &[
        Fixed(4),
        Many(&[
            Fixed(2),
            In(6, LAST, &Text),
            Text,
            Text,
            Text,
            Text,
            Many(&[Text, In(4, LAST, &Text), Text, Text, Blob, Blob]),
            In(3, LAST, &Fixed(4)),
        ]),
    ]
);
const ASSIGNED: &[Field] = &[Fixed(16), Text, Packed(4)];
asked!(
    ConsumerGroupDescribeRequest,
    "ConsumerGroupDescribe",
    (0, 1),
    0,
    &[
        Fixed(4),
        Many(&[
            Fixed(2),
            Text,
            Text,
            Text,
            Fixed(8),
            Text,
            Many(&[
                Text,
                Text,
                Text,
                Fixed(4),
                Text,
                Text,
                Texts,
                Text,
                Field::Struct(&[Many(ASSIGNED)]),
                Field::Struct(&[Many(ASSIGNED)]),
                In(1, LAST, &Fixed(1)),
            ]),
            Fixed(4),
        ]),
    ]
);
asked!(
    OffsetFetchRequest,
    "OffsetFetch",
    (6, 9),
    6,
    &[
        Fixed(4),
        In(6, 7, &Many(&[Text, Many(&[Fixed(16), Text, Fixed(2)])])),
        In(6, 7, &Fixed(2)),
        In(8, LAST, &Many(&[Text, Many(&[Text, Many(&[Fixed(16), Text, Fixed(2)])]), Fixed(2)])),
    ]
);
asked!(
    ListOffsetsRequest,
    "ListOffsets",
    (1, 9),
    6,
    &[In(2, LAST, &Fixed(4)), Many(&[Text, Many(&[Fixed(22), In(4, LAST, &Fixed(4))])])]
);

asked!(
    ShareGroupDescribeRequest,
    "ShareGroupDescribe",
    (1, 1),
    0,
    &[
        Fixed(4),
        Many(&[
            Fixed(2),
            Text,
            Text,
            Text,
            Fixed(8),
            Text,
            Many(&[Text, Text, Fixed(4), Text, Text, Texts, Field::Struct(&[Many(ASSIGNED)])]),
            Fixed(4),
        ]),
    ]
);
asked!(
    DescribeConfigsRequest,
    "DescribeConfigs",
    (1, 4),
    4,
    &[
        Fixed(4),
        Many(&[
            Fixed(2),
            Text,
            Fixed(1),
            Text,
            Many(&[Text, Text, Fixed(3), Many(&[Text, Text, Fixed(1)]), In(3, LAST, &Fixed(1)), In(3, LAST, &Text),]),
        ]),
    ]
);
asked!(
    DescribeLogDirsRequest,
    "DescribeLogDirs",
    (1, 4),
    2,
    &[
        Fixed(4),
        In(3, LAST, &Fixed(2)),
        Many(&[Fixed(2), Text, Many(&[Text, Many(&[Fixed(21)])]), In(4, LAST, &Fixed(16))]),
    ]
);
asked!(
    DescribeProducersRequest,
    "DescribeProducers",
    (0, 0),
    0,
    &[Fixed(4), Many(&[Text, Many(&[Fixed(6), Text, Many(&[Fixed(36)])])])]
);
asked!(ListTransactionsRequest, "ListTransactions", (0, 1), 0, &[Fixed(6), Texts, Many(&[Text, Fixed(8), Text])]);
asked!(
    DescribeTransactionsRequest,
    "DescribeTransactions",
    (0, 0),
    0,
    &[Fixed(4), Many(&[Fixed(2), Text, Text, Fixed(22), Many(&[Text, Packed(4)])])]
);

/// The assignment of a member of a classic group, in the blob of DescribeGroups (`ConsumerProtocolAssignment`).
pub(super) const ASSIGNMENT: Shape = Shape { flexible: LAST, fields: &[Many(&[Text, Packed(4)]), Blob] };

/// Walks `bytes`; `Err` says at which byte the layout is broken.
pub(super) fn check(shape: &Shape, version: i16, bytes: &[u8]) -> Result<(), String> {
    let mut walk = Walk { bytes, at: 0, version, compact: version >= shape.flexible };
    walk.structure(shape.fields).ok_or_else(|| format!("broken at byte {} of {}", walk.at, bytes.len()))
}

/// Skips the tagged fields of a response header.
pub(super) fn skip_tags(bytes: &mut bytes::Bytes) -> Result<(), String> {
    let mut walk = Walk { bytes, at: 0, version: 0, compact: true };
    walk.structure(&[]).ok_or("broken in the response header")?;
    let at = walk.at;
    bytes::Buf::advance(bytes, at);
    Ok(())
}

struct Walk<'a> {
    bytes: &'a [u8],
    at: usize,
    version: i16,
    compact: bool,
}

impl Walk<'_> {
    fn skip(&mut self, n: usize) -> Option<()> {
        let next = self.at.checked_add(n)?;
        if next > self.bytes.len() {
            return None;
        }
        self.at = next;
        Some(())
    }

    /// `UnsignedVarInt`, at most five bytes.
    fn varint(&mut self) -> Option<usize> {
        let mut value = 0_u64;
        for i in 0..5 {
            let byte = *self.bytes.get(self.at)?;
            self.at += 1;
            value |= u64::from(byte & 0x7f) << (i * 7);
            if byte < 0x80 {
                return usize::try_from(value).ok();
            }
        }
        None
    }

    /// A length of `width` bytes, or a varint in compact encoding; null counts as none.
    fn length(&mut self, width: usize) -> Option<usize> {
        if self.compact {
            return Some(self.varint()?.saturating_sub(1));
        }
        let from = self.at;
        self.skip(width)?;
        let mut signed: i64 = if self.bytes.get(from)? & 0x80 == 0 { 0 } else { -1 };
        for byte in self.bytes.get(from..self.at)? {
            signed = (signed << 8) | i64::from(*byte);
        }
        match signed {
            -1 => Some(0),
            n => usize::try_from(n).ok(),
        }
    }

    fn structure(&mut self, fields: &'static [Field]) -> Option<()> {
        for field in fields {
            self.field(field)?;
        }
        if self.compact {
            for _ in 0..self.varint()? {
                self.varint()?;
                let size = self.varint()?;
                self.skip(size)?;
            }
        }
        Some(())
    }

    fn field(&mut self, field: &'static Field) -> Option<()> {
        match field {
            Fixed(n) => self.skip(*n),
            Text => self.length(2).and_then(|n| self.skip(n)),
            Blob => self.length(4).and_then(|n| self.skip(n)),
            Packed(size) => self.length(4).and_then(|n| self.skip(n.checked_mul(*size)?)),
            Field::Struct(fields) => self.structure(fields),
            Texts => {
                for _ in 0..self.length(4)? {
                    self.field(&Text)?;
                }
                Some(())
            }
            Many(fields) => {
                for _ in 0..self.length(4)? {
                    self.structure(fields)?;
                }
                Some(())
            }
            In(first, last, field) => {
                if (*first..=*last).contains(&self.version) {
                    self.field(field)
                } else {
                    Some(())
                }
            }
        }
    }
}
