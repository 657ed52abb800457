"""The servers of Benchmarks/peers/run: each peer as it is served in practice, the gateway, and their certificate."""

import json
import os
import pathlib
import re
import shutil
import signal
import socket
import subprocess
import sys
import time

HERE = pathlib.Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent))
import bench as common
from loads import IMAGE, Load, Target
from wire import field

ROOT = common.ROOT
WORKERS = 2


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def identity(path):
    """An ONNX file whose Y is its X, both float32 of the shape IMAGE: protobuf by hand (onnx.proto of ONNX 1.14)."""
    def value(name):
        shape = b"".join(field(1, field(1, size)) for size in IMAGE)
        return field(1, name) + field(2, field(1, field(1, 1) + field(2, shape)))

    node = field(1, b"X") + field(2, b"Y") + field(3, b"same") + field(4, b"Identity")
    graph = field(1, node) + field(2, b"image") + field(11, value(b"X")) + field(12, value(b"Y"))
    path.parent.mkdir(parents=True)
    path.write_bytes(field(1, 8) + field(7, graph) + field(8, field(1, b"") + field(2, 18)))


def models(work):
    folder = work / "models"
    (folder / "iris/1").mkdir(parents=True)
    for name in ("model.onnx", "manifest.json"):
        shutil.copy(ROOT / "models/iris/1" / name, folder / "iris/1" / name)
    identity(folder / "image/1/model.onnx")
    return folder


def certificate(work):
    subprocess.run(
        ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-keyout",
         work / "key.pem", "-out", work / "cert.pem", "-days", "2", "-subj", "/CN=localhost", "-addext",
         "subjectAltName=DNS:localhost,IP:127.0.0.1"],
        check=True, capture_output=True)
    return work / "cert.pem", work / "key.pem"


class Peers:
    """Started one after the other; all end with the block."""

    def __init__(self, work):
        self.work, self.running = work, []
        self.certificate, self.key = certificate(work)
        self.models = models(work)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        for process in self.running:
            self.signal(process, signal.SIGTERM)
        for process in self.running:
            try:
                process.wait(timeout=20)
            except subprocess.TimeoutExpired:
                pass
            # Workers whose master is gone, too.
            self.signal(process, signal.SIGKILL)
            process.wait()

    @staticmethod
    def signal(process, number):
        """To its workers too: each server leads a group of processes."""
        try:
            os.killpg(process.pid, number)
        except ProcessLookupError:
            pass

    def start(self, name, command, port, environment=None, load=None, folder=None):
        log = self.work / f"{name}.log"
        process = subprocess.Popen(
            command, env={**os.environ, "PYTHONDONTWRITEBYTECODE": "1", "OMP_NUM_THREADS": "1", **(environment or {})}, cwd=folder or HERE,
            stdin=subprocess.DEVNULL, stdout=open(log, "w"), stderr=subprocess.STDOUT, start_new_session=True)
        self.running.append(process)
        end = time.monotonic() + 90
        while time.monotonic() < end:
            if process.poll() is not None:
                break
            try:
                socket.create_connection(("127.0.0.1", port), timeout=1).close()
                return process
            except OSError:
                time.sleep(0.1)
        sys.exit(f"{name} did not start: {log.read_text()[-3000:]}")

    def python(self, peer):
        folder = ROOT / f".venv-peer-{peer}/bin"
        if not folder.exists():
            sys.exit(f"{folder} is missing: Benchmarks/peers/setup makes it")
        return folder

    def fastapi(self):
        port = free_port()
        self.start(
            "fastapi",
            [self.python("fastapi") / "uvicorn", "fastapi_app:app", "--host", "127.0.0.1", "--port", str(port),
             "--workers", str(WORKERS), "--ssl-certfile", self.certificate, "--ssl-keyfile", self.key,
             "--log-level", "warning", "--no-access-log"],
            port, {"PEER_MODELS": str(self.models)})
        return self.answering(Target("FastAPI", port))

    def flask(self):
        port, bin = free_port(), self.python("flask")
        pickle = self.work / "iris.pickle"
        subprocess.run([bin / "python", HERE / "flask_app.py", pickle], check=True)
        self.start(
            "flask",
            [bin / "gunicorn", "--workers", str(WORKERS), "--worker-class", "gthread", "--threads", "4", "--keep-alive",
             "60", "--bind", f"127.0.0.1:{port}", "--certfile", self.certificate, "--keyfile", self.key,
             "--log-level", "warning", "flask_app:app"],
            port, {"PEER_PICKLE": str(pickle)})
        return self.answering(Target("Flask", port, exact=False))

    def mlserver(self):
        folder, port = self.work / "mlserver", free_port()
        folder.mkdir()
        (folder / "settings.json").write_text(json.dumps({
            "host": "127.0.0.1", "http_port": port, "grpc_port": free_port(), "metrics_port": free_port(),
            # Its workers are other processes that are asked through pipes: with two of them it was half as fast.
            "parallel_workers": 0, "debug": False, "load_models_at_startup": True,
            "environments_dir": str(folder / "environments"),
        }))
        for name in ("iris", "image"):
            (folder / name).mkdir()
            (folder / name / "model-settings.json").write_text(json.dumps({
                "name": name, "implementation": "mlserver_model.OnnxModel",
                "parameters": {"uri": str(self.models / name / "1/model.onnx"), "version": "1"},
            }))
        self.start(
            "mlserver", [self.python("mlserver") / "mlserver", "start", folder], port, {"PYTHONPATH": str(HERE)},
            folder=folder)
        return self.answering(Target("MLServer", self.proxy("mlserver", port)))

    def proxy(self, name, behind):
        """nginx with our certificate before a server without TLS."""
        port, folder = free_port(), self.work / f"nginx-{name}"
        folder.mkdir()
        (folder / "nginx.conf").write_text(f"""
            worker_processes {WORKERS};
            daemon off;
            pid {folder}/pid;
            error_log {folder}/error.log;
            events {{ worker_connections 1024; }}
            http {{
                access_log off;
                client_max_body_size 64m;
                client_body_buffer_size 4m;
                client_body_temp_path {folder}/body;
                proxy_temp_path {folder}/proxy;
                fastcgi_temp_path {folder}/fastcgi;
                uwsgi_temp_path {folder}/uwsgi;
                scgi_temp_path {folder}/scgi;
                proxy_buffers 64 64k;
                keepalive_requests 10000000;
                upstream behind {{ server 127.0.0.1:{behind}; keepalive 64; keepalive_requests 10000000; }}
                server {{
                    listen 127.0.0.1:{port} ssl;
                    ssl_certificate {self.certificate};
                    ssl_certificate_key {self.key};
                    location / {{
                        proxy_pass http://behind;
                        proxy_http_version 1.1;
                        proxy_set_header Connection "";
                    }}
                }}
            }}
            """)
        self.start(f"nginx-{name}", ["nginx", "-e", folder / "error.log", "-c", folder / "nginx.conf"], port)
        return port

    def answering(self, target):
        """Once the first call has been answered, rightly or not: checks come with the loads."""
        from loads import loads

        first = loads()["iris JSON"]
        end = time.monotonic() + 90
        while time.monotonic() < end:
            try:
                target.ask(Load(first.model, first.body, first.headers, lambda *_: True))
                return target
            except (OSError, SystemExit):
                time.sleep(0.2)
        sys.exit(f"{target.name} does not answer: {[log.read_text()[-1500:] for log in self.work.glob('*.log')]}")


class Gateway(common.Server):
    """Sluice with the same models and certificate; its token is in SLUICE_TOKEN."""

    def __init__(self, peers):
        work = peers.work
        settings = work / "sluice.yaml"
        settings.write_text(
            f"tls: {{ certificate: {peers.certificate}, key: {peers.key} }}\nhttp: {{ idle: 600s }}\n")
        super().__init__(
            "sluice",
            [common.SLUICE, "serve", "--config", settings, "--listen", "127.0.0.1:0", "--admin", "127.0.0.1:0",
             "--models", peers.models, "--state", work / "state"],
            work / "sluice.log")
        token = subprocess.run(
            [common.SLUICE, "token", "create", "--name", "bench", "--scope", "infer:* models:read", "--ttl", "1d", "--state",
             work / "state"],
            capture_output=True, text=True, check=True).stdout.strip()
        os.environ["SLUICE_TOKEN"] = token
        self.ca = peers.certificate
        self.port = int(re.search(r":(\d+)$", self.endpoint).group(1))
        self.target = Target("Sluice", self.port, {"Authorization": f"Bearer {token}"})

    def binary_protocol(self, model, seconds, connections, in_flight):
        """`sluice bench` over sluice/1."""
        done = subprocess.run(
            [common.SLUICE, "bench", "--endpoint", self.endpoint, "--ca", self.ca, "--model", model, "--duration",
             f"{seconds}s", "--warm-up", "1s", "--json", "--connections", str(connections), "--in-flight", str(in_flight)],
            capture_output=True, text=True)
        if done.returncode != 0:
            sys.exit(f"sluice bench failed: {done.stderr}")
        report = json.loads(done.stdout)
        if report["errors"]:
            sys.exit(f"sluice bench: {report['errors_by_status']}")
        return report
