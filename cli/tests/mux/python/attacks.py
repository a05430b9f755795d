"""Attacks on the published tibet-mux, each of which succeeds there. The same ones fail at our hub: core/mux/tests/suite/holes.rs.

    python attacks.py BASE_URL

One JSON object a line: {"hole", "succeeds"}. The server is one of its own, which nobody else uses.
"""

import json
import sys
import time
import urllib.error
import urllib.request

from websockets.exceptions import ConnectionClosed
from websockets.sync.client import connect

base = sys.argv[1] + "/api/mux"
sockets = base.replace("http", "ws", 1) + "/ws"


def ask(method, path, body=None, headers=None):
    """Status and JSON of an answer. `body` may be a text that no JSON library would write."""
    text = body if isinstance(body, str) or body is None else json.dumps(body)
    request = urllib.request.Request(base + path, method=method, data=None if text is None else text.encode())
    request.add_header("content-type", "application/json")
    for name, value in (headers or {}).items():
        request.add_header(name, value)
    try:
        with urllib.request.urlopen(request, timeout=20) as answer:
            return answer.status, json.loads(answer.read())
    except urllib.error.HTTPError as error:
        return error.code, None


def opened(agent, target, intent):
    status, answer = ask("POST", "/open", {"agent": agent, "target": target, "intent": intent})
    return answer["channel_id"] if status == 200 else None


def hole(name, succeeds):
    print(json.dumps({"hole": name, "succeeds": bool(succeeds)}), flush=True)


def heard(socket, seconds=1.5):
    try:
        return json.loads(socket.recv(timeout=seconds))
    except TimeoutError:
        return None


def dies(socket, message):
    """Whether a socket is gone after this message."""
    socket.send(message)
    try:
        for _ in range(20):
            socket.send(json.dumps({"action": "list"}))
            socket.recv(timeout=5)
    except ConnectionClosed:
        return True
    return False


# Whatever token is shown, or none.
hole("token never read", ask("GET", "/channels?agent=alice", headers={"authorization": "Bearer wrong"})[0] == 200)
with connect(sockets + "?agent=mallory&token=wrong") as mallory:
    mallory.send(json.dumps({"action": "list"}))
    hole("token never read on a socket", heard(mallory, 10)["event"] == "channel_list")

# Alice's channel, used by nobody in particular.
channel = opened("alice", "bob", "chat")
listed = ask("GET", "/channels?agent=alice")[1]["channels"]
hole("others' channels listed", [entry["id"] for entry in listed] == [channel])
hole("others' channels read", ask("GET", f"/channel/{channel}")[0] == 200)
hole("others' channels used", ask("POST", "/send", {"channel_id": channel, "payload": "mallory"})[0] == 200)

# Bob is there, and hears nothing of it.
with connect(sockets + "?agent=bob") as bob:
    to_bob = opened("carol", "bob", "chat")
    status, answer = ask("POST", "/send", {"channel_id": to_bob, "payload": {"text": "hi"}})
    hole("nothing delivered", status == 200 and answer["delivered"] is True and heard(bob) is None)

closed = ask("POST", "/close", {"channel_id": channel, "reason": "mallory"})[0]
hole("others' channels closed", closed == 200)
before = ask("GET", "/status")[1]
again = [ask("POST", "/close", {"channel_id": channel, "reason": f"again {n}"}) for n in range(3)]
after = ask("GET", "/status")[1]
counted = [status["channels"]["total_closed"] for status in (before, after)]
hole("closing twice counts", again[-1][0] == 200 and counted[1] == counted[0] + 3)
hole("closed channels stay", ask("GET", f"/channel/{channel}")[0] == 200)

security = json.dumps(ask("GET", "/status")[1]).upper()
hole("plain HTTP called TLS", base.startswith("http:") and "TLS" in security)

# The hash of a frame is made from a time that nobody is told, and no key is given out: the same frame has another one each time.
tags = {ask("POST", "/send", {"channel_id": to_bob, "payload": 1})[1]["tbz_hash"] for _ in range(2)}
hole("a hash nobody can check", len(tags) == 2 and "mac_key" not in json.dumps(ask("GET", f"/channel/{to_bob}")[1]))

# A quota is filled under another's name.
filled = 0
while filled < 2000 and opened("victim", "bob", "chat"):
    filled += 1
hole("quota filled under another's name", filled < 2000 and opened("victim", "bob", "mail") is None)

# What no JSON can say is let in, and nobody can look at the channel any more.
for name, payload in [("NaN makes 500", "NaN"), ("half a surrogate pair makes 500", '"\\ud800"')]:
    broken = opened(name.split()[0], "bob", "stream")
    ask("POST", "/send", '{"channel_id": "' + broken + '", "payload": ' + payload + "}")
    hole(name, ask("GET", f"/channel/{broken}")[0] == 500)

# One message takes a socket down, with the channels of its agent.
with connect(sockets + "?agent=dave") as dave:
    hole("a bad message kills a socket", dies(dave, "no JSON"))
with connect(sockets + "?agent=erin") as erin:
    erin.send(json.dumps({"action": "open", "target": "bob", "intent": "tibet:token"}))
    erins = heard(erin, 10)["channel_id"]
    big = json.dumps({"action": "send", "channel_id": erins, "payload": "x" * 100_000})
    hole("a throttled frame kills a socket", dies(erin, big))

# A frame above the burst is refused now and for ever.
token = opened("frank", "bob", "tibet:token")
big = {"channel_id": token, "payload": "x" * 30_000}
first = ask("POST", "/send", big)[0]
time.sleep(1)
hole("frames above the burst never pass", first != 200 and ask("POST", "/send", big)[0] != 200)

# What is refused on one channel passes on the next one.
half = {"payload": "x" * 15_000}
sent = [ask("POST", "/send", {"channel_id": token, **half})[0] for _ in range(3)]
fresh = opened("frank", "bob", "tibet:token")
hole("reopening refills", sent[-1] != 200 and fresh and ask("POST", "/send", {"channel_id": fresh, **half})[0] == 200)
