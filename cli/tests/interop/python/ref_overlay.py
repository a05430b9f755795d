"""What the reference overlay knows, and a reference relay.

    python ref_overlay.py export    prints its registry: the identities by their names, as the package writes them
    python ref_overlay.py relay --hub 127.0.0.1:7150

`relay` prints `listening`, then `carried` (the intent, and whether the payload went on as it came) for each ping that went on to the hub, and
`answered` for each answer that went back, be it as a ping. Both are read by the package's codec, and written anew by it; the hop is its relay's own. What it
cannot read it drops. {"cmd":"quit"} ends it with `summary`.
"""

import argparse
import asyncio
import copy
import json
import sys

from peer import commands, emit, place
from tibet_iot import MeshRelay, PacketCodec
from tibet_overlay import IdentityOverlay
from tibet_ping import RoutingMode


def export():
    overlay = IdentityOverlay()
    overlay.register("lamp", "192.0.2.9:7150", ["light"], "192.0.2.9", 7150, behind_nat=True)
    overlay.register("door", "[2001:db8::7]:7151", ["open"], "2001:db8::7", 7151)
    overlay.register("nowhere", capabilities=["light"])
    overlay.register("sensor", "192.0.2.66:7150", ["temperature"], "192.0.2.66", 7150)
    # It says so of everybody.
    assert overlay.verify("jis:lamp").verified
    overlay.registry.identities["jis:door"].metadata = {"note": 'a "quoted" {brace}', "inner": {"did": "jis:inner"}}
    json.dump({did: identity.to_dict() for did, identity in overlay.registry.identities.items()}, sys.stdout)


class Socket(asyncio.DatagramProtocol):
    def __init__(self, heard):
        self.heard = heard

    def datagram_received(self, data, addr):
        self.heard(data, addr)


class Relay:
    def __init__(self, hub):
        self.hub = hub
        self.codec, self.relay = PacketCodec(), MeshRelay("jis:ref:relay")
        self.sender = None
        self.dropped = 0

    async def open(self):
        def socket(heard):
            return asyncio.get_running_loop().create_datagram_endpoint(lambda: Socket(heard), ("127.0.0.1", 0))

        self.near, _ = await socket(self.ping)
        self.far, _ = await socket(self.answer)
        emit("listening", addr=place(self.near.get_extra_info("sockname")))

    def read(self, data):
        try:
            return self.codec.decode(data)
        except Exception:  # noqa: BLE001 - the package raises many kinds, and its nodes drop all of them
            self.dropped += 1
            return None

    def ping(self, data, addr):
        packet = self.read(data)
        if packet is None:
            return
        self.sender = addr
        # It forwards what is to go through a mesh, and looks at nothing else; what is signed stays as it is.
        meshed = copy.copy(packet)
        meshed.routing_mode = RoutingMode.MESH
        hop = self.relay.prepare_relay(meshed)
        hop.routing_mode = packet.routing_mode
        frame = self.codec.encode_packet(hop)
        same = json.loads(frame[8:])["payload"] == json.loads(data[8:])["payload"]
        self.far.sendto(frame, self.hub)
        emit("carried", intent=packet.intent, same=same, hops=hop.hop_count)

    def answer(self, data, addr):
        back = self.read(data)
        if back is None:
            return
        if hasattr(back, "decision"):
            self.near.sendto(self.codec.encode_response(back), self.sender)
            emit("answered", decision=back.decision.value)
        else:
            # An answer that goes as a ping, since relays of the package pass on nothing else.
            self.near.sendto(self.codec.encode_packet(self.relay.prepare_relay(back)), self.sender)
            emit("answered", intent=back.intent)


async def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("what", choices=["export", "relay"])
    parser.add_argument("--hub", metavar="HOST:PORT")
    args = parser.parse_args()
    if args.what == "export":
        return export()
    host, port = args.hub.rsplit(":", 1)
    relay = Relay((host, int(port)))
    await relay.open()
    async for command in commands():
        raise SystemExit(f"unknown command {command!r}")
    emit("summary", dropped=relay.dropped)


asyncio.run(main())
