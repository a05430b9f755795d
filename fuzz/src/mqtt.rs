//! Any bytes as what a broker, or a client, sends.

use bytes::BytesMut;
use rumqttc::mqttbytes::QoS;
use rumqttc::mqttbytes::v4 as theirs;
use sluis_signal::mqtt::{DecodeError, Packet, Reader, decode};

/// Packets are no longer than this here, so that a length is passed now and then.
const MAX: usize = 300;

/// Read a stream at once, in pieces, and beside rumqttc's codec. The first byte picks the pieces.
pub fn mqtt(data: &[u8]) {
    let Some((&seed, wire)) = data.split_first() else { return };
    let (whole, end) = at_once(wire);
    for piece in [1, 1 + usize::from(seed), usize::MAX] {
        let mut reader = Reader::new(MAX);
        let (mut packets, mut failed) = (Vec::new(), None);
        'stream: for mut chunk in wire.chunks(piece.min(wire.len().max(1))) {
            loop {
                match reader.read(chunk) {
                    Ok((Some(packet), taken)) => {
                        packets.push(format!("{packet:?}"));
                        chunk = &chunk[taken..];
                    }
                    Ok((None, taken)) => {
                        assert_eq!(taken, chunk.len());
                        break;
                    }
                    Err(why) => {
                        failed = Some(why);
                        break 'stream;
                    }
                }
            }
            assert!(reader.heap_bytes() <= 4096, "{} bytes", reader.heap_bytes());
        }
        assert_eq!((&packets, failed), (&whole, end), "in pieces of {piece}");
    }
}

/// All packets, and the error at which it ends; each beside what rumqttc says.
fn at_once(mut wire: &[u8]) -> (Vec<String>, Option<DecodeError>) {
    let mut packets = Vec::new();
    loop {
        let ours = decode(wire, MAX);
        beside(wire, &ours);
        match ours {
            Ok(Some((packet, taken))) => {
                packets.push(format!("{packet:?}"));
                wire = &wire[taken..];
            }
            Ok(None) => return (packets, None),
            Err(why) => return (packets, Some(why)),
        }
    }
}

/// What we read, rumqttc reads too, and it means the same. It lets more through than the standard: that is not held against us.
fn beside(wire: &[u8], ours: &Result<Option<(Packet<'_>, usize)>, DecodeError>) {
    let Ok(Some((packet, taken))) = ours else { return };
    let mut stream = BytesMut::from(wire);
    let theirs = match theirs::Packet::read(&mut stream, MAX) {
        Ok(theirs) => theirs,
        // A password is binary data (3.1.3.5); rumqttc wants a text.
        Err(why) => {
            let binary = matches!(packet, Packet::Connect(connect) if connect.password.is_some_and(|password| str::from_utf8(password).is_err()));
            assert!(binary, "rumqttc is not stricter: {why}");
            return;
        }
    };
    assert_eq!(wire.len() - stream.len(), *taken);
    match (packet, theirs) {
        (Packet::Publish(ours), theirs::Packet::Publish(theirs)) => {
            let qos = if ours.id.is_some() { QoS::AtLeastOnce } else { QoS::AtMostOnce };
            assert_eq!((ours.topic, ours.payload), (theirs.topic.as_str(), &theirs.payload[..]));
            assert_eq!((ours.id.unwrap_or(0), qos), (theirs.pkid, theirs.qos));
            assert_eq!((ours.retain, ours.duplicate), (theirs.retain, theirs.dup));
        }
        (Packet::Connect(ours), theirs::Packet::Connect(theirs)) => {
            assert_eq!(
                (ours.client_id, ours.keep_alive, ours.clean),
                (theirs.client_id.as_str(), theirs.keep_alive, theirs.clean_session)
            );
            assert_eq!(ours.will.map(|will| will.topic), theirs.last_will.as_ref().map(|will| will.topic.as_str()));
        }
        (Packet::Subscribe { id, filters }, theirs::Packet::Subscribe(theirs)) => {
            let ours: Vec<_> = filters.iter().map(|(filter, qos)| (filter.to_owned(), qos as u8)).collect();
            let theirs_filters: Vec<_> =
                theirs.filters.into_iter().map(|filter| (filter.path, filter.qos as u8)).collect();
            assert_eq!((*id, ours), (theirs.pkid, theirs_filters));
        }
        (Packet::Unsubscribe { id, filters }, theirs::Packet::Unsubscribe(theirs)) => {
            assert_eq!(
                (*id, filters.iter().map(|(filter, _)| filter.to_owned()).collect()),
                (theirs.pkid, theirs.topics)
            );
        }
        (Packet::SubAck { id, codes }, theirs::Packet::SubAck(theirs)) => {
            assert_eq!((*id, codes.len()), (theirs.pkid, theirs.return_codes.len()));
        }
        (Packet::ConnAck { session_present, code }, theirs::Packet::ConnAck(theirs)) => {
            assert_eq!(
                (*session_present, *code == 0),
                (theirs.session_present, theirs.code == theirs::ConnectReturnCode::Success)
            );
        }
        (Packet::PubAck { id }, theirs::Packet::PubAck(theirs)) => assert_eq!(*id, theirs.pkid),
        (Packet::PubRec { id }, theirs::Packet::PubRec(theirs)) => assert_eq!(*id, theirs.pkid),
        (Packet::PubRel { id }, theirs::Packet::PubRel(theirs)) => assert_eq!(*id, theirs.pkid),
        (Packet::PubComp { id }, theirs::Packet::PubComp(theirs)) => assert_eq!(*id, theirs.pkid),
        (Packet::UnsubAck { id }, theirs::Packet::UnsubAck(theirs)) => assert_eq!(*id, theirs.pkid),
        (Packet::PingReq, theirs::Packet::PingReq)
        | (Packet::PingResp, theirs::Packet::PingResp)
        | (Packet::Disconnect, theirs::Packet::Disconnect) => {}
        (ours, theirs) => panic!("{ours:?} is {theirs:?} elsewhere"),
    }
}
