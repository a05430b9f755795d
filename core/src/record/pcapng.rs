//! Datagrams in the form that Wireshark reads.
//!
//! Blocks as in `draft-ietf-opsawg-pcapng`: one section, one interface of raw IP packets with times in nanoseconds, and an
//! enhanced packet block for each datagram. The IP and UDP headers are made up from the addresses.

use alloc::vec::Vec;
use core::net::{IpAddr, SocketAddr};

const SECTION: u32 = 0x0a0d_0d0a;
const INTERFACE: u32 = 1;
const PACKET: u32 = 6;
/// LINKTYPE_RAW: packets begin with an IPv4 or IPv6 header.
const RAW_IP: u16 = 101;
const UDP: u8 = 17;

/// The beginning of a file.
pub fn begin(out: &mut Vec<u8>) {
    block(out, SECTION, |body| {
        body.extend(0x1a2b_3c4d_u32.to_le_bytes());
        body.extend([1, 0, 0, 0]); // version 1.0
        body.extend(u64::MAX.to_le_bytes()); // length not said
    });
    block(out, INTERFACE, |body| {
        body.extend(RAW_IP.to_le_bytes());
        body.extend([0, 0]);
        body.extend(0_u32.to_le_bytes()); // packets are whole
        option(body, 9, &[9]); // times count 10^-9 s
        option(body, 0, &[]);
    });
}

/// One datagram, sent `nanos` after 1970-01-01T00:00:00Z. What is longer than an IP packet is cut off.
pub fn datagram(out: &mut Vec<u8>, nanos: u64, from: SocketAddr, to: SocketAddr, bytes: &[u8]) {
    block(out, PACKET, |body| {
        body.extend(0_u32.to_le_bytes());
        let [a, b, c, d, e, f, g, h] = nanos.to_le_bytes();
        body.extend([e, f, g, h]);
        body.extend([a, b, c, d]);
        let lengths = body.len();
        body.extend([0; 8]);
        let start = body.len();
        ip_packet(body, from, to, bytes);
        let len = len32(body.len() - start).to_le_bytes();
        for place in [lengths, lengths + 4] {
            body[place..place + 4].copy_from_slice(&len);
        }
    });
}

fn ip_packet(out: &mut Vec<u8>, from: SocketAddr, to: SocketAddr, bytes: &[u8]) {
    let most = match to {
        SocketAddr::V4(_) => crate::limits::MAX_DATAGRAM_V4,
        SocketAddr::V6(_) => crate::limits::MAX_DATAGRAM_V6,
    };
    let bytes = bytes.get(..most).unwrap_or(bytes);
    // At most 65,535 by the line above.
    let udp = u16::try_from(bytes.len() + 8).unwrap_or(u16::MAX);
    let start = out.len();
    let pseudo = match (from.ip(), to.ip()) {
        (IpAddr::V4(source), IpAddr::V4(target)) => {
            out.extend([0x45, 0]);
            out.extend(udp.saturating_add(20).to_be_bytes());
            out.extend([0, 0, 0x40, 0, 64, UDP, 0, 0]);
            out.extend(source.octets());
            out.extend(target.octets());
            let sum = !fold(sum(&out[start..]));
            out[start + 10..start + 12].copy_from_slice(&sum.to_be_bytes());
            sum_of_pair(&source.octets(), &target.octets())
        }
        (source, target) => {
            let wide = |ip: IpAddr| match ip {
                IpAddr::V4(ip) => ip.to_ipv6_mapped().octets(),
                IpAddr::V6(ip) => ip.octets(),
            };
            let (source, target) = (wide(source), wide(target));
            out.extend([0x60, 0, 0, 0]);
            out.extend(udp.to_be_bytes());
            out.extend([UDP, 64]);
            out.extend(source);
            out.extend(target);
            sum_of_pair(&source, &target)
        }
    };
    let header = out.len();
    for number in [from.port(), to.port(), udp, 0] {
        out.extend(number.to_be_bytes());
    }
    out.extend(bytes);
    let check = !fold(pseudo + u64::from(UDP) + u64::from(udp) + sum(&out[header..]));
    let check = if check == 0 { u16::MAX } else { check };
    out[header + 6..header + 8].copy_from_slice(&check.to_be_bytes());
}

fn sum_of_pair(a: &[u8], b: &[u8]) -> u64 {
    sum(a) + sum(b)
}

/// The sum of big-endian 16-bit words, the last one filled up with zeros.
fn sum(bytes: &[u8]) -> u64 {
    let (words, rest) = bytes.as_chunks::<2>();
    let last = rest.first().map_or(0, |b| u64::from(*b) << 8);
    words.iter().map(|w| u64::from(u16::from_be_bytes(*w))).sum::<u64>() + last
}

/// The Internet checksum (RFC 1071), not yet inverted.
fn fold(mut sum: u64) -> u16 {
    while sum > 0xffff {
        sum = (sum & 0xffff) + (sum >> 16);
    }
    u16::try_from(sum).unwrap_or(u16::MAX)
}

fn len32(len: usize) -> u32 {
    u32::try_from(len).unwrap_or(u32::MAX)
}

/// A block: type, length, body filled up to four bytes, length.
fn block(out: &mut Vec<u8>, kind: u32, body: impl FnOnce(&mut Vec<u8>)) {
    let start = out.len();
    out.extend(kind.to_le_bytes());
    out.extend([0; 4]);
    body(out);
    pad(out, start);
    let len = len32(out.len() - start + 4).to_le_bytes();
    out.extend(len);
    out[start + 4..start + 8].copy_from_slice(&len);
}

fn option(out: &mut Vec<u8>, code: u16, value: &[u8]) {
    out.extend(code.to_le_bytes());
    out.extend(u16::try_from(value.len()).unwrap_or(u16::MAX).to_le_bytes());
    out.extend(value);
    let filled = value.len().next_multiple_of(4) - value.len();
    out.extend([0; 3].iter().take(filled));
}

fn pad(out: &mut Vec<u8>, start: usize) {
    let len = (out.len() - start).next_multiple_of(4);
    out.resize(start + len, 0);
}
