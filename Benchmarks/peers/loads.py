"""The loads of Benchmarks/peers/run: requests as bytes, what their answers must be, and wrk."""

import http.client
import json
import pathlib
import random
import ssl
import struct
import subprocess
import sys

HERE = pathlib.Path(__file__).resolve().parent
ROW = [5.1, 3.5, 1.4, 0.2]
# What models/iris says of ROW, from its manifest.
PROBABILITIES = [0.98157287, 0.018427128, 1.4781144e-08]
IMAGE = [1, 3, 224, 224]
PATH = "/v2/models/{}/infer"


def image():
    """float32 values as a camera would give them, and what they are after a look through 32 bits."""
    generator = random.Random(5)
    raw = struct.pack(f"<{3 * 224 * 224}f", *(generator.random() for _ in range(3 * 224 * 224)))
    return raw, struct.unpack(f"<{3 * 224 * 224}f", raw)


def shortest(values):
    """The numbers as a program that knows float32 writes them: nine digits at most."""
    return "[" + ",".join(f"{value:.9g}" for value in values) + "]"


class Load:
    """One request of a model and what it is answered with."""

    def __init__(self, model, body, headers, check):
        self.model, self.body, self.headers, self.check = model, body, headers, check


def binary(name, shape, raw):
    head = json.dumps({
        "inputs": [{"name": name, "shape": shape, "datatype": "FP32", "parameters": {"binary_data_size": len(raw)}}],
        "parameters": {"binary_data_output": True},
    }).encode()
    return head + raw, {
        "Content-Type": "application/octet-stream", "Inference-Header-Content-Length": str(len(head))}


def check_iris(answer, exact):
    outputs = {tensor["name"]: tensor for tensor in answer["outputs"]}
    found = outputs["probabilities"]["data"]
    found = found[0] if isinstance(found[0], list) else found
    # The pickle of the Flask peer was trained by itself: its class is the same, its numbers are near.
    tolerance = 1e-5 if exact else 0.05
    return flat(outputs["label"]["data"]) == [0] and all(abs(left - right) < tolerance for left, right in zip(found, PROBABILITIES, strict=True))


def flat(data):
    while data and isinstance(data[0], list):
        data = [element for row in data for element in row]
    return data


def loads():
    raw, values = image()
    row = struct.pack("<4f", *ROW)
    iris = json.dumps({"inputs": [{"name": "X", "shape": [1, 4], "datatype": "FP32", "data": ROW}]}).encode()
    picture = (
        f'{{"inputs":[{{"name":"X","shape":{IMAGE},"datatype":"FP32","data":{shortest(values)}}}]}}').encode()
    plain = {"Content-Type": "application/json"}

    def iris_answer(headers, body, exact):
        return check_iris(json.loads(body), exact)

    def image_answer(headers, body, exact):
        found = flat(json.loads(body)["outputs"][0]["data"])
        return struct.pack(f"<{len(found)}f", *found) == raw

    def binary_iris(headers, body, exact):
        at = int(headers["Inference-Header-Content-Length"])
        sizes = [tensor["parameters"]["binary_data_size"] for tensor in json.loads(body[:at])["outputs"]]
        if at + sum(sizes) != len(body) or sizes != [8, 12]:
            return False
        label, *found = struct.unpack("<q3f", body[at:])
        return label == 0 and all(abs(left - right) < 1e-5 for left, right in zip(found, PROBABILITIES, strict=True))

    def binary_image(headers, body, exact):
        return body[int(headers["Inference-Header-Content-Length"]):] == raw

    return {
        "iris JSON": Load("iris", iris, plain, iris_answer),
        "image JSON": Load("image", picture, plain, image_answer),
        "iris binary": Load("iris", *binary("X", [1, 4], row), binary_iris),
        "image binary": Load("image", *binary("X", IMAGE, raw), binary_image),
    }


class Target:
    """A server that answers loads over TLS."""

    def __init__(self, name, port, headers=None, exact=True):
        self.name, self.port, self.headers, self.exact = name, port, headers or {}, exact

    def ask(self, load):
        """Bytes of the body of one answer, which is right."""
        context = ssl._create_unverified_context()
        connection = http.client.HTTPSConnection("127.0.0.1", self.port, context=context, timeout=30)
        try:
            connection.request("POST", PATH.format(load.model), load.body, {**load.headers, **self.headers})
            answer = connection.getresponse()
            body = answer.read()
            if answer.status != 200 or not load.check(answer.headers, body, self.exact):
                sys.exit(f"{self.name} answers {load.model} wrongly: {answer.status} {body[:300]}")
            return len(body)
        finally:
            connection.close()


def wrk(target, load, work, seconds, connections):
    """What wrk saw; every answer was a 200 and as long as one that was looked at."""
    length = target.ask(load)
    body = work / "wrk-body"
    body.write_bytes(load.body)
    headers = [f"{name}: {value}" for name, value in {**load.headers, **target.headers}.items()]
    done = subprocess.run(
        ["wrk", "-t1", f"-c{connections}", f"-d{seconds}s", "--timeout", "20s", "-s", HERE / "load.lua",
         f"https://127.0.0.1:{target.port}{PATH.format(load.model)}", "--", body, *headers],
        capture_output=True, text=True)
    if done.returncode != 0 or "{" not in done.stdout:
        sys.exit(f"wrk against {target.name}: {done.stdout} {done.stderr}")
    report = json.loads(done.stdout[done.stdout.rindex("{"):])
    if report["trouble"] or report["requests"] == 0:
        sys.exit(f"wrk against {target.name} had {report['trouble']} failures in {report['requests']} requests")
    # A head has a few hundred bytes; what was under way at the end counts a little too.
    extra = report["bytes"] / report["requests"] - length
    if not 0 < extra < 1_000 + 64 * length / report["requests"] * connections:
        sys.exit(f"answers of {target.name} are not as long as they should be: {extra:.0f} bytes beyond {length}")
    target.ask(load)
    report["calls_per_second"] = report["requests"] / report["seconds"]
    return report
