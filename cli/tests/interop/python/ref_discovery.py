"""The discovery of a reference node: the far end of `sluis discover` and `sluis listen --discover`.

    python ref_discovery.py --did jis:ref:sensor --group 224.0.71.50 --port 7151

Prints `listening`, then `discovered` for each beacon that the package hands to its callbacks: the DID, the address, and the decision of its beacon handler. Commands:

    {"cmd":"call","capabilities":[TEXT...]}   call once, as the package does
    {"cmd":"quit"}                            ends with `summary`

Everything on the wire is made and read by the package's own classes. Its sockets are only kept on this machine: they join, and send to, the group on the loopback interface.
"""

import argparse
import asyncio
import socket
import types

from peer import commands, emit, place
from tibet_iot import discovery
from tibet_iot.discovery import NetworkDiscovery
from tibet_ping import PingNode

LOOPBACK = socket.inet_aton("127.0.0.1")


class OnLoopback(socket.socket):
    """A socket of the package whose multicast does not leave this machine."""

    def __init__(self, *args, **more):
        super().__init__(*args, **more)
        super().setsockopt(socket.IPPROTO_IP, socket.IP_MULTICAST_IF, LOOPBACK)

    def setsockopt(self, level, name, value):
        if (level, name) == (socket.IPPROTO_IP, socket.IP_ADD_MEMBERSHIP):
            value = value[:4] + LOOPBACK
        super().setsockopt(level, name, value)


async def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--did", required=True)
    parser.add_argument("--group", required=True)
    parser.add_argument("--port", type=int, required=True)
    args = parser.parse_args()

    discovery.socket = types.SimpleNamespace(**{**vars(socket), "socket": OnLoopback})
    node = NetworkDiscovery(args.did, PingNode(args.did), None, args.group, args.port)
    heard = 0

    async def tell(did, addr, response):
        nonlocal heard
        heard += 1
        emit("discovered", did=did, addr=place(addr), decision=response.decision)

    node.on_discovered(tell)
    await node.start_listening()
    emit("listening", did=args.did, addr=f"127.0.0.1:{args.port}")
    async for command in commands():
        match command["cmd"]:
            case "call":
                await node.broadcast_discover(capabilities=command.get("capabilities"))
                emit("called")
            case other:
                raise SystemExit(f"unknown command {other!r}")
    emit("summary", discovered=heard)
    await node.stop()


asyncio.run(main())
