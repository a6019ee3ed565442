"""Runs the load generator against the server and its peers and prints one table, in F.

Called by scripts/perf, which builds and installs what this needs. Server on one core, load on
another (taskset), medians of some runs, the floor measured anew before each of them.
"""

import argparse
import json
import os
import shlex
import socket
import statistics
import subprocess
import sys
import tempfile
import threading
import time
import urllib.request
from pathlib import Path

SERVER_CORE, LOAD_CORE = "0", "1"
START_SECONDS_MAX = 20
# Name, arguments of the load generator, where its report has the cost, unit, target.
SCENARIOS = [
    ("flood", ["flood"], ("server", "cpu_us_per_delivery"), "send", 0.20),
    ("room of 1,000", ["bigroom"], ("server", "cpu_us_per_delivery"), "send", 0.31),
    ("paced", ["paced"], ("server", "cpu_us_per_delivery"), "send", 2.4),
    ("join", ["join"], ("server", "cpu_us_per_join"), "send", 14),
    ("churn", ["churn"], ("server", "cpu_us_per_join"), "send", 17),
    ("document", ["document"], ("server", "cpu_us_per_megabyte"), "document", 1.1),
]
# Cost of a delivery as the server grows: members of a room, rooms.
PACED_DELIVERIES = 10_000
GROWTH = [(2, 1), (2, 50), (2, 500), (2, 5000), (20, 1), (20, 5), (20, 50), (20, 500)]


def pinned(core, command):
    return ["taskset", "-c", core, *command]


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


class Server:
    """A server on its core, until the end of the block."""

    def __init__(self, name, command):
        self.name, self.command = name, command

    def __enter__(self):
        self.folder = tempfile.TemporaryDirectory()
        self.port = free_port()
        environment = dict(os.environ, PORT=str(self.port), BIND_ADDR="127.0.0.1")
        environment.update(DATA_DIR=self.folder.name, ROOM_CREATE_RATE="0", MESSAGE_RATE_LIMIT="0")
        environment.update(MAX_CONNECTIONS="20000", MAX_ROOMS="20000", RUST_LOG="warn")
        command = self.command if self.name == "sync-server" else [*self.command, str(self.port)]
        self.said = tempfile.TemporaryFile()
        self.process = subprocess.Popen(
            pinned(SERVER_CORE, command), env=environment, stdout=self.said, stderr=self.said
        )
        deadline = time.monotonic() + START_SECONDS_MAX
        while True:
            try:
                socket.create_connection(("127.0.0.1", self.port), timeout=1).close()
                return self
            except OSError:
                if time.monotonic() > deadline or self.process.poll() is not None:
                    self.said.seek(0)
                    sys.exit(f"perf: {self.name} does not listen: {self.said.read().decode()}")
                time.sleep(0.001)

    def __exit__(self, *_):
        self.process.terminate()
        try:
            self.process.wait(timeout=15)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
        self.said.close()
        self.folder.cleanup()

    def load(self, arguments):
        """The load generator's report."""
        # Busy: on a virtual machine, to wake the load generator costs more than a message.
        command = ["target/release/examples/load", *arguments, "--json", "--busy"]
        command += ["--url", f"http://127.0.0.1:{self.port}", "--pid", str(self.process.pid)]
        done = subprocess.run(pinned(LOAD_CORE, command), stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        if not done.stdout:
            sys.exit(f"perf: {self.name}: {done.stderr.decode().strip()}")
        return json.loads(done.stdout)


class Floor:
    """What the kernel costs, measured again and again."""

    def __init__(self):
        self.runs = []

    def measure(self):
        command = ["cargo", "bench", "--locked", "--quiet"]
        command += ["--bench", "floor", "--", "--json"]
        cores = f"{SERVER_CORE},{LOAD_CORE}"
        self.runs.append(json.loads(subprocess.check_output(pinned(cores, command))))

    def unit(self, name):
        key = {"send": "send_us", "document": "document_us_per_mb"}[name]
        return statistics.median(run[key] for run in self.runs)


def cost(report, path):
    for key in path:
        report = report[key]
    return report


def resident(pid):
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith("VmRSS:"):
            return int(line.split()[1]) * 1024
    raise ValueError("no VmRSS")


def quantile(values, share):
    return sorted(values)[min(len(values) - 1, int(len(values) * share))]


def bystanders(server, arguments):
    """p99 of GET /health, in ms, while the load is on."""
    latencies, stop = [], threading.Event()

    def ask():
        while not stop.is_set():
            began = time.perf_counter()
            with urllib.request.urlopen(f"http://127.0.0.1:{server.port}/health", timeout=30) as answer:
                answer.read()
            latencies.append((time.perf_counter() - began) * 1e3)
            stop.wait(0.01)

    asking = threading.Thread(target=ask)
    asking.start()
    report = server.load(arguments)
    stop.set()
    asking.join()
    return quantile(latencies, 0.99), report


def measure(servers, floor, options):
    """All costs: scenario → server → list of (cost, report)."""
    results = {name: {server: [] for server in servers} for name, *_ in SCENARIOS}
    for run in range(options.runs):
        floor.measure()
        for name, arguments, path, _, _ in SCENARIOS:
            for server, command in servers.items():
                print(f"run {run + 1} of {options.runs}: {name}, {server}", file=sys.stderr)
                seconds = [] if name == "join" else ["--seconds", str(options.seconds)]
                with Server(server, command) as running:
                    report = running.load([*arguments, *seconds])
                if server == "sync-server" and not report["passed"]:
                    sys.exit(f"perf: {name}: something was lost or out of order: {report}")
                results[name][server].append((cost(report, path), report))
    return results


def table(rows):
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    for index, row in enumerate(rows):
        print("| " + " | ".join(cell.ljust(width) for cell, width in zip(row, widths)) + " |")
        if index == 0:
            print("|" + "|".join("-" * (width + 2) for width in widths) + "|")
    print()


def show_costs(results, servers, floor):
    print(f"F = {floor.unit('send'):.2f} µs, a megabyte by bare writes = {floor.unit('document'):.0f} µs\n")
    rows = [["work", "target", *servers, "spread"]]
    for name, _, _, unit, target in SCENARIOS:
        row = [name, f"≤ {target}"]
        for server in servers:
            costs = [cost for cost, _ in results[name][server]]
            row.append(f"{statistics.median(costs) / floor.unit(unit):.2f}")
        own = [cost / floor.unit(unit) for cost, _ in results[name]["sync-server"]]
        row.append(f"{min(own):.2f}–{max(own):.2f}")
        rows.append(row)
    latency = ["p99 of paced, ms", ""]
    for server in servers:
        p99 = [report["traffic"]["latency"]["p99_us"] for _, report in results["paced"][server]]
        latency.append(f"{statistics.median(p99) / 1e3:.2f}")
    peak = ["peak RSS of document, MB", "≤ 15"]
    for server in servers:
        peaks = [report["server"]["resident_bytes_peak"] for _, report in results["document"][server]]
        peak.append(f"{statistics.median(peaks) / 1e6:.1f}")
    table([*rows, [*latency, ""], [*peak, ""]])


def show_growth(command, floor, options):
    rows = [["members", "rooms", "connections", "paced, F a delivery", "flood, F a delivery"]]
    for members, count in GROWTH:
        row = [str(members), f"{count:,}", f"{members * count:,}"]
        size = ["--clients", str(members * count), "--rooms", str(count), "--seconds", str(options.seconds)]
        # Paced: as many deliveries a second, whatever the size.
        rate = PACED_DELIVERIES // (members - 1)
        for scenario in (["paced", "--rate", str(rate)], ["flood"]):
            with Server("sync-server", command) as server:
                report = server.load([*scenario, *size])
            row.append(f"{report['server']['cpu_us_per_delivery'] / floor.unit('send'):.2f}")
        rows.append(row)
    table(rows)


def show_footprint(command, options):
    binary = Path(command[0]).stat().st_size
    starts = []
    for _ in range(5):
        began = time.perf_counter()
        with Server("sync-server", command) as server:
            starts.append((time.perf_counter() - began) * 1e3)
            time.sleep(0.5)
            rest = resident(server.process.pid)
    with Server("sync-server", command) as server:
        report = server.load(["idle", "--clients", "10000", "--rooms", "500", "--seconds", "1"])
        idle = report["server"]
    table(
        [
            ["footprint", "target", "measured"],
            ["binary", "≤ 6 MB", f"{binary / 1e6:.2f} MB"],
            ["RSS at rest, SQLite", "≤ 6 MB", f"{rest / 1e6:.2f} MB"],
            ["10,000 idle, joined: whole process", "≤ 16 MB", f"{idle['resident_bytes'] / 1e6:.1f} MB"],
            ["for each of them", "≤ 760 B", f"{idle['resident_bytes_per_client']:.0f} B"],
            ["start to listening", "≤ 20 ms", f"{statistics.median(starts):.0f} ms"],
        ]
    )


def show_bystanders(command, options):
    rows = [["meanwhile", "GET /health p99, ms", "quiet room p99, ms"]]
    for name in ["idle", "flood", "document", "churn"]:
        with Server("sync-server", command) as server:
            quiet = ["target/release/examples/load", "paced", "--clients", "20", "--rooms", "1", "--rate", "50"]
            quiet += ["--seconds", str(options.seconds), "--json", "--url", f"http://127.0.0.1:{server.port}"]
            watcher = subprocess.Popen(pinned(LOAD_CORE, quiet), stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
            health, _ = bystanders(server, [name, "--seconds", str(options.seconds)])
            report = json.loads(watcher.communicate()[0])
        rows.append([name, f"{health:.1f}", f"{report['traffic']['latency']['p99_us'] / 1e3:.1f}"])
    table(rows)


def main():
    parser = argparse.ArgumentParser(prog="scripts/perf")
    parser.add_argument("--runs", type=int, default=5)
    parser.add_argument("--quick", action="store_true", help="one short run each, for a first look")
    parser.add_argument("--json", type=Path, help="writes all reports to this file as well")
    parser.add_argument("--peer", action="append", default=[], help="NAME=COMMAND, given a port")
    options = parser.parse_args()
    options.seconds = 2 if options.quick else 5
    options.runs = 1 if options.quick else options.runs
    servers = {"sync-server": ["target/release/sync-server"]}
    for peer in options.peer:
        name, command = peer.split("=", 1)
        servers[name] = shlex.split(command)
    floor = Floor()
    results = measure(servers, floor, options)
    show_costs(results, servers, floor)
    show_growth(servers["sync-server"], floor, options)
    show_footprint(servers["sync-server"], options)
    show_bystanders(servers["sync-server"], options)
    if options.json:
        reports = {name: {server: [report for _, report in runs] for server, runs in by.items()} for name, by in results.items()}
        options.json.write_text(json.dumps({"floor": floor.runs, "reports": reports}))


if __name__ == "__main__":
    main()
