"""A chaos run: a whole cluster of real processes under load, a seeded schedule of faults, and what it must leave behind.

  chaos.py [--seconds N] [--seed N] [--rate N] [--negative FAULT] [--keep FOLDER]

Ends with 0 when the checker finds nothing; with --negative, when it finds violations. The report goes to standard output,
what happens meanwhile to standard error. LTS_E2E_TREE is an installed tree, LTS_E2E_PROGRAMS the test programs.
"""

import argparse
import os
import sys

sys.path[:0] = [os.path.dirname(os.path.abspath(__file__)), os.path.dirname(os.path.dirname(os.path.abspath(__file__)))]

if __name__ == "__main__":
    import network
    network.isolate()

import faults  # noqa: E402  after isolate(): the watchdog of the harness belongs inside
import run  # noqa: E402


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n", maxsplit=1)[0])
    parser.add_argument("--seconds", type=float, default=90, help="how long faults happen")
    parser.add_argument("--seed", type=int, default=0, help="of the schedule of faults and of the load; 0: a new one")
    parser.add_argument("--rate", type=float, default=70, help="jobs a second that the clients submit")
    parser.add_argument("--jobtrackers", type=int, default=3)
    parser.add_argument("--only", default="", help="only faults of these kinds, separated by commas")
    parser.add_argument("--calm", action="store_true",
                        help="hardly any clients, and schedules whose runs take no time: a store without its fence shows "
                             "best then, so --negative no_store_fencing is calm by itself")
    parser.add_argument("--negative", choices=sorted(faults.REVEALING), default="",
                        help="plant this fault in the JobTrackers: the checker has to find violations")
    parser.add_argument("--keep", default="", help="keep everything in this folder, which must not exist yet")
    return run.main(parser.parse_args())


if __name__ == "__main__":
    sys.exit(main())
