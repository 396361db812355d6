//! Lag of share groups: DescribeShareGroupOffsets in version 1 (KIP-1226, Kafka 4.2), which the codecs do not know.
//!
//! The request is that of version 0; the response has one field more. It is read here by hand from a frame whose layout
//! was checked. Lag is the brokers' own figure: it is no difference of offsets, for records may be in flight.

use super::shape::{self, Field, Shape};
use kafka_protocol::{
    messages::{
        ApiKey, DescribeShareGroupOffsetsRequest, GroupId,
        describe_share_group_offsets_request::DescribeShareGroupOffsetsRequestGroup,
    },
    protocol::StrBytes,
};

pub(super) const KEY: i16 = ApiKey::DescribeShareGroupOffsets as i16;
pub(super) const VERSION: i16 = 1;
pub(super) const NAME: &str = "DescribeShareGroupOffsets";

/// Throttle time; groups: id, topics (name, id, partitions), error, message.
const SHAPE: Shape = Shape {
    flexible: 0,
    fields: &[
        Field::Fixed(4),
        Field::Many(&[
            Field::Text,
            Field::Many(&[Field::Text, Field::Fixed(16), Field::Many(&[Field::Fixed(26), Field::Text])]),
            Field::Fixed(2),
            Field::Text,
        ]),
    ],
};

/// One group's answer.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct ShareOffsets {
    pub group: StrBytes,
    /// Error code of the group.
    pub error: i16,
    pub partitions: Vec<SharePartition>,
}

/// One partition.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct SharePartition {
    pub topic: StrBytes,
    pub partition: i32,
    /// First record that is not done with; `None`: nothing was read yet.
    pub start: Option<i64>,
    /// `None`: not known (−1).
    pub lag: Option<u64>,
}

/// Asks for all topics of these groups.
pub(super) fn request(groups: &[StrBytes]) -> DescribeShareGroupOffsetsRequest {
    let group = |raw: &StrBytes| {
        DescribeShareGroupOffsetsRequestGroup::default().with_group_id(GroupId(raw.clone())).with_topics(None)
    };
    DescribeShareGroupOffsetsRequest::default().with_groups(groups.iter().map(group).collect())
}

/// Reads what follows the header of the response.
pub(super) fn decode(body: &[u8]) -> Result<Vec<ShareOffsets>, String> {
    shape::check(&SHAPE, VERSION, body)?;
    let mut read = Read { bytes: body, at: 4 };
    read.answer().ok_or_else(|| format!("broken at byte {}", read.at))
}

/// A cursor over flexible encoding; every step is checked.
struct Read<'a> {
    bytes: &'a [u8],
    at: usize,
}

impl Read<'_> {
    fn take<const N: usize>(&mut self) -> Option<[u8; N]> {
        let taken = self.bytes.get(self.at..self.at.checked_add(N)?)?.try_into().ok()?;
        self.at += N;
        Some(taken)
    }

    fn varint(&mut self) -> Option<usize> {
        let mut value = 0_u64;
        for i in 0..5 {
            let [byte] = self.take::<1>()?;
            value |= u64::from(byte & 0x7f) << (i * 7);
            if byte < 0x80 {
                return usize::try_from(value).ok();
            }
        }
        None
    }

    fn text(&mut self) -> Option<StrBytes> {
        let length = self.varint()?.saturating_sub(1);
        let end = self.at.checked_add(length)?;
        let text = std::str::from_utf8(self.bytes.get(self.at..end)?).ok()?.to_owned();
        self.at = end;
        Some(StrBytes::from_string(text))
    }

    fn tags(&mut self) -> Option<()> {
        for _ in 0..self.varint()? {
            self.varint()?;
            let size = self.varint()?;
            self.at = self.at.checked_add(size).filter(|at| *at <= self.bytes.len())?;
        }
        Some(())
    }

    fn answer(&mut self) -> Option<Vec<ShareOffsets>> {
        let mut groups = Vec::new();
        for _ in 0..self.varint()?.saturating_sub(1) {
            let group = self.text()?;
            let mut partitions = Vec::new();
            for _ in 0..self.varint()?.saturating_sub(1) {
                let topic = self.text()?;
                self.take::<16>()?;
                for _ in 0..self.varint()?.saturating_sub(1) {
                    self.partition(&topic, &mut partitions)?;
                }
                self.tags()?;
            }
            let error = i16::from_be_bytes(self.take()?);
            self.text()?;
            self.tags()?;
            groups.push(ShareOffsets { group, error, partitions });
        }
        Some(groups)
    }

    /// Of one with an error of its own nothing is known, but that the group reads it.
    fn partition(&mut self, topic: &StrBytes, out: &mut Vec<SharePartition>) -> Option<()> {
        let partition = i32::from_be_bytes(self.take()?);
        let start = i64::from_be_bytes(self.take()?);
        self.take::<4>()?; // leader epoch
        let lag = i64::from_be_bytes(self.take()?);
        let error = i16::from_be_bytes(self.take()?);
        self.text()?;
        self.tags()?;
        let told = error == 0;
        let (start, lag) = ((told && start >= 0).then_some(start), u64::try_from(lag).ok().filter(|_| told));
        out.push(SharePartition { topic: topic.clone(), partition, start, lag });
        Some(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_known_answer_an_unknown_lag_and_one_that_is_refused() {
        let mut body = vec![0, 0, 0, 0, 2, 2, b'g', 2, 2, b't'];
        body.extend([7; 16]);
        body.push(4); // three partitions
        for (number, start, lag, error) in [(0_i32, 5_i64, 45_i64, 0_i16), (1, -1, -1, 0), (2, 0, 0, 14)] {
            body.extend(number.to_be_bytes());
            body.extend(start.to_be_bytes());
            body.extend(0_i32.to_be_bytes());
            body.extend(lag.to_be_bytes());
            body.extend(error.to_be_bytes());
            body.extend([0, 0]); // no message, no tags
        }
        body.extend([0, 0, 0, 0, 0, 0]); // end of topic; error, message, tags of the group; tags of the answer
        let read = decode(&body).unwrap();
        assert_eq!(read.len(), 1);
        let partitions: Vec<_> = read[0].partitions.iter().map(|p| (p.partition, p.start, p.lag)).collect();
        assert_eq!(partitions, [(0, Some(5), Some(45)), (1, None, None), (2, None, None)], "a part is no whole");
    }

    proptest! {
        #[test]
        fn garbage_is_a_sentence(body in prop::collection::vec(any::<u8>(), 0..200)) {
            let _ = decode(&body); // an answer or a sentence, never a panic
        }
    }
}
