"""The checker finds each kind of violation in histories made by hand: one that is always content proves nothing."""

import os
import sys
import tempfile
import unittest

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import checker  # noqa: E402

SETTINGS = {"tasktracker_lease_ms": 10_000, "kill_grace_ms": 2000}
OUTCOME_STATE = {"EXECUTE_SUCCESS": "SUCCEEDED", "EXECUTE_FAILED": "FAILED", "NONE": "CANCELLED"}


def iso(ms):
    return f"1970-01-01T{ms // 3_600_000:02}:{ms // 60_000 % 60:02}:{ms // 1000 % 60:02}.{ms % 1000:03}Z"


class Story:
    """What a run leaves behind, line by line."""

    def __init__(self):
        self.clients, self.runs, self.rows, self.faults = [], {}, [], []
        self.lives = {"tt1": [(1, 0, None)], "tt2": [(2, 0, None)]}
        self._calls = 0

    def submit(self, job, task=None, at=0, told=10, answer="OK ACCEPTED", answered=None, **spec):
        self._calls += 1
        words = {"id": job, "group": "g", "task": task or "t-" + job, "kind": "instant", **spec}
        self.clients.append(f"{at} I {self._calls} submit " + " ".join(f"{key}={value}" for key, value in words.items()))
        if answer:
            self.clients.append(f"{told} A {self._calls} {answer} {answered or job} -")
        return self

    def cancel(self, job, at, told, answer="OK CANCELLED"):
        self._calls += 1
        self.clients += [f"{at} I {self._calls} cancel id={job} kind=cancel", f"{told} A {self._calls} {answer} {job} -"]
        return self

    def feedback(self, job, attempt=1, state="SUCCEEDED", cycle=0):
        self.clients.append(f"50 F {job} {cycle} {attempt} {state} -")
        return self

    def run(self, job, start, end, token="1-1", attempt=1, task=None, node="tt1", fire=0, result="EXECUTE_SUCCESS",
            stopped="whole"):
        pid = int(node[-1])
        lines = self.runs.setdefault(node, [])
        lines.append((start, f"S {job} {task or 't-' + job} {fire} {attempt} {token} {pid} {start} {start}"))
        if end is not None:
            lines.append((end, f"E {job} {attempt} {token} {pid} {end} {end} {result} {stopped}"))
        return self

    def row(self, job, outcome="EXECUTE_SUCCESS", token="1-1", attempt=1, final=None, state=None, task=None, cycle=0,
            skipped=0, skipped_last=0, message=None, due=0):
        final = outcome == "EXECUTE_SUCCESS" if final is None else final
        self.rows.append(checker.Row({
            "jobId": job, "taskId": task or "t-" + job, "taskTrackerNodeGroup": "g", "cycle": iso(cycle) if cycle else None,
            "attempt": attempt, "token": token, "node": "n", "outcome": outcome, "final": final,
            "state": (state or OUTCOME_STATE.get(outcome)) if final else None,
            "message": f"token={token}" if message is None else message, "dueAt": iso(due) if due else None, "endedAt": None, "skipped": skipped,
            "skippedLast": iso(skipped_last) if skipped_last else None}))
        return self

    def right(self, job="a", **spec):
        """A job that went well."""
        return self.submit(job, **spec).run(job, 20, 30, task=spec.get("task")).row(job, task=spec.get("task"))

    def verdict(self):
        with tempfile.TemporaryDirectory() as folder:
            for name in ("clients", "runs"):
                os.mkdir(os.path.join(folder, name))
            with open(os.path.join(folder, "clients", "c"), "w", encoding="utf-8") as file:
                file.write("\n".join(self.clients) + "\n")
            for node, lines in self.runs.items():
                with open(os.path.join(folder, "runs", node), "w", encoding="utf-8") as file:
                    file.write("\n".join(line for _, line in sorted(lines, key=lambda line: line[0])) + "\n")
            verdict = checker.Verdict()
            faults = checker.Faults(self.faults, self.lives, SETTINGS)
            executions = checker.read_runs(os.path.join(folder, "runs"), self.lives, faults, verdict)
            return checker.check(checker.read_clients(os.path.join(folder, "clients")), executions, self.rows, faults,
                                 verdict)


class Checks(unittest.TestCase):
    def right(self, story):
        self.assertEqual(story.verdict().violations, [])

    def wrong(self, story, invariant, text):
        violations = story.verdict().violations
        self.assertTrue(any(line.startswith(invariant + ":") and text in line for line in violations), violations)


class Submits(Checks):
    def test_a_job_that_went_well(self):
        self.right(Story().right())

    def test_an_accepted_job_that_is_not_there(self):
        self.wrong(Story().submit("a"), "I1", "is not there")

    def test_a_stored_job_that_never_arrived(self):
        self.wrong(Story().submit("a", answer="OK STORED"), "I11", "is not there")

    def test_a_stored_job_may_meet_a_waiting_one_of_its_task(self):
        self.right(Story().submit("a", answer="OK STORED", kind="hot"))

    def order(self, first, second):
        return (Story().submit("a", "hot", 0, 10, "OK STORED", kind="hot").submit("b", "hot", 20, 30, kind="hot")
                .run("a", 100, 110, task="hot").row("a", task="hot", due=first)
                .run("b", 200, 210, "1-2", task="hot").row("b", token="1-2", task="hot", due=second))

    def test_a_stored_job_goes_first(self):
        self.right(self.order(5000, 5000))

    def test_a_stored_job_that_was_overtaken(self):
        self.wrong(self.order(5000, 4000), "I11", "overtook")

    def test_a_job_without_an_answer_may_be_there_or_not(self):
        self.right(Story().submit("a", answer=None).submit("b", answer="UNAVAILABLE -").run("a", 20, 30).row("a"))

    def test_a_job_that_nobody_has_asked_for(self):
        self.wrong(Story().run("a", 20, 30).row("a"), "I2", "nobody has asked")

    def test_a_job_that_is_taken_for_another_one(self):
        self.wrong(Story().right("b").submit("a", answer="OK DUPLICATE", answered="b"), "I2", "of its own")

    def test_a_job_that_gave_way_to_nobody(self):
        self.wrong(Story().submit("a", answer="OK DUPLICATE", answered="b", kind="hot"), "I1", "does not exist")

    def test_a_refusal_for_good(self):
        self.wrong(Story().submit("a", answer="INTERNAL -"), "answers", "is refused")


class Attempts(Checks):
    def test_a_retry(self):
        self.right(Story().submit("a", kind="flaky").run("a", 20, 30, result="EXECUTE_LATER")
                   .row("a", "EXECUTE_LATER").run("a", 40, 50, "1-2", 2).row("a", token="1-2", attempt=2))

    def test_an_attempt_without_a_row(self):
        self.wrong(Story().submit("a").run("a", 20, 30, attempt=2).row("a", attempt=2), "I4", "attempts [2]")

    def test_two_ends(self):
        self.wrong(Story().right().row("a", token="1-1", attempt=2), "I4", "the last one is right")

    def test_a_result_that_was_applied_twice(self):
        self.wrong(Story().submit("a").run("a", 20, 30, result="EXECUTE_LATER").row("a", "EXECUTE_LATER", final=False)
                   .row("a", "EXECUTE_LATER", attempt=2, final=False).run("a", 40, 50, "1-2", 3)
                   .row("a", token="1-2", attempt=3), "I4", "applied twice")

    def test_a_result_of_another_execution(self):
        self.wrong(Story().right().submit("b").run("b", 20, 30, "1-7").row("b", token="1-7", message="token=1-1"),
                   "I4", "of another execution")

    def test_a_result_of_what_never_ran(self):
        self.wrong(Story().submit("a").row("a"), "I4", "never run")

    def test_a_result_that_the_runner_did_not_give(self):
        self.wrong(Story().submit("a").run("a", 20, 30, result="EXECUTE_LATER").row("a"), "I4", "differs")

    def test_a_stale_result(self):
        story = Story().submit("a").run("a", 20, 20_000, "1-1").run("a", 13_000, 13_100, "1-2", 1, node="tt2")
        story.faults = [{"kind": "tt_pause", "target": "tt1", "begin": 100, "end": 19_000}]
        self.wrong(story.row("a", token="1-1"), "I4", "stale")

    def test_what_was_run_has_an_end(self):
        self.wrong(Story().submit("a").run("a", 20, 30), "I4", "no end in the history")

    def test_a_wrong_end(self):
        self.wrong(Story().submit("a").run("a", 20, 30).row("a", final=True, state="DEAD"), "I4", "ended DEAD")

    def test_a_run_that_ends_with_the_lease_behind_a_pause(self):
        story = (Story().submit("a").run("a", 20, None).row("a", "LOST")
                 .run("a", 14_000, 14_100, "1-2", 2, node="tt2").row("a", token="1-2", attempt=2))
        story.faults = [{"kind": "tt_freeze", "target": "tt1", "begin": 100, "end": 19_000}]
        self.right(story)
        story.faults[0]["end"] = 5000
        self.wrong(story, "runs", "never ends")

    def test_a_run_that_never_ends(self):
        self.wrong(Story().submit("a").run("a", 20, None).row("a", "LOST", final=False), "runs", "never ends")


class Repeats(Checks):
    def again(self):
        return (Story().submit("a").run("a", 20, 15_000, "1-1", result="EXECUTE_LATER", stopped="stopped").row("a", "LOST")
                .run("a", 16_000, 16_100, "1-2", 2, node="tt2").row("a", token="1-2", attempt=2))

    def test_again_for_no_reason(self):
        self.wrong(self.again(), "I3", "without a reason")

    def test_again_after_a_pause_past_the_lease(self):
        story = self.again()
        story.faults = [{"kind": "tt_pause", "target": "tt1", "begin": 1000, "end": 14_000}]
        self.right(story)

    def test_again_after_a_pause_within_the_lease(self):
        story = self.again()
        story.faults = [{"kind": "tt_pause", "target": "tt1", "begin": 5000, "end": 14_000}]
        self.wrong(story, "I3", "without a reason")

    def test_again_after_a_cut_before_its_owner_could_take_the_result(self):
        story = (Story().submit("a").run("a", 20, 1000).row("a", "LOST")
                 .run("a", 26_000, 26_100, "1-2", 2, node="tt2").row("a", token="1-2", attempt=2))
        cut = {"kind": "cut_tt_jt", "target": "tt1", "begin": 5000, "end": 25_000}
        story.faults = [cut]
        self.wrong(story, "I3", "without a reason")
        story.faults = [{"kind": "jt_pause", "target": "jt1", "begin": 900, "end": 4800}, cut]
        self.right(story)

    def test_again_after_a_kill(self):
        story = (Story().submit("a").run("a", 20, None).row("a", "LOST").run("a", 16_000, 16_100, "1-2", 2, node="tt2")
                 .row("a", token="1-2", attempt=2))
        story.lives["tt1"] = [(1, 0, 100)]
        self.right(story)

    def test_at_most_once_twice(self):
        story = (Story().submit("a", once=1, kind="once").run("a", 20, None).row("a", "LOST")
                 .run("a", 16_000, 16_100, "1-2", 2, node="tt2").row("a", token="1-2", attempt=2))
        story.lives["tt1"] = [(1, 0, 100)]
        self.wrong(story, "I3", "at_most_once")

    def test_one_dispatch_twice(self):
        self.wrong(Story().submit("a").run("a", 20, None).run("a", 25, 30).row("a"), "I3", "runs twice")


class RunKeys(Checks):
    def hot(self, *spans):
        story = Story()
        for number, (start, end) in enumerate(spans, 1):
            job, token = f"j{number}", f"1-{number}"
            story.submit(job, task="hot", kind="hot").run(job, start, end, token, task="hot").row(job, token=token, task="hot")
        return story

    def test_one_after_the_other(self):
        self.right(self.hot((20, 30), (30, 40)))

    def test_two_at_a_time(self):
        self.wrong(self.hot((20, 30), (25, 40)), "I3", "two at a time")

    def test_another_one_between_attempts(self):
        story = Story().submit("a", task="hot", kind="hot").submit("b", task="hot", kind="hot")
        story.run("a", 20, 30, "1-1", task="hot", result="EXECUTE_LATER").row("a", "EXECUTE_LATER", task="hot")
        story.run("b", 40, 50, "1-2", task="hot").row("b", token="1-2", task="hot")
        story.run("a", 60, 70, "1-3", 2, task="hot").row("a", token="1-3", attempt=2, task="hot")
        self.wrong(story, "I3", "let in")

    def test_non_rely_fires_may_overlap_and_rely_ones_may_not(self):
        for rely in (0, 1):
            story = Story().submit("s", every=1000, count=2, rely=rely, kind="schedule")
            for n, (start, end) in enumerate(((1000, 2500), (2000, 3500)), 1):
                story.run("s", start, end, f"1-{n}", fire=n * 1000).row("s", token=f"1-{n}", cycle=n * 1000)
            if rely:
                self.wrong(story, "I3", "two at a time")
            else:
                self.right(story)


class Tokens(Checks):
    def test_a_token_that_goes_back(self):
        self.wrong(Story().submit("a").run("a", 20, 30, "2-2", result="EXECUTE_LATER").row("a", "EXECUTE_LATER", "2-2")
                   .run("a", 40, 50, "1-2", 2).row("a", token="1-2", attempt=2), "I7", "goes back")

    def test_an_assignment_of_an_old_epoch(self):
        self.wrong(Story().submit("a").submit("b").run("a", 20, 30, "2-1").row("a", token="2-1")
                   .run("b", 9000, 9010, "1-1").row("b"), "I7", "old epoch")


class Cancels(Checks):
    def test_cancelled_while_it_waited(self):
        self.right(Story().submit("a", kind="cancel").cancel("a", 20, 30).row("a", "NONE", token="0-0", final=True))

    def test_started_after_the_answer(self):
        self.wrong(Story().submit("a", kind="cancel").cancel("a", 20, 30).run("a", 3000, 3010).row("a"), "I8", "started after")

    def test_cancelled_and_retried(self):
        self.wrong(Story().submit("a", kind="cancel").cancel("a", 25, 35, "OK RUNNING")
                   .run("a", 20, 30, result="EXECUTE_LATER").row("a", "EXECUTE_LATER").run("a", 5000, 5010, "1-2", 2)
                   .row("a", token="1-2", attempt=2), "I8", "started after")


class FeedbackChecks(Checks):
    def test_told_twice_is_right(self):
        self.right(Story().right(feedback=1).feedback("a").feedback("a"))

    def test_never_told(self):
        self.wrong(Story().right(feedback=1), "I4", "feedback []")

    def test_told_of_two_ends(self):
        self.wrong(Story().right(feedback=1).feedback("a").feedback("a", 2), "I4", "feedback [")

    def test_told_without_being_asked(self):
        self.wrong(Story().right().feedback("a"), "I4", "nobody has asked for")


class Schedules(Checks):
    def fires(self, *seconds, **spec):
        story = Story().submit("s", kind="schedule", **({"cron": "*_*_*_*_*_?", "rely": 0} | spec))
        for n, second in enumerate(seconds, 1):
            story.run("s", second * 1000, second * 1000 + 10, f"1-{n}", fire=second * 1000)
            story.row("s", token=f"1-{n}", cycle=second * 1000)
        return story

    def test_all_fires(self):
        verdict = self.fires(1, 2, 3).verdict()
        self.assertEqual(verdict.violations, [])
        self.assertIn("target 3, ran 3, skipped with a reason 0, missing 0, extra 0", verdict.figures["fires"])

    def test_a_missing_fire(self):
        self.wrong(self.fires(1, 3), "I6", "the fire 2000 is missing")

    def test_a_skipped_fire_is_accounted_for(self):
        self.right(self.fires(1, 4).row("s", "NONE", "0-0", 0, True, "SKIPPED", cycle=2000, skipped=2, skipped_last=3000,
                                        message="overlap"))

    def test_skipped_without_a_reason(self):
        self.wrong(self.fires(1, 3).row("s", "NONE", "0-0", 0, True, "SKIPPED", cycle=2000, skipped=1, skipped_last=2000,
                                        message=""), "I6", "reason")

    def test_skipped_and_run(self):
        self.wrong(self.fires(1, 2, 3).row("s", "NONE", "0-0", 0, True, "SKIPPED", cycle=2000, skipped=1, skipped_last=2000,
                                           message="overlap"), "I5", "2 times")

    def test_a_fire_that_was_not_due(self):
        self.wrong(self.fires(2, 3, 4, cron="*/2_*_*_*_*_?"), "I6", "was not due")

    def test_too_few_runs(self):
        self.wrong(self.fires(1, 2, cron="", every=1000, count=3), "I6", "ran 2 times of 3")

    def test_a_fire_before_its_time(self):
        story = Story().submit("s", kind="schedule", every=1000, count=1, rely=0)
        self.wrong(story.run("s", 1000, 1010, fire=2000).row("s", cycle=2000), "I6", "before its time")

    def test_a_delayed_job_before_its_time(self):
        self.wrong(Story().right(delay=5000), "I6", "before its time")


if __name__ == "__main__":
    unittest.main()
