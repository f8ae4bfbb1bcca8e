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

    def operate(self, verb, job, at, told, answer="OK WAITING", made=None, task=None, **spec):
        self._calls += 1
        words = {"id": job, "group": "g", "task": task or "t-" + job, "kind": "k", **spec}
        words = " ".join(f"{key}={value}" for key, value in words.items())
        self.clients.append(f"{at} I {self._calls} {verb} {words}")
        if answer:
            self.clients.append(f"{told} A {self._calls} {answer} {made or job} -")
        return self

    def feedback(self, job, attempt=1, state="SUCCEEDED", cycle=0):
        self.clients.append(f"50 F {job} {cycle} {attempt} {state} -")
        return self

    def run(self, job, start, end, token="1-1", attempt=1, task=None, node="tt1", fire=0, result="EXECUTE_SUCCESS",
            stopped="whole", v=0):
        pid = int(node[-1])
        lines = self.runs.setdefault(node, [])
        lines.append((start, f"S {job} {task or 't-' + job} {fire} {attempt} {token} {pid} {start} {start} {v}"))
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
        self.assertIn("target 3, ran 3, skipped with a reason 0 (suspended 0), missing 0, extra 0", verdict.figures["fires"])

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


class Suspensions(Checks):
    def story(self, at, told, *resume):
        """Suspended, and run from 10000 on."""
        story = Story().submit("a").operate("suspend", "a", at, told, "OK SUSPENDED").run("a", 10_000, 10_010).row("a")
        return story.operate("resume", "a", *resume) if resume else story

    def test_resumed_and_run(self):
        verdict = self.story(20, 30, 9000, 9010).verdict()
        self.assertEqual(verdict.violations, [])
        self.assertEqual(verdict.figures["  suspend"], "1 done")

    def test_started_meanwhile(self):
        self.wrong(self.story(20, 30, 12_000, 12_010), "I8", "suspended from 30 to 12000, and started meanwhile")

    def test_started_and_never_resumed(self):
        self.wrong(self.story(20, 30), "I8", "started meanwhile")

    def test_given_out_just_before(self):
        self.right(self.story(8990, 9000, 12_000, 12_010))

    def test_given_out_before_a_pause(self):
        story = self.story(20, 30, 12_000, 12_010)
        story.faults = [{"kind": "tt_pause", "target": "tt1", "begin": 10, "end": 9900}]
        self.right(story)

    def test_a_pause_of_another_tasktracker_explains_nothing(self):
        story = self.story(20, 30, 12_000, 12_010)
        story.faults = [{"kind": "tt_pause", "target": "tt2", "begin": 10, "end": 9900}]
        self.wrong(story, "I8", "started meanwhile")

    def test_a_resume_without_an_answer_may_have_been_done(self):
        self.right(Story().submit("a").operate("suspend", "a", 20, 30, "OK SUSPENDED")
                   .operate("resume", "a", 9000, 9010, "UNAVAILABLE -").operate("resume", "a", 15_000, 15_010)
                   .run("a", 10_000, 10_010).row("a"))

    def test_a_suspend_without_an_answer_proves_nothing(self):
        self.right(Story().submit("a").operate("suspend", "a", 20, 30, "DEADLINE_EXCEEDED -")
                   .run("a", 10_000, 10_010).row("a").operate("resume", "a", 12_000, 12_010))

    def retried(self, again):
        return (Story().submit("a").run("a", 20, 500, result="EXECUTE_LATER").row("a", "EXECUTE_LATER")
                .operate("suspend", "a", 100, 110, "OK RUNNING").operate("resume", "a", 9000, 9010)
                .run("a", again, again + 10, "1-2", 2).row("a", token="1-2", attempt=2))

    def test_its_retry_waits(self):
        self.right(self.retried(9005))

    def test_its_retry_does_not_wait(self):
        self.wrong(self.retried(5000), "I8", "started meanwhile")


class Updates(Checks):
    def story(self, version, start, answer="OK WAITING"):
        return (Story().submit("a", v=1).operate("update", "a", 20, 30, answer, v=2)
                .run("a", start, start + 10, v=version).row("a"))

    def test_the_new_version(self):
        self.right(self.story(2, 9000))

    def test_the_old_version(self):
        self.wrong(self.story(1, 9000), "I8", "updated to version 2, and given version 1")

    def test_the_old_version_given_out_before(self):
        self.right(self.story(1, 1000))

    def test_without_an_answer_both_are_right(self):
        for version in (1, 2):
            self.right(self.story(version, 9000, "UNAVAILABLE -"))

    def test_a_version_that_nobody_has_asked_for(self):
        self.wrong(self.story(3, 9000), "I8", "2 is the newest asked for")

    def retried(self, times, retries):
        story = Story().submit("a", kind="fewer", v=1).operate("update", "a", 20, 30, v=2, retries=retries)
        for n in range(1, times + 1):
            story.run("a", n * 2000, n * 2000 + 10, f"1-{n}", n, result="EXECUTE_EXCEPTION", v=2)
            story.row("a", "EXECUTE_EXCEPTION", f"1-{n}", n, final=n == times, state="DEAD")
        return story

    def test_so_many_retries(self):
        self.right(self.retried(3, 2))

    def test_too_many_retries(self):
        self.wrong(self.retried(4, 2), "I8", "at most 2 retries")

    def test_a_retry_that_was_due_before_the_update(self):
        story = Story().submit("a", kind="fewer", v=1).operate("update", "a", 4500, 4510, v=2, retries=1)
        for n in range(1, 4):
            story.run("a", n * 2000, n * 2000 + 10, f"1-{n}", n, result="EXECUTE_EXCEPTION", v=1)
            story.row("a", "EXECUTE_EXCEPTION", f"1-{n}", n, final=n == 3, state="DEAD")
        self.right(story)

    def test_a_trigger_behind_an_update(self):
        for version in (1, 2):
            story = Story().submit("s", kind="schedule", every=1000, count=-1, rely=1, v=1)
            story.operate("update", "s", 20, 30, v=2).operate("trigger", "s", 40, 50, made="m")
            story.run("m", 60, 70, task="t-s", v=version).row("m", task="t-s")
            story.run("s", 1000, 1010, "1-2", fire=1000, v=2).row("s", token="1-2", cycle=1000)
            if version == 2:
                self.right(story)
            else:
                self.wrong(story, "I8", "triggered by version 2, and given version 1")


class Made(Checks):
    """Runs that trigger and rerun make."""

    def rerun(self, answer="OK WAITING", made="m"):
        return Story().right("a").operate("rerun", "a", 40, 50, answer, made=made)

    def test_it_is_there(self):
        self.right(self.rerun().run("m", 60, 70, "1-2", task="t-a").row("m", token="1-2", task="t-a"))

    def test_it_is_not_there(self):
        self.wrong(self.rerun(), "I1", "is not there")

    def test_a_second_one(self):
        story = self.rerun()
        for n, job in enumerate(("m", "n"), 2):
            story.run(job, 60 * n, 60 * n + 10, f"1-{n}", task="t-a").row(job, token=f"1-{n}", task="t-a")
        self.wrong(story, "I2", "nobody has asked for it")

    def test_a_call_without_an_answer_may_have_made_one(self):
        story = self.rerun("UNAVAILABLE -")
        self.right(story.run("m", 60, 70, "1-2", task="t-a").row("m", token="1-2", task="t-a"))
        self.wrong(story.run("n", 80, 90, "1-3", task="t-a").row("n", token="1-3", task="t-a"), "I2", "m, n")

    def test_a_refused_call_has_made_none(self):
        story = self.rerun("ALREADY_EXISTS -")
        story.run("m", 60, 70, "1-2", task="t-a").row("m", token="1-2", task="t-a")
        self.wrong(story, "I2", "nobody has asked for it")

    def test_one_for_two_calls(self):
        self.wrong(self.rerun().operate("rerun", "a", 60, 70, made="m").run("m", 80, 90, "1-2", task="t-a")
                   .row("m", token="1-2", task="t-a"), "I2", "2 calls")

    def test_beside_a_cycle_of_the_same_task(self):
        story = Story().submit("s", kind="schedule", every=1000, count=1, rely=1).run("s", 1000, 1500, fire=1000)
        story.row("s", cycle=1000).operate("trigger", "s", 990, 995, made="m")
        story.run("m", 1200, 1300, "1-2", task="t-s").row("m", token="1-2", task="t-s")
        self.wrong(story, "I3", "two at a time")


class Triggers(Checks):
    def dated(self, due, start, answer="OK WAITING"):
        return (Story().submit("a", kind="dated", delay=60_000).operate("trigger", "a", 20, 30, answer)
                .run("a", start, start + 10).row("a", due=due))

    def test_due_at_once(self):
        self.right(self.dated(25, 40))

    def test_due_as_before(self):
        self.wrong(self.dated(60_000, 60_010), "I8", "triggered with the answer at 30")

    def test_started_early_without_a_trigger(self):
        story = Story().right("a", delay=60_000).operate("trigger", "a", 500, 510, "FAILED_PRECONDITION -")
        self.wrong(story, "I6", "before its time")


class Terminations(Checks):
    def test_ended(self):
        self.right(Story().submit("a").operate("terminate", "a", 40, 50, "OK RUNNING")
                   .run("a", 20, 60, result="EXECUTE_LATER", stopped="stopped")
                   .row("a", "EXECUTE_LATER", final=True, state="CANCELLED"))

    def again(self, answer):
        return (Story().submit("a").operate("terminate", "a", 40, 50, answer).run("a", 20, 60, result="EXECUTE_LATER")
                .row("a", "EXECUTE_LATER").run("a", 9000, 9010, "1-2", 2).row("a", token="1-2", attempt=2))

    def test_run_again(self):
        self.wrong(self.again("OK RUNNING"), "I8", "terminated with the answer at 50, and started after")

    def test_nothing_was_running(self):
        self.right(self.again("FAILED_PRECONDITION -"))

    def test_cancelled_without_being_asked(self):
        self.wrong(Story().submit("a").run("a", 20, 60, result="EXECUTE_LATER")
                   .row("a", "EXECUTE_LATER", final=True, state="CANCELLED"), "I4", "ended CANCELLED")

    def test_the_schedule_goes_on(self):
        story = Story().submit("s", kind="schedule", every=20_000, count=2, rely=1)
        story.run("s", 20_000, 24_000, fire=20_000, result="EXECUTE_LATER", stopped="stopped")
        story.operate("terminate", "s", 23_000, 23_010, "OK RUNNING")
        story.row("s", "EXECUTE_LATER", final=True, state="CANCELLED", cycle=20_000)
        self.right(story.run("s", 40_000, 40_010, "1-2", fire=40_000).row("s", token="1-2", cycle=40_000))

    def test_its_cycle_does_not(self):
        story = Story().submit("s", kind="schedule", every=60_000, count=1, rely=1)
        story.run("s", 60_000, 64_000, fire=60_000, result="EXECUTE_LATER").row("s", "EXECUTE_LATER", cycle=60_000)
        story.operate("terminate", "s", 63_000, 63_010, "OK RUNNING")
        story.run("s", 70_000, 70_010, "1-2", 2, fire=60_000).row("s", token="1-2", attempt=2, cycle=60_000)
        self.wrong(story, "I8", "terminated with the answer at 63010, and started after")


class OperatedSchedules(Checks):
    def fires(self, *seconds, story=None, **spec):
        story = story or Story().submit("s", kind="schedule", **({"cron": "*_*_*_*_*_?", "rely": 0} | spec))
        for n, second in enumerate(seconds, 1):
            at = round(second * 1000)
            story.run("s", at, at + 10, f"1-{n}", fire=at)
            story.row("s", token=f"1-{n}", cycle=at)
        return story

    def skip(self, story, first, last, step=1, message="suspended when it was due"):
        return story.row("s", "NONE", "0-0", 0, True, "SKIPPED", cycle=first * 1000, skipped=(last - first) // step + 1,
                         skipped_last=last * 1000, message=message)

    def suspended(self, *seconds):
        return (self.fires(*seconds).operate("suspend", "s", 2500, 2510, "OK SUSPENDED")
                .operate("resume", "s", 9500, 9510, "OK ACTIVE"))

    def test_skipped_while_suspended(self):
        story = self.skip(self.suspended(1, 2, 10, 11), 3, 9)
        self.right(story)
        self.assertIn("(suspended 7)", story.verdict().figures["fires"])

    def test_not_skipped_either(self):
        self.wrong(self.suspended(1, 2, 10, 11), "I6", "the fire 3000 is missing")

    def test_fired_while_suspended(self):
        story = self.suspended(1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11)
        self.wrong(story, "I8", "ran the fire 5000 meanwhile")

    def test_either_is_right_at_the_edges(self):
        self.right(self.skip(self.suspended(1, 2, 3, 10, 11), 4, 9))
        self.right(self.skip(self.suspended(1, 11), 2, 10))

    def test_skipped_as_suspended_but_was_not(self):
        self.wrong(self.skip(self.fires(1, 2, 5, 6), 3, 4), "I6", "skipped as suspended, and was not")

    def test_skipped_long_before_it_was_suspended(self):
        story = self.skip(self.fires(1, 2, 11, 12), 3, 10)
        story.operate("suspend", "s", 6000, 6010, "OK SUSPENDED").operate("resume", "s", 10_500, 10_510, "OK ACTIVE")
        self.wrong(story, "I6", "the fire 3000 was skipped as suspended")

    def cron(self, *seconds, answer="OK ACTIVE"):
        return self.fires(*seconds).operate("update", "s", 4100, 4200, answer, cron="*/5_*_*_*_*_?")

    def test_another_cron(self):
        self.right(self.cron(1, 2, 3, 4, 10, 15))  # that of 5 is at the edge
        self.right(self.cron(1, 2, 3, 4, 5, 10, 15))

    def test_the_old_cron_goes_on(self):
        self.wrong(self.cron(1, 2, 3, 4, 5, 6, 7, 8, 9, 10), "I6", "the fire 8000 was not due")

    def test_a_fire_of_the_new_cron_is_missing(self):
        self.wrong(self.cron(1, 2, 3, 4, 5, 15), "I6", "the fire 10000 is missing")

    def test_a_fire_of_the_old_cron_is_missing(self):
        self.wrong(self.cron(1, 3, 4, 5, 10), "I6", "the fire 2000 is missing")

    def test_an_update_without_an_answer_may_have_been_done(self):
        self.right(self.cron(1, 2, 3, 4, 5, 10, answer="UNAVAILABLE -"))
        self.right(self.cron(1, 2, 3, 4, 5, 6, 7, 8, 9, 10, answer="UNAVAILABLE -"))
        self.wrong(self.cron(1, 2, 4, 5, 10, answer="UNAVAILABLE -"), "I6", "the fire 3000 is missing")

    def every(self, *seconds):
        return (self.fires(*seconds, cron="", every=1000, count=-1)
                .operate("update", "s", 4100, 4200, "OK ACTIVE", every=3000))

    def test_another_interval_counts_from_the_update(self):
        self.right(self.every(1, 2, 3, 4, 7.15, 10.15, 13.15))

    def test_a_fire_of_the_new_interval_is_missing(self):
        self.wrong(self.every(1, 2, 3, 4, 7.15, 13.15), "I6", "the fire 10150 is missing")

    def test_the_first_one_of_the_new_interval_is_missing(self):
        self.wrong(self.every(1, 2, 3, 4, 10.15, 13.15), "I6", "is missing")

    def test_out_of_step(self):
        self.wrong(self.every(1, 2, 3, 4, 7.15, 10.15, 11.15, 13.15), "I6", "the fire 11150 was not due")

    def test_a_row_of_skipped_fires_goes_by_its_interval(self):
        self.right(self.skip(self.cron(1, 2, 3, 4, 5, 20), 10, 15, 5, "overlap"))
        self.wrong(self.skip(self.cron(1, 2, 3, 4, 5, 20), 10, 15, 1, "overlap"), "I6", "skipped 6 from 10000 to 15000")


if __name__ == "__main__":
    unittest.main()
