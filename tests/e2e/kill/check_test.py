"""The checker finds each kind of violation: a checker that is always content proves nothing."""

import os
import sys
import unittest

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import check  # noqa: E402


def attempt(job, n, outcome, token, task=None):
    return {"jobId": job, "taskId": task or "t-" + job, "attempt": n, "outcome": outcome, "token": token}


def journal(*lines):
    return "\n".join(lines) + "\n"


class Check(unittest.TestCase):
    def found(self, answers, lines, attempts):
        return check.check("".join(line + "\n" for line in answers), journal(*lines), attempts)

    def assertFinds(self, text, violations):
        self.assertTrue(any(text in violation for violation in violations), violations)

    def test_a_plain_run_is_right(self):
        self.assertEqual([], self.found(["a t-a ACCEPTED"], ["a 1-1 start", "a 1-1 end"],
                                        [attempt("a", 1, "EXECUTE_SUCCESS", "1-1")]))

    def test_running_again_after_a_kill_is_right(self):
        self.assertEqual([], self.found(
            ["a t-a ACCEPTED"], ["a 1-9 start", "- - killed", "a 1-10 start", "a 1-10 end"],
            [attempt("a", 1, "LOST", "1-9"), attempt("a", 2, "EXECUTE_SUCCESS", "1-10")]))

    def test_an_answered_job_that_never_ended(self):
        self.assertFinds("answered, but not ended", self.found(["a t-a STORED"], ["a 1-1 start", "a 1-1 end"], []))

    def test_a_job_that_nobody_was_told_of(self):
        self.assertFinds("never answered", self.found([], ["a 1-1 start", "a 1-1 end"],
                                                      [attempt("a", 1, "EXECUTE_SUCCESS", "1-1")]))

    def test_two_results(self):
        self.assertFinds("outcomes", self.found(
            ["a t-a ACCEPTED"], ["a 1-1 start", "a 1-1 end"],
            [attempt("a", 1, "EXECUTE_SUCCESS", "1-1"), attempt("a", 2, "EXECUTE_SUCCESS", "1-1")]))

    def test_a_job_that_died(self):
        self.assertFinds("outcomes", self.found(["a t-a ACCEPTED"], ["a 1-1 start", "- - killed"],
                                                [attempt("a", 1, "LOST", "1-1")]))

    def test_one_run_key_twice_at_a_time(self):
        self.assertFinds("overlap", self.found(
            ["a t ACCEPTED", "b t ACCEPTED"], ["a 1-1 start", "b 1-2 start", "a 1-1 end", "b 1-2 end"],
            [attempt("a", 1, "EXECUTE_SUCCESS", "1-1", "t"), attempt("b", 1, "EXECUTE_SUCCESS", "1-2", "t")]))

    def test_run_again_without_a_kill(self):
        self.assertFinds("TaskTracker lived", self.found(
            ["a t-a ACCEPTED"], ["a 1-1 start", "a 1-1 end", "a 2-1 start", "a 2-1 end"],
            [attempt("a", 1, "LOST", "1-1"), attempt("a", 2, "EXECUTE_SUCCESS", "2-1")]))

    def test_run_again_though_nothing_was_lost(self):
        self.assertFinds("only 0 attempts were lost", self.found(
            ["a t-a ACCEPTED"], ["a 1-1 start", "a 1-1 end", "- - killed", "a 2-1 start", "a 2-1 end"],
            [attempt("a", 1, "EXECUTE_SUCCESS", "2-1")]))

    def test_a_stale_result_that_counts(self):
        self.assertFinds("stale result", self.found(
            ["a t-a ACCEPTED"], ["a 1-9 start", "- - cut-off", "a 1-10 start", "a 1-9 end", "a 1-10 end"],
            [attempt("a", 1, "LOST", "1-9"), attempt("a", 2, "EXECUTE_SUCCESS", "1-9")]))

    def test_the_newer_result_after_a_lost_lease_is_right(self):
        self.assertEqual([], self.found(
            ["a t-a ACCEPTED"], ["a 1-9 start", "- - cut-off", "a 1-10 start", "a 1-9 end", "a 1-10 end"],
            [attempt("a", 1, "LOST", "1-9"), attempt("a", 2, "EXECUTE_SUCCESS", "1-10")]))

    def test_a_result_without_a_run(self):
        self.assertFinds("never run", self.found(["a t-a ACCEPTED"], [], [attempt("a", 1, "EXECUTE_SUCCESS", "1-1")]))


if __name__ == "__main__":
    unittest.main()
