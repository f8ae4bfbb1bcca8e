#!/usr/bin/python3
"""What `jobclient completion bash` prints, used by a bash.

usage: completion_test.py JOBCLIENT
"""
import json
import os
import subprocess
import sys
import tempfile
import unittest

JOBCLIENT = os.path.abspath(sys.argv.pop(1))
COMPLETE = """
source <("$1" completion bash)
shift
complete -p jobclient >/dev/null || exit 9
COMP_WORDS=("$@") COMP_CWORD=$(($# - 1))
_jobclient
printf '%s\\n' "${COMPREPLY[@]}"
"""


class Completion(unittest.TestCase):
    maxDiff = None

    def complete(self, *words, cwd=None):
        """What bash offers for the last word."""
        ran = subprocess.run(["bash", "-u", "-c", COMPLETE, "bash", JOBCLIENT, "jobclient", *words], cwd=cwd,
                             capture_output=True, text=True, check=False)
        self.assertEqual((ran.returncode, ran.stderr), (0, ""), words)
        return [line for line in ran.stdout.splitlines() if line]

    def table(self):
        ran = subprocess.run([JOBCLIENT, "help", "-o", "json"], capture_output=True, text=True, check=True)
        return [json.loads(line) for line in ran.stdout.splitlines()]

    def test_offers_every_verb(self):
        self.assertEqual(self.complete(""), [row["verb"] for row in self.table() if " " not in row["verb"]])
        self.assertEqual(self.complete("ca"), ["cancel"])
        self.assertEqual(self.complete("cron", ""), ["next"])
        self.assertEqual(self.complete("failstore", "d"), ["drop"])
        self.assertEqual(self.complete("nosuch"), [])

    def test_offers_every_option_of_every_verb(self):
        for row in self.table():
            offered = self.complete(*row["verb"].split(), "-")
            named = [name for option in row["options"] for name in option["name"].split(",") if name.startswith("-")]
            for name in named + ["--help", "--registry", "--config", "--output"]:
                self.assertIn(name, offered, row["verb"])
        self.assertNotIn("--version", self.complete("get", "--"))
        self.assertIn("--version", self.complete("--"))
        self.assertEqual(self.complete("submit", "--ret"), ["--retries", "--retry"])

    def test_offers_the_values_of_a_choice(self):
        self.assertEqual(self.complete("list", "-o", ""), ["table", "json"])
        self.assertEqual(self.complete("--output", "j"), ["json"])
        self.assertEqual(self.complete("list", "--state", "S"), ["SUSPENDED", "SUCCEEDED", "SKIPPED"])
        self.assertEqual(self.complete("list", "--state", "=", "WAIT"), ["WAITING"])
        self.assertEqual(self.complete("list", "--state", "="), self.complete("list", "--state", ""))

    def test_offers_files_and_folders(self):
        with tempfile.TemporaryDirectory() as folder:
            os.mkdir(os.path.join(folder, "jobs folder"))
            for name in ("jobs.jsonl", "other"):
                with open(os.path.join(folder, name), "w", encoding="utf-8"):
                    pass
            self.assertEqual(sorted(self.complete("submit", "--file", "jo", cwd=folder)), ["jobs folder", "jobs.jsonl"])
            self.assertEqual(self.complete("agent", "--data-path", "", cwd=folder), ["jobs folder"])
            self.assertEqual(self.complete("--config", "o", cwd=folder), ["other"])

    def test_offers_nothing_where_only_the_user_knows(self):
        self.assertEqual(self.complete("get", "--group", ""), [])
        self.assertEqual(self.complete("submit", "--param", "k", "=", ""), [])

    def test_the_value_of_an_option_is_no_verb(self):
        self.assertEqual(self.complete("--registry", "list", "ge"), ["get"])
        self.assertEqual(self.complete("--registry", "=", "list", "ge"), ["get"])
        self.assertIn("--since", self.complete("-o", "json", "list", "--si"))
        self.assertEqual(self.complete("help", "failst"), ["failstore"])


if __name__ == "__main__":
    unittest.main(verbosity=2)
