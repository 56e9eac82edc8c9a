use super::*;
use proptest::prelude::*;

/// CONNECT of both versions, and whatever else clients send.
fn valid() -> Vec<Vec<u8>> {
    let packets: [&[u8]; 11] = [
        b"\x10\x12\0\x04MQTT\x04\x02\0\x3c\0\x06lamp-1",
        b"\x10\x13\0\x04MQTT\x05\x02\0\x3c\0\0\x06lamp-1",
        b"\x10\x29\0\x04MQTT\x05\x0e\0\x3c\x05\x11\0\0\x0e\x10\0\x06lamp-1\x05\x18\0\0\0\x05\0\x03a/b\0\x04gone",
        b"\x30\x05\0\x03a/bx",
        b"\x32\x08\0\x03a/b\0\x01\0x",
        b"\x30\x18\0\0\x14\x02\0\0\0\x05\x23\0\x01\x26\0\x01k\0\x01v\x08\0\x01rx",
        b"\x40\x02\0\x01",
        b"\x82\x09\0\x01\0\0\x03a/#\x01",
        b"\xa2\x08\0\x01\0\0\x03a/#",
        b"\xc0\0",
        b"\xe0\x02\x04\0",
    ];
    packets.into_iter().map(<[u8]>::to_vec).collect()
}

fn codec(which: u8) -> Codec {
    match which {
        0 => Codec::Unknown,
        1 => Codec::V3(v3::Codec::new(LONGEST_PACKET - HEADER)),
        _ => Codec::V5(v5::Codec::new(LONGEST_PACKET - HEADER, 0)),
    }
}

/// Reads packets until there are none or one makes no sense. Whatever was read can be said in the other version, too.
fn read_all(which: u8, bytes: &[u8]) {
    let (mut codec, mut bytes) = (codec(which), BytesMut::from(bytes));
    loop {
        let before = bytes.len();
        match codec.decode(&mut bytes) {
            Ok(Some(packet)) => {
                assert!(bytes.len() < before || before == 0);
                if let Packet::Publish(publish) = packet {
                    let message = crate::broker::message::Message::new(1, *publish);
                    let mut sent = message.sent(1, false, false, Vec::new());
                    sent.packet_id = None;
                    for which in [1, 2] {
                        self::codec(which)
                            .encode(Answer::Publish(Box::new(sent.clone())), &mut BytesMut::new())
                            .unwrap();
                    }
                }
            }
            Ok(None) | Err(_) => return,
        }
    }
}

proptest! {
    #[test]
    fn bytes_of_any_kind_are_read_or_refused(which in 0_u8..3, bytes in prop::collection::vec(any::<u8>(), 0..512)) {
        read_all(which, &bytes);
    }

    /// Most random bytes are refused at once; these look right for longer.
    #[test]
    fn packets_that_are_almost_right_are_read_or_refused(
        which in 0_u8..3,
        order in prop::collection::vec(0_usize..11, 1..4),
        changes in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 0..6),
    ) {
        let valid = valid();
        let mut bytes: Vec<u8> = order.into_iter().flat_map(|at| valid[at].clone()).collect();
        for (at, byte) in changes {
            let at = at.index(bytes.len());
            bytes[at] = byte;
        }
        read_all(which, &bytes);
    }
}

fn decoded(which: u8, bytes: &[u8]) -> Result<Option<Packet>, Malformed> {
    codec(which).decode(&mut BytesMut::from(bytes))
}

#[test]
fn each_version_is_recognised_and_its_connect_read() {
    for (bytes, version5) in [(&valid()[0], false), (&valid()[1], true)] {
        let mut codec = Codec::Unknown;
        let packet = codec.decode(&mut BytesMut::from(&bytes[..])).unwrap();
        let Some(Packet::Connect(connect)) = packet else { panic!("{packet:?}") };
        assert_eq!((connect.client_id.as_str(), connect.keep_alive, connect.session_expiry), ("lamp-1", 60, 0));
        assert!(connect.clean_start && codec.is_version5() == version5);
    }
    let Ok(Some(Packet::Connect(connect))) = decoded(0, &valid()[2]) else { panic!() };
    let will = connect.will.unwrap();
    assert_eq!((connect.session_expiry, will.delay, &*will.publish.topic), (3600, 5, "a/b"));
    assert_eq!(&*will.publish.payload, b"gone");
}

#[test]
fn what_a_client_may_not_send_has_its_reason() {
    use DisconnectReasonCode::{MalformedPacket, PacketTooLarge, ProtocolError};
    let cases: [(&str, &[u8], DisconnectReasonCode); 14] = [
        ("CONNACK", b"\x20\x03\0\0\0", ProtocolError),
        ("PUBREC", b"\x50\x02\0\x01", ProtocolError),
        ("PUBREL", b"\x62\x02\0\x01", ProtocolError),
        ("AUTH", b"\xf0\x02\0\0", ProtocolError),
        ("a subscription identifier", b"\x30\x08\0\x03a/b\x02\x0b\x01", ProtocolError),
        ("no filter", b"\x82\x03\0\x01\0", ProtocolError),
        ("type 0", b"\x00\0", MalformedPacket),
        ("wrong flags", b"\x80\x09\0\x01\0\0\x03a/#\x01", MalformedPacket),
        ("QoS 3", b"\x36\x08\0\x03a/b\0\x01\0", MalformedPacket),
        ("a duplicate at QoS 0", b"\x38\x06\0\x03a/b\0", MalformedPacket),
        ("packet id 0", b"\x32\x08\0\x03a/b\0\0\0x", MalformedPacket),
        ("no UTF-8", b"\x30\x05\0\x02\xc3\x28\0", MalformedPacket),
        ("an endless length", b"\x30\xff\xff\xff\xff\x01", MalformedPacket),
        ("256 MB", b"\x30\xff\xff\xff\x7f", PacketTooLarge),
    ];
    for (case, bytes, reason) in cases {
        assert_eq!(decoded(2, bytes), Err(Malformed(reason)), "{case}");
    }
}

#[test]
fn only_a_connect_of_another_version_is_answered() {
    let answer = |begun: &[u8]| {
        let mut answer = BytesMut::new();
        refuse_version(begun, &mut answer);
        answer.to_vec()
    };
    assert_eq!(answer(b"\x10\x12\0\x04MQTT\x09\x02\0\x3c\0\x06lamp-1"), OTHER_VERSION);
    assert!(answer(b"GET / HTTP/1.1\r\n\r\n").is_empty() && answer(b"").is_empty());
}

#[test]
fn a_client_is_sent_nothing_longer_than_it_takes() {
    let mut codec = codec(2);
    codec.limit(64);
    let publish = |length: usize| {
        let mut publish = crate::broker::message::example(1, "a").publish;
        (publish.payload, publish.qos) = (vec![b'x'; length].into(), QoS::AtMostOnce);
        Answer::Publish(Box::new(publish))
    };
    let mut sent = BytesMut::new();
    codec.encode(publish(40), &mut sent).unwrap();
    assert!((40..=64).contains(&sent.len()));
    codec.encode(publish(64), &mut BytesMut::new()).unwrap_err();
    // What explains a refusal is left out first.
    let packet_id = std::num::NonZeroU16::MIN;
    let (reason, text) = (PublishAckReason::NotAuthorized, Some("x".repeat(100)));
    let mut sent = BytesMut::new();
    codec.encode(Answer::PublishAck { packet_id, reason, text }, &mut sent).unwrap();
    assert!(sent.len() <= 64);
}
