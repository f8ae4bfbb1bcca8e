"""The chaos suite as a test: a short run that must be without violation, and short ones with a planted fault that must
be found. The long run is chaos.py by hand: `chaos.py --seconds 1800`."""

import os
import subprocess
import sys
import unittest

HERE = os.path.dirname(os.path.abspath(__file__))
SEED = os.environ.get("LTS_E2E_SEED", "0")


class Chaos(unittest.TestCase):
    def chaos(self, *args):
        """Gives what it reported; its own standard error goes through."""
        done = subprocess.run([sys.executable, os.path.join(HERE, "chaos.py"), "--seed", SEED, *args], check=False,
                              stdout=subprocess.PIPE, text=True, timeout=600)
        print(done.stdout, file=sys.stderr, flush=True)
        self.assertEqual(done.returncode, 0, f"{args}: {done.stdout}")
        return done.stdout

    def test_nothing_is_lost_and_nothing_counts_twice(self):
        report = self.chaos("--seconds", "80")
        self.assertIn("\nviolations: 0\n", report)
        self.assertNotRegex(report, r"(?m)^  \w+: 0$", "a kind of fault did not happen")

    def test_a_store_without_its_fence_is_found(self):
        self.assertIn("the planted fault was found", self.chaos("--seconds", "35", "--negative", "no_store_fencing"))

    def test_results_without_a_check_of_their_token_are_found(self):
        self.assertIn("the planted fault was found", self.chaos("--seconds", "25", "--negative", "no_token_check"))


if __name__ == "__main__":
    unittest.main(verbosity=2)
