# SPDX-License-Identifier: LGPL-2.1-or-later

"""Runs tests of unittest and reports them in the Test Anything Protocol, so that meson and tools/test count each of them
and show which were skipped and why."""

import os
import sys
import time
import traceback
import unittest


def comment(text):
    for line in text.rstrip("\n").split("\n"):
        print(f"#   {line}")


def skip_all(reason):
    print(f"1..0 # SKIP {reason}")
    sys.exit()


def bail_out(why):
    print(f"Bail out! {why}")
    sys.exit(1)


def unavailable(why):
    """Something that all tests of the program need is missing. That skips them on a developer's machine and fails in CI."""
    if os.environ.get("CI") == "true":
        bail_out(why)
    skip_all(why)


def without_unittest(kind, value, trace):
    """The exception as from the test on: unittest's calls before that say nothing about it."""
    while trace and "__unittest" in trace.tb_frame.f_globals:
        trace = trace.tb_next
    return kind, value.with_traceback(trace), trace


def name_of(test):
    return test.id().rsplit(".", 1)[-1].removeprefix("test_").replace("_", " ")


def tests_of(*classes):
    """The tests of these classes, in the order in which they are written"""
    tests = [(n, cls.__dict__[name].__code__.co_firstlineno, cls, name) for n, cls in enumerate(classes)
             for name in cls.__dict__ if name.startswith("test_")]
    return [cls(name) for _, _, cls, name in sorted(tests, key=lambda test: test[:2])]


def flatten(suite):
    for test in suite:
        if isinstance(test, unittest.TestSuite):
            yield from flatten(test)
        else:
            yield test


def select(tests, words):
    """The tests whose class or name contains one of the words, or all tests if there are no words. A word may be written
    with spaces, as in the output, or with underscores, as in the source."""
    words = [word.lower().replace(" ", "_") for word in words]
    chosen = [test for test in tests if not words or any(word in test.id().lower() for word in words)]
    if not chosen:
        sys.exit(f"No test's name contains {' or '.join(words) or 'anything'}")
    return chosen


class Result(unittest.TestResult):
    """Prints the result of each test as it ends. If a test that fails has a method evidence(), what this returns is printed
    too. on_failure() is called before anything is cleaned up."""

    def __init__(self, n_tests, on_failure=None):
        super().__init__()
        self.on_failure = on_failure
        print(f"1..{n_tests}", flush=True)

    def startTest(self, test):
        super().startTest(test)
        self.began = time.monotonic()
        self.reason, self.problems = None, []

    def addSkip(self, test, reason):
        super().addSkip(test, reason)
        if not isinstance(test, unittest.TestCase):  # a whole class, whose tests would not be counted
            raise AssertionError(f"{test.id()} is skipped: {reason}. Skip its tests instead")
        self.reason = reason

    def add_problem(self, test, err):
        if not isinstance(test, unittest.TestCase):  # setUpClass() has failed
            raise err[1]
        problem = "".join(traceback.format_exception(*without_unittest(*err)))
        self.problems.append(problem)
        if len(self.problems) == 1 and hasattr(test, "evidence"):
            try:
                self.problems.append(test.evidence())
            except Exception as e:  # pylint: disable=broad-except
                self.problems.append(f"evidence() has failed: {e}")
        if self.on_failure:
            comment(problem)
            self.on_failure()

    def addFailure(self, test, err):
        super().addFailure(test, err)
        self.add_problem(test, err)

    def addError(self, test, err):
        super().addError(test, err)
        self.add_problem(test, err)

    def addSubTest(self, test, subtest, err):
        super().addSubTest(test, subtest, err)
        if err:
            self.problems.append(subtest.id())
            self.add_problem(test, err)

    def stopTest(self, test):
        super().stopTest(test)
        how = f"# SKIP {self.reason}" if self.reason else f"({time.monotonic() - self.began:.1f} s)"
        print(f"{'not ok' if self.problems else 'ok'} {self.testsRun} - {name_of(test)} {how}")
        for problem in self.problems:
            comment(problem)
        sys.stdout.flush()


def run(tests, runner=lambda tests, result: tests.run(result), on_failure=None):
    """Runs the tests, by way of runner(tests, result), and exits."""
    tests = unittest.TestSuite(tests)
    result = Result(tests.countTestCases(), on_failure)
    try:
        runner(tests, result)
    except Exception as e:  # pylint: disable=broad-except
        comment(traceback.format_exc())
        bail_out(type(e).__name__)
    sys.exit(0 if result.wasSuccessful() else 1)


def main():
    """Runs the tests of the program. Arguments: words, one of which a test's class or name must contain."""
    words = sys.argv[1:]
    if words and words[0] in ("-h", "--help"):
        print(f"{os.path.basename(sys.argv[0])} [WORD…]\n\nRun the tests whose class or name contains one of the words, "
              "or all of them.")
        return
    run(select(flatten(unittest.defaultTestLoader.loadTestsFromModule(sys.modules["__main__"])), words))
