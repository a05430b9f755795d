"""An agent on a native connection, from docs/mux.md alone and the standard library: it opens a channel, says two things, and hears an echo.

    native.py HOST PORT AGENT TARGET TOKEN [CERTIFICATE]
"""

import json, os, socket, ssl, struct, sys

DATA, WINDOW, PING, AWAY = range(4)
SYN, ACK, FIN, RST = 1, 2, 4, 8
OPEN, ACCEPT, REFUSE, JSON, BYTES, ACKED, SIGN, RESUME, CLOSE, HELLO = range(1, 11)


class Yamux:
    """Streams of a client on one connection."""

    def __init__(self, wire):
        self.wire, self.next, self.streams = wire, 1, {}
        self.send(PING, SYN, 0, 1)

    def send(self, kind, flags, stream, length, data=b""):
        self.wire.sendall(struct.pack(">BBHII", 0, kind, flags, stream, length) + data)

    def exactly(self, count):
        data = b""
        while len(data) < count:
            more = self.wire.recv(count - len(data))
            if not more:
                raise EOFError("the hub is gone")
            data += more
        return data

    def open(self, data, last=False):
        stream, self.next = self.next, self.next + 2
        self.streams[stream] = b""
        self.send(DATA, SYN | (FIN if last else 0), stream, len(data), data)
        return stream

    def frame(self):
        """Take in the next frame."""
        _, kind, flags, stream, length = struct.unpack(">BBHII", self.exactly(12))
        if kind == PING and flags & SYN:
            self.send(PING, ACK, 0, length)
        if kind == AWAY or flags & RST:
            raise EOFError(f"stream {stream} has ended")
        if kind == DATA:
            data = self.exactly(length)
            self.streams[stream] = self.streams.get(stream, b"") + data
            if length:
                # What was read may be sent again.
                self.send(WINDOW, ACK if flags & SYN else 0, stream, length)

    def record(self, stream):
        """The next record of a stream: its kind and body."""
        while True:
            have = self.streams.get(stream, b"")
            length = int.from_bytes(have[1:4], "big") if len(have) >= 4 else None
            if length is not None and len(have) >= 4 + length:
                self.streams[stream] = have[4 + length :]
                return have[0], have[4 : 4 + length]
            self.frame()


def record(kind, body):
    return bytes([kind]) + len(body).to_bytes(3, "big") + body


def unsigned(**members):
    return b"\0" + json.dumps(members).encode()


def main(host, port, agent, target, token, certificate=None):
    wire = socket.create_connection((host, int(port)), timeout=20)
    if certificate:
        context = ssl.create_default_context(cafile=certificate)
        context.set_alpn_protocols(["sluis-mux/1"])
        wire = context.wrap_socket(wire, server_hostname=host)
        assert wire.selected_alpn_protocol() == "sluis-mux/1", wire.selected_alpn_protocol()
    mux = Yamux(wire)
    kind, body = mux.record(2)
    hello = json.loads(body)
    assert kind == HELLO and hello["sluis"] == 1 and len(bytes.fromhex(hello["nonce"])) == 32, body
    shown = {"token": token} if token else {}
    greeting = mux.open(record(HELLO, unsigned(sluis=1, agent=agent, window=65536, **shown)), last=True)
    answer = mux.record(greeting)
    assert answer[0] == ACCEPT, answer
    opening = unsigned(channel=os.urandom(16).hex(), agent=agent, target=target, intent="chat", metadata={})
    channel = mux.open(record(OPEN, opening))
    messages = [(JSON, b'{"text":"h\xc3\xa9"}'), (BYTES, b"\0" * 100_000)]
    heard, acked, closed, sent_close = [], 0, False, False
    while not (closed and acked == 3):
        kind, body = mux.record(channel)
        if kind == ACCEPT:
            for message, text in messages:
                for at in range(0, len(record(message, text)), 16384):
                    part = record(message, text)[at : at + 16384]
                    mux.send(DATA, 0, channel, len(part), part)
        elif kind in (JSON, BYTES):
            heard.append((kind, body))
            answer = record(ACKED, len(heard).to_bytes(8, "big"))
            mux.send(DATA, 0, channel, len(answer), answer)
        elif kind == ACKED:
            acked = int.from_bytes(body, "big")
        elif kind == CLOSE:
            closed = True
            answer = record(ACKED, (len(heard) + 1).to_bytes(8, "big"))
            mux.send(DATA, 0, channel, len(answer), answer)
        else:
            raise ValueError(f"record {kind}: {body!r}")
        if len(heard) == 2 and acked == 2 and not sent_close:
            sent_close = True
            goodbye = record(CLOSE, b"client_close")
            mux.send(DATA, 0, channel, len(goodbye), goodbye)
    print(json.dumps({"heard": len(heard), "same": heard == messages, "acked": acked}))


if __name__ == "__main__":
    main(*sys.argv[1:])
