"""A man in the middle who attacks: pings come to it, go on to the hub, and the answers go back.

    python attacker.py --hub 127.0.0.1:7150

Prints `listening` with the address that is to be taken for the hub's, and `ping` for each ping once it has gone on; `signature` says
whether the signature that the reference defines holds in what went on (null where there is none). Commands:

    {"cmd":"pings", …}      what is done with every ping from now on
    {"cmd":"answers", …}    what is done with every answer from now on
    {"cmd":"again","addr":HOST:PORT}    the first ping once more, as it came, from another address; then `again`
    {"cmd":"quit"}          ends with `summary`

`pings` takes changes: `set` (an object of members), `drop` (a list of members), `recode` (the other encoding), `digits`
(`upper`: the proof in capitals; `order`: its `s` plus the order of the group), `resign` (a proof by a key of the attacker's own), and
`first`: the members of a copy that goes ahead, unsigned. `answers` takes `set` and `drop`, `swap` (two answers
take each other's place) and `forge`: the members of an answer that is made up as soon as a ping comes, with `place` to say where it comes
from (`asked` or `elsewhere`). What is left out is left alone.
"""

import argparse
import asyncio
import json

import msgpack
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from peer import commands, emit, place
from ref_signature import PING, digest, holds, members
from tibet_ping import PingPacket

ORDER = 2**252 + 27742317777372353535851937790883648493
OWN = Ed25519PrivateKey.from_private_bytes(b"\7" * 32)


def frame(encoding, kind, fields):
    """A TP frame: `kind` is 0 for a ping, 1 for an answer."""
    if encoding == "msgpack":
        body, flags = msgpack.packb(fields), 2 | kind
    else:
        body, flags = json.dumps(fields, separators=(",", ":")).encode(), kind
    return b"TP\x01" + bytes([flags]) + len(body).to_bytes(4, "big") + body


def change(how, encoding, fields):
    """The encoding and the members after an attack."""
    fields = {key: value for key, value in fields.items() if key not in how.get("drop", ())} | how.get("set", {})
    if how.get("recode"):
        encoding = "json" if encoding == "msgpack" else "msgpack"
    match how.get("digits"):
        case "upper":
            fields["proof"] = fields["proof"].upper()
        case "order":
            s = int.from_bytes(bytes.fromhex(fields["proof"][128:]), "little") + ORDER
            fields["proof"] = fields["proof"][:128] + s.to_bytes(32, "little").hex()
    if how.get("resign"):
        made = digest(fields, ("hop_count", "proof"), encoding=encoding)
        key = OWN.public_key().public_bytes(Encoding.Raw, PublicFormat.Raw)
        fields["proof"] = (key + OWN.sign(PING + made)).hex()
    return encoding, fields


def reference_holds(fields, key):
    """Whether the reference's own signature holds over these members."""
    if not fields.get("signature"):
        return None
    return holds(key, fields["signature"], PingPacket.from_dict(fields).signature_payload().encode())


class Socket(asyncio.DatagramProtocol):
    def __init__(self, heard):
        self.heard = heard

    def datagram_received(self, data, addr):
        self.heard(data, addr)


class Attacker:
    def __init__(self, hub):
        self.hub = hub
        self.pings, self.answers = {}, {}
        self.sender = self.first = self.kept = None

    async def open(self):
        def socket(heard):
            return asyncio.get_running_loop().create_datagram_endpoint(lambda: Socket(heard), ("127.0.0.1", 0))

        self.near, _ = await socket(self.ping)
        self.far, _ = await socket(self.answer)
        self.elsewhere, _ = await socket(lambda data, addr: None)
        emit("listening", addr=place(self.near.get_extra_info("sockname")))

    def ping(self, data, addr):
        self.sender, self.first = addr, self.first or data
        encoding, fields = members(data)
        if "forge" in self.answers:
            self.forge(encoding, fields)
        if "first" in self.pings:
            copy = {key: value for key, value in fields.items() if key != "proof"} | {"signature": ""}
            self.far.sendto(frame(encoding, 0, copy | self.pings["first"]), self.hub)
        changed = change(self.pings, encoding, fields)
        # What was not attacked goes on as it came.
        same = changed == (encoding, fields)
        self.far.sendto(data if same else frame(changed[0], 0, changed[1]), self.hub)
        emit("ping", signature=reference_holds(changed[1], fields.get("proof", "")[:64]))

    def answer(self, data, addr):
        encoding, fields = members(data)
        if self.answers.get("swap"):
            kept, self.kept = self.kept, fields
            if kept is not None:
                for one, other in ((kept, fields), (fields, kept)):
                    changed = one | {"in_response_to": other["in_response_to"]}
                    self.near.sendto(frame(encoding, 1, changed), self.sender)
            return
        _, changed = change(self.answers, encoding, fields)
        self.near.sendto(data if changed == fields else frame(encoding, 1, changed), self.sender)

    def forge(self, encoding, ping):
        answer = {
            "response_id": "resp_0123456789abcdef",
            "in_response_to": ping["packet_id"],
            "responder_did": ping["target_did"],
            "decision": "accept",
            "payload": {},
            "capabilities": [],
            "trust_score": 1.0,
            "fira_breakdown": {},
            "tibet_token_id": None,
            "timestamp": ping["timestamp"],
            "rtt_ms": 0.0,
            "airlock_zone": "GROEN",
            "applied_rule": None,
        }
        socket = self.elsewhere if self.answers.get("place") == "elsewhere" else self.near
        socket.sendto(frame(encoding, 1, answer | self.answers["forge"]), self.sender)

    def again(self, command):
        host, port = command["addr"].rsplit(":", 1)
        self.elsewhere.sendto(self.first, (host, int(port)))
        emit("again")


async def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--hub", required=True, metavar="HOST:PORT")
    host, port = parser.parse_args().hub.rsplit(":", 1)
    attacker = Attacker((host, int(port)))
    await attacker.open()
    async for command in commands():
        match command["cmd"]:
            case "pings":
                attacker.pings = command
                emit("set")
            case "answers":
                attacker.answers = command
                emit("set")
            case "again":
                attacker.again(command)
            case other:
                raise SystemExit(f"unknown command {other!r}")
    emit("summary")


asyncio.run(main())
