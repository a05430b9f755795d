"""What distance, dead or odd brokers do to peers that run the reference. Each line: {"hole", "open"}.

    python holes_net.py HOST:PORT HOST:PORT
"""

import asyncio
import hashlib
import socket

import sidewire.broker_hint_cache
import sidewire.router
from aionetiface import IP4
from aionetiface.utility.signing import Signing
from attack import NIC, PLACES, Peer, show, sign, until
from peer import pool_of
from sidewire.utils import rendezvous_hash

HOSTS = [place.rsplit(":", 1)[0] for place in PLACES]


def free(host):
    """A port on which nobody listens."""
    with socket.socket() as probe:
        probe.bind((host, 0))
        return probe.getsockname()[1]


async def way(host, to, delay=0.0, port=0):
    """A way to a broker that takes so long to be up. Says where it begins."""
    to_host, to_port = to.rsplit(":", 1)

    async def pump(reader, writer):
        while data := await reader.read(65536):
            writer.write(data)
        writer.close()

    async def up(reader, writer):
        await asyncio.sleep(delay)
        there = await asyncio.open_connection(to_host, int(to_port))
        try:
            await asyncio.gather(pump(reader, there[1]), pump(there[0], writer), return_exceptions=True)
        except asyncio.CancelledError:
            pass

    server = await asyncio.start_server(up, host, port)
    return f"{host}:{server.sockets[0].getsockname()[1]}"


async def odd_broker(host, then):
    """A broker that lets everybody in, and then sends this and nothing else. Says where it is, and who came."""
    came = []

    async def serve(reader, writer):
        await reader.read(4096)
        writer.write(b"\x20\x02\x00\x00")
        subscribe = await reader.read(4096)
        writer.write(b"\x90\x03" + subscribe[2:4] + b"\x01" + then())
        came.append(writer)
        while await reader.read(4096):
            pass

    server = await asyncio.start_server(serve, host, 0)
    return f"{host}:{server.sockets[0].getsockname()[1]}", came


def publish(topic, payload):
    body = len(topic).to_bytes(2, "big") + topic.encode() + payload
    length, rest = b"", len(body)
    while True:
        rest, low = rest >> 7, rest & 127
        length += bytes([low | (128 if rest else 0)])
        if not rest:
            return b"\x30" + length + body


async def distance():
    # The one is near to the first broker, the other to the second: each joins the one that answers first, and they never meet.
    # (So much nearer that a slow machine does not turn it around; after four seconds whoever is there is taken.)
    ways = [[await way(HOSTS[n], PLACES[n], 3.0 if n == far else 0.0) for n in (0, 1)] for far in (0, 1)]
    async with Peer(pool=pool_of(ways[0])) as alice, Peer(pool=pool_of(ways[1])) as bob:
        result = await alice.say(bob, "are you there?", hints=[], seconds=8)
        joined = [[client.host for client in peer.joined] for peer in (alice, bob)]
        show("sides do not meet", not result and not bob.heard and all(joined), joined=joined)


async def offline():
    ports = [free(host) for host in HOSTS]
    bob = Peer(pool=pool_of([f"{host}:{port}" for host, port in zip(HOSTS, ports)]))
    none = await bob.router.start()
    for host, port, to in zip(HOSTS, ports, PLACES):
        await way(host, to, port=port)
    # An hour of the scans of its own would not help, so it is told to start again; for 20 minutes that is in vain.
    bob.ahead = 1100
    again = await bob.router.start()
    show("started offline, deaf for 1,200 s", not none and not again)
    await bob.router.close()


async def cache():
    keys = Signing.keypair()
    line = {"brokers": [{"af": 2, "host": HOSTS[0], "port": 1, "ts": "yesterday"}]}
    sidewire.broker_hint_cache.load_all = lambda: {keys.public_key_hex: line}
    kept, sidewire.router.load_broker_hints = sidewire.router.load_broker_hints, sidewire.broker_hint_cache.load_for
    bob = Peer(keys)
    try:
        await bob.router.start()
        show("one bad cache line stops the start", False)
    except ValueError as why:
        show("one bad cache line stops the start", True, why=str(why))
    sidewire.router.load_broker_hints = kept
    await bob.router.close()


def weights():
    pool = pool_of([f"192.0.2.{n}:1883" for n in range(1, 9)])
    order = lambda key: [server["host"] for server in rendezvous_hash(NIC, key, pool)[IP4]]
    keys = ["02" + hashlib.sha256(bytes([n])).hexdigest() for n in range(100)]
    before = [order(key) for key in keys]
    pool[IP4]["192.0.2.1"]["weight"] = 1000.0
    show("weights are ignored", before == [order(key) for key in keys])


async def ports():
    # The peer is at the second broker, to which a way leads from another port of the first one's host.
    second = await way(HOSTS[0], PLACES[1])
    port = int(second.rsplit(":", 1)[1])
    dead = f"127.0.0.9:{free('127.0.0.9')}"
    async with Peer(pool=pool_of([PLACES[1], dead])) as bob, Peer(pool=pool_of([PLACES[0], dead])) as alice:
        hint = [{"af": int(IP4), "host": HOSTS[0], "port": port}]
        result = await alice.say(bob, "at your other port", hints=hint, seconds=8)
        show("the second port of a host is lost", not result and not bob.heard and len(bob.joined) == 1)


async def odd_brokers():
    dead = f"127.0.0.9:{free('127.0.0.9')}"
    place, came = await odd_broker(HOSTS[0], lambda: b"")
    async with Peer(pool=pool_of([place, dead])) as bob:
        for _ in range(20):
            bob.ahead += 11
            await asyncio.sleep(0.6)
        alive = [not client.pipe.on_close.is_set() for client in bob.joined]
        show("no PINGRESP is missed", alive == [True] and len(came) == 1)

    keys, alice = Signing.keypair(), Signing.keypair()
    words = publish(keys.public_key_hex, sign(alice, "after it", "66"))
    place, came = await odd_broker(HOSTS[0], lambda: b"\x30\xff\xff\xff\xff\x7f" + words)
    async with Peer(keys, pool=pool_of([place, dead])) as bob:
        heard = await until(lambda: bob.heard, 4)
        alive = [not client.pipe.on_close.is_set() for client in bob.joined]
        show("a bad length freezes the reader", not heard and alive == [True] and len(came) == 1)


async def main():
    weights()
    await asyncio.gather(distance(), offline(), ports(), odd_brokers())
    await cache()


asyncio.run(main())
