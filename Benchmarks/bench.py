"""What the benchmarks share: a server to start and stop, what it says of itself, the load generator, and a gateway with iris awake."""

import json
import os
import pathlib
import re
import shutil
import statistics
import subprocess
import sys
import urllib.request

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

    def cpu_seconds(self):
        return cpu_seconds([self.process.pid])

    def metrics(self):
        """Every sample of /metrics by its name and labels, as they are written."""
        with urllib.request.urlopen(f"http://{self.admin}/metrics", timeout=30) as page:
            lines = page.read().decode().splitlines()
        return {name: float(value) for name, value in (line.rsplit(" ", 1) for line in lines if line[:1] not in ("", "#"))}

    def stop(self):
        self.process.terminate()
        self.process.wait(timeout=60)


def cpu_seconds(pids):
    """What the processes have spent since they began, user and system."""
    ticks = 0
    for pid in pids:
        fields = pathlib.Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
        ticks += int(fields[11]) + int(fields[12])
    return ticks / os.sysconf("SC_CLK_TCK")


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


def start_with(settings, folder, models=ROOT / "models", scope="infer:*"):
    """A gateway on `models` with these settings and a token, which goes into SLUICE_TOKEN too; its state is in folder/state."""
    folder.mkdir(exist_ok=True)
    (folder / "sluice.yaml").write_text(settings)
    gateway = Server(
        folder.name,
        [SLUICE, "serve", "--config", folder / "sluice.yaml", "--listen", "127.0.0.1:0", "--admin", "127.0.0.1:0", "--models",
         models, "--state", folder / "state"],
        folder / "sluice.log",
    )
    gateway.work = folder
    try:
        gateway.token = subprocess.run(
            [SLUICE, "token", "create", "--name", "bench", "--scope", scope, "--ttl", "1d", "--state", folder / "state"],
            capture_output=True, text=True, check=True,
        ).stdout.strip()
    except BaseException:
        gateway.stop()
        raise
    os.environ["SLUICE_TOKEN"] = gateway.token
    return gateway


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
