"""Judges a chaos run from what it left behind, and looks at nothing else:

  clients/*  what clients asked and were told (chaos_client.cc has the form), the command line's too
  runs/*     what runners ran, one file a TaskTracker (chaos_runner.cc has the form)
  history    `jobclient attempts --all -o json` of every group
  lives      "TIME NODE PID up|down": the lives of processes
  faults     one JSON object a fault
  settings   leases, in milliseconds
  left       what was still in the queues when everything should have ended, one line each

Lives, faults and settings serve to explain: an end that was never written, an execution that was repeated. All times are of the
monotonic clock, but for fire times and wall clock times, which are compared with each other only.

What it proves, by the names of the design's invariants:

  I1   whatever was answered with success is in the history
  I2   a job id that was sent again made no second job
  I3   one execution at a time per run key; a job that is between attempts lets nobody else in
  I4   attempts 1 … n, the last one final, its result that of the newest execution; feedback once per end
  I5   one end per schedule and fire time
  I6   every due fire ran or was skipped with a reason, none other did; nothing starts before its time
  I7   tokens never go back: neither from attempt to attempt nor within one TaskTracker
  I8   nothing of a cancelled, terminated or suspended job starts after the answer, an update and a trigger hold: see
       operations.py, also for what trigger and rerun make (I1, I2)
  I11  what was answered STORED arrived, and in order for one task
"""

import collections
import datetime
import json
import os

import operations

# How far apart two clocks and two writes may be without anybody being wrong.
SLACK_MS = operations.SLACK_MS
EARLY_MS = 150
LEFT = "left in the queues at the end"
NOT_BY_ITSELF = ("LOST", "KILLED", "STALE")


class Verdict:
    def __init__(self):
        self.violations, self.figures = [], collections.OrderedDict()

    def bad(self, invariant, text):
        self.violations.append(f"{invariant}: {text}")


# ---- reading


def uuid_text(hexadecimal):
    text = hexadecimal.lower()
    return "-".join((text[:8], text[8:12], text[12:16], text[16:20], text[20:]))


def _lines(folder):
    for name in sorted(os.listdir(folder)):
        with open(os.path.join(folder, name), encoding="utf-8", errors="replace") as file:
            text = file.read()
        # A killed process may have written half a line; only whole ones count.
        for line in text[:text.rfind("\n") + 1].splitlines():
            yield name, line.split()


class Ask:
    """One call: what was asked, and what was told."""

    def __init__(self, client, time, verb, spec):
        self.client, self.asked, self.verb, self.spec = client, time, verb, spec
        self.told = self.code = self.outcome = self.job_id = None
        self.message = ""

    @property
    def ok(self):
        return self.code == "OK"


class Clients:
    def __init__(self):
        self.submits = collections.defaultdict(list)  # by job id, in the order of asking
        self.cancels = collections.defaultdict(list)
        self.operations = collections.defaultdict(list)  # the others, by the id of what they are about
        self.feedback = []                            # (time, job id, cycle, attempt, state, message)
        self.odd = []


def read_clients(folder):
    clients = Clients()
    for name, calls in _by_file(folder).items():
        open_calls = {}
        for words in calls:
            try:
                time, what = int(words[0]), words[1]
                if what == "I":
                    spec = dict(word.split("=", 1) for word in words[4:])
                    ask = open_calls[words[2]] = Ask(name, time, words[3], spec)
                    asks = {"submit": clients.submits, "cancel": clients.cancels}.get(words[3], clients.operations)
                    asks[spec["id"]].append(ask)
                elif what == "A":
                    ask = open_calls.pop(words[2])
                    ask.told, ask.code, ask.outcome, ask.job_id, ask.message = time, *words[3:7]
                elif what == "F":
                    clients.feedback.append((time, words[2], int(words[3]), int(words[4]), words[5], words[6]))
                elif what != "L":
                    raise ValueError
            except (ValueError, IndexError, KeyError):
                clients.odd.append(f"{name}: {' '.join(words)}")
    for asks in (*clients.submits.values(), *clients.cancels.values(), *clients.operations.values()):
        asks.sort(key=lambda ask: ask.asked)
    return clients


def _by_file(folder):
    files = collections.defaultdict(list)
    for name, words in _lines(folder):
        files[name].append(words)
    return files


def answered_ids(clients):
    """The jobs that must be there in the end, but for those that may have been ignored when they left the FailStore."""
    return {job_id for job_id, asks in clients.submits.items()
            if any(ask.ok and (ask.outcome in ("ACCEPTED", "REPLACED") or
                               ask.outcome == "STORED" and ask.spec["kind"] != "hot") for ask in asks)} | \
        set(operations.made_by(clients))


class Execution:
    def __init__(self, node, words):
        self.node, self.job_id, self.task = node, words[1], words[2]
        self.fire, self.attempt, self.token, self.pid = int(words[3]), int(words[4]), _token(words[5]), int(words[6])
        self.start, self.start_wall = int(words[7]), int(words[8])
        self.version = int(words[9]) if len(words) > 9 else 0
        self.end = self.result = None
        self.stopped = False
        self.died = False  # with its TaskTracker

    def __str__(self):
        end = f"{self.result}{' stopped' if self.stopped else ''} at {self.end}" if self.result else \
            f"cut short at {self.end}"
        return (f"{self.job_id} ({self.task}) attempt {self.attempt} token {self.token[0]}-{self.token[1]} on {self.node} "
                f"from {self.start}, {end}")


def _token(text):
    epoch, _, sequence = (text or "0-0").partition("-")
    return int(epoch), int(sequence)


def read_runs(folder, lives, faults, verdict):
    """All executions in order of their start. What was not ended ends with its TaskTracker, or behind a paused one with
    the lease."""
    executions = []
    for node, lines in _by_file(folder).items():
        open_runs = {}
        for words in lines:
            if words[0] == "S":
                run = Execution(node, words)
                if (run.job_id, run.token) in open_runs:
                    open_runs[run.job_id, run.token].end = run.start
                    verdict.bad("I3", f"one dispatch runs twice: {run}")
                open_runs[run.job_id, run.token] = run
                executions.append(run)
            else:
                run = open_runs.pop((words[1], _token(words[3])), None)
                if run is None:
                    verdict.bad("runs", f"{node}: an end without a start: {' '.join(words)}")
                    continue
                run.end, run.result, run.stopped = int(words[5]), words[7], words[8] == "stopped"
        for run in open_runs.values():
            run.end = next((down for pid, up, down in lives.get(node, ()) if pid == run.pid and down and up <= run.start),
                           None)
            if run.end is None:
                run.end = faults.lease_end_behind_a_pause(node, run.start)
            run.died = run.end is not None
            if not run.died:
                verdict.bad("runs", f"it never ends: {run}")
                run.end = 1 << 62
    executions.sort(key=lambda run: run.start)
    return executions


def read_lives(path):
    """{node: [(pid, up, down)]}"""
    lives = collections.defaultdict(list)
    with open(path, encoding="utf-8") as file:
        for line in file:
            time, node, pid, what = line.split()
            if what == "up":
                lives[node].append((int(pid), int(time), None))
            elif lives[node] and lives[node][-1][0] == int(pid):
                lives[node][-1] = (*lives[node][-1][:2], int(time))
    return lives


def _ms(text):
    if not text:
        return 0
    moment = datetime.datetime.strptime(text, "%Y-%m-%dT%H:%M:%S.%fZ").replace(tzinfo=datetime.timezone.utc)
    return round(moment.timestamp() * 1000)


class Row:
    """One line of the history."""

    def __init__(self, json_row):
        self.job_id, self.task, self.group = json_row["jobId"], json_row["taskId"], json_row["taskTrackerNodeGroup"]
        self.cycle, self.attempt = _ms(json_row["cycle"]), json_row["attempt"]
        self.token, self.node = _token(json_row["token"]), json_row["node"]
        self.outcome, self.final, self.state = json_row["outcome"], json_row["final"], json_row["state"]
        self.message = json_row["message"]
        self.due, self.ended = _ms(json_row["dueAt"]), _ms(json_row["endedAt"])
        self.skipped, self.skipped_last = json_row["skipped"], _ms(json_row["skippedLast"])

    def __str__(self):
        return (f"{self.job_id} ({self.task}) cycle {self.cycle} attempt {self.attempt} {self.outcome} {self.state} "
                f"token {self.token[0]}-{self.token[1]}")


def read_history(path):
    with open(path, encoding="utf-8") as file:
        return [Row(json.loads(line)) for line in file if line.strip()]


class Faults:
    """What explains that an execution was repeated: a TaskTracker that died, or was cut off past its lease."""

    def __init__(self, records, lives, settings):
        self.lease, self.grace = settings["tasktracker_lease_ms"], settings["kill_grace_ms"]
        self.lives = lives
        self.pauses = collections.defaultdict(list)  # by TaskTracker: (begin, end)
        self.cuts = collections.defaultdict(list)
        self.trackers = []                           # times in which some owner could not answer
        for record in records:
            window = (record.get("since", record["begin"]), record["end"])
            if record["kind"] in ("tt_pause", "tt_freeze"):
                self.pauses[record["target"]].append(window)
            elif record["kind"] == "cut_tt_jt":
                self.cuts[record["target"]].append(window)
            elif record["kind"].startswith(("jt_", "zk_", "db_", "cut_jt_")):
                self.trackers.append(window)

    def died(self, before, after):
        """Whether the life of the TaskTracker ended while it ran, or before its result can have been taken."""
        for pid, _, down in self.lives.get(before.node, ()):
            if pid == before.pid and down is not None and before.start - SLACK_MS <= down <= after.start + SLACK_MS:
                return down <= before.end + SLACK_MS or self.owners_away(before.end, down)
        return False

    def paused_past_lease(self, node, at):
        """Whether the TaskTracker stood still at that time, and had for longer than its lease, or has just woken."""
        return any(begin + self.lease - SLACK_MS <= at <= end + SLACK_MS for begin, end in self.pauses[node])

    def lease_end_behind_a_pause(self, node, start):
        """When what ran there since `start` was killed, while the TaskTracker stood still for longer than lease and grace;
        None when it did not."""
        kept = self.lease + self.grace
        return next((begin + kept for begin, end in self.pauses[node]
                     if start <= begin + kept and end - begin >= self.lease - SLACK_MS), None)

    def cut_off(self, before, after):
        """Whether the TaskTracker was out of touch from before the result can have been taken, and for longer than its
        lease when it was run again."""
        def early(begin):  # nobody had taken the result by then
            return begin - SLACK_MS <= before.end or self.owners_away(before.end, begin)

        return any(early(begin) and before.start <= end + SLACK_MS and begin + self.lease - SLACK_MS <= after.start
                   for begin, end in (*self.pauses[before.node], *self.cuts[before.node]) if end - begin >= self.lease)

    def paused(self, node, begin, end):
        """Whether it was paused or cut off in that time."""
        return any(start <= end and begin <= stop + SLACK_MS
                   for start, stop in (*self.pauses[node], *self.cuts[node]))

    def owners_away(self, begin, end):
        """Whether owners were away about then: with the time it takes to move, that can be longer than a lease."""
        return any(start - SLACK_MS <= end and begin <= stop + self.lease for start, stop in self.trackers)


# ---- judging


class Checker(operations.Operations):
    def __init__(self, clients, executions, rows, faults, verdict):
        self.clients, self.executions, self.rows, self.faults, self.verdict = clients, executions, rows, faults, verdict
        self.bad = verdict.bad
        self.specs = {job_id: asks[0].spec for job_id, asks in clients.submits.items()}
        self.made = operations.made_by(clients)
        for job_id, ask in self.made.items():
            self.specs[job_id] = self._made_of(ask.spec)
        # The real clock is so much ahead of the monotonic one.
        self.offset = executions[0].start_wall - executions[0].start if executions else 0
        self.cycles = collections.defaultdict(list)   # (job id, cycle): rows with an attempt
        self.skips = collections.defaultdict(list)    # job id: rows of skipped fires
        self.jobs = collections.defaultdict(list)     # job id: rows
        for row in rows:
            self.jobs[row.job_id].append(row)
            if row.skipped:
                self.skips[row.job_id].append(row)
            else:
                self.cycles[row.job_id, row.cycle].append(row)
        for cycle in self.cycles.values():
            cycle.sort(key=lambda row: row.attempt)
        self.runs = collections.defaultdict(list)     # (job id, cycle): executions
        for run in executions:
            self.runs[run.job_id, self.cycle_of(run)].append(run)

    def _made_of(self, spec):
        """Of a run that was made: one of its own, by the definition of what it was made of."""
        origin = self.specs.get(spec["id"], {})
        own = ("id", "cron", "every", "count", "rely", "delay")
        return {**{key: value for key, value in origin.items() if key not in own}, "group": spec["group"], "task": spec["task"], "kind": "made"}

    def is_schedule(self, job_id):
        spec = self.specs.get(job_id, {})
        return "cron" in spec or "every" in spec

    def cycle_of(self, run):
        return run.fire if self.is_schedule(run.job_id) else 0

    def run_key(self, run):
        spec = self.specs.get(run.job_id, {})
        key = (spec.get("group"), run.task)
        return (*key, run.fire) if self.is_schedule(run.job_id) and spec.get("rely") == "0" else key

    def check(self):
        for line in self.clients.odd:
            self.bad("answers", f"cannot be read: {line}")
        self.submits()
        self.stored_order()
        self.attempts()
        self.repeats()
        self.run_keys()
        self.tokens()
        self.operations()
        self.cancels()
        self.feedback()
        self.schedules()
        self.starts()
        figures = self.verdict.figures
        figures["jobs asked for"] = len(self.specs)
        figures["jobs answered with success"] = len(answered_ids(self.clients))
        figures["cycles ended"] = sum(rows[-1].final for rows in self.cycles.values())
        figures["executions"] = len(self.executions)

    # I1, I2, I11

    def submits(self):
        outcomes = collections.Counter()
        lost = ignored = 0
        for job_id, asks in self.clients.submits.items():
            spec = asks[0].spec
            for ask in asks:
                outcomes[ask.outcome if ask.ok else ask.code or "not answered"] += 1
                if ask.code in ("INVALID_ARGUMENT", "INTERNAL", "DATA_LOSS", "TOO_OLD", "FAILED_PRECONDITION", "FENCED"):
                    self.bad("answers", f"{job_id} is refused: {ask.code} {ask.message}")
                if ask.ok and ask.outcome == "DUPLICATE" and ask.job_id != job_id:
                    if spec["kind"] != "hot":
                        self.bad("I2", f"{job_id} of a task of its own is taken for a duplicate of {ask.job_id}")
                    if ask.job_id not in self.jobs:
                        self.bad("I1", f"{job_id} gave way to {ask.job_id}, which does not exist")
                elif ask.ok and ask.job_id != job_id:
                    self.bad("I2", f"{job_id} was answered as {ask.job_id}")
            if job_id in self.jobs:
                continue
            sure = [ask for ask in asks if ask.ok and (ask.outcome != "DUPLICATE" or ask.job_id == job_id)]
            if any(ask.outcome != "STORED" for ask in sure) or sure and spec["kind"] != "hot":
                lost += 1
                self.bad("I11" if all(ask.outcome == "STORED" for ask in sure) else "I1",
                         f"{job_id} ({spec['kind']} {spec['task']}) was answered {sure[0].outcome} to {sure[0].client} at "
                         f"{sure[0].told} and is not there")
            elif sure:
                ignored += 1  # another job of its task was waiting when it left the FailStore
        self.verdict.figures["answers"] = ", ".join(f"{key} {n}" for key, n in sorted(outcomes.items()))
        self.verdict.figures["jobs lost"] = lost
        self.verdict.figures["stored jobs that met a waiting one of their task"] = ignored

    # I11: in order

    def stored_order(self):
        """What one client submits for a task goes behind what it has stored for it."""
        by_task = collections.defaultdict(list)
        for job_id, asks in self.clients.submits.items():
            first = self.cycles.get((job_id, 0), [None])[0]
            if len(asks) == 1 and asks[0].ok and first is not None and first.attempt == 1 and first.due:
                ask = asks[0]
                accepted = first.due - int(ask.spec.get("delay", 0))
                by_task[ask.client, ask.spec["group"], ask.spec["task"]].append((ask, accepted, job_id))
        pairs = 0
        for jobs in by_task.values():
            jobs.sort(key=lambda job: job[0].asked)
            for n, (before, accepted, job_id) in enumerate(jobs):
                if before.outcome != "STORED":
                    continue
                for after, accepted_after, other in jobs[n + 1:]:
                    if after.asked < before.told:
                        continue
                    pairs += 1
                    if accepted_after < accepted - EARLY_MS:
                        self.bad("I11", f"{other} overtook {job_id} of the same task ({before.spec['task']}), which was stored "
                                        f"before it: accepted {accepted - accepted_after} ms earlier")
        self.verdict.figures["stored before another one of the task, in order"] = f"{pairs} pairs"

    # I4, I5

    def attempts(self):
        twice = 0
        for (job_id, cycle), rows in self.cycles.items():
            name = f"{job_id} ({rows[0].task})" + (f" cycle {cycle}" if cycle else "")
            numbers = [row.attempt for row in rows]
            if numbers != list(range(1, len(rows) + 1)):
                self.bad("I4", f"attempts {numbers} of {name}")
            if [row.final for row in rows] != [False] * (len(rows) - 1) + [True]:
                self.bad("I5" if cycle else "I4", f"final {[row.final for row in rows]} of {name}: the last one is right")
            if bool(cycle) != self.is_schedule(job_id) and job_id in self.specs:
                self.bad("I4", f"{name}: a cycle of no schedule, or a schedule without")
            runs = {}
            for run in self.runs.get((job_id, cycle), ()):
                runs.setdefault(run.token, run)
            results = [row for row in rows if row.outcome.startswith("EXECUTE_")]
            for row in results:
                run = runs.get(row.token)
                if run is None:
                    self.bad("I4", f"a result of what was never run: {row}")
                elif run.attempt != row.attempt or not run.result:
                    twice += 1
                    self.bad("I4", f"the result {row} is not that of {run}")
                elif run.result != row.outcome:
                    self.bad("I4", f"the result {row} differs from {run}")
                elif f"token={row.token[0]}-{row.token[1]}" not in row.message:
                    self.bad("I4", f"the message \"{row.message}\" of {row} is that of another execution")
            if len(results) != len({row.token for row in results}):
                twice += 1
                self.bad("I4", f"a result was applied twice: {', '.join(map(str, results))}")
            if results and results[-1] is rows[-1] and runs:
                newest = max(runs)
                if rows[-1].token != newest:
                    twice += 1
                    self.bad("I4", f"a stale result counts: {rows[-1]}, but {runs[newest]} was given out later")
            self._ended_right(name, rows)
        for key, runs in self.runs.items():
            if key not in self.cycles:
                self.bad("I4", f"was run, but has no end in the history: {runs[0]}")
        self.verdict.figures["results applied twice or stale"] = twice

    def _ended_right(self, name, rows):
        spec = self.specs.get(rows[0].job_id)
        if spec is None:
            return
        state, cancelled = rows[-1].state, rows[0].job_id in self.clients.cancels
        wanted = {"SUCCEEDED"}
        if spec.get("plan") == "failed":
            wanted = {"FAILED"}
        if cancelled or self._terminate_asked(rows[0].job_id):
            wanted.add("CANCELLED")
        if spec["kind"] == "fewer":
            wanted.add("DEAD")  # its retries were made fewer
        if spec["kind"] == "hot":
            wanted.add("REPLACED")
        if spec["kind"] == "once":
            wanted.add("FAILED")  # its outcome may be unknown; or it was stopped
        if self.is_schedule(rows[0].job_id):
            wanted.add("RETRY_YIELDED")
        if state not in wanted:
            self.bad("I4", f"{name} ended {state}, not {' or '.join(sorted(wanted))}: {rows[-1].message}")
        if spec["kind"] == "once" and state == "FAILED" and rows[-1].outcome not in NOT_BY_ITSELF:
            runs = self.runs.get((rows[0].job_id, rows[0].cycle), ())
            if not any(run.stopped or run.died for run in runs) and "outcome_unknown" not in rows[-1].message:
                self.bad("I4", f"{name} FAILED without a reason: {rows[-1].message}")

    def _terminate_asked(self, job_id):
        return any(ask.verb == "terminate" for ask in self.clients.operations.get(job_id, ()))

    # what was executed more than once

    def repeats(self):
        double = unexplained = 0
        reasons = collections.Counter()
        for (job_id, cycle), runs in self.runs.items():
            if len(runs) < 2:
                continue
            rows = {(row.attempt, row.token): row for row in self.cycles.get((job_id, cycle), ())}
            for before, after in zip(runs, runs[1:]):
                row = rows.get((before.attempt, before.token))
                if row is not None and row.outcome in operations.RETRYABLE and not row.final:
                    continue  # a retry
                double += 1
                why = self._reason(before, after)
                reasons[why or "none"] += 1
                if why is None:
                    unexplained += 1
                    self.bad("I3", f"run again without a reason: {before}; then {after}")
                if self.specs.get(job_id, {}).get("once"):
                    self.bad("I3", f"an at_most_once job ran twice ({why}): {before}; then {after}")
        figures = self.verdict.figures
        figures["executed again"] = f"{double} ({', '.join(f'{why} {n}' for why, n in sorted(reasons.items())) or 'none'})"
        figures["executed again without a reason"] = unexplained

    def _reason(self, before, after):
        faults = self.faults
        if before.died or faults.died(before, after):
            return "its TaskTracker ended"
        if faults.cut_off(before, after):
            return "its TaskTracker was paused or cut off past its lease"
        if before.stopped and faults.owners_away(before.start, after.start):
            return "its TaskTracker had no owner for a lease and stopped it"
        return None

    # I3

    def run_keys(self):
        by_key = collections.defaultdict(list)
        for run in self.executions:
            by_key[self.run_key(run)].append(run)
        overlaps = 0
        for runs in by_key.values():
            open_runs = []
            for run in runs:
                open_runs = [other for other in open_runs if other.end > run.start]
                for other in open_runs:
                    if self.faults.paused_past_lease(other.node, run.start):
                        overlaps += 1  # the one exception
                    else:
                        self.bad("I3", f"two at a time: {other}; meanwhile {run}")
                open_runs.append(run)
            self._between_attempts(runs)
        self.verdict.figures["two at a time behind a paused TaskTracker"] = overlaps

    def _between_attempts(self, runs):
        """What has begun to run keeps its run key until it has ended."""
        last = {}
        for n, run in enumerate(runs):
            last[run.job_id, self.cycle_of(run)] = n
        holder = None
        for n, run in enumerate(runs):
            key = (run.job_id, self.cycle_of(run))
            if holder is not None and holder != key and last[holder] > n:
                before = next(other for other in reversed(runs[:n]) if (other.job_id, self.cycle_of(other)) == holder)
                after = runs[last[holder]]
                # A stopped TaskTracker's own last words may come late.
                if not self.faults.paused_past_lease(after.node, after.start):
                    self.bad("I3", f"between attempts of {before} another one was let in: {run}")
                continue
            holder = key if last[key] > n else None

    # I7

    def tokens(self):
        for rows in self.cycles.values():
            with_token = [row for row in rows if row.token != (0, 0)]
            for before, after in zip(with_token, with_token[1:]):
                if after.token <= before.token:
                    self.bad("I7", f"the token goes back: {before}; then {after}")
        newest = {}
        for run in self.executions:
            epoch, since = newest.get((run.node, run.pid), (0, 0))
            if run.token[0] > epoch:
                newest[run.node, run.pid] = (run.token[0], run.start)
            elif run.token[0] < epoch and run.start > since + SLACK_MS:
                self.bad("I7", f"an assignment of an old epoch, {epoch} was seen {run.start - since} ms before: {run}")

    # I8

    def cancels(self):
        done = collections.Counter()
        starts = collections.defaultdict(list)
        for run in self.executions:
            starts[run.job_id].append(run)
        for job_id, asks in self.clients.cancels.items():
            for ask in asks:
                done[ask.outcome if ask.ok else ask.code or "not answered"] += 1
                if not ask.ok or ask.outcome == "STORED":
                    continue
                for run in starts[job_id]:
                    # Paused, a TaskTracker starts on waking what it was sent before.
                    if run.start > ask.told + SLACK_MS and not self.faults.paused(run.node, ask.told, run.start):
                        self.bad("I8", f"cancelled with the answer {ask.outcome} at {ask.told}, and started after: {run}")
                for row in self.jobs.get(job_id, ()):
                    if row.final and not row.skipped and row.state not in ("CANCELLED", "SUCCEEDED", "FAILED"):
                        if not self.is_schedule(job_id):
                            self.bad("I8", f"cancelled with the answer {ask.outcome}, and ended {row.state}: {row}")
                    elif row.final and ask.outcome == "CANCELLED" and row.state == "SUCCEEDED" and \
                            not self.is_schedule(job_id) and len(asks) == 1:
                        self.bad("I8", f"cancelled while it waited, and ended {row.state}: {row}")
        self.verdict.figures["cancels"] = ", ".join(f"{key} {n}" for key, n in sorted(done.items()))

    # I4: feedback

    def feedback(self):
        told, times = collections.defaultdict(set), collections.Counter()
        for _, job_id, cycle, attempt, state, _message in self.clients.feedback:
            told[job_id, cycle].add((attempt, state))
            times[job_id, cycle] += 1
        missing = 0
        for (job_id, cycle), rows in self.cycles.items():
            if "feedback" not in self.specs.get(job_id, {}):
                continue
            wanted = {(rows[-1].attempt, rows[-1].state)}
            if told.get((job_id, cycle)) != wanted:
                missing += not told.get((job_id, cycle))
                self.bad("I4", f"feedback {sorted(told.get((job_id, cycle), ()))} of {rows[-1]}, not {sorted(wanted)}")
        for key in told:
            if "feedback" not in self.specs.get(key[0], {}):
                self.bad("I4", f"feedback that nobody has asked for: {key}")
        self.verdict.figures["feedback"] = (f"{len(told)} ends, {sum(times.values())} deliveries, {missing} missing")

    # I5, I6

    def schedules(self):
        target = ran = skipped = missing = extra = held = 0
        for job_id, spec in self.specs.items():
            if not self.is_schedule(job_id) or job_id not in self.jobs:
                continue
            asks = self.clients.operations.get(job_id, ())
            name = f"{spec['task']} {job_id}"
            fires = sorted(cycle for (job, cycle) in self.cycles if job == job_id and
                           self.cycles[job, cycle][0].attempt >= 1)
            accounted, suspended = collections.Counter(fires), []
            for row in self.skips[job_id]:
                some = self._skipped(name, row, spec, asks)
                accounted.update(some)
                skipped += len(some)
                if row.message == operations.SUSPENDED_THEN:
                    suspended += some
            if not accounted:
                continue
            held += self._fires_and_suspensions(name, asks, fires, suspended)
            must, may, late = operations.fires_due(spec, asks, self.offset, accounted)
            ran += len(fires)
            target += len(must)
            absent, beyond = sorted({*(must - set(accounted)), *late}), sorted(set(accounted) - may)
            missing, extra = missing + len(absent), extra + len(beyond)
            for fire in absent[:5]:
                self.bad("I6", f"{name}: the fire {fire} is missing ({len(absent)} are)")
            for fire in beyond[:5]:
                self.bad("I6", f"{name}: the fire {fire} was not due ({len(beyond)} were not)")
            for fire, times in accounted.items():
                if times > 1:
                    extra += times - 1
                    self.bad("I5", f"{name}: the fire {fire} is accounted for {times} times")
            if int(spec.get("count", -1)) > 0 and job_id not in self.clients.cancels and len(fires) != int(spec["count"]):
                self.bad("I6", f"{name} ran {len(fires)} times of {spec['count']}")
        self.verdict.figures["fires"] = (f"target {target}, ran {ran}, skipped with a reason {skipped} (suspended {held}), "
                                         f"missing {missing}, extra {extra}")

    def _skipped(self, name, row, spec, asks):
        """The fires of a row: so far apart as the schedule's timing was just then."""
        steps = operations.timings(spec, asks, self.offset)
        near = [step.period for step, after in zip(steps, [*steps[1:], None])
                if step.begin - operations.EDGE_MS <= row.skipped_last and
                (after is None or row.cycle <= after.certain + operations.EDGE_MS)]
        for period in near:
            some = list(range(row.cycle, row.skipped_last + 1, period))
            if len(some) == row.skipped and some[-1] == row.skipped_last and row.message:
                return some
        self.bad("I6", f"{name}: skipped {row.skipped} from {row.cycle} to {row.skipped_last}, which are "
                       f"{len(range(row.cycle, row.skipped_last + 1, near[0]))}, reason \"{row.message}\"")
        return list(range(row.cycle, row.skipped_last + 1, near[0]))

    def _fires_and_suspensions(self, name, asks, fires, suspended):
        """What was due in a suspension is skipped for that, and nothing else is."""
        spans = operations.Suspensions(asks)
        for begin, end in spans.sure:
            inside = [fire for fire in fires
                      if begin + operations.EDGE_MS < fire - self.offset < end - operations.EDGE_MS]
            for fire in inside[:5]:
                self.bad("I8", f"{name}: suspended from {begin} to {end}, and ran the fire {fire} meanwhile "
                               f"({len(inside)} such)")
        for fire in suspended:
            if not any(begin - operations.EDGE_MS <= fire - self.offset <= end + operations.EDGE_MS
                       for begin, end in spans.maybe):
                self.bad("I6", f"{name}: the fire {fire} was skipped as suspended, and was not")
        return len(suspended)

    # I6: not before its time

    def starts(self):
        early = 0
        for run in self.executions:
            spec = self.specs.get(run.job_id, {})
            if self.is_schedule(run.job_id):
                ahead = run.fire - run.start_wall
            elif spec.get("delay") and not self._triggered_before(run):
                asked = min(ask.asked for ask in self.clients.submits[run.job_id])
                ahead = asked + int(spec["delay"]) - run.start
            else:
                continue
            if ahead > EARLY_MS:
                early += 1
                self.bad("I6", f"started {ahead} ms before its time: {run}")
        self.verdict.figures["started before their time"] = early

    def _triggered_before(self, run):
        asks = self.clients.operations.get(run.job_id, ())
        return any(ask.verb == "trigger" and ask.asked <= run.start for ask in asks)


def check(clients, executions, rows, faults, verdict):
    Checker(clients, executions, rows, faults, verdict).check()
    return verdict


def check_folder(folder):
    verdict = Verdict()

    def path(name):
        return os.path.join(folder, name)
    with open(path("settings"), encoding="utf-8") as file:
        settings = json.load(file)
    with open(path("faults"), encoding="utf-8") as file:
        records = [json.loads(line) for line in file]
    lives = read_lives(path("lives"))
    faults = Faults(records, lives, settings)
    executions = read_runs(path("runs"), lives, faults, verdict)
    check(read_clients(path("clients")), executions, read_history(path("history")), faults, verdict)
    with open(path("left"), encoding="utf-8") as file:
        for line in file:
            verdict.bad("I6", f"{LEFT}: {line.strip()}")
    return verdict


def is_wrong(violation):
    """Whether it is the violation of an invariant, and not only slow or ended: that proves a planted fault found."""
    return violation.startswith("I") and LEFT not in violation


if __name__ == "__main__":
    import sys
    result = check_folder(sys.argv[1])
    for figure, value in result.figures.items():
        print(f"{figure}: {value}")
    print(f"violations: {len(result.violations)}")
    print("\n".join(result.violations[:200]))
