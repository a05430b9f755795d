"""A peer that runs the reference, told what to do on standard input.

    python peer.py SECRET_HEX HOST:PORT...      (an IPv6 host in brackets)

Commands, one a line; each is answered by one JSON object a line on standard output, in the order in which they are done:

    send TIMEOUT PUBKEY TEXT       {"event":"sent","text","result"}      several may be under way
    probe PUBKEY                   {"event":"probed","acked"}
    echo on                        every message is sent back
    quit

and, whenever they come, {"event":"message","text","from"}. First {"event":"ready","public_key","joined"}.

`SKEW` in the environment moves its clock by so many seconds. Nothing is dialled but the brokers that are named.
"""

import asyncio
import json
import os
import sys
import time

import sidewire.router
from aionetiface import IP4, IP6, Interface
from aionetiface.net.bind.bind import Bind
from aionetiface.net.ip_range import IPR
from aionetiface.nic import default_interface
from aionetiface.nic.route.route import Route
from aionetiface.utility.signing import Signing
from ecdsa import SECP256k1, SigningKey
from sidewire import Router

# What it remembers of an earlier run is no part of what is tested.
sidewire.router.load_broker_hints = lambda *_: []
sidewire.router.store_broker_hints = lambda *_: None

SKEW = float(os.environ.get("SKEW", "0"))


def tell(event, **members):
    print(json.dumps({"event": event, **members}), flush=True)


def loopback(families):
    """`Interface("default")` wants a default route, and an address of a network for IPv6: a test has no right to expect either."""
    nic = Interface.__new__(Interface)
    default_interface.get_default_routes = lambda nic: {
        af: Route(af, [IPR(ip, af=af)], [IPR(public, af=af)], nic)
        for af, ip, public in ((IP4, "127.0.0.1", "8.8.8.8"), (IP6, "::1", "2001:4860:4860::8888"))
        if af in families
    }
    Bind.bind_tup = lambda bind, port=None, flag=None: ("::1" if bind.af == IP6 else "127.0.0.1", port or 0)
    return Interface("default")


def pool_of(places):
    pool = {IP4: {}, IP6: {}}
    for place in places:
        host, port = place.rsplit(":", 1)
        host = host.strip("[]")
        af = IP6 if ":" in host else IP4
        pool[af][host] = {"af": int(af), "host": host, "port": int(port), "weight": 1.0}
    return pool


async def main():
    pool = pool_of(sys.argv[2:])
    families = [af for af in pool if pool[af]]
    keys = Signing(SigningKey.from_string(bytes.fromhex(sys.argv[1]), curve=SECP256k1))
    echo = False
    router = None

    async def heard(text, source, queue, client):
        tell("message", text=text, **{"from": source})
        if echo:
            pipe = await router.pipe(source)
            await pipe.send(text)

    router = Router(keys, msg_handler=heard, get_time=lambda: time.time() + SKEW, nic=loopback(families), servers=pool)
    joined = await router.start()
    tell("ready", public_key=keys.public_key_hex, joined=len(joined))

    async def send(timeout, to, text):
        pipe = await router.pipe(to)
        tell("sent", text=text, result=await pipe.send(text, timeout=float(timeout)))

    async def probe(to):
        pipe = await router.pipe(to)
        acks = [(await client.send_probe(to))[1] for client in pipe.clients]
        done, _ = await asyncio.wait(acks, timeout=30, return_when=asyncio.FIRST_COMPLETED) if acks else ((), ())
        tell("probed", acked=bool(done))

    tasks = []
    lines = asyncio.StreamReader()
    await asyncio.get_running_loop().connect_read_pipe(
        lambda: asyncio.StreamReaderProtocol(lines), sys.stdin
    )
    while line := (await lines.readline()).decode().rstrip("\n"):
        what, _, rest = line.partition(" ")
        if what == "send":
            tasks.append(asyncio.create_task(send(*rest.split(" ", 2))))
        elif what == "probe":
            tasks.append(asyncio.create_task(probe(rest)))
        elif what == "echo":
            echo = True
        elif what == "quit":
            break
        else:
            tell("what?", line=line)
    await asyncio.gather(*tasks)
    await router.close()


if __name__ == "__main__":
    asyncio.run(main())
