"""tibet-core as the writer and as the judge of token files.

    ref_tokens.py write FILE [KEY-HEX]    tokens of every kind, by its own provider, bridge and file store
    ref_tokens.py verify FILE [KEY-HEX]   {"count", "bad", "rewritten", "chain"} as JSON
"""

import json
import sys

from tibet_core import FileStore, NetworkBridge, Provider, Token
from tibet_core.chain import Chain

HARD = {
    "z": [1, 1.0, -0.0, 1e16, 1e-07, 5e-324, 2**70, True, None],
    "text": "quote \" slash \\ / \u00e9 \u20ac \U0001f680 \x00\x1f\x7f\u2028 \ud800",
    "\u00e9": {"b": {}, "a": []},
    "": {"nested": [{"k": [{"k": "v"}]}]},
}


def write(path, key):
    provider = Provider(actor="jis:ref:hub", store=FileStore(path), hmac_key=key)
    first = provider.create("hard", erin=HARD, eraan=["a", "\u00e9"], eromheen={"b": 1, "a": 2}, erachter="why")
    for erin in (None, "text", 42, 2.5, [], {}, True):
        provider.create("plain", erin=erin)
    provider.update_state(first.token_id, type(first.state).RESOLVED, "done")
    bridge = NetworkBridge(provider)
    packet = {"source_did": "jis:a", "target_did": "jis:b", "ping_type": "intent", "intent": "x", "payload": HARD}
    bridge.record_ping(packet, {"decision": "accept", "trust_score": 0.9, "zone": "GROEN"})
    bridge.record_heartbeat("jis:a", ("127.0.0.1", 7150), "healthy")
    bridge.record_discovery("jis:new", ("127.0.0.1", 7150), "accepted")
    bridge.record_relay(packet, ("127.0.0.1", 9))
    bridge.record_trust_change("jis:a", 0.3, 0.29999999)
    for number in range(50):
        provider.create("count", erin={"n": number, "half": number / 2})
    assert all(provider.verify_all().values())


def verify(path, key):
    store = FileStore(path)
    tokens = store.all()
    with open(path, encoding="utf-8") as file:
        lines = [line for line in file.read().split("\n") if line]
    print(json.dumps({
        "count": len(tokens),
        "bad": [token.token_id for token in tokens if not token.verify(key)],
        "rewritten": sum(Token.from_json(line).to_json() == line for line in lines),
        "chain": len(Chain(store).trace(tokens[-1].token_id, max_depth=10**6)),
    }))


if __name__ == "__main__":
    command, path, *rest = sys.argv[1:]
    {"write": write, "verify": verify}[command](path, bytes.fromhex(rest[0]) if rest else None)
