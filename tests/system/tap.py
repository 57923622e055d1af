# SPDX-License-Identifier: LGPL-2.1-or-later

"""Scenarios as tests of their own: what they have come to is printed in the Test Anything Protocol, which meson
reads."""

import argparse
import os
import sys
import time
import traceback
import unittest

import isolation


def comment(text):
    for line in text.rstrip("\n").split("\n"):
        print(f"#   {line}")


class TapResult(unittest.TestResult):
    """on_failure() is called while the machine is still as it was when a scenario failed."""

    def __init__(self, n_tests, on_failure):
        super().__init__()
        self.on_failure = on_failure
        print(f"1..{n_tests}", flush=True)

    def startTest(self, test):
        super().startTest(test)
        self.began = time.monotonic()
        self.reason, self.problems = None, []

    def addSkip(self, test, reason):
        super().addSkip(test, reason)
        self.reason = reason

    def addFailure(self, test, err):
        super().addFailure(test, err)
        if not isinstance(test, unittest.TestCase):  # what a whole class needs
            raise err[1]
        problem = "".join(traceback.format_exception(*err))
        self.problems.append(problem)
        if len(self.problems) == 1 and hasattr(test, "evidence"):
            try:
                self.problems.append(test.evidence())
            except Exception as e:  # pylint: disable=broad-except
                self.problems.append(f"and there is no evidence of it: {e}")
        if self.on_failure:
            comment(problem)
            self.on_failure()

    addError = addFailure

    def stopTest(self, test):
        super().stopTest(test)
        print(f"{'not ok' if self.problems else 'ok'} {self.testsRun} - {name_of(test)} "
              f"({time.monotonic() - self.began:.1f} s){f' # SKIP {self.reason}' if self.reason else ''}")
        for problem in self.problems:
            comment(problem)
        sys.stdout.flush()


def name_of(test):
    return test.id().rsplit(".", 1)[-1].removeprefix("test_").replace("_", " ")


def tests_of(*classes):
    """In the order in which they are written"""
    tests = [(cls.__dict__[name].__code__.co_firstlineno, cls, name) for cls in classes for name in cls.__dict__
             if name.startswith("test_")]
    return [cls(name) for _, cls, name in sorted(tests, key=lambda test: (classes.index(test[1]), test[0]))]


def argument_parser(description):
    parser = argparse.ArgumentParser(description=description, epilog="Only root can do this.")
    parser.add_argument("release", metavar="RELEASE", choices=["bookworm", "trixie"], help="bookworm or trixie")
    parser.add_argument("words", metavar="WORD", nargs="*",
                        help="run only those scenarios in whose names one of these words is")
    return parser


def skip_where_impossible():
    """Where no machine can be booted the test is skipped, with the reason; but not in CI, where it can."""
    why = isolation.why_impossible()
    if why and os.environ.get("CI") == "true":
        print(f"Bail out! {why}")
        sys.exit(1)
    if why:
        print(f"1..0 # SKIP {why}")
        sys.exit()


def run(run_tests, classes, words, on_failure=None):
    """run_tests(tests, result) runs them."""
    tests = [t for t in tests_of(*classes) if not words or any(word.lower() in name_of(t).lower() for word in words)]
    result = TapResult(len(tests), on_failure)
    try:
        run_tests(tests, result)
    except Exception as e:  # pylint: disable=broad-except
        comment(traceback.format_exc())
        print(f"Bail out! {type(e).__name__}")
        sys.exit(1)
    sys.exit(0 if result.wasSuccessful() else 1)
