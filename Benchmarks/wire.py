"""A small client of sluice/1 (proto/README.md): frames and protobuf by hand, standard library only, so that the server's own
code is not judged by itself."""

import socket
import ssl
import struct

HELLO, CALL, DATA, REPLY, CANCEL, PING, GOAWAY, AUTH = range(8)
END, MORE, ACK = 1, 2, 8
FRAME_MAX = 256 << 10


def varint(number):
    out = b""
    while number > 127:
        out += bytes([number & 127 | 128])
        number >>= 7
    return out + bytes([number])


def field(number, value):
    if isinstance(value, int):
        return varint(number << 3) + varint(value)
    return varint(number << 3 | 2) + varint(len(value)) + value


def fields(data):
    """[(number, value)] of a message; packed numbers stay bytes."""
    out, at = [], 0

    def number():
        nonlocal at
        value = shift = 0
        while True:
            byte = data[at]
            at += 1
            value |= (byte & 127) << shift
            shift += 7
            if byte < 128:
                return value

    while at < len(data):
        key = number()
        if key & 7 == 0:
            out.append((key >> 3, number()))
        elif key & 7 == 2:
            length = number()
            out.append((key >> 3, data[at : at + length]))
            at += length
        else:
            raise ValueError(f"wire type {key & 7}")
    return out


def frame(kind, flags, call, header=b"", payload=b""):
    body = header + payload
    return struct.pack(">IBBHI", len(body) + 8, kind, flags, len(header), call) + body


def request(model, values, shape):
    tensor = field(1, b"X") + field(2, b"FP32") + field(3, b"".join(varint(n) for n in shape))
    raw = struct.pack(f"<{len(values)}f", *values) if isinstance(values, list) else values
    return field(1, model) + field(3, b"id-1") + field(5, tensor) + field(7, raw)


class Client:
    def __init__(self, place, ca):
        host, port = place.rsplit(":", 1)
        context = ssl.create_default_context(cafile=ca)
        context.check_hostname = False
        context.set_alpn_protocols(["sluice/1"])
        plain = socket.create_connection((host, int(port)), timeout=120)
        plain.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.socket = context.wrap_socket(plain)
        assert self.socket.selected_alpn_protocol() == "sluice/1"
        self.bytes = b""

    def send(self, data, step=None):
        for at in range(0, len(data), step or len(data)):
            self.socket.sendall(data[at : at + (step or len(data))])

    def exactly(self, count):
        while len(self.bytes) < count:
            more = self.socket.recv(1 << 20)
            if not more:
                raise EOFError
            self.bytes += more
        data, self.bytes = self.bytes[:count], self.bytes[count:]
        return data

    def frame(self):
        length, kind, flags, header, call = struct.unpack(">IBBHI", self.exactly(12))
        assert 8 <= length <= FRAME_MAX + 8
        body = self.exactly(length - 8)
        return kind, flags, call, body[:header], body[header:]

    def reply(self):
        kind, flags, call, header, payload = self.frame()
        assert kind == REPLY, kind
        parts = [payload]
        while flags & MORE:
            kind, flags, number, _, payload = self.frame()
            assert (kind, number) == (DATA, call)
            parts.append(payload)
        assert flags == END
        return call, dict(fields(header)), b"".join(parts)

    def hello(self, token=None):
        self.send(frame(HELLO, 0, 0, field(1, 0) + field(3, b"check") + (field(4, token.encode()) if token else b"")))
        kind, _, _, header, _ = self.frame()
        assert kind == HELLO and dict(fields(header))[2] == FRAME_MAX
