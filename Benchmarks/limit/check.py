#!/usr/bin/env python3
"""Tries the reference server over real TLS: check.py HOST:PORT CA [MODEL]."""

import os
import pathlib
import ssl
import struct
import sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent))
from wire import CALL, DATA, END, FRAME_MAX, MORE, PING, ACK, CANCEL, Client, field, fields, frame, request


def main():
    place, ca = sys.argv[1:3]
    model = (sys.argv[3] if len(sys.argv) > 3 else "iris").encode()
    head = field(1, 1) + field(3, model)
    client = Client(place, ca)
    client.hello()

    call = frame(CALL, END, 1, head, request(model, [5.1, 3.5, 1.4, 0.2], [1, 4]))
    client.send(call)
    number, header, payload = client.reply()
    first = fields(payload)
    assert number == 1 and 1 not in header and dict(first)[1] == model and dict(first)[3] == b"id-1"
    print("call:", [(n, v) for n, v in first if n in (5, 6)])

    client.send(call.replace(struct.pack(">I", 1), struct.pack(">I", 2), 0), step=1)
    assert fields(client.reply()[2]) == first
    print("a frame a byte at a time: ok")

    many = b"".join(
        frame(CALL, END, 10 + n, head, request(model, [5.1, 3.5, 1.4, 0.2], [1, 4])) for n in range(2000)
    )
    client.send(many, step=4099)
    for n in range(2000):
        number, _, payload = client.reply()
        assert number == 10 + n and fields(payload) == first
    print("2,000 calls in flight, cut anywhere: ok")

    def status(header):
        return dict(fields(header[1]))

    client.send(frame(CALL, END, 3000, field(1, 1) + field(3, b"nobody"), b""))
    assert status(client.reply()[1])[1] == 5
    client.send(frame(CALL, END, 3001, head, b"\xff\xff\xff"))
    assert status(client.reply()[1])[1] == 3
    client.send(frame(CALL, END, 3002, field(1, 7) + field(3, model)))
    assert status(client.reply()[1])[1] == 12
    client.send(frame(CALL, END, 3003, field(1, 3) + field(3, model)))
    assert dict(fields(client.reply()[2]))[1] == model
    client.send(frame(PING, 0, 0, b"", b"12345678"))
    assert client.frame() == (PING, ACK, 0, b"", b"12345678")
    client.send(frame(0x41, 0, 0, b"", b"whatever") + frame(CANCEL, 0, 1, field(1, b"late")))
    print("statuses, metadata, ping, extension, cancel: ok")

    rows = (16 << 20) // 16
    raw = os.urandom(1 << 20).replace(b"\x7f", b"\x3f").replace(b"\xff", b"\x3f") * 16
    message = request(model, raw, [rows, 4])
    whole = head + field(6, len(message))
    parts = [message[at : at + FRAME_MAX - 64] for at in range(0, len(message), FRAME_MAX - 64)]
    small = frame(CALL, END, 5001, head, request(model, [5.1, 3.5, 1.4, 0.2], [1, 4]))
    client.send(frame(CALL, MORE, 5000, whole, parts[0]) + small)
    number, _, payload = client.reply()
    assert number == 5001 and fields(payload) == first
    for index, part in enumerate(parts[1:], 1):
        client.send(frame(DATA, END if index == len(parts) - 1 else MORE, 5000, b"", part))
    number, header, payload = client.reply()
    assert number == 5000 and header[2] == len(payload)
    outputs = [value for kind, value in fields(payload) if kind == 6]
    print("16 MiB in parts, a small call between them: ok,", [len(o) for o in outputs], "bytes back")

    for name, bad in {
        "a length of 0xFFFFFFFF": b"\xff\xff\xff\xff" + bytes(8),
        "an unknown type": frame(0x20, 0, 0),
        "a header longer than its frame": struct.pack(">IBBHI", 8, CALL, END, 9, 1),
        "parts without a length": frame(CALL, MORE, 1, head, b"x"),
        "a length over the limit": frame(CALL, MORE, 1, head + field(6, 1 << 40), b"x"),
        "a part of nothing": frame(DATA, END, 77, b"", b"x"),
        "too long a part": frame(CALL, MORE, 1, head + field(6, 4), b"xx") + frame(DATA, END, 1, b"", b"xxx"),
    }.items():
        other = Client(place, ca)
        other.hello()
        other.send(bad)
        try:
            other.frame()
            raise SystemExit(f"{name}: not refused")
        except (EOFError, ssl.SSLError, ConnectionError):
            pass
    client.send(call)
    assert client.reply()[0] == 1
    print("framing mistakes end their connection, not another: ok")


main()
