"""The load of a chaos run: client processes that submit, send again and operate on what they have submitted, and the
long-lived schedules beside them, which the command line makes, operates on and cancels. Everything that was asked and
answered is in the files of the folder `clients`, in the form that chaos_journal.h describes.
"""

import json
import os
import random
import subprocess
import threading
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


class Schedule:
    def __init__(self, job_id, spec, hold):
        self.job_id, self.spec, self.hold, self.version = job_id, spec, hold, 1
        self.until = None  # suspended, and to be resumed then


class Schedules:
    """Made by the command line, whose answers go to the journal `schedules`. Calm: their runs take no time and wait for
    nobody, and nothing else is done to them."""

    def __init__(self, owner, seed, calm=False):
        self.cluster, self._number, self._calm = owner, 0, calm
        self._journal = open(owner.path("clients", "schedules"), "a", encoding="utf-8", buffering=1)
        self._made, self._dice = [], random.Random(f"{seed} schedules")
        self._stop, self._thread, self.failure = threading.Event(), None, None

    def _note(self, text):
        self._journal.write(f"{cluster.now_ms()} {text}\n")

    def _ask(self, intent, *args):
        """Notes the intent, runs the command, notes the answer; gives its code and the answer."""
        self._number += 1
        self._note(f"I cli.{self._number} {intent}")
        done = self.cluster.cli(*args, "-o", "json", timeout=60)
        if done.returncode == 0:
            answer = json.loads(done.stdout.splitlines()[0])
            self._note(f"A cli.{self._number} OK {answer.get('outcome') or answer.get('state')} {answer['jobId']} -")
            return "OK", answer
        word = "_".join(done.stderr.split())[:200] or "-"
        refused = "ALREADY_EXISTS" if args[0] == "submit" else "FAILED_PRECONDITION"
        code = {2: "INVALID_ARGUMENT", 3: "NOT_FOUND", 4: refused}.get(done.returncode, "UNAVAILABLE")
        self._note(f"A cli.{self._number} {code} - - {word}")
        return code, None

    def _call(self, deadline_s, intent, *args):
        """The same again until it is answered; a refusal for good is the checker's."""
        told = {}

        def ask():
            code, answer = self._ask(intent, *args)
            told["answer"] = answer
            return code in ("OK", "NOT_FOUND", "INVALID_ARGUMENT")  # not found: a cancel whose answer was lost
        harness.wait_until(ask, lambda: f"the command line is not answered: {args}", deadline_s, 0.5)
        return told["answer"]

    def create(self):
        for group in self.cluster.groups:
            for name, spec in SCHEDULES:
                if self._calm and spec["rely"] == "1":
                    continue
                task = f"{group}-{name}"
                hold = "0" if self._calm else spec["hold"]
                job = {"taskId": task, "taskTrackerNodeGroup": group, "runner": "chaos", "maxRetryTimes": 100,
                       "retry": {"kind": "FIXED", "initialMs": 300, "maxMs": 300}, "relyOnPrevCycle": spec["rely"] == "1",
                       "params": {"hold_ms": hold, "v": "1"}}
                if "cron" in spec:
                    job["cronExpression"] = spec["cron"]
                else:
                    job.update(repeatIntervalMs=spec["every"], repeatCount=spec["count"])
                job["jobId"] = _job_id()
                path = self.cluster.write("conf", "schedule.json", text=json.dumps(job) + "\n")
                self._call(60, f"submit id={job['jobId']} group={group} task={task} kind=schedule v=1 {_words(spec)}",
                           "submit", "--file", path)
                self._made.append(Schedule(job["jobId"], {"group": group, "task": task, **spec}, hold))

    def cancel(self, limit_s):
        """True when all are cancelled, within so many seconds altogether."""
        until = time.monotonic() + limit_s
        for schedule in self._made:
            self._call(until - time.monotonic(), self._intent("cancel", schedule), "cancel", schedule.job_id)
        return True

    # ---- what is done to them meanwhile

    def operate(self):
        """Begins to suspend, resume, update, trigger and terminate them, until rest()."""
        if not self._calm:
            self._thread = threading.Thread(target=self._operate, daemon=True)
            self._thread.start()

    def rest(self):
        """Ends that, with all of them resumed."""
        self._stop.set()
        if self._thread:
            self._thread.join()
        for schedule in self._made:
            if schedule.until is not None:
                self._resume(schedule)

    def resume_left(self, job):
        """What the client that has suspended it did not resume."""
        names = f"id={job['jobId']} group={job['taskTrackerNodeGroup']} task={job['taskId']}"
        self._ask(f"resume {names} kind=left", "resume", job["jobId"])

    def _operate(self):
        try:
            while not self._stop.wait(self._dice.uniform(0, 0.5)):  # the pace of it
                over = [schedule for schedule in self._made if schedule.until and schedule.until <= time.monotonic()]
                if over:
                    self._resume(over[0])
                else:
                    schedule = self._dice.choice(self._made)
                    verb = self._dice.choices(("suspend", "update", "trigger", "terminate"), (3, 3, 2, 2))[0]
                    getattr(self, "_" + verb)(schedule)
        except BaseException as failure:  # noqa: BLE001  told by rest()'s caller
            self.failure = f"operations on schedules: {failure}"

    def _intent(self, verb, schedule, more=""):
        spec = schedule.spec
        return f"{verb} id={schedule.job_id} group={spec['group']} task={spec['task']} kind=schedule{more}"

    def _suspend(self, schedule):
        if schedule.until is None:
            schedule.until = 0  # whatever the answer, it may be
            self._call(60, self._intent("suspend", schedule), "suspend", schedule.job_id)
            schedule.until = time.monotonic() + self._dice.uniform(3, 8)

    def _resume(self, schedule):
        self._call(60, self._intent("resume", schedule), "resume", schedule.job_id)
        schedule.until = None

    def _update(self, schedule):
        schedule.version += 1
        args = ["--param", f"hold_ms={schedule.hold}", "--param", f"v={schedule.version}"]
        more = f" v={schedule.version}"
        if self._dice.random() < 0.3:
            args += ["--priority", str(self._dice.randrange(1, 200))]
        if self._dice.random() < 0.5 and "cron" in schedule.spec:
            cron = self._dice.choice(("* * * * * ?", "*/2 * * * * ?", "*/3 * * * * ?", "*/5 * * * * ?"))
            args += ["--cron", cron]
            more += f" cron={cron.replace(' ', '_')}"
        elif self._dice.random() < 0.5 and "every" in schedule.spec:
            every = self._dice.choice((1000, 2000, 3000, 4000))
            args += ["--every", f"{every}ms"]
            more += f" every={every}"
        self._call(60, self._intent("update", schedule, more), "update", schedule.job_id, *args)

    def _trigger(self, schedule):
        self._ask(self._intent("trigger", schedule), "trigger", schedule.job_id)

    def _terminate(self, schedule):
        self._ask(self._intent("terminate", schedule), "terminate", schedule.job_id)


def _words(spec):
    return " ".join(f"{key}={value.replace(' ', '_')}" for key, value in spec.items())


def _job_id():
    """RFC 9562, version 7."""
    stamp = int(time.time() * 1000)
    noise = int.from_bytes(os.urandom(10), "big")
    value = stamp << 80 | 7 << 76 | (noise & 0xfff) << 64 | 0b10 << 62 | (noise >> 16) & (1 << 62) - 1
    text = f"{value:032x}"
    return "-".join((text[:8], text[8:12], text[12:16], text[16:20], text[20:]))
