"""Frames of tibet-mux 1.3.1, by that package itself.

    python3 signed.py make KEY_FILE FROM TO INTENT PAYLOAD...    a signed frame a line
    python3 signed.py check PUBLIC_HEX < frames                  what it finds of each, a JSON object a line
"""

import json
import sys
import time
from pathlib import Path

from cryptography.hazmat.primitives.serialization import load_pem_private_key
from tibet_mux.verify import sign_canonical, verify_mux_frame


def make(file, sender, target, intent, *payloads):
    key = load_pem_private_key(Path(file).read_bytes(), None)
    for number, payload in enumerate(payloads):
        frame = {
            "v": "org.ainternet.mux.frame.v1",
            "from_aint": sender + ".aint",
            "to_aint": target + ".aint",
            "intent": intent,
            "seq": number,
            "ts": int(time.time()),
            "payload": json.loads(payload),
            "nonce": f"n{number}",
        }
        print(json.dumps(sign_canonical(frame, key)))


def check(public):
    for line in sys.stdin:
        decision = verify_mux_frame(json.loads(line), public)
        print(json.dumps({"ok": decision.ok, "reason": decision.reason, "actor": decision.verified_actor}))


{"make": make, "check": check}[sys.argv[1]](*sys.argv[2:])
