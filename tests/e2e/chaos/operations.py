"""What the operations of a chaos run must have led to: rules of the checker, which judge by what clients asked and were
told, what runners ran, and the history.

An operation holds from its answer on; what was asked and not answered may have happened or not, and between asking
and answer both are right. For SLACK_MS behind an answer an attempt may start that was given out before it; of a
TaskTracker that was paused or cut off just then also later. Fires within EDGE_MS of an answer may go by either: their
times are of the database's clock, as the owner of the schedule has measured it.
"""

import collections

VERBS = ("suspend", "resume", "update", "trigger", "terminate", "rerun", "cancel")
# Answers that say that nothing was done.
REFUSED = ("NOT_FOUND", "FAILED_PRECONDITION", "ALREADY_EXISTS", "INVALID_ARGUMENT", "RESOURCE_EXHAUSTED")
RETRYABLE = ("EXECUTE_LATER", "EXECUTE_EXCEPTION")
DEFECTS = ("INVALID_ARGUMENT", "INTERNAL", "DATA_LOSS", "TOO_OLD", "FENCED")
SLACK_MS = 1500
EDGE_MS = 1000
FOREVER = 1 << 61
SUSPENDED_THEN = "suspended when it was due"


def sure(ask):
    """Whether it was done when it was answered."""
    return ask.ok and ask.outcome != "STORED"


def maybe(ask):
    return not sure(ask) and ask.code not in REFUSED


def made_by(clients):
    """{job id: ask} of the runs that trigger and rerun were answered to have made; of a dated job none."""
    return {ask.job_id: ask for asks in clients.operations.values() for ask in asks
            if ask.verb in ("trigger", "rerun") and sure(ask) and ask.job_id != ask.spec["id"]}


def _versions(asks):
    return [ask for ask in asks if ask.verb == "update" and "v" in ask.spec]


class Suspensions:
    """When a job or schedule was suspended: for sure, and at most. Pairs of times of the monotonic clock."""

    def __init__(self, asks):
        self.sure, self.maybe = [], []
        begin = at_most = None
        for ask in asks:
            if ask.verb == "suspend" and ask.code not in REFUSED:
                at_most = ask.asked if at_most is None else at_most
                if sure(ask) and begin is None:
                    begin = ask.told
            elif ask.verb == "resume":
                if begin is not None:
                    self.sure.append((begin, ask.asked))
                    begin = None
                if sure(ask) and at_most is not None:
                    self.maybe.append((at_most, ask.told))
                    at_most = None
        if begin is not None:
            self.sure.append((begin, FOREVER))
        if at_most is not None:
            self.maybe.append((at_most, FOREVER))


class Timing:
    """How a schedule fires from an update on: every so often, by cron on whole periods. It holds from `begin` at the
    earliest and from `certain` at the latest, times of the real clock."""

    def __init__(self, spec, begin, certain):
        self.begin, self.certain = begin, certain
        self.cron = bool(spec.get("cron"))
        if self.cron:
            self.period = 1000 * int(spec["cron"].split("_")[0].partition("/")[2] or 1)
        else:
            self.period = int(spec["every"])


def timings(spec, asks, offset):
    """Those of a schedule, in order. offset: the real clock is so much ahead of the monotonic one."""
    found = [Timing(spec, -FOREVER, -FOREVER)]
    for ask in asks:
        if ask.verb == "update" and ("cron" in ask.spec or "every" in ask.spec) and ask.code not in REFUSED:
            told = ask.told + offset if sure(ask) else FOREVER
            last = found[-1]
            if last.certain == FOREVER and len(found) > 1:
                last.certain = told  # the same again
            else:
                found.append(Timing(ask.spec, ask.asked + offset, told))
    return found


def fires_due(spec, asks, offset, accounted):
    """(those that must be accounted for, those that may be) from the first to the last one that is."""
    first, last = min(accounted), max(accounted)
    steps = timings(spec, asks, offset)
    must, may = set(), set()
    missing_first = []
    for n, step in enumerate(steps):
        after = steps[n + 1] if n + 1 < len(steps) else None
        # For sure it holds in begin … end, at most in earliest … latest.
        earliest, begin = step.begin - EDGE_MS, step.certain + EDGE_MS
        end, latest = (after.begin - EDGE_MS, after.certain + EDGE_MS) if after else (last, last)
        if step.cron:
            base = 0
        else:
            # It counts from the update, or from when it was submitted.
            base = min((fire for fire in accounted if begin <= fire <= end), default=None)
            if n > 0 and min(end, last) > begin + step.period + EDGE_MS and \
                    (base is None or base > step.certain + step.period + EDGE_MS):
                missing_first.append(step.certain + step.period)
            if base is None:
                # Nobody can tell which ones: those that are there, if they are in step.
                may.update(fire for fire in accounted if earliest <= fire <= latest)
                continue
        low, high = max(earliest, first - step.period), min(latest, last)
        start = low + (base - low) % step.period
        for fire in range(start, high + 1, step.period):
            may.add(fire)
            if max(begin, first) <= fire <= end:
                must.add(fire)
    return must, may, missing_first


class Operations:
    """Mixed into the checker."""

    def operations(self):
        counts = {verb: collections.Counter() for verb in VERBS}
        for asks in (*self.clients.operations.values(), *self.clients.cancels.values()):
            for ask in asks:
                counts[ask.verb]["ok" if sure(ask) else ask.outcome if ask.ok else ask.code or "not answered"] += 1
                if ask.code in DEFECTS:
                    self.bad("answers", f"{ask.verb} of {ask.spec['id']} is refused: {ask.code} {ask.message}")
        self._made()
        starts = collections.defaultdict(list)
        for run in self.executions:
            starts[run.job_id].append(run)
        held = stopped = versions = 0
        for job_id, asks in self.clients.operations.items():
            runs = starts[job_id]
            held += self._suspended(job_id, asks, runs)
            versions += self._updated(job_id, asks, runs)
            self._triggered(job_id, asks)
            stopped += self._terminated(job_id, asks, runs)
        figures = self.verdict.figures
        figures["operations"] = (f"{len(self.made)} runs made, {held} starts held back by suspensions, "
                                 f"{versions} attempts by an updated definition")
        figures["terminated runs that ended CANCELLED"] = stopped
        for verb, count in counts.items():
            done = count.pop("ok", 0)
            others = ", ".join(f"{key} {n}" for key, n in sorted(count.items()))
            figures[f"  {verb}"] = f"{done} done{', ' + others if others else ''}" if done else "0"

    def given_out_before(self, run, told):
        """Whether an attempt that starts after an answer may have been given out before it."""
        return run.start <= told + SLACK_MS or self.faults.paused(run.node, told, run.start)

    # I1, I2: what was made is there, once

    def _made(self):
        for job_id, ask in self.made.items():
            if job_id not in self.jobs:
                self.bad("I1", f"{job_id} was made by {ask.verb} of {ask.spec['id']} at {ask.told}, and is not there")
            if ask.verb == "rerun":
                continue  # as its origin was
            updated = max((int(other.spec["v"]) for other in _versions(self.clients.operations[ask.spec["id"]])
                           if sure(other) and other.told < ask.asked), default=0)
            for run in self.runs.get((job_id, 0), ()):
                if run.version < updated:
                    self.bad("I8", f"triggered by version {updated}, and given version {run.version}: {run}")
        told = collections.Counter(ask.job_id for asks in self.clients.operations.values() for ask in asks
                                   if ask.verb in ("trigger", "rerun") and sure(ask) and ask.job_id in self.made)
        for job_id, times in told.items():
            if times > 1:
                self.bad("I2", f"{times} calls were answered to have made {job_id}")
        # A call without an answer may have made one run, and one of its own only.
        open_calls = collections.Counter()
        for asks in self.clients.operations.values():
            for ask in asks:
                if ask.verb in ("trigger", "rerun") and maybe(ask):
                    open_calls[ask.spec["group"], ask.spec["task"]] += 1
        unknown = collections.defaultdict(list)
        for job_id, rows in self.jobs.items():
            if job_id not in self.specs:
                unknown[rows[0].group, rows[0].task].append(job_id)
        for key, ids in unknown.items():
            if len(ids) > open_calls[key]:
                self.bad("I2", f"{', '.join(sorted(ids))} of {key[1]} in the history, and nobody has asked for it: "
                               f"{open_calls[key]} calls without an answer may have made one each")

    # I8

    def _suspended(self, job_id, asks, runs):
        held = 0
        for begin, end in Suspensions(asks).sure:
            for run in runs:
                if begin < run.start < end and not self.given_out_before(run, begin):
                    self.bad("I8", f"suspended from {begin} to {end}, and started meanwhile: {run}")
            held += any(end <= run.start <= end + SLACK_MS for run in runs)
        return held

    def _updated(self, job_id, asks, runs):
        seen = 0
        first = int(self.specs.get(job_id, {}).get("v", 0))
        updates = _versions(asks)
        for run in runs:
            asked = max([first, *(int(ask.spec["v"]) for ask in updates if ask.asked <= run.start)])
            told = max((int(ask.spec["v"]) for ask in updates
                        if sure(ask) and ask.told < run.start and not self.given_out_before(run, ask.told)), default=0)
            seen += told > 0
            if run.version < told:
                self.bad("I8", f"updated to version {told}, and given version {run.version}: {run}")
            elif run.version > asked:
                self.bad("I8", f"runs version {run.version}, of which {asked} is the newest asked for: {run}")
        self._retries(job_id, updates, runs)
        return seen

    def _retries(self, job_id, updates, runs):
        """What ends behind the answer is retried as often as the update says. A retry that was due by then stays."""
        if not updates or "retries" not in updates[-1].spec or not sure(updates[-1]):
            return
        told, most = updates[-1].told, int(updates[-1].spec["retries"])
        ends = {(run.attempt, run.token): run.end for run in runs}
        retried = [row for row in self.cycles.get((job_id, 0), ()) if row.outcome in RETRYABLE]
        for times, row in enumerate(retried):
            if times >= most and not row.final and ends.get((row.attempt, row.token), 0) > told:
                self.bad("I8", f"at most {most} retries since {told}, and retried after {times}: {row}")

    def _triggered(self, job_id, asks):
        """A dated job is due when it was triggered."""
        rows = self.cycles.get((job_id, 0))
        for ask in asks:
            if ask.verb != "trigger" or not sure(ask) or ask.job_id != job_id or not rows or not rows[0].due:
                continue
            due = rows[0].due - self.offset
            if rows[0].attempt == 1 and due > ask.told + EDGE_MS:
                self.bad("I8", f"triggered with the answer at {ask.told}, and due {due - ask.told} ms later: {rows[0]}")

    def _terminated(self, job_id, asks, runs):
        stopped = 0
        for ask in asks:
            if ask.verb != "terminate" or not sure(ask):
                continue
            cycle = self._executing(job_id, ask, runs)
            if cycle is None:
                continue
            for run in runs:
                if self.cycle_of(run) == cycle and run.start > ask.told and not self.given_out_before(run, ask.told):
                    self.bad("I8", f"terminated with the answer at {ask.told}, and started after: {run}")
            last = self.cycles.get((job_id, cycle), [None])[-1]
            if last is not None and last.state not in ("CANCELLED", "SUCCEEDED", "FAILED"):
                self.bad("I8", f"terminated with the answer at {ask.told}, and ended {last.state}: {last}")
            stopped += last is not None and last.state == "CANCELLED"
        return stopped

    def _executing(self, job_id, ask, runs):
        """The cycle that was terminated; of a schedule None, unless only one can have been meant."""
        if not self.is_schedule(job_id):
            return 0
        near = {self.cycle_of(run) for run in runs
                if run.start <= ask.told + SLACK_MS and run.end >= ask.asked - self.faults.lease - SLACK_MS}
        return near.pop() if len(near) == 1 else None
