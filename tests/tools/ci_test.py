#!/usr/bin/env python3
"""How .ci/lib counts, stops and ends: what reads it wants the last line so."""
import os
import re
import shutil
import subprocess
import tempfile
import unittest

LIB = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "..", ".ci", "lib")


@unittest.skipUnless(shutil.which("git") and shutil.which("bash"), "the sections need git and bash")
class Ci(unittest.TestCase):
    def setUp(self):
        self.tree = tempfile.mkdtemp()
        self.addCleanup(shutil.rmtree, self.tree)
        with open(self.tree + "/.gitignore", "w") as file:
            file.write("/build\n")
        subprocess.run(["git", "init", "-q", self.tree], check=True)

    def run_it(self, script, **environment):
        """The lines it printed, and whether it succeeded."""
        done = subprocess.run(["bash", "-c", '. "$LIB"\n' + script], cwd=self.tree, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                              stderr=subprocess.STDOUT, text=True, env={**os.environ, "LIB": LIB, **environment}, timeout=120)
        return done.stdout.splitlines(), done.returncode == 0

    def test_all_is_well(self):
        lines, good = self.run_it("section one true; section 'two and three' echo '2 passed, 0 failed'; finish")
        self.assertTrue(good, lines)
        # And the two checks at the end.
        self.assertEqual(lines[-1], "5 passed, 0 failed")
        self.assertRegex(lines[-2], r"^in all +5 good +0 bad +\d+:\d\d$")
        self.assertEqual(sum(line.startswith("two and three") for line in lines), 2)

    def test_a_failure_is_shown_and_the_rest_goes_on(self):
        lines, good = self.run_it("section bad sh -c 'echo this went wrong; false'; section after true; finish")
        self.assertFalse(good)
        self.assertIn("    | this went wrong", lines)
        self.assertTrue([line for line in lines if re.match("after +1 good", line)])
        self.assertEqual(lines[-1], "3 passed, 1 failed")

    def test_failed_tests_are_counted_and_a_crash_of_their_runner_is_one(self):
        for script, last in [("sh -c 'echo 7 passed, 2 failed; exit 1'", "9 passed, 2 failed"),
                             ("sh -c 'echo 7 passed, 0 failed; exit 1'", "9 passed, 1 failed")]:
            lines, good = self.run_it("section tests %s; finish" % script)
            self.assertEqual((lines[-1], good), (last, False))

    def test_what_hangs_is_killed_and_reported(self):
        for command in ["sleep 1000", "sh -c \"trap '' TERM; sleep 1000\""]:
            lines, good = self.run_it("LIMIT=1 section hang %s; section after true; finish" % command)
            self.assertFalse(good)
            self.assertIn("    | killed: it took more than 1 s", lines)
            self.assertTrue([line for line in lines if re.match("after +1 good", line)])

    def test_smoke_that_fails_ends_the_run(self):
        script = "build() { section 'build: debug' false; }\nsmoke ci; section never true; finish"
        lines, good = self.run_it(script)
        self.assertFalse(good)
        self.assertFalse([line for line in lines if line.startswith("never")])
        self.assertRegex(lines[-1], r"^\d+ passed, [1-9]\d* failed$")

    def test_stop_at_first(self):
        lines, good = self.run_it("section bad false; section never true; finish", STOP_AT_FIRST="1")
        self.assertFalse(good)
        self.assertFalse([line for line in lines if line.startswith("never")])
        self.assertEqual(lines[-1], "2 passed, 1 failed")

    def test_what_stays_behind_is_found_and_ended(self):
        lines, good = self.run_it("section leaves sh -c 'setsid sleep 1000 & echo $!'; finish")
        self.assertFalse(good)
        self.assertTrue([line for line in lines if re.match(r"    \| still running: \d+: sleep 1000", line)], lines)

    def test_a_changed_tree_is_found(self):
        lines, good = self.run_it("section changes touch new; finish")
        self.assertFalse(good)
        self.assertIn("    | ?? new", lines)

    def test_it_is_recorded_only_when_asked_for_and_all_passed(self):
        record = "record() { echo recorded; }\n"
        self.assertIn("recorded", self.run_it(record + "finish", RECORD="1")[0])
        self.assertNotIn("recorded", self.run_it(record + "finish", RECORD="")[0])
        lines, _ = self.run_it(record + "section bad false; finish", RECORD="1")
        self.assertNotIn("recorded", lines)


if __name__ == "__main__":
    unittest.main()
