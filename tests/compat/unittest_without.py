"""unittest -v of a module without the tests whose name contains a word:

    unittest_without.py WORD MODULE
"""
import sys
import unittest


def each(suite):
    for test in suite:
        if isinstance(test, unittest.TestSuite):
            yield from each(test)
        else:
            yield test


word, module = sys.argv[1:]
found = each(unittest.defaultTestLoader.loadTestsFromName(module))
suite = unittest.TestSuite(test for test in found if word not in test.id())
sys.exit(not unittest.TextTestRunner(verbosity=2).run(suite).wasSuccessful())
