"""The load of a chaos run: client processes that submit, cancel and send again, and the long-lived schedules beside them,
which the command line makes and cancels. Everything that was asked and answered is in the files of the folder `clients`,
in the form that chaos_client.cc describes.
"""

import json
import os
import subprocess
import time

import cluster
import harness

CLIENT = os.path.join(harness.PROGRAMS, "lts_e2e_chaos_client")


class Client(cluster.Process):
    """One client, with a FailStore on a disk of its own or without."""

    def __init__(self, owner, name, rate, seed, with_store):
        owner.network.add(name)
        self.disk_mb = 64
        self.disk = owner.disk(name, self.disk_mb) if with_store else None
        self.journal = owner.path("clients", name)
        argv = [CLIENT, "--registry", owner.registry, "--name", name, "--journal", self.journal, "--groups",
                ",".join(owner.groups), "--rate", f"{rate:.2f}", "--seed", str(seed)]
        if with_store:
            argv += ["--store", self.disk]
        super().__init__(owner, name, argv, stdin=subprocess.PIPE)

    def answers(self):
        try:
            return os.path.getsize(self.journal)
        except OSError:
            return 0

    def said_done(self):
        return "DONE" in self.tail(5)

    def close(self, deadline_s=60):
        """Ends its input, upon which it closes; gives the exit code."""
        self.popen.stdin.close()
        code = self.popen.wait(deadline_s)
        self.cluster.lived(self, "down")
        return code


# Every kind of schedule in every group: text of the command line, period, relies on the previous cycle.
SCHEDULES = (
    ("cron-1s-rely", {"cron": "* * * * * ?", "rely": "1", "hold": "300"}),
    ("cron-2s-free", {"cron": "*/2 * * * * ?", "rely": "0", "hold": "2500"}),
    ("cron-5s-rely", {"cron": "*/5 * * * * ?", "rely": "1", "hold": "0"}),
    ("every-3s-rely", {"every": "3000", "count": "-1", "rely": "1", "hold": "100"}),
    ("every-2s-free", {"every": "2000", "count": "-1", "rely": "0", "hold": "1000"}),
)


class Schedules:
    """Made by the command line, whose answers go to the journal `schedules`. Calm: their runs take no time and wait for
    nobody."""

    def __init__(self, owner, calm=False):
        self.cluster, self._number, self._calm = owner, 0, calm
        self._journal = open(owner.path("clients", "schedules"), "a", encoding="utf-8", buffering=1)
        self._ids = []

    def _note(self, text):
        self._journal.write(f"{cluster.now_ms()} {text}\n")

    def _call(self, deadline_s, intent, *args):
        """Notes the intent, runs the command until it is answered, notes the answer; gives it."""
        answer = {}

        def ask():
            self._number += 1
            self._note(f"I cli.{self._number} {intent}")
            done = self.cluster.cli(*args, "-o", "json", timeout=60)
            if done.returncode == 0:
                answer.update(json.loads(done.stdout.splitlines()[0]))
                self._note(f"A cli.{self._number} OK {answer.get('outcome') or answer.get('state')} {answer['jobId']} -")
                return True
            word = "_".join(done.stderr.split())[:200] or "-"
            code = {3: "NOT_FOUND", 4: "ALREADY_EXISTS"}.get(done.returncode, "UNAVAILABLE")
            self._note(f"A cli.{self._number} {code} - - {word}")
            return code == "NOT_FOUND"  # a cancel whose answer was lost
        harness.wait_until(ask, lambda: f"the command line is not answered: {args}", deadline_s, 0.5)
        return answer

    def create(self):
        for group in self.cluster.groups:
            for name, spec in SCHEDULES:
                if self._calm and spec["rely"] == "1":
                    continue
                task = f"{group}-{name}"
                job = {"taskId": task, "taskTrackerNodeGroup": group, "runner": "chaos", "maxRetryTimes": 100,
                       "retry": {"kind": "FIXED", "initialMs": 300, "maxMs": 300}, "relyOnPrevCycle": spec["rely"] == "1",
                       "params": {"hold_ms": "0" if self._calm else spec["hold"]}}
                if "cron" in spec:
                    job["cronExpression"] = spec["cron"]
                else:
                    job.update(repeatIntervalMs=spec["every"], repeatCount=spec["count"])
                job["jobId"] = _job_id()
                path = self.cluster.write("conf", "schedule.json", text=json.dumps(job) + "\n")
                words = " ".join(f"{key}={value.replace(' ', '_')}" for key, value in spec.items())
                answer = self._call(60, f"submit id={job['jobId']} group={group} task={task} kind=schedule {words}",
                                    "submit", "--file", path)
                self._ids.append(answer["jobId"])

    def cancel(self, limit_s):
        """True when all are cancelled, within so many seconds altogether."""
        until = time.monotonic() + limit_s
        for job_id in self._ids:
            self._call(until - time.monotonic(), f"cancel id={job_id} kind=schedule", "cancel", job_id)
        return True


def _job_id():
    """RFC 9562, version 7."""
    stamp = int(time.time() * 1000)
    noise = int.from_bytes(os.urandom(10), "big")
    value = stamp << 80 | 7 << 76 | (noise & 0xfff) << 64 | 0b10 << 62 | (noise >> 16) & (1 << 62) - 1
    text = f"{value:032x}"
    return "-".join((text[:8], text[8:12], text[12:16], text[16:20], text[20:]))
