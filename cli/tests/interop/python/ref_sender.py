"""A reference node that sends pings: the near end towards `sluis listen`.

    python ref_sender.py --did jis:ref:sensor --target jis:hub --addr 127.0.0.1:7150 [--trust DID=SCORE] [--msgpack] [--quiet]

Prints `listening`, then `sent` (all fields, the frame in hex) and `response` (all fields, the frame, `orphan` when no
request was waiting for it, as for the decision that follows a pending answer). Commands:

    {"cmd":"ping","count":N,"in_flight":M,"timeout":S, …}   request and wait, then `batch` with the outcome
    {"cmd":"send", …}                                       one packet, without waiting for an answer
    {"cmd":"replay","packet_id":ID}                         exactly the bytes sent before, then `replayed`
    {"cmd":"raw","hex":BYTES}                               any bytes, then `replayed`
    {"cmd":"quit"}                                          ends with `summary`

`ping` and `send` take `intent`, `purpose`, `payload`, `priority` and another `did` to speak for on the same socket.
"""

import argparse
import asyncio
import time
from collections import Counter

from peer import Observed, commands, emit
from tibet_ping import PingNode, Priority


class Sender(Observed):
    def __init__(self, did, bind, msgpack, loud, target, addr):
        super().__init__(did, bind, msgpack, loud)
        self.target, self.addr = target, addr

    def request(self, command):
        return {
            "target": command.get("target", self.target),
            "intent": command.get("intent", "interop.check"),
            "purpose": command.get("purpose", "interop"),
            "priority": Priority[command.get("priority", "normal").upper()],
            "payload": command.get("payload"),
        }

    async def batch(self, command):
        """`count` requests, never more than `in_flight` of them open."""
        request, timeout = self.request(command), command.get("timeout", 10)
        left, outcome = iter(range(command.get("count", 1))), Counter()

        async def worker():
            for _ in left:
                response = await self.send_ping(addr=self.addr, timeout=timeout, **request)
                outcome[response.decision.value if response else "lost"] += 1

        began = time.perf_counter()
        await asyncio.gather(*(worker() for _ in range(command.get("in_flight", 1))))
        elapsed = time.perf_counter() - began
        count = outcome.total()
        emit("batch", sent=count, elapsed_s=elapsed, per_second=count / elapsed, **{k: outcome[k] for k in ("accept", "pending", "reject", "lost")})

    async def send(self, command):
        node = PingNode(command["did"]) if "did" in command else self.ping_node
        await self.transport.send_packet(node.ping(**self.request(command)), self.addr)

    def raw(self, frame, addr):
        self.socket.sendto(frame, addr)
        emit("replayed", bytes=len(frame))


async def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--did", required=True)
    parser.add_argument("--target", required=True)
    parser.add_argument("--addr", required=True, metavar="HOST:PORT")
    parser.add_argument("--bind", default="127.0.0.1:0")
    parser.add_argument("--trust", action="append", default=[], metavar="DID=SCORE")
    parser.add_argument("--msgpack", action="store_true")
    parser.add_argument("--quiet", action="store_true", help="only `listening`, `batch` and `summary`")
    args = parser.parse_args()

    host, port = args.addr.rsplit(":", 1)
    sender = Sender(args.did, args.bind, args.msgpack, not args.quiet, args.target, (host, int(port)))
    for entry in args.trust:
        did, score = entry.rsplit("=", 1)
        sender.set_trust(did, float(score))
    await sender.listen()
    async for command in commands():
        match command["cmd"]:
            case "ping":
                await sender.batch(command)
            case "send":
                await sender.send(command)
            case "replay":
                sender.raw(*sender.frames[command["packet_id"]])
            case "raw":
                sender.raw(bytes.fromhex(command["hex"]), sender.addr)
            case other:
                raise SystemExit(f"unknown command {other!r}")
    emit("summary", orphans=sender.orphans)
    await sender.stop()


asyncio.run(main())
