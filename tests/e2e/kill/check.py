"""Judges a run with kills from what it left behind: the answers of submitting programs, the journal of the plugin and
the output of `jobclient attempts -o json`. Nothing else is looked at.

answers: "job_id task_id OUTCOME", one line for each job that was answered.
journal: "job_id attempt_token start|end" in the order of events. The test adds "- - killed" once it has seen the
         TaskTracker dead, and "- - cut-off" once a paused TaskTracker is past its lease, before its jobs can be run again.
"""

import collections


def token_order(token):
    """"epoch-sequence": a later dispatch has a greater one."""
    epoch, _, sequence = token.partition("-")
    return int(epoch), int(sequence)


class Run:
    """One execution: a start, and what the journal tells of its end."""

    def __init__(self, job_id, token, line):
        self.job_id, self.token, self.line = job_id, token, line
        self.ended = self.killed = self.cut_off = False
        self.killed_after = False  # its TaskTracker was killed after it began, though maybe after it had ended

    def __str__(self):
        return f"{self.job_id} token {self.token} (journal line {self.line})"


def read_journal(text, run_key, violations):
    """All executions in order; notes overlaps within a run key, as `run_key(job_id)` tells it."""
    runs, open_runs, executing = [], {}, collections.defaultdict(list)
    for number, line in enumerate(text.splitlines(), 1):
        fields = line.split()
        if len(fields) != 3:
            violations.append(f"journal line {number} cannot be read: {line!r}")
            continue
        job_id, token, what = fields
        if what == "killed":
            for run in runs:
                run.killed_after = True
            for run in open_runs.values():
                run.killed = True
            open_runs.clear()
            executing.clear()
        elif what == "cut-off":
            for run in open_runs.values():
                run.cut_off = True
        elif what == "start":
            run = Run(job_id, token, number)
            beside = [other for other in executing[run_key(job_id)] if not other.cut_off]
            if beside:
                violations.append(f"overlap: {run} starts while {beside[0]} runs")
            if (job_id, token) in open_runs or any(r.token == token and r.job_id == job_id for r in executing[run_key(job_id)]):
                violations.append(f"one dispatch runs twice: {run}")
            runs.append(run)
            open_runs[job_id, token] = run
            executing[run_key(job_id)].append(run)
        elif what == "end":
            run = open_runs.pop((job_id, token), None)
            if run is None:
                violations.append(f"journal line {number}: an end without a start: {line!r}")
                continue
            run.ended = True
            executing[run_key(job_id)].remove(run)
        else:
            violations.append(f"journal line {number} cannot be read: {line!r}")
    return runs


def check(answers_text, journal_text, attempts):
    """`attempts`: one dict for each attempt. Gives all violations as lines of text."""
    violations = []
    answered = {}
    for line in answers_text.splitlines():
        job_id, rest = line.split(" ", 1)
        task_id, _ = rest.rsplit(" ", 1)  # a task id may have blanks
        answered[job_id] = task_id

    by_job = collections.defaultdict(list)
    for attempt in attempts:
        by_job[attempt["jobId"]].append(attempt)
    run_key = {job_id: rows[0]["taskId"] for job_id, rows in by_job.items()}
    runs = read_journal(journal_text, lambda job_id: run_key.get(job_id, job_id), violations)
    runs_of = collections.defaultdict(list)
    for run in runs:
        runs_of[run.job_id].append(run)

    # Answered = ended.
    for job_id in answered:
        if job_id not in by_job:
            violations.append(f"answered, but not ended: {job_id}")
        elif by_job[job_id][0]["taskId"] != answered[job_id]:
            violations.append(f"another task than the one answered: {job_id}")
    for job_id in by_job:
        if job_id not in answered:
            violations.append(f"ended, but never answered: {job_id}")
    for job_id in runs_of:
        if job_id not in by_job:
            violations.append(f"was run, but has no attempt: {job_id}")

    # One current result each.
    for job_id, rows in by_job.items():
        rows.sort(key=lambda row: row["attempt"])
        numbers = [row["attempt"] for row in rows]
        if numbers != list(range(1, len(rows) + 1)):
            violations.append(f"attempts {numbers} of {job_id}")
        results = [row for row in rows if row["outcome"] == "EXECUTE_SUCCESS"]
        if len(results) != 1 or rows[-1] is not results[0]:
            violations.append(f"outcomes {[row['outcome'] for row in rows]} of {job_id}: one success, the last, is right")
            continue
        others = {row["outcome"] for row in rows[:-1]} - {"LOST"}
        if others:
            violations.append(f"outcomes {sorted(others)} of {job_id} without a reason")
        executed = runs_of.get(job_id, [])
        if not executed:
            violations.append(f"ended with success, but was never run: {job_id}")
            continue
        newest = max(executed, key=lambda run: token_order(run.token))
        if results[0]["token"] != newest.token:
            violations.append(f"a stale result counts: {job_id} ended with token {results[0]['token']}, but {newest} "
                              f"was given out later")
        elif not newest.ended:
            violations.append(f"the result of {newest} came before its end")

    # Nothing run again whose TaskTracker lived.
    for job_id, executed in runs_of.items():
        lost = sum(row["outcome"] == "LOST" for row in by_job.get(job_id, []))
        for before in executed[:-1]:
            if not (before.killed_after or before.cut_off):
                violations.append(f"run again though its TaskTracker lived: {before}")
        if len(executed) - 1 > lost:
            violations.append(f"{job_id} ran {len(executed)} times, but only {lost} attempts were lost")
    return violations
