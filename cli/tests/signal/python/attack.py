"""What the attacks on peers that run the reference share: MQTT by hand, packets by hand, and a peer whose clock can be set.

Places are HOST:PORT, one broker each, as on the command line of the attacks.
"""

import asyncio
import json
import socket
import sys
import time

from aionetiface import IP4
from aionetiface.utility.signing import Signing
from peer import loopback, pool_of
from sidewire import Router
from sidewire.mqtt.app_packet import AppPacket
from sidewire.mqtt.mqtt_defs import MsgEnum

NIC = loopback([IP4])
PLACES = sys.argv[1:]
POOL = pool_of(PLACES)


def show(hole, is_open, **more):
    print(json.dumps({"hole": hole, "open": bool(is_open), **more}), flush=True)


async def until(holds, seconds=20):
    """Whether something comes to hold in time."""
    for _ in range(int(seconds / 0.1)):
        if holds():
            return True
        await asyncio.sleep(0.1)
    return False


class Raw:
    """MQTT by hand, at one broker."""

    def __init__(self, place, name, topic):
        host, port = place.rsplit(":", 1)
        self.stream = socket.create_connection((host, int(port)), timeout=20)
        self.send(b"\x10", b"\x00\x04MQTT\x04\x02\x00\x00" + self.text(name))
        self.send(b"\x82", b"\x00\x01" + self.text(topic) + b"\x00")

    @staticmethod
    def text(text):
        return len(text).to_bytes(2, "big") + text.encode()

    def send(self, kind, body):
        length, rest = b"", len(body)
        while True:
            rest, low = rest >> 7, rest & 127
            length += bytes([low | (128 if rest else 0)])
            if not rest:
                break
        self.stream.sendall(kind + length + body)

    def post(self, topic, payload):
        self.send(b"\x30", self.text(topic) + payload)

    def seen(self, seconds=0.5):
        """All that comes until nothing comes for so long."""
        self.stream.settimeout(seconds)
        data = b""
        try:
            while more := self.stream.recv(65536):
                data += more
        except TimeoutError:
            return data


class Signer:
    """What packs a message needs a key and the time."""

    def __init__(self, keys):
        self.kp, self.get_time = keys, time.time


def sign(keys, text, queue, ahead=0, kind=MsgEnum.MSG):
    """`queue`: two or 64 hex digits."""
    stamp, queue = int(time.time()) + ahead, (queue * 32)[:64]
    return AppPacket(queue_id_hex=queue, seq_no=0, timestamp=stamp, msg_type=int(kind), msg=text).pack(Signer(keys))


class Peer:
    def __init__(self, keys=None, pool=None):
        self.keys, self.heard, self.fails, self.takes, self.ahead = keys or Signing.keypair(), [], False, 0, 0
        self.router = Router(
            self.keys, msg_handler=self.hear, get_time=lambda: time.time() + self.ahead, nic=NIC, servers=pool or POOL
        )

    async def hear(self, text, source, queue, client):
        await asyncio.sleep(self.takes)
        self.heard.append(text)
        if self.fails:
            raise OSError("the application failed")

    async def __aenter__(self):
        self.joined = await self.router.start()
        return self

    async def __aexit__(self, *_):
        await self.router.close()

    async def say(self, to, text, hints=None, seconds=30):
        # That two of them meet at all is rarely what is looked at: it is told where the other one is.
        if hints is None:
            hints = [{"af": client.af, "host": client.host, "port": client.port} for client in to.joined]
        pipe = await self.router.pipe(to.keys.public_key_hex, hint_brokers=hints)
        return await pipe.send(text, timeout=seconds)

    def topic(self):
        return self.keys.public_key_hex


async def posted(raws, peer, packet, seconds=20):
    """At whichever broker the peer is: what it hears then."""
    before = len(peer.heard)
    for raw in raws:
        raw.post(peer.topic(), packet)
    await until(lambda: len(peer.heard) > before, seconds)
    return peer.heard[before:]
