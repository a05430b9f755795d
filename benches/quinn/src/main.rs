//! Datagrams of quinn between two processes, each on a core of its own: what `loopback --quic` sets beside encrypted sessions.
//!
//! `quinn-ends CORE ANSWER-BYTES` answers every datagram until its input ends, and prints its address and its certificate. `quinn-ends CORE
//! QUESTION-BYTES HOST:PORT CERTIFICATE COUNT IN-FLIGHT` asks there and prints how many round trips a second it made.
//! One runtime thread a side, as the nodes that this is compared with have.

use std::error::Error;
use std::io::Read as _;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use nix::sched::{CpuSet, sched_setaffinity};
use nix::unistd::Pid;
use quinn::{ClientConfig, Connection, Endpoint, ServerConfig, TransportConfig};
use rustls_pki_types::{CertificateDer, PrivatePkcs8KeyDer};

type Outcome<T = ()> = Result<T, Box<dyn Error>>;

/// How long an answer may take before it counts as lost, and the measurement as void.
const PATIENCE: Duration = Duration::from_secs(5);

fn main() -> Outcome {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    match args.iter().map(String::as_str).collect::<Vec<_>>()[..] {
        [core, len] => {
            pin(core.parse()?)?;
            runtime.block_on(answer(len.parse()?))
        }
        [core, len, to, certificate, count, in_flight] => {
            pin(core.parse()?)?;
            let certificate = CertificateDer::from(from_hex(certificate)?);
            runtime.block_on(ask(len.parse()?, to.parse()?, certificate, count.parse()?, in_flight.parse()?))
        }
        _ => {
            Err("usage: quinn-ends CORE ANSWER-BYTES | CORE QUESTION-BYTES HOST:PORT CERTIFICATE COUNT IN-FLIGHT"
                .into())
        }
    }
}

fn pin(core: usize) -> Outcome {
    let mut set = CpuSet::new();
    set.set(core)?;
    Ok(sched_setaffinity(Pid::from_raw(0), &set)?)
}

fn to_hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn from_hex(text: &str) -> Outcome<Vec<u8>> {
    let pairs = text.as_bytes().chunks(2).map(|pair| Ok(u8::from_str_radix(std::str::from_utf8(pair)?, 16)?));
    pairs.collect()
}

/// Both sides as quinn sets them up itself, but for buffers that hold all that is in flight.
fn transport() -> Arc<TransportConfig> {
    let mut transport = TransportConfig::default();
    transport.datagram_receive_buffer_size(Some(1 << 20)).datagram_send_buffer_size(1 << 20);
    Arc::new(transport)
}

async fn answer(len: usize) -> Outcome {
    std::thread::spawn(|| {
        let _ = std::io::stdin().read(&mut [0]);
        std::process::exit(0);
    });
    let made = rcgen::generate_simple_self_signed(vec!["localhost".to_owned()])?;
    let certificate = CertificateDer::from(made.cert);
    let key = PrivatePkcs8KeyDer::from(made.signing_key.serialize_der());
    let mut config = ServerConfig::with_single_cert(vec![certificate.clone()], key.into())?;
    config.transport_config(transport());
    let endpoint = Endpoint::server(config, (Ipv4Addr::LOCALHOST, 0).into())?;
    println!("{{\"addr\":\"{}\",\"certificate\":\"{}\"}}", endpoint.local_addr()?, to_hex(&certificate));
    let connection = endpoint.accept().await.ok_or("nobody came")?.await?;
    let response = Bytes::from(vec![7; len]);
    while connection.read_datagram().await.is_ok() {
        connection.send_datagram(response.clone())?;
    }
    Ok(())
}

async fn ask(len: usize, to: SocketAddr, certificate: CertificateDer<'static>, count: u64, in_flight: u64) -> Outcome {
    let mut roots = quinn::rustls::RootCertStore::empty();
    roots.add(certificate)?;
    let mut config = ClientConfig::with_root_certificates(Arc::new(roots))?;
    config.transport_config(transport());
    let endpoint = Endpoint::client((Ipv4Addr::LOCALHOST, 0).into())?;
    let connection = endpoint.connect_with(config, to, "localhost")?.await?;
    let request = Bytes::from(vec![7; len]);
    round_trips(&connection, &request, count / 10 + in_flight, in_flight).await?;
    let began = Instant::now();
    round_trips(&connection, &request, count, in_flight).await?;
    println!("{{\"per_second\":{}}}", count as f64 / began.elapsed().as_secs_f64());
    Ok(())
}

async fn round_trips(connection: &Connection, request: &Bytes, count: u64, in_flight: u64) -> Outcome {
    let mut asked = 0;
    while asked < count.min(in_flight) {
        connection.send_datagram(request.clone())?;
        asked += 1;
    }
    for _ in 0..count {
        tokio::time::timeout(PATIENCE, connection.read_datagram()).await.map_err(|_| "a datagram was lost")??;
        if asked < count {
            connection.send_datagram(request.clone())?;
            asked += 1;
        }
    }
    Ok(())
}
