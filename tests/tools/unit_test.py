#!/usr/bin/env python3
"""The systemd unit: systemd understands all of it, and calls it well confined."""
import os
import re
import shutil
import subprocess
import tempfile
import unittest

UNIT = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "..", "deploy", "weir.service.in")


@unittest.skipUnless(shutil.which("systemd-analyze"), "there is no systemd-analyze here")
class Unit(unittest.TestCase):
    def setUp(self):
        self.folder = tempfile.mkdtemp()
        self.addCleanup(shutil.rmtree, self.folder)
        os.symlink(shutil.which("true"), self.folder + "/weir")
        self.unit = self.folder + "/weir.service"
        with open(UNIT) as template, open(self.unit, "w") as unit:
            unit.write(template.read().replace("@bindir@", self.folder))

    def analyze(self, *arguments):
        done = subprocess.run(["systemd-analyze", *arguments, self.unit], capture_output=True, text=True, timeout=120)
        return done.returncode, done.stdout + done.stderr

    def test_systemd_understands_it(self):
        _, said = self.analyze("verify", "--man=no")
        self.assertEqual([line for line in said.splitlines() if "weir" in line], [])

    def test_it_is_well_confined(self):
        _, said = self.analyze("security", "--offline=true")
        # systemd calls less than 5 "OK"; without our lines it is 9.6. What counts how much differs between its versions.
        self.assertLess(float(re.search(r"exposure level for weir.service: ([\d.]+)", said).group(1)), 2.5)


if __name__ == "__main__":
    unittest.main()
