"""Sign and verify DSSE envelopes with securesystemslib, and validate in-toto statements with in-toto-attestation.

    python attest.py

One JSON object a line on stdin, one answer a line on stdout; an answer with "error" says why something was refused.

    {"cmd": "keyid", "pem": PEM}                                       {"keyid", "public"}
    {"cmd": "verify", "envelope": TEXT, "keys": [PEM…], "threshold": N}  {"keyids": […], "payload": HEX, "pae": HEX}
    {"cmd": "sign", "payload": TEXT, "payload_type": TEXT, "seeds": [HEX…]}  {"envelope": TEXT, "keyids": […]}
    {"cmd": "statement", "payload": TEXT}                              {"subjects": [[NAME, SHA256]…], "predicate_type", "workload"}
"""

import json
import sys

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import load_pem_public_key
from google.protobuf import json_format
from in_toto_attestation.v1 import statement_pb2
from in_toto_attestation.v1.statement import Statement
from securesystemslib.dsse import Envelope
from securesystemslib.signer import CryptoSigner, SSlibKey


def key_of(pem):
    return SSlibKey.from_crypto(load_pem_public_key(pem.encode()))


def keyid(told):
    key = key_of(told["pem"])
    return {"keyid": key.keyid, "public": key.keyval["public"]}


def verify(told):
    envelope = Envelope.from_dict(json.loads(told["envelope"]))
    accepted = envelope.verify([key_of(pem) for pem in told["keys"]], told["threshold"])
    return {"keyids": sorted(accepted), "payload": envelope.payload.hex(), "pae": envelope.pae().hex()}


def sign(told):
    envelope = Envelope(told["payload"].encode(), told["payload_type"], {})
    signers = [CryptoSigner(Ed25519PrivateKey.from_private_bytes(bytes.fromhex(seed))) for seed in told["seeds"]]
    for signer in signers:
        envelope.sign(signer)
    return {"envelope": json.dumps(envelope.to_dict()), "keyids": [signer.public_key.keyid for signer in signers]}


def statement(told):
    parsed = json_format.Parse(told["payload"], statement_pb2.Statement())
    Statement.copy_from_pb(parsed).validate()
    return {
        "subjects": [[subject.name, subject.digest["sha256"]] for subject in parsed.subject],
        "predicate_type": parsed.predicate_type,
        "workload": parsed.predicate["workload"]["id"],
    }


COMMANDS = {"keyid": keyid, "verify": verify, "sign": sign, "statement": statement}

for line in sys.stdin:
    told = json.loads(line)
    try:
        answer = COMMANDS[told["cmd"]](told)
    except Exception as error:  # whatever the libraries raise is a refusal
        answer = {"error": f"{type(error).__name__}: {error}"}
    print(json.dumps(answer), flush=True)
