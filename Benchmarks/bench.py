"""What the benchmarks share: a server to start and stop, the load generator, and a gateway with iris awake."""

import json
import os
import pathlib
import re
import shutil
import statistics
import subprocess
import sys

ROOT = pathlib.Path(__file__).resolve().parent.parent
# Another build: SLUICE=.build/debug/sluice, from the root.
SLUICE = ROOT / os.environ.get("SLUICE", ".build/release/sluice")
FIXTURES = ROOT / "Tests/Fixtures/models"


class Server:
    """A server process that prints `ready tls=HOST:PORT` when it answers."""

    def __init__(self, name, command, log):
        self.name = name
        self.process = subprocess.Popen(
            command, stdout=subprocess.PIPE, stderr=open(log, "w"), stdin=subprocess.DEVNULL, text=True
        )
        line = self.process.stdout.readline()
        match = re.search(r"tls=(\S+)", line)
        if not match:
            self.process.kill()
            sys.exit(f"{name} did not start: {pathlib.Path(log).read_text()}")
        self.endpoint = match.group(1)
        match = re.search(r"admin=(\S+)", line)
        self.admin = match.group(1) if match else None

    def resident_kib(self):
        status = pathlib.Path(f"/proc/{self.process.pid}/status").read_text()
        return int(re.search(r"VmRSS:\s+(\d+)", status).group(1))

    def stop(self):
        self.process.terminate()
        self.process.wait(timeout=60)


def bench(server, work, model, seconds, *options):
    command = [
        SLUICE, "bench", "--endpoint", server.endpoint, "--ca", work / "state/tls/cert.pem", "--model", model,
        "--duration", f"{seconds}s", "--warm-up", "1s", "--json", *options,
    ]
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode != 0:
        sys.exit(f"bench against {server.name} failed: {done.stderr}")
    report = json.loads(done.stdout)
    if report["errors"]:
        sys.exit(f"bench against {server.name}: {report['errors_by_status']}")
    return report


def median(reports, key):
    return statistics.median(report[key] for report in reports)


def start_gateway(work, servers):
    """A gateway with every model of models/ and `echo`, a token in SLUICE_TOKEN, and iris awake."""
    models = work / "models"
    shutil.copytree(ROOT / "models", models)
    (models / "echo/1").mkdir(parents=True)
    shutil.copy(FIXTURES / "identity-fp32.onnx", models / "echo/1/model.onnx")
    gateway = Server(
        "sluice",
        [SLUICE, "serve", "--listen", "127.0.0.1:0", "--admin", "127.0.0.1:0", "--models", models, "--state",
         work / "state"],
        work / "sluice.log",
    )
    servers.append(gateway)
    os.environ["SLUICE_TOKEN"] = subprocess.run(
        [SLUICE, "token", "create", "--name", "bench", "--state", work / "state"],
        capture_output=True, text=True, check=True,
    ).stdout.strip()
    subprocess.run(
        [SLUICE, "call", "iris", "--input", "X=[[5.1,3.5,1.4,0.2]]", "--endpoint", gateway.endpoint, "--ca",
         work / "state/tls/cert.pem"],
        check=True, stdout=subprocess.DEVNULL,
    )
    return gateway
