//! The MQTT codec: as the reference writes it, as rumqttc reads and writes it, and cut anywhere.

mod common;

use bytes::BytesMut;
use common::{bytes, rows, text};
use proptest::prelude::*;
use rumqttc::mqttbytes::QoS;
use rumqttc::mqttbytes::v4 as theirs;
use sluis_signal::mqtt::{
    Connect, DecodeError, EncodeError, MAX_PACKET, Packet, Publish, Qos, Reader, SUBSCRIPTION_REFUSED, Will, decode,
    encode,
};

/// A packet of ours, written.
fn written(write: impl FnOnce(&mut [u8]) -> Result<usize, EncodeError>) -> Vec<u8> {
    let mut out = vec![0; MAX_PACKET];
    let len = write(&mut out).unwrap();
    out.truncate(len);
    out
}

fn connect(client_id: &str, keep_alive: u16) -> Connect<'_> {
    Connect { client_id, clean: true, keep_alive, user: None, password: None, will: None }
}

const fn quality_1<'a>(topic: &'a str, payload: &'a [u8], id: u16) -> Publish<'a> {
    Publish { topic, payload, id: Some(id), retain: false, duplicate: false }
}

const BOB: &str = "03af08cf80da15647c25638da875500749c92e8f5538bab0502785f6c0c2ea3cf6";

#[test]
fn packets_are_those_of_the_reference() {
    let mut seen = 0;
    for row in rows("mqtt_packets.jsonl") {
        let Some(_) = row["hex"].as_str() else { continue };
        let wire = bytes(&row, "hex");
        let (packet, taken) = decode(&wire, MAX_PACKET).unwrap().unwrap();
        assert_eq!(taken, wire.len());
        let ours = written(|out| match packet {
            Packet::Connect(connect) => encode::connect(&connect, out),
            Packet::Publish(publish) => encode::publish(&publish, out),
            Packet::PubAck { id } => encode::puback(id, out),
            Packet::Subscribe { id, filters } => encode::subscribe(id, &filters.iter().collect::<Vec<_>>(), out),
            Packet::PingReq => encode::pingreq(out),
            Packet::Disconnect => encode::disconnect(out),
            other => panic!("{other:?}"),
        });
        assert_eq!(ours, wire, "{}", row["name"]);
        seen += 1;
    }
    assert_eq!(seen, 13);
    let rows = rows("mqtt_packets.jsonl");
    let hex = |name: &str| bytes(rows.iter().find(|row| text(row, "name").starts_with(name)).unwrap(), "hex");
    assert_eq!(written(|out| encode::connect(&connect("abcdefghijklmno", 10), out)), hex("CONNECT, client id"));
    assert_eq!(written(|out| encode::subscribe(1, &[(BOB, Qos::AtLeastOnce)], out)), hex("SUBSCRIBE bob"));
    assert_eq!(written(|out| encode::publish(&quality_1(BOB, b"hello", 2), out)), hex("PUBLISH small"));
    assert_eq!(written(|out| encode::puback(7, out)), hex("PUBACK 7"));
}

#[test]
fn a_whole_session_is_read_in_any_pieces() {
    let rows = rows("session_bytes.jsonl");
    let wire: Vec<u8> = rows.iter().flat_map(|row| bytes(row, "hex")).collect();
    let names: Vec<&str> = rows.iter().map(|row| text(row, "packet")).collect();
    for piece in 1..wire.len() {
        let mut reader = Reader::new(MAX_PACKET);
        let mut seen = Vec::new();
        for mut chunk in wire.chunks(piece) {
            while let (Some(packet), taken) = reader.read(chunk).unwrap() {
                chunk = &chunk[taken..];
                seen.push(match packet {
                    Packet::Connect(connect) => {
                        assert_eq!(
                            (connect.keep_alive, connect.clean, connect.client_id),
                            (10, true, "abcdefghijklmno")
                        );
                        "CONNECT"
                    }
                    Packet::Subscribe { id: 1, filters } => {
                        assert!(filters.iter().all(|(topic, qos)| topic.len() == 66 && qos == Qos::AtLeastOnce));
                        "SUBSCRIBE"
                    }
                    Packet::PubAck { id: 9 | 10 } => "PUBACK",
                    Packet::PingReq => "PINGREQ",
                    Packet::Disconnect => "DISCONNECT",
                    other => panic!("{other:?}"),
                });
            }
        }
        assert_eq!(seen, names, "in pieces of {piece}");
    }
}

/// Where ours is stricter than the reference's parser, which takes anything apart that it can: the standard forbids these.
#[test]
fn messages_are_read_as_the_reference_reads_them_or_refused_by_the_standard() {
    let mut strict = Vec::new();
    for row in rows("mqtt_publish_parse.jsonl") {
        let wire = bytes(&row, "raw_hex");
        let theirs = &row["parsed"];
        match decode(&wire, MAX_PACKET) {
            Ok(Some((Packet::Publish(ours), _))) => {
                assert_eq!((ours.topic, ours.payload), (text(theirs, "topic"), &bytes(theirs, "payload_hex")[..]));
                let id = ours.id.map(|id| format!("{id:04x}"));
                assert_eq!(id.as_deref(), theirs["packet_id_hex"].as_str());
            }
            Err(why) if theirs.is_object() => strict.push((text(&row, "name").to_owned(), why)),
            Err(_) => assert!(theirs.is_null() || row["raises"].is_string(), "{row}"),
            other => panic!("{other:?}"),
        }
    }
    let expected = [
        ("QoS 2", DecodeError::Qos2),
        ("QoS 3 (illegal)", DecodeError::Qos),
        ("empty topic", DecodeError::Topic),
        ("topic not UTF-8", DecodeError::Text),
    ];
    assert_eq!(strict, expected.map(|(name, why)| (name.to_owned(), why)));
}

fn number(value: &serde_json::Value) -> usize {
    usize::try_from(value.as_u64().unwrap()).unwrap()
}

/// The length of a packet is written and read as the reference does it, up to what is taken.
#[test]
fn lengths_have_up_to_four_bytes() {
    for row in rows("mqtt_varint.jsonl") {
        let (encoded, offset) = match row["encoded_hex"].is_string() {
            true => (bytes(&row, "encoded_hex"), 0),
            false => (bytes(&row, "decode_hex"), number(&row["offset"])),
        };
        // As the length of a PINGREQ, whatever that would be good for.
        let wire = [&[0xc0][..], &encoded[offset..]].concat();
        let theirs = &row["decoded"];
        let ours = decode(&wire, usize::MAX);
        match theirs["error"].as_str() {
            Some("buffer too short") => assert_eq!(ours, Ok(None), "{row}"),
            Some(_) => assert_eq!(ours, Err(DecodeError::Length), "{row}"),
            None => {
                let (value, len) = (number(&theirs[0]), number(&theirs[1]));
                let all = 1 + len + value;
                // One byte more than is taken, and exactly so many.
                assert_eq!(decode(&wire, all - 1), Err(DecodeError::TooLong), "{row}");
                assert_eq!(ours, if value == 0 { Ok(Some((Packet::PingReq, all))) } else { Ok(None) }, "{row}");
            }
        }
    }
    for len in [0, 1, 120, 127, 128, 16_383, 16_384, 100_000] {
        let wire = written(|out| encode::publish(&quality_1("t", &vec![7; len], 1), out));
        assert_eq!(wire.len(), encode::publish_len(1, len));
        let (packet, taken) = decode(&wire, wire.len()).unwrap().unwrap();
        assert!(matches!(packet, Packet::Publish(publish) if publish.payload.len() == len) && taken == wire.len());
        assert_eq!(decode(&wire, wire.len() - 1), Err(DecodeError::TooLong));
    }
}

#[test]
fn malformed_packets_are_named() {
    for (wire, why) in [
        (&[0x00, 0][..], DecodeError::Type),
        (&[0xf0, 0], DecodeError::Type),
        // As soon as the first byte is there.
        (&[0xf0], DecodeError::Type),
        (&[0xc1, 0], DecodeError::Reserved),
        (&[0x80, 6, 0, 1, 0, 1, b'a', 1], DecodeError::Reserved),
        (&[0x82, 6, 0, 0, 0, 1, b'a', 1], DecodeError::Id),
        (&[0x82, 6, 0, 1, 0, 1, b'a', 4], DecodeError::Reserved),
        (&[0x82, 6, 0, 1, 0, 1, b'a', 3], DecodeError::Qos),
        (&[0x82, 2, 0, 1], DecodeError::Short),
        (&[0x82, 7, 0, 1, 0, 2, b'a', b'#', 1], DecodeError::Topic),
        (&[0x82, 8, 0, 1, 0, 3, b'#', b'/', b'a', 1], DecodeError::Topic),
        (&[0x82, 5, 0, 1, 0, 0, 1], DecodeError::Topic),
        (&[0xd0, 1, 0], DecodeError::Trailing),
        (&[0x40, 0], DecodeError::Short),
        (&[0x40, 2, 0, 0], DecodeError::Id),
        (&[0x40, 3, 0, 1, 0], DecodeError::Trailing),
        (&[0x20, 2, 2, 0], DecodeError::Reserved),
        (&[0x20, 2, 0, 6], DecodeError::Code),
        (&[0x20, 2, 1, 5], DecodeError::Code),
        (&[0x20, 1, 0], DecodeError::Short),
        // MQTT 5: CONNACK with properties.
        (&[0x20, 3, 0, 0, 0], DecodeError::Trailing),
        (&[0x90, 2, 0, 1], DecodeError::Short),
        (&[0x90, 3, 0, 1, 3], DecodeError::Code),
        (&[0x38, 3, 0, 1, b'a'], DecodeError::Qos),
        (&[0x30, 3, 0, 1, b'+'], DecodeError::Topic),
        (&[0x30, 3, 0, 1, 0], DecodeError::Text),
        (&[0x10, 12, 0, 4, b'M', b'Q', b'T', b'T', 5, 2, 0, 10, 0, 0], DecodeError::Protocol),
        (&[0x10, 14, 0, 6, b'M', b'Q', b'I', b's', b'd', b'p', 3, 2, 0, 10, 0, 0], DecodeError::Protocol),
        (&[0x10, 12, 0, 4, b'M', b'Q', b'T', b'T', 4, 3, 0, 10, 0, 0], DecodeError::Reserved),
        (&[0x10, 14, 0, 4, b'M', b'Q', b'T', b'T', 4, 0x42, 0, 10, 0, 0, 0, 0], DecodeError::Reserved),
        (b"HTTP/1.1 400 Bad Request", DecodeError::Reserved),
    ] {
        assert_eq!(decode(wire, MAX_PACKET), Err(why), "{wire:02x?}");
        assert!(why.name().starts_with("mqtt_"));
        let mut reader = Reader::new(MAX_PACKET);
        assert_eq!(reader.read(wire), Err(why));
        // Nothing behind it is looked at.
        assert_eq!(reader.read(&[0xd0, 0]), Err(why));
        assert_eq!(reader.heap_bytes(), 0);
    }
}

/// A packet of 5 bytes that says it is of 256 MiB costs nothing, and memory follows what arrives.
#[test]
fn memory_follows_what_arrives() {
    let claim = [0x32, 0xff, 0xff, 0xff, 0x7f];
    for piece in [5, 1, 2] {
        let mut reader = Reader::new(MAX_PACKET);
        let mut end = Ok(());
        for chunk in claim.chunks(piece) {
            assert_eq!(end, Ok(()));
            end = reader.read(chunk).map(|read| assert_eq!(read, (None, chunk.len())));
        }
        assert_eq!((end, reader.heap_bytes()), (Err(DecodeError::TooLong), 0));
    }

    let mut reader = Reader::new(MAX_PACKET);
    let wire = written(|out| encode::publish(&quality_1("t", &[7; 100_000], 1), out));
    assert_eq!(reader.read(&wire[..1000]), Ok((None, 1000)));
    assert!(reader.heap_bytes() <= 2048, "{}", reader.heap_bytes());
    // What stands behind the packet is not touched.
    let rest = [&wire[1000..], &[0xd0, 0]].concat();
    let (packet, taken) = reader.read(&rest).unwrap();
    assert!(packet.is_some() && taken == rest.len() - 2);
    assert_eq!(reader.read(&rest[taken..]), Ok((Some(Packet::PingResp), 2)));
    assert_eq!(reader.heap_bytes(), 0);
}

#[test]
fn what_must_not_be_sent_is_not_written() {
    let out = &mut [0; 99][..];
    for topic in ["", "a/+", "#", "a\0b"] {
        assert_eq!(encode::publish(&quality_1(topic, b"", 1), out), Err(EncodeError::Invalid));
    }
    // Wherever it stands, in topics of any length.
    for (len, bad) in (1..50).flat_map(|len| ["\0", "+", "#"].map(|bad| (len, bad))) {
        assert!(encode::publish(&quality_1(&"t".repeat(len), b"", 1), out).is_ok());
        for at in 0..len {
            let topic = ["t".repeat(at).as_str(), bad, &"t".repeat(len - at - 1)].concat();
            assert_eq!(encode::publish(&quality_1(&topic, b"", 1), out), Err(EncodeError::Invalid), "{topic:?}");
        }
    }
    assert_eq!(encode::publish(&quality_1("t", b"", 0), out), Err(EncodeError::Invalid));
    let again = Publish { id: None, duplicate: true, ..quality_1("t", b"", 1) };
    assert_eq!(encode::publish(&again, out), Err(EncodeError::Invalid));
    let long = "t".repeat(65_536);
    assert_eq!(encode::publish(&quality_1(&long, b"", 1), &mut vec![0; 70_000]), Err(EncodeError::TooLong));
    assert_eq!(encode::publish_header(&quality_1("t", b"", 1), 268_435_456, out), Err(EncodeError::TooLong));
    assert_eq!(encode::puback(0, out), Err(EncodeError::Invalid));
    assert_eq!(encode::unsuback(0, out), Err(EncodeError::Invalid));
    assert_eq!(encode::subscribe(1, &[], out), Err(EncodeError::Invalid));
    assert_eq!(encode::subscribe(1, &[("a\0", Qos::AtLeastOnce)], out), Err(EncodeError::Invalid));
    assert_eq!(encode::unsubscribe(0, &["a"], out), Err(EncodeError::Invalid));
    assert_eq!(encode::suback(1, &[3], out), Err(EncodeError::Invalid));
    assert_eq!(encode::connack(6, out), Err(EncodeError::Invalid));
    let nameless = Connect { password: Some(b"secret"), ..connect("c", 10) };
    assert_eq!(encode::connect(&nameless, out), Err(EncodeError::Invalid));
    for room in 0..10 {
        assert_eq!(encode::publish(&quality_1("t", b"abc", 1), &mut vec![0; room]), Err(EncodeError::Room));
    }
}

/// Every packet that rumqttc writes and we have a reader for is read as it was meant, and the other way round.
#[test]
fn rumqttc_reads_ours_and_we_read_its() {
    let mut out = BytesMut::new();
    let mut login = theirs::Connect::new("name");
    login.set_login("user", "password");
    login.last_will = Some(theirs::LastWill::new("gone", "for good", QoS::AtLeastOnce, true));
    login.clean_session = false;
    login.write(&mut out).unwrap();
    let will = Will { topic: "gone", payload: b"for good", qos: Qos::AtLeastOnce, retain: true };
    let ours = Connect {
        client_id: "name",
        clean: false,
        keep_alive: 10,
        user: Some("user"),
        password: Some(b"password"),
        will: Some(will),
    };
    assert_eq!(decode(&out, MAX_PACKET), Ok(Some((Packet::Connect(ours), out.len()))));
    assert_eq!(written(|room| encode::connect(&ours, room)), out);
    assert_eq!(theirs::Login::new("user", "password"), login.login.unwrap());

    for (ours, theirs) in [
        (
            written(|out| encode::connack(0, out)),
            theirs::Packet::ConnAck(theirs::ConnAck::new(theirs::ConnectReturnCode::Success, false)),
        ),
        (
            written(|out| encode::suback(5, &[1, SUBSCRIPTION_REFUSED], out)),
            theirs::Packet::SubAck(theirs::SubAck::new(
                5,
                vec![theirs::SubscribeReasonCode::Success(QoS::AtLeastOnce), theirs::SubscribeReasonCode::Failure],
            )),
        ),
        (written(|out| encode::unsuback(6, out)), theirs::Packet::UnsubAck(theirs::UnsubAck::new(6))),
        (written(|out| encode::puback(7, out)), theirs::Packet::PubAck(theirs::PubAck::new(7))),
        (written(encode::pingreq), theirs::Packet::PingReq),
        (written(encode::pingresp), theirs::Packet::PingResp),
        (written(encode::disconnect), theirs::Packet::Disconnect),
    ] {
        let mut stream = BytesMut::from(&ours[..]);
        assert_eq!(theirs::Packet::read(&mut stream, MAX_PACKET).unwrap(), theirs);
        let mut again = BytesMut::new();
        theirs.write(&mut again, MAX_PACKET).unwrap();
        assert_eq!(again, ours);
    }
    let mut unsubscribe = theirs::Unsubscribe::new("a/#");
    unsubscribe.pkid = 9;
    let mut wire = BytesMut::new();
    unsubscribe.write(&mut wire).unwrap();
    assert_eq!(written(|out| encode::unsubscribe(9, &["a/#"], out)), wire);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(256))]

    #[test]
    fn messages_are_the_same_for_rumqttc(
        topic in "[a-z0-9/é]{1,80}", payload in proptest::collection::vec(any::<u8>(), 0..600), id: Option<u16>, retain: bool, duplicate: bool,
    ) {
        let id = id.filter(|id| *id != 0);
        let ours = Publish { topic: &topic, payload: &payload, id, retain, duplicate: duplicate && id.is_some() };
        let wire = written(|out| encode::publish(&ours, out));
        let qos = if id.is_some() { QoS::AtLeastOnce } else { QoS::AtMostOnce };
        let mut theirs = theirs::Publish::new(&topic, qos, payload.clone());
        (theirs.pkid, theirs.retain, theirs.dup) = (id.unwrap_or(0), retain, ours.duplicate);
        let mut their_wire = BytesMut::new();
        theirs.write(&mut their_wire).unwrap();
        prop_assert_eq!(&wire[..], &their_wire[..]);
        prop_assert_eq!(theirs::Packet::read(&mut their_wire, MAX_PACKET).unwrap(), theirs::Packet::Publish(theirs));
        prop_assert_eq!(decode(&wire, MAX_PACKET), Ok(Some((Packet::Publish(ours), wire.len()))));
        let mut header = vec![0; wire.len()];
        let at = encode::publish_header(&ours, payload.len(), &mut header).unwrap();
        prop_assert_eq!(&header[..at], &wire[..at]);
    }

    #[test]
    fn subscriptions_are_the_same_for_rumqttc(filters in proptest::collection::vec("([a-z+]/){0,3}(a|#|\\+)", 1..5), id in 1_u16..) {
        let ours: Vec<_> = filters.iter().map(|filter| (filter.as_str(), Qos::AtLeastOnce)).collect();
        let wire = written(|out| encode::subscribe(id, &ours, out));
        let mut theirs = theirs::Subscribe::new_many(filters.iter().map(|filter| theirs::SubscribeFilter::new(filter.clone(), QoS::AtLeastOnce)));
        theirs.pkid = id;
        let mut their_wire = BytesMut::new();
        theirs.write(&mut their_wire).unwrap();
        prop_assert_eq!(&wire[..], &their_wire[..]);
        match decode(&wire, MAX_PACKET) {
            Ok(Some((Packet::Subscribe { id: read, filters }, _))) => prop_assert_eq!((read, filters.iter().collect::<Vec<_>>()), (id, ours)),
            other => prop_assert!(false, "{:?}", other),
        }
    }
}
