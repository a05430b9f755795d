"""How fast the reference is by itself: round trips per second of two reference nodes on loopback, one core each.

    target/interop-venv/bin/python cli/tests/interop/python/reference_pair.py [--msgpack] [--count 20000] [--in-flight 64]
        [--runs 5] [--payload JSON] [--cores 0,1]

One JSON line: {"event":"reference_pair","encoding","in_flight","count","cores","per_second" (median),"runs":[…]}.
`python3 cli/tests/interop/python/venv.py target/interop-venv` makes the environment (and prints its Python).
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
from pathlib import Path

HERE = Path(__file__).parent
HUB, SENSOR = "jis:ref:hub", "jis:ref:sensor"


def peer(script, core, *args):
    pin = (lambda: os.sched_setaffinity(0, {core})) if core is not None else None
    command = [sys.executable, str(HERE / script), "--quiet", *args]
    return subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, preexec_fn=pin)


def heard(process, event):
    line = json.loads(process.stdout.readline() or "{}")
    if line.get("event") != event:
        sys.exit(f"expected {event!r}, got {line}")
    return line


def tell(process, **command):
    process.stdin.write(json.dumps(command) + "\n")
    process.stdin.flush()


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--msgpack", action="store_true")
    parser.add_argument("--count", type=int, default=20_000)
    parser.add_argument("--in-flight", type=int, default=64)
    parser.add_argument("--runs", type=int, default=5)
    parser.add_argument("--payload", type=json.loads, default={"value": 21.5, "unit": "C"})
    parser.add_argument("--cores", default="0,1", help="HUB,SENSOR, or empty for no pinning")
    args = parser.parse_args()

    cores = [int(core) for core in args.cores.split(",")] if args.cores else [None, None]
    encoding = ["--msgpack"] if args.msgpack else []
    hub = peer("ref_node.py", cores[0], "--did", HUB, "--trust", f"{SENSOR}=0.9", "--echo", *encoding)
    runs = []
    try:
        addr = heard(hub, "listening")["addr"]
        for _ in range(args.runs):
            # A fresh sensor each run; the hub keeps its nonces and tokens, as a real one would.
            sensor = peer("ref_sender.py", cores[1], "--did", SENSOR, "--target", HUB, "--addr", addr, *encoding)
            heard(sensor, "listening")
            tell(sensor, cmd="ping", count=args.count, in_flight=args.in_flight, payload=args.payload)
            batch = heard(sensor, "batch")
            tell(sensor, cmd="quit")
            sensor.wait()
            if batch["accept"] != args.count:
                sys.exit(f"not every ping was accepted: {batch}")
            runs.append(batch["per_second"])
    finally:
        hub.kill()
        hub.wait()
    report = {
        "event": "reference_pair",
        "encoding": "msgpack" if args.msgpack else "json",
        "in_flight": args.in_flight,
        "count": args.count,
        "cores": cores,
        "per_second": statistics.median(runs),
        "runs": runs,
    }
    print(json.dumps(report))


if __name__ == "__main__":
    main()
