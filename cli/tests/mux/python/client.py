"""What the reference's own client is answered by a hub, and what an independent WebSocket client hears there.

    python client.py BASE_URL SOCKET_URL

One JSON object a line: {"step", "answer"}. The WebSocket is bob's; MuxClient is alice. Where bob is given a key, he checks every
tag with Python's own hashlib and hmac, as docs/mux.md says.
"""

import hashlib
import hmac
import json
import sys
import urllib.error

from tibet_mux.client import MuxClient
from websockets.sync.client import connect

base, socket_url = sys.argv[1:]


def show(step, answer):
    print(json.dumps({"step": step, "answer": answer}), flush=True)
    return answer


class Checker:
    """The tags of a channel, both ways."""

    def __init__(self, event):
        self.key = bytes.fromhex(event["mac_key"])
        self.hash = {way: bytes.fromhex(start) for way, start in event["mac_start"].items()}
        self.count = {"out": 0, "back": 0}

    def tag(self, way, raw):
        self.count[way] += 1
        text = self.hash[way] + self.count[way].to_bytes(8, "big") + b"\x04" + raw.encode()
        self.hash[way] = hashlib.sha256(text).digest()
        return hmac.new(self.key, self.hash[way], hashlib.sha256).hexdigest()[:32]


with connect(socket_url) as bob:
    alice = MuxClient(base, agent="Alice.aint")
    channel = show("open", alice.open(target="bob", intent="chat", metadata={"lang": "nl"}))["channel_id"]
    incoming = show("incoming", json.loads(bob.recv(timeout=30)))
    checker = Checker(incoming) if "mac_key" in incoming else None
    show("send", alice.send(channel, {"text": "h\u00e9"}))
    frame = json.loads(bob.recv(timeout=30))
    if checker:
        show("verified", checker.tag("out", frame["raw"]) == frame["tbz_hash"])
        frame["payload"] = json.loads(frame["raw"])
    show("frame", frame)
    raw = '{"b": 1.0, "a": "\u00e9"}'
    said = {"raw": raw} if checker else {"payload": json.loads(raw)}
    bob.send(json.dumps({"action": "send", "channel_id": channel, **said}))
    back = show("back", json.loads(bob.recv(timeout=30)))
    if checker:
        show("verified back", checker.tag("back", raw) == back["tbz_hash"])
    show("channel", alice.channel(channel))
    show("channels", alice.channels())
    show("close", alice.close(channel, reason="done"))
    show("closed", json.loads(bob.recv(timeout=30)))
    show("close again", alice.close(channel, reason="again"))
    try:
        show("send closed", alice.send(channel, 1))
    except urllib.error.HTTPError as refused:
        show("send closed", refused.code)
    show("intents", alice.intents())
    show("status", alice.status())
