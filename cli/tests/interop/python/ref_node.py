"""A reference node that answers pings: the far end of `sluis ping`.

    python ref_node.py --did jis:ref:hub --trust jis:ref:sensor=0.9 [--msgpack] [--echo] [--quiet]

Prints `listening`, then for each datagram it could read `packet` (all fields, the frame in hex) and for each packet
named for it `handled` (the node's own verdict: the decision, and `replay_detected` where that was why). Commands:

    {"cmd":"trust","did":DID,"score":N}
    {"cmd":"decide","packet_id":ID,"decision":"accept"|"reject"}   answer a pending ping a second time
    {"cmd":"clock","wall":S,"monotonic":S}   have its replay check read clocks that are so many seconds ahead
    {"cmd":"where","did":DID}   `where`: the address to which it would send what is for this DID
    {"cmd":"quit"}                                                 ends with `summary`

The package itself never sends the second answer; `decide` builds it from the first one with the package's own classes.
"""

import argparse
import asyncio
import copy
import secrets
import time
from collections import Counter

from peer import Observed, commands, emit, place
from tibet_ping import PingDecision, nonce


def watch(node, echo):
    """Report every verdict of the node, keep what a later decision needs, and let accepted pings carry data back."""
    receive, verdicts, waiting = node.ping_node.receive, Counter(), {}

    def receive_and_tell(packet):
        response = receive(packet)
        reason = response.payload.get("reason")
        verdicts[reason or response.decision.value] += 1
        if response.decision == PingDecision.ACCEPT and echo:
            response.payload = packet.payload
        if response.decision == PingDecision.PENDING:
            waiting[packet.packet_id] = (response, node.peers.get_address(packet.source_did))
        if node.loud:
            emit("handled", packet_id=packet.packet_id, decision=response.decision.value, reason=reason)
        return response

    node.ping_node.receive = receive_and_tell
    return verdicts, waiting


async def decide(node, waiting, command):
    first, addr = waiting.pop(command["packet_id"])
    airlock = node.ping_node.airlock
    accepted = command["decision"] == "accept"
    known = (airlock.approve_pending if accepted else airlock.reject_pending)(command["packet_id"])
    second = copy.copy(first)
    second.response_id = f"resp_{secrets.token_hex(8)}"
    second.decision = PingDecision.ACCEPT if accepted else PingDecision.REJECT
    await node.transport.send_response(second, addr)
    emit("decided", packet_id=command["packet_id"], decision=command["decision"], known=known)


class Clock:
    """The clocks of the machine, moved."""

    def __init__(self, wall, monotonic):
        self.time = lambda: time.time() + wall
        self.monotonic = lambda: time.monotonic() + monotonic


async def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--did", required=True)
    parser.add_argument("--bind", default="127.0.0.1:0")
    parser.add_argument("--trust", action="append", default=[], metavar="DID=SCORE")
    parser.add_argument("--msgpack", action="store_true")
    parser.add_argument("--echo", action="store_true", help="answer accepted pings with their own payload")
    parser.add_argument("--quiet", action="store_true", help="only `listening` and `summary`")
    args = parser.parse_args()

    node = Observed(args.did, args.bind, args.msgpack, loud=not args.quiet)
    for entry in args.trust:
        did, score = entry.rsplit("=", 1)
        node.set_trust(did, float(score))
    verdicts, waiting = watch(node, args.echo)
    await node.listen()
    async for command in commands():
        match command["cmd"]:
            case "trust":
                node.set_trust(command["did"], command["score"])
            case "decide":
                await decide(node, waiting, command)
            case "clock":
                nonce.time = Clock(command["wall"], command["monotonic"])
            case "where":
                emit("where", addr=place(node.peers.get_address(command["did"])))
            case other:
                raise SystemExit(f"unknown command {other!r}")
    emit("summary", verdicts=dict(verdicts), orphans=node.orphans, peers=len(node.peers))
    await node.stop()


asyncio.run(main())
