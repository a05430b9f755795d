"""The reference, and a verifier written from docs/wire.md, as judges of signed packets.

    ref_signature.py PING-HEX ANSWER-HEX    {"signature", "ping", "answer", "again"} as JSON

`signature` is verified over the reference's own text, the proofs over what the document says; `again` is the ping as the
reference passes it on, in hex.
"""

import hashlib
import json
import sys
import warnings

import msgpack
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

warnings.simplefilter("ignore", DeprecationWarning)

from tibet_ping.transport.codec import PacketCodec  # noqa: E402

PING = b"sluis ping\0\0\0\0\0\x01"
RESPONSE = b"sluis response\0\x01"


def holds(key, signature, message):
    try:
        Ed25519PublicKey.from_public_bytes(bytes.fromhex(key)).verify(bytes.fromhex(signature), message)
        return True
    except InvalidSignature:
        return False


def members(frame):
    if frame[3] & 2:
        return "msgpack", msgpack.unpackb(frame[8:])
    return "json", json.loads(frame[8:])


def digest(packet, left_out, **more):
    covered = {key: value for key, value in packet.items() if key not in left_out} | more
    return hashlib.sha256(json.dumps(covered, sort_keys=True, separators=(",", ":")).encode()).digest()


def main():
    frame, answer = (bytes.fromhex(word) for word in sys.argv[1:])
    codec = PacketCodec(use_msgpack=bool(frame[3] & 2))
    packet = codec.decode(frame)
    encoding, ping = members(frame)
    asked = digest(ping, ("hop_count", "proof"), encoding=encoding)
    key, proof = ping["proof"][:64], ping["proof"][64:]
    _, response = members(answer)
    answered = digest(response, ("proof",), encoding=encoding, ping=asked.hex())
    said = {
        "signature": holds(key, packet.signature, packet.signature_payload().encode()),
        "ping": holds(key, proof, PING + asked),
        "answer": holds(response["proof"][:64], response["proof"][64:], RESPONSE + answered),
        "decision": codec.decode(answer).decision.value,
        "again": codec.encode_packet(packet).hex(),
    }
    print(json.dumps(said))


if __name__ == "__main__":
    main()
