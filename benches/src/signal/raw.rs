//! Clients to compare with: plain MQTT on a blocking stream, our broker machine on one, and rumqttc.

use std::io::{self, Read as _, Write as _};
use std::net::{Ipv4Addr, TcpStream};
use std::sync::Arc;
use std::time::{Duration, Instant as Clock};

use rumqttc::{AsyncClient, Event as TheirEvent, Incoming, MqttOptions, QoS};
use sluis_core::{Instant, Seed};
use sluis_signal::broker::{Broker, End, Event, Order};
use sluis_signal::mqtt::{Connect, MAX_PACKET, Packet, Publish, Qos, Reader, encode};

use super::{key, place};

/// Messages that wait for their acknowledgement at once.
pub const IN_FLIGHT: usize = 64;

fn stream(port: u16) -> io::Result<TcpStream> {
    let stream = TcpStream::connect((Ipv4Addr::LOCALHOST, port))?;
    stream.set_nodelay(true)?;
    stream.set_read_timeout(Some(Duration::from_secs(20)))?;
    Ok(stream)
}

/// The least that publishes and hears, without any care.
#[derive(Debug)]
pub struct Raw {
    stream: TcpStream,
    reader: Reader,
    buffer: Vec<u8>,
    held: Vec<u8>,
}

impl Raw {
    /// Connect, and hear a topic with quality 1.
    ///
    /// # Errors
    /// The system's.
    pub fn new(port: u16, name: &str, topic: &str) -> io::Result<Self> {
        let mut this = Self {
            stream: stream(port)?,
            reader: Reader::new(MAX_PACKET),
            buffer: vec![0; 64 * 1024],
            held: Vec::new(),
        };
        let connect = Connect { client_id: name, clean: true, keep_alive: 0, user: None, password: None, will: None };
        let mut out = [0; 200];
        let len = encode::connect(&connect, &mut out).map_err(io::Error::other)?;
        this.stream.write_all(&out[..len])?;
        let len = encode::subscribe(1, &[(topic, Qos::AtLeastOnce)], &mut out).map_err(io::Error::other)?;
        this.stream.write_all(&out[..len])?;
        this.until(|packet| matches!(packet, Packet::SubAck { .. }).then_some(()))?;
        Ok(this)
    }

    /// Publish with quality 1.
    ///
    /// # Errors
    /// The system's.
    pub fn publish(&mut self, topic: &str, payload: &[u8]) -> io::Result<()> {
        let publish = Publish { topic, payload, id: Some(7), retain: false, duplicate: false };
        let len = encode::publish(&publish, &mut self.buffer).map_err(io::Error::other)?;
        self.stream.write_all(&self.buffer[..len])
    }

    /// The payload of the next message. It is acknowledged.
    ///
    /// # Errors
    /// The system's.
    pub fn hear(&mut self) -> io::Result<Vec<u8>> {
        let (id, payload) = self.until(|packet| match packet {
            Packet::Publish(publish) => Some((publish.id, publish.payload.to_vec())),
            _ => None,
        })?;
        if let Some(id) = id {
            let mut out = [0; 4];
            encode::puback(id, &mut out).map_err(io::Error::other)?;
            self.stream.write_all(&out)?;
        }
        Ok(payload)
    }

    /// Read until a packet is the one; what is behind it is kept.
    fn until<T>(&mut self, mut is_it: impl FnMut(Packet<'_>) -> Option<T>) -> io::Result<T> {
        loop {
            let mut used = 0;
            let mut found = None;
            while found.is_none() && used < self.held.len() {
                let (packet, taken) = self.reader.read(&self.held[used..]).map_err(io::Error::other)?;
                found = packet.and_then(&mut is_it);
                used += taken;
            }
            self.held.drain(..used);
            if let Some(found) = found {
                return Ok(found);
            }
            match self.stream.read(&mut self.buffer)? {
                0 => return Err(io::ErrorKind::UnexpectedEof.into()),
                len => self.held.extend_from_slice(&self.buffer[..len]),
            }
        }
    }
}

/// How long our machine takes to have so many messages of so many bytes acknowledged, 64 at once.
///
/// # Errors
/// The system's.
pub fn ours(port: u16, messages: u64, bytes: usize) -> io::Result<Duration> {
    let start = Clock::now();
    let now = || Instant::ZERO + start.elapsed();
    let (own, to) = (key(1).public(), key(2).public());
    let rng = Seed::from_u64(start.elapsed().subsec_nanos().into()).fork("broker");
    let mut broker = Broker::new(place(port).settings, &own, rng, Instant::ZERO, Duration::ZERO);
    broker.handle_timeout(now());
    assert_eq!(broker.poll_order(), Some(Order::Dial));
    let mut stream = stream(port)?;
    broker.handle_up(now());
    let mut buffer = vec![0; 64 * 1024];
    let payload: Arc<[u8]> = vec![7; bytes].into();
    let (mut sent, mut taken, mut began) = (0_u64, 0_u64, None);
    while taken < messages {
        // Half of the window is filled up at once: acknowledgements come one by one, and each write costs a system call.
        if broker.is_joined() && sent - taken <= IN_FLIGHT as u64 / 2 {
            began.get_or_insert_with(Clock::now);
            while sent < messages && sent - taken < IN_FLIGHT as u64 {
                broker.publish(&to, payload.clone(), sent).map_err(io::Error::other)?;
                sent += 1;
            }
        }
        loop {
            let len = broker.poll_bytes(now(), &mut buffer);
            if len == 0 {
                break;
            }
            stream.write_all(&buffer[..len])?;
        }
        let len = stream.read(&mut buffer)?;
        if len == 0 {
            broker.handle_end(now(), End::Ended);
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        let (mut at, time) = (0, now());
        while at < len {
            let (used, event) = broker.handle_bytes(time, &buffer[at..len]).map_err(io::Error::other)?;
            taken += u64::from(matches!(event, Some(Event::Taken { .. })));
            at += used;
        }
    }
    Ok(began.map_or(Duration::ZERO, |began| began.elapsed()))
}

/// The same by rumqttc's client, on a tokio runtime of one thread.
///
/// # Errors
/// The system's.
pub fn theirs(port: u16, messages: u64, bytes: usize) -> io::Result<Duration> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(async {
        let mut options = MqttOptions::new("rumqttc", "127.0.0.1", port);
        options.set_inflight(u16::try_from(IN_FLIGHT).unwrap_or(u16::MAX)).set_keep_alive(Duration::from_secs(60));
        let (client, mut events) = AsyncClient::new(options, IN_FLIGHT);
        while !matches!(events.poll().await.map_err(io::Error::other)?, TheirEvent::Incoming(Incoming::ConnAck(_))) {}
        let topic = key(2).public().to_string();
        let began = Clock::now();
        let sender = tokio::spawn(async move {
            for _ in 0..messages {
                client.publish(topic.as_str(), QoS::AtLeastOnce, false, vec![7; bytes]).await?;
            }
            Ok::<_, rumqttc::ClientError>(client)
        });
        let mut taken = 0;
        while taken < messages {
            let event = events.poll().await.map_err(io::Error::other)?;
            taken += u64::from(matches!(event, TheirEvent::Incoming(Incoming::PubAck(_))));
        }
        let took = began.elapsed();
        drop(sender.await);
        Ok(took)
    })
}
