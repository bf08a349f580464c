#!/usr/bin/env python3
"""What tools/install says to those who may not install, or not there: before anything is built."""
import os
import shutil
import subprocess
import tempfile
import unittest

INSTALL = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "..", "tools", "install")


class Install(unittest.TestCase):
    def setUp(self):
        # A tree that only has this script: whatever it built would fail.
        self.tree = tempfile.mkdtemp()
        self.addCleanup(shutil.rmtree, self.tree)
        os.mkdir(self.tree + "/tools")
        shutil.copy(INSTALL, self.tree + "/tools/install")
        os.mkdir(self.tree + "/mine")
        for folder in [self.tree, self.tree + "/tools", self.tree + "/mine"]:
            os.chmod(folder, 0o755)

    def refused(self, *arguments):
        """What it says to a user without rights."""
        nobody = {"user": 65534, "group": 65534, "extra_groups": []} if os.geteuid() == 0 else {}
        if not nobody:
            os.chmod(self.tree + "/mine", 0o555)
        done = subprocess.run(["sh", self.tree + "/tools/install", *arguments], capture_output=True, text=True, timeout=60,
                              cwd="/", **nobody)
        self.assertEqual((done.returncode, done.stdout), (1, ""), done.stderr)
        return done.stderr

    def test_who_may_not_write_is_told_where_and_what_to_do(self):
        said = self.refused(self.tree + "/mine/local")
        self.assertIn("you may not write to %s/mine; as root: sudo make install\n" % self.tree, said)
        self.assertIn("make install PREFIX=$HOME/.local\n", said)

    def test_of_a_prefix_each_folder_counts(self):
        for folder in ["bin", "include", "lib", "share"]:
            os.mkdir(self.tree + "/mine/" + folder)
            os.chmod(self.tree + "/mine/" + folder, 0o777 if folder != "lib" else 0o555)
        self.assertIn("you may not write to %s/mine/lib; as root" % self.tree, self.refused(self.tree + "/mine"))

    def test_destdir_counts(self):
        self.assertIn("you may not write to %s/mine; " % self.tree, self.refused("/usr", self.tree + "/mine/package"))

    def test_a_prefix_that_is_no_folder(self):
        self.assertIn("is not a folder", self.refused(self.tree + "/tools/install/local"))
        self.assertIn("PREFIX must begin with a slash, and is '~/.local'", self.refused("~/.local"))


if __name__ == "__main__":
    unittest.main()
