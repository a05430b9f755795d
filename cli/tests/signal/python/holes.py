"""What an attacker, or chance, can do to two peers that run the reference. Each line: {"hole", "open"}.

    python holes.py HOST:PORT HOST:PORT

Everything here goes over the two brokers that are named; the same is done to Sluis in its own tests, and does not work there.
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
POOL = pool_of(sys.argv[1:])


def show(hole, is_open, **more):
    print(json.dumps({"hole": hole, "open": bool(is_open), **more}), flush=True)


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

    def seen(self):
        self.stream.settimeout(0.5)
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


def sign(keys, text, queue, ahead=0):
    stamp, kind = int(time.time()) + ahead, int(MsgEnum.MSG)
    return AppPacket(queue_id_hex=queue * 32, seq_no=0, timestamp=stamp, msg_type=kind, msg=text).pack(Signer(keys))


class Peer:
    def __init__(self, keys=None):
        self.keys, self.heard, self.fails = keys or Signing.keypair(), [], False
        self.router = Router(self.keys, msg_handler=self.hear, get_time=time.time, nic=NIC, servers=POOL)

    async def hear(self, text, source, queue, client):
        self.heard.append(text)
        if self.fails:
            raise OSError("the application failed")

    async def __aenter__(self):
        self.joined = await self.router.start()
        return self

    async def __aexit__(self, *_):
        await self.router.close()

    async def say(self, to, text):
        # That two of them meet at all is not what is looked at here: it is told where the other one is.
        hints = [{"af": client.af, "host": client.host, "port": client.port} for client in to.joined]
        pipe = await self.router.pipe(to.keys.public_key_hex, hint_brokers=hints)
        return await pipe.send(text, timeout=30)

    def topic(self):
        return self.keys.public_key_hex


async def posted(raws, peer, packet):
    """At whichever broker the peer is."""
    before = len(peer.heard)
    for raw in raws:
        raw.post(peer.topic(), packet)
    for _ in range(40):
        await asyncio.sleep(0.5)
        if len(peer.heard) > before:
            break
    return peer.heard[before:]


async def main():
    one = {IP4: dict(list(POOL[IP4].items())[:1]), **{af: {} for af in POOL if af != IP4}}
    router = Router(Signing.keypair(), get_time=time.time, nic=NIC, servers=one)
    show("one broker is none", len(await router.start()) == 0)
    await router.close()

    for hole, entry in (
        ("one bad entry stops the start", {"host": "127.0.0.1"}),
        ("the documented shape of a pool crashes", {"port": 1883, "weight": 1.0}),
    ):
        odd = {**POOL, IP4: {**POOL[IP4], "127.0.0.77": entry}}
        router = None
        try:
            router = Router(Signing.keypair(), get_time=time.time, nic=NIC, servers=odd)
            await router.start()
            show(hole, False)
        except KeyError as why:
            show(hole, True, why=str(why))
        if router:
            await router.close()

    bobs = Signing.keypair()
    raws = [Raw(place, f"raw{n}", "#") for n, place in enumerate(sys.argv[1:])]
    async with Peer() as alice, Peer() as carol:
        async with Peer(bobs) as bob:
            results = [await alice.say(bob, "ping"), await alice.say(bob, "ping")]
            show("an equal text is swallowed and acknowledged", all(results) and bob.heard == ["ping"])
            result = await carol.say(bob, "ping")
            show("another sender's equal text is swallowed and acknowledged", result and bob.heard == ["ping"])
            show("everybody reads along", any(b"ping" in raw.seen() for raw in raws))
            await alice.say(bob, "h\u00e9 there")
            show("letters are lost", bob.heard[-1] == "h there", heard=bob.heard[-1])
            bob.fails = True
            result = await alice.say(bob, "you fail")
            bob.fails = False
            show("acknowledged although the handler failed", result > 0)
            packet = sign(alice.keys, "for bob only", "22")
            show("a message for bob is accepted by carol", await posted(raws, carol, packet) == ["for bob only"])
            packet = sign(alice.keys, "from the future", "33", 1_000_000)
            show("a message from the future is accepted", await posted(raws, bob, packet) == ["from the future"])
            replay = sign(alice.keys, "once", "44")
            first = await posted(raws, bob, replay)
            # A stranger has bob acknowledge the queue of a message that is still to come: its sender is never told.
            mallory, dave = Signing.keypair(), Signing.keypair()
            await posted(raws, bob, sign(mallory, "mine first", "55"))
            for raw in raws:
                raw.post(bob.topic(), sign(dave, "too late", "55"))
            await asyncio.sleep(5)
            to_dave = [b"\x00\x42" + dave.public_key_hex.encode() in raw.seen() for raw in raws]
            show("a stranger takes a queue id and the ack", not any(to_dave))
        async with Peer(bobs) as bob:
            again = await posted(raws, bob, replay)
            show("a replay after a restart is accepted", first == again == ["once"])


asyncio.run(main())
