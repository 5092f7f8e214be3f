"""Runs a module's tests, but for those whose name contains a word, and writes "TEST VERDICT" lines:

    unittest_verdicts.py MODULE WORD FILE

To a file of its own, as tests and their children write to standard error, too.
"""
import sys
import unittest


def each(suite):
    for test in suite:
        if isinstance(test, unittest.TestSuite):
            yield from each(test)
        else:
            yield test


class Verdicts(unittest.TextTestResult):
    def note(self, test, verdict):
        print(test.id(), verdict, file=out, flush=True)

    def addSuccess(self, test):
        super().addSuccess(test)
        self.note(test, "ok")

    def addFailure(self, test, error):
        super().addFailure(test, error)
        self.note(test, "FAIL")

    def addError(self, test, error):
        super().addError(test, error)
        self.note(test, "ERROR")

    def addSkip(self, test, reason):
        super().addSkip(test, reason)
        self.note(test, "skipped")

    def addExpectedFailure(self, test, error):
        super().addExpectedFailure(test, error)
        self.note(test, "expected failure")

    def addUnexpectedSuccess(self, test):
        super().addUnexpectedSuccess(test)
        self.note(test, "unexpected success")

    def addSubTest(self, test, subtest, error):
        super().addSubTest(test, subtest, error)
        if error:
            self.note(subtest, "FAIL")


module, word, path = sys.argv[1:]
out = open(path, "w")
found = each(unittest.defaultTestLoader.loadTestsFromName(module))
suite = unittest.TestSuite(test for test in found if word not in test.id())
runner = unittest.TextTestRunner(verbosity=2, resultclass=Verdicts)
sys.exit(not runner.run(suite).wasSuccessful())
