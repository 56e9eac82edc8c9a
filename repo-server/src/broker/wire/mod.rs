//! MQTT's packets, of whichever version: here the codec is known, and what a client may not send at all is told apart from
//! what it may.

mod connect;
mod packets;
#[cfg(test)]
mod tests;

pub(super) use connect::{Connect, Will};
pub(super) use packets::{Answer, Disconnect, Packet, RetainHandling, Subscribe, Subscription, Unsubscribe};
pub(super) use rmqtt_codec::types::{Publish, QoS};
pub(super) use rmqtt_codec::v5::{
    ConnectAck, ConnectAckReason, DisconnectReasonCode, PublishAckReason, PublishProperties, SubscribeAckReason,
    UnsubscribeAckReason,
};

use bytes::{BufMut as _, BytesMut};
use rmqtt_codec::error::{DecodeError, EncodeError};
use rmqtt_codec::version::{ProtocolVersion, VersionCodec};
use rmqtt_codec::{v3, v5};
use tokio_util::codec::{Decoder as _, Encoder as _};

/// AWS: the longest packet, in bytes.
pub(super) const LONGEST_PACKET: u32 = 146 << 10;
/// A packet's first byte and its length.
const HEADER: u32 = 5;
/// CONNACK of MQTT 3.1.1 (§3.1.2.2) for a version that is not spoken here.
const OTHER_VERSION: [u8; 4] = [0x20, 2, 0, 1];

/// What the client sent cannot be read, or is not what may be sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Malformed(pub(super) DisconnectReasonCode);

/// A packet that does not go to this client.
#[derive(Debug, thiserror::Error)]
#[error("a packet cannot be sent: {0}")]
pub(super) struct Unsendable(#[from] EncodeError);

/// Reads and writes packets of the version that the client begins with.
#[derive(Debug)]
pub(super) enum Codec {
    /// Before CONNECT.
    Unknown,
    V3(v3::Codec),
    V5(v5::Codec),
}

impl Codec {
    pub(super) fn is_version5(&self) -> bool {
        matches!(self, Self::V5(_))
    }

    /// The longest packet that this client takes.
    pub(super) fn limit(&mut self, longest: u32) {
        if let Self::V5(codec) = self {
            codec.set_max_outbound_size(longest);
        }
    }

    /// The next packet, when all of it is there.
    pub(super) fn decode(&mut self, bytes: &mut BytesMut) -> Result<Option<Packet>, Malformed> {
        loop {
            return match self {
                Self::Unknown => match VersionCodec.decode(bytes).map_err(|error| malformed(&error))? {
                    None => Ok(None),
                    Some(ProtocolVersion::MQTT3) => {
                        *self = Self::V3(v3::Codec::new(LONGEST_PACKET - HEADER));
                        continue;
                    }
                    Some(ProtocolVersion::MQTT5) => {
                        *self = Self::V5(v5::Codec::new(LONGEST_PACKET - HEADER, 0));
                        continue;
                    }
                },
                Self::V3(codec) => {
                    let packet = codec.decode(bytes).map_err(|error| malformed(&error))?;
                    packet.map(|(packet, _)| packets::of_v3(packet)).transpose()
                }
                Self::V5(codec) => {
                    let packet = codec.decode(bytes).map_err(|error| malformed(&error))?;
                    packet.map(|(packet, _)| packets::of_v5(packet)).transpose()
                }
            };
        }
    }

    /// Appends a packet. What this version has no word for is not said.
    pub(super) fn encode(&mut self, answer: Answer, to: &mut BytesMut) -> Result<(), Unsendable> {
        match self {
            Self::Unknown => {}
            Self::V3(codec) => {
                if let Some(packet) = packets::to_v3(answer) {
                    codec.encode(packet, to)?;
                }
            }
            Self::V5(codec) => codec.encode(packets::to_v5(answer), to)?,
        }
        Ok(())
    }
}

/// Whether these bytes begin a CONNECT of a version that is not spoken here; then there is an answer.
pub(super) fn refuse_version(begun: &[u8], to: &mut BytesMut) {
    let names_mqtt = begun.windows(6).take(HEADER as usize + 1).any(|bytes| bytes == b"\0\x04MQTT");
    if begun.first() == Some(&0x10) && names_mqtt {
        to.put_slice(&OTHER_VERSION);
    }
}

fn malformed(error: &DecodeError) -> Malformed {
    Malformed(match error {
        DecodeError::MaxSizeExceeded { .. } => DisconnectReasonCode::PacketTooLarge,
        // SUBSCRIBE or UNSUBSCRIBE without a filter (MQTT 5 §3.8.3, §3.10.3).
        DecodeError::InvalidTopicFilter | DecodeError::InvalidProtocol => DisconnectReasonCode::ProtocolError,
        DecodeError::InvalidTopicName => DisconnectReasonCode::TopicNameInvalid,
        _ => DisconnectReasonCode::MalformedPacket,
    })
}
