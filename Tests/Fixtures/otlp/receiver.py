"""A collector for tests: takes OTLP over HTTP as the real messages say it, and answers as the test wants.

receiver.py OUT MODE [CERTIFICATE KEY]: listens on a free port of the loopback, prints "ready PORT", ends with its standard input. Each span becomes a
JSON line in OUT; each request a line {"request": ...} with its fields. MODE is a file that holds one word, read for each request:
ok, slow, partial, redirect, or a status code.
"""

import gzip
import http.server
import json
import os
import ssl
import sys
import threading

from google.protobuf import json_format
from opentelemetry.proto.collector.trace.v1 import trace_service_pb2 as service

out = open(sys.argv[1], "a", buffering=1)
lock = threading.Lock()


def say(line):
    with lock:
        out.write(json.dumps(line) + "\n")


def values(pairs):
    return {pair.key: next(iter(json_format.MessageToDict(pair.value).values())) for pair in pairs}


def spans(message):
    for resource in message.resource_spans:
        for scope in resource.scope_spans:
            for span in scope.spans:
                yield {
                    "name": span.name, "kind": span.kind, "trace": span.trace_id.hex(),
                    "span": span.span_id.hex(), "parent": span.parent_span_id.hex(),
                    "start": span.start_time_unix_nano, "end": span.end_time_unix_nano,
                    "status": span.status.code, "message": span.status.message,
                    "flags": span.flags, "attributes": values(span.attributes),
                    "resource": values(resource.resource.attributes), "scope": scope.scope.name,
                }


class Collector(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def log_message(self, *_):
        pass

    def do_POST(self):
        body = self.rfile.read(int(self.headers["content-length"]))
        with open(sys.argv[2]) as file:
            mode = file.read().strip()
        say({"request": self.path, "mode": mode, "fields": dict(self.headers.items())})
        if mode == "slow":
            threading.Event().wait(30)
            return self.answer(503)
        if mode == "redirect":
            return self.answer(307, fields={"location": "/elsewhere"})
        if mode.isdigit():
            return self.answer(int(mode), b"no", {"retry-after": "0"})
        if self.path != "/v1/traces" or self.headers["content-type"] != "application/x-protobuf":
            return self.answer(415)
        request = service.ExportTraceServiceRequest()
        try:
            if self.headers.get("content-encoding") == "gzip":
                body = gzip.decompress(body)
            request.ParseFromString(body)
        except Exception as error:
            return self.answer(400, str(error).encode())
        # Nothing was sent that the messages do not have.
        if request.SerializeToString() and request.ByteSize() != len(body):
            return self.answer(400, b"unknown fields")
        for span in spans(request):
            say(span)
        answer = service.ExportTraceServiceResponse()
        if mode == "partial":
            answer.partial_success.rejected_spans = 2
            answer.partial_success.error_message = "two of them"
        self.answer(200, answer.SerializeToString())

    def answer(self, status, body=b"", fields={}):
        self.send_response(status)
        for name, value in fields.items():
            self.send_header(name, value)
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)


server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Collector)
server.daemon_threads = True
if len(sys.argv) > 3:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(sys.argv[3], sys.argv[4])
    # The handshake is for the thread of its connection.
    server.socket = context.wrap_socket(server.socket, server_side=True, do_handshake_on_connect=False)
threading.Thread(target=lambda: (sys.stdin.read(), os._exit(0)), daemon=True).start()
print("ready", server.server_port, flush=True)
server.serve_forever()
