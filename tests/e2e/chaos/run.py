"""One run from start to verdict."""

import json
import os
import shutil
import sys
import tempfile
import time

import checker
import cluster
import faults
import harness
import load
import network

DRAIN_S = 120
DRAIN_NEGATIVE_S = 20  # it need not end well


def say(text):
    print(f"{time.strftime('%H:%M:%S')} {text}", file=sys.stderr, flush=True)


class Run:
    out = sys.stderr

    def __init__(self, options, folder):
        self.options, self.folder = options, folder
        self.late = []
        self.network = network.Network(os.path.join(folder, "net"))
        # Without the fence an old owner's commits are still refused when they contradict what is stored. A calm one has
        # nothing to contradict: it stores the fires once more that its successor has done with, and goes on beside it.
        calm = self.calm = options.calm or options.negative == "no_store_fencing"
        # That an owner has schedules when it is cut off is a matter of chance: many groups.
        size = {"groups": 12, "tasktrackers": 12} if calm else {}
        self.cluster = cluster.Cluster(folder, self.network, jobtrackers=options.jobtrackers, faults=options.negative, **size)
        share = (min(options.rate, 1) if calm else options.rate) / 3
        self.clients = [load.Client(self.cluster, f"c{n + 1}", share, options.seed, with_store=n < 2) for n in range(3)]
        self.schedules = load.Schedules(self.cluster, options.seed, calm)

    def execute(self):
        self.cluster.start()
        self.schedules.create()
        for client in self.clients:
            client.start()
        harness.wait_until(lambda: all(client.answers() > 200 for client in self.clients), "no client is answered")
        if not self.calm:
            wanted = min(60, self.options.rate / 2)
            harness.wait_until(lambda: sum(tracker.load()["running"] for tracker in self.cluster.jobtrackers) >= wanted,
                               f"less than {wanted} jobs run", 60, 0.5)
        say("the cluster is up and busy, faults begin")
        with open(os.path.join(self.folder, "faults"), "w", encoding="utf-8", buffering=1) as log:
            self.faults = faults.Director(self, log)
            self.schedules.operate()
            self.faults.run(self.options.seconds)
        say("all is healed, draining")
        self.drain()
        return self.judge()

    def drain(self):
        """Clients end, then schedules, then everything that waits has to be run. What is late is a violation, and the rest
        is judged all the same."""
        for client in self.clients:
            client.popen.terminate()
        for client in self.clients:
            self.wait(client.said_done, f"{client} does not get its answers", DRAIN_S)
        limit = DRAIN_NEGATIVE_S if self.options.negative else DRAIN_S
        self.wait(lambda: self.schedules.rest() or True, "a schedule cannot be resumed", 0)
        if self.schedules.failure:
            self.late.append(self.schedules.failure)
        self.wait(lambda: self.schedules.cancel(limit), "a schedule cannot be cancelled", 0)

        def rows(table):
            return int(self.cluster.sql(f"SELECT COUNT(*) FROM {table}")[0][0])
        wanted = checker.answered_ids(checker.read_clients(os.path.join(self.folder, "clients")))
        state = {}

        def drained():
            self.resume_all()
            ended = {checker.uuid_text(row[0]) for row in self.cluster.sql("SELECT DISTINCT HEX(job_id) FROM lts_attempt")}
            state.update(jobs=rows("lts_job"), schedules=rows("lts_schedule"), missing=len(wanted - ended))
            return state["jobs"] == 0 and state["schedules"] == 0 and state["missing"] == 0
        self.wait(drained, f"not everything ends, as it should within {limit} s", limit, 2)
        self.wait(lambda: rows("lts_feedback") == 0, "feedback is not taken", limit, 1)
        say(f"drained: {state}")
        for client in self.clients:
            code = client.close()
            if code != 0:
                self.late.append(f"{client} has ended with {code}: {client.tail(5)}")

    def resume_all(self):
        """Clients that were killed have left something suspended, and a call that was given up may have been late."""
        done = self.cluster.cli("list", "--state", "SUSPENDED", "--all", "-o", "json")
        for line in done.stdout.splitlines():
            self.schedules.resume_left(json.loads(line))

    def wait(self, condition, text, deadline_s, every_s=0.2):
        try:
            harness.wait_until(condition, text, deadline_s, every_s)
        except AssertionError as late:
            say(str(late))
            self.late.append(f"drain: {text}: {late}")

    def judge(self):
        """Reads the history by the command line and has the files checked."""
        history = os.path.join(self.folder, "history")
        with open(history, "w", encoding="utf-8") as file:
            for group in self.cluster.groups:
                done = self.cluster.cli("attempts", "--group", group, "--all", "-o", "json", timeout=600)
                if done.returncode != 0:
                    raise AssertionError(f"the history cannot be read: {done.stderr}")
                file.write(done.stdout)
        with open(os.path.join(self.folder, "left"), "w", encoding="utf-8") as file:
            for table in ("lts_job", "lts_schedule", "lts_feedback"):
                for row in self.cluster.sql(f"SELECT part, HEX(job_id) FROM {table} LIMIT 100"):
                    file.write(f"{table} partition {row[0]} {checker.uuid_text(row[1])}\n")
        with open(os.path.join(self.folder, "settings"), "w", encoding="utf-8") as file:
            json.dump(cluster.LEASES, file)
        verdict = checker.check_folder(self.folder)
        verdict.violations += self.faults.deaths + self.late
        return verdict


def report(options, run, verdict, out=sys.stdout):
    print(f"chaos seed={options.seed} seconds={options.seconds:g} rate={options.rate:g} jobtrackers={options.jobtrackers}"
          f" planted={options.negative or 'nothing'}", file=out)
    print("leases: " + " ".join(f"{key}={value}" for key, value in cluster.LEASES.items()), file=out)
    for line in run.faults.summary():
        print(line, file=out)
    for key, value in verdict.figures.items():
        print(f"{key}: {value}", file=out)
    print(f"violations: {len(verdict.violations)}", file=out)
    for line in verdict.violations[:50]:
        print("  " + line, file=out)


def main(options):
    options.seed = options.seed or harness.SEED
    folder = options.keep or tempfile.mkdtemp(prefix="lts-chaos-", dir=os.environ.get("LTS_E2E_WORK") or None)
    if options.keep:
        os.makedirs(folder)
    folder = os.path.abspath(folder)
    say(f"seed {options.seed}, {options.seconds:g} s of faults, in {folder}")
    made = None
    try:
        made = Run(options, folder)
        verdict = made.execute()
        report(options, made, verdict)
        for process in made.cluster.processes():
            if process.runs() and isinstance(process, cluster.Daemon):
                process.popen.terminate()
        if options.negative:
            found = [line for line in verdict.violations if checker.is_wrong(line)]
            print("the planted fault was found" if found else "the planted fault was NOT found")
            return 0 if found else 1
        return 1 if verdict.violations else 0
    except AssertionError as failure:
        print(f"chaos seed={options.seed}: {failure}", file=sys.stderr)
        return 1
    finally:
        if made is not None:
            for client in made.clients:
                if client.runs():
                    client.popen.kill()
            made.cluster.end()
            made.network.end()
        harness.end_all()
        if not options.keep:
            shutil.rmtree(folder, ignore_errors=True)
