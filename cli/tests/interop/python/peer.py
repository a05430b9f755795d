"""What the two reference peers share: JSON lines on stdout, JSON commands on stdin, and a reference node that tells
what it sends and hears. Everything on the wire is made and read by the classes of the published packages.
"""

import asyncio
import json
import sys
import warnings
from datetime import datetime, timezone

warnings.simplefilter("ignore", DeprecationWarning)  # tibet-iot says on import that it has become part of tibet-ping

from tibet_iot import IoTNode, TransportConfig  # noqa: E402
from tibet_ping import PingResponse  # noqa: E402

NEVER = 1e9  # seconds: no heartbeats and discovery rounds during a test


def emit(event, **members):
    """One JSON object a line. json.dumps writes integers of any size and the shortest exact floats."""
    sys.stdout.write(json.dumps({"event": event, **members}) + "\n")
    sys.stdout.flush()


def place(addr):
    return f"{addr[0]}:{addr[1]}"


def age_s(timestamp):
    """How old an ISO 8601 stamp is, or None when the reference could not read it either."""
    try:
        then = datetime.fromisoformat(timestamp.replace("Z", "+00:00"))
    except ValueError:
        return None
    if then.tzinfo is None:
        then = then.replace(tzinfo=timezone.utc)
    return (datetime.now(timezone.utc) - then).total_seconds()


class Observed(IoTNode):
    """A reference node that reports its traffic. With `loud` off it is the package's own node and nothing else."""

    def __init__(self, did, bind, msgpack, loud=True):
        host, port = bind.rsplit(":", 1)
        config = TransportConfig(bind_host=host, bind_port=int(port), use_msgpack=msgpack)
        super().__init__(did, config=config, heartbeat_interval=NEVER, discovery_interval=NEVER)
        self.loud = loud
        self.frames = {}  # packet_id -> (frame, address) as sent
        self.orphans = 0
        self.discovery.start_listening = self._no_discovery
        if loud:
            self._watch_codec()
        else:
            self._handle_incoming = super()._handle_incoming

    async def _no_discovery(self):
        """The discovery group reaches beyond this machine; no interop case needs it."""

    def _watch_codec(self):
        codec = self.transport._codec
        decode, send_packet = codec.decode, self.transport.send_packet

        def decode_and_keep(data):
            decoded = decode(data)
            decoded.frame = data
            return decoded

        async def send_and_tell(packet, addr):
            frame = codec.encode_packet(packet)
            self.frames[packet.packet_id] = (frame, addr)
            await send_packet(packet, addr)
            emit("sent", frame=frame.hex(), fields=packet.to_dict())

        codec.decode = decode_and_keep
        self.transport.send_packet = send_and_tell

    @property
    def socket(self):
        return self.transport._transport

    async def listen(self):
        await self.start()
        emit("listening", did=self.device_did, addr=place(self.socket.get_extra_info("sockname")))

    async def _handle_incoming(self, decoded, addr):
        if isinstance(decoded, PingResponse):
            orphan = decoded.in_response_to not in self._pending
            self.orphans += orphan
            self._tell("response", decoded, addr, orphan=orphan)
        else:
            self._tell("packet", decoded, addr)
        await super()._handle_incoming(decoded, addr)

    @staticmethod
    def _tell(event, decoded, addr, **more):
        fields = decoded.to_dict()
        emit(event, **{"from": place(addr)}, frame=decoded.frame.hex(), age_s=age_s(decoded.timestamp), fields=fields, **more)


async def commands():
    """JSON objects from stdin, one a line, until `{"cmd":"quit"}` or the end of input."""
    loop = asyncio.get_running_loop()
    reader = asyncio.StreamReader(limit=1 << 24)
    await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), sys.stdin)
    while line := await reader.readline():
        command = json.loads(line)
        if command["cmd"] == "quit":
            return
        yield command
