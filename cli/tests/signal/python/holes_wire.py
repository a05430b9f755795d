"""What one who speaks the wire by hand can do to a peer that runs the reference, and what it does to itself. Each line: {"hole", "open"}.

    python holes_wire.py HOST:PORT HOST:PORT
"""

import asyncio
import contextlib
import os

from attack import PLACES, Peer, Raw, posted, show, sign, until
from sidewire.mqtt.app_packet import AppPacket
from sidewire.mqtt.mqtt_defs import MsgEnum

# The order of secp256k1.
ORDER = 0xFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFEBAAEDCE6AF48A03BBFD25E8CD0364141
PROBES = 40


def other_signature(packet):
    """The same packet with the other signature that everybody can make of a valid one: s becomes -s."""
    s = int.from_bytes(packet[65:97], "big")
    return packet[:65] + (ORDER - s).to_bytes(32, "big") + packet[97:]


def remembered(peer):
    """Acknowledgements that a peer has in memory."""
    return sum(len(queue) for client in peer.joined for queue in client.msg_queues[MsgEnum.MSGACK].values())


def fill(client):
    """Publishes until no packet identifier is left. How many that takes depends on how many are in flight already."""
    with contextlib.suppress(AssertionError):
        while True:
            client.publish("x", b"")


async def main():
    raws = [Raw(place, f"wire{n}", "#") for n, place in enumerate(PLACES)]
    async with Peer() as alice, Peer() as bob:
        packet = sign(alice.keys, "signed once", "22")
        show("a signature can be made into another one", AppPacket.unpack(other_signature(packet)) is not None)

        # What was acknowledged goes on being published: by the receiver always, and by a sender that uses the queue of its client.
        result = await alice.say(bob, "how often?")
        await asyncio.sleep(1)
        topic = b"\x00\x42" + alice.topic().encode()
        acks = sum(raw.seen().count(topic) for raw in raws)
        again = 0
        # Each time it waits for at most twice as long as before: 2, 4, 8 seconds.
        for _ in range(30):
            if not again:
                await asyncio.sleep(1)
                again = sum(raw.seen().count(topic) for raw in raws)
        show("resent after the acknowledgement", result and acks and again, again=again)

        # Nothing of it is ever forgotten, whatever time passes.
        for _ in range(PROBES):
            probe = sign(alice.keys, "", os.urandom(32).hex(), kind=MsgEnum.PROBE)
            for raw in raws:
                raw.post(bob.topic(), probe)
        await until(lambda: remembered(bob) >= PROBES, 60)
        full = remembered(bob)
        for _ in range(4):
            bob.ahead += 86_400
            await asyncio.sleep(1)
        show("probes are remembered for ever", remembered(bob) >= full >= PROBES, remembered=full)

    # A message stamped a little ahead is young enough when its text has been forgotten: another broker brings it again.
    async with Peer() as bob:
        both = [{"af": client.af, "host": client.host, "port": client.port} for client in bob.router.clients[2].values()]
        await (await bob.router.pipe(bob.topic(), hint_brokers=both)).connect()
        packet = sign(alice.keys, "once", "44", 100)
        first = await posted(raws[:1], bob, packet)
        # It forgets with a PINGREQ, by the clock of the scan before.
        for bob.ahead in (130, 145):
            await asyncio.sleep(1.5)
        again = await posted(raws[1:], bob, packet)
        show("a replay through another broker is accepted", first == again == ["once"], first=first, again=again)

    for hole, harm in (
        # A topic that cannot be published ends the task that sends.
        ("one odd key ends the sender's task", lambda client: client.queue_msg("x", "\u00e9" * 66)),
        ("65,535 open publishes end the sender's task", fill),
    ):
        async with Peer() as bob, Peer() as alice:
            before = await alice.say(bob, "before")
            for client in alice.router.clients[2].values():
                if client.dispatcher_task:
                    harm(client)
            await asyncio.sleep(1)
            after = await alice.say(bob, "after", seconds=6)
            clients = [client for client in alice.router.clients[2].values() if client.dispatcher_task]
            ended = await until(lambda: any(client.dispatcher_task.done() for client in clients))
            show(hole, before and not after and ended)


asyncio.run(main())
