"""What the reference's own client is answered by a hub, and what an independent WebSocket client hears there.

    python client.py BASE_URL SOCKET_URL

One JSON object a line: {"step", "answer"}. The WebSocket is bob's; MuxClient is alice.
"""

import json
import sys
import urllib.error

from tibet_mux.client import MuxClient
from websockets.sync.client import connect

base, socket_url = sys.argv[1:]


def show(step, answer):
    print(json.dumps({"step": step, "answer": answer}), flush=True)
    return answer


with connect(socket_url) as bob:
    alice = MuxClient(base, agent="Alice.aint")
    channel = show("open", alice.open(target="bob", intent="chat", metadata={"lang": "nl"}))["channel_id"]
    show("incoming", json.loads(bob.recv(timeout=30)))
    show("send", alice.send(channel, {"text": "h\u00e9"}))
    show("frame", json.loads(bob.recv(timeout=30)))
    bob.send(json.dumps({"action": "send", "channel_id": channel, "payload": "back"}))
    show("back", json.loads(bob.recv(timeout=30)))
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
