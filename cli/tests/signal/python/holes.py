"""What an attacker, or chance, can do to two peers that run the reference. Each line: {"hole", "open"}.

    python holes.py HOST:PORT HOST:PORT

Everything here goes over the two brokers that are named; the same is done to Sluis in its own tests, and does not work there.
"""

import asyncio
import time

from aionetiface import IP4
from aionetiface.utility.signing import Signing
from attack import NIC, PLACES, POOL, Peer, Raw, posted, show, sign, until
from sidewire import Router


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
    raws = [Raw(place, f"raw{n}", "#") for n, place in enumerate(PLACES)]
    async with Peer() as alice, Peer() as carol:
        async with Peer(bobs) as bob:
            results = [await alice.say(bob, "ping"), await alice.say(bob, "ping")]
            show("an equal text is swallowed and acknowledged", all(results) and bob.heard == ["ping"])
            result = await carol.say(bob, "ping")
            show("another sender's equal text is swallowed and acknowledged", result and bob.heard == ["ping"])
            show("everybody reads along", any(b"ping" in raw.seen() for raw in raws))
            await alice.say(bob, "h\u00e9 there")
            show("letters are lost", bob.heard[-1] == "h there", heard=bob.heard[-1])
            await alice.say(bob, b"h\xff\x00there")
            show("bytes are lost", bob.heard[-1] == "h\0there", heard=bob.heard[-1])
            bob.fails = True
            result = await alice.say(bob, "you fail")
            bob.fails = False
            show("acknowledged although the handler failed", result > 0)
            # Long, so that a slow machine has time to acknowledge.
            bob.takes = 15
            began = len(bob.heard)
            result = await alice.say(bob, "you take your time")
            show("acknowledged before it is handled", result > 0 and len(bob.heard) == began)
            await until(lambda: len(bob.heard) > began, 60)
            bob.takes = 0
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
