#!/usr/bin/env python3
"""tools/hooks/pre-commit looks at what is staged, and tools/use-hooks lets git run it only where that harms nobody."""
import os
import shutil
import subprocess
import tempfile
import unittest

TREE = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "..")
GOOD = "/* What it is. */\nint f(void);\n"
UGLY = "/* What it is. */\nint  f( void );\n"
ENV = {name: value for name, value in os.environ.items() if name != "CI" and not name.startswith("GIT_")}
ENV.update({"GIT_CONFIG_GLOBAL": "/dev/null", "GIT_CONFIG_SYSTEM": "/dev/null",
            **{"GIT_%s_%s" % (who, what): "nobody@example.org" for who in ["AUTHOR", "COMMITTER"] for what in ["NAME", "EMAIL"]}})


@unittest.skipUnless(shutil.which("git"), "there is no git here")
class Hooks(unittest.TestCase):
    def setUp(self):
        self.folder = tempfile.mkdtemp()
        self.addCleanup(shutil.rmtree, self.folder)
        self.tree = self.folder + "/tree"
        os.makedirs(self.tree + "/src/base")
        shutil.copytree(TREE + "/tools", self.tree + "/tools")
        shutil.copy(TREE + "/.clang-format", self.tree)
        self.run_it("git", "init", "-q", ".")

    def run_it(self, *command, status=0, cwd=None, **environment):
        done = subprocess.run(command, cwd=cwd or self.tree, env={**ENV, **environment}, stdin=subprocess.DEVNULL,
                              stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, timeout=120)
        self.assertEqual(done.returncode, status, done.stdout)
        return done.stdout

    def commit(self, status=0, cwd=None, **files):
        for name, text in files.items():
            with open("%s/src/base/%s.c" % (cwd or self.tree, name), "w") as file:
                file.write(text)
        self.run_it("git", "add", "-A", cwd=cwd)
        return self.run_it("git", "commit", "-q", "-m", "a change", status=status, cwd=cwd)

    def hooks_path(self):
        done = subprocess.run(["git", "config", "core.hooksPath"], cwd=self.tree, env=ENV, stdout=subprocess.PIPE, text=True)
        return done.stdout.strip()

    def test_long_subject(self):
        self.run_it("git", "config", "core.hooksPath", "tools/hooks")
        self.run_it("git", "add", "-A")
        said = self.run_it("git", "commit", "-q", "-m", "x" * 73, status=1)
        self.assertIn("73 columns", said)
        self.run_it("git", "commit", "-q", "-m", "x" * 72 + "\n\n" + "y" * 80)

    def test_a_good_change_passes(self):
        self.assertIn("hooks: git will run", self.run_it("sh", "tools/use-hooks"))
        self.commit(a=GOOD)

    @unittest.skipUnless(shutil.which("clang-format"), "there is no clang-format here")
    def test_another_format_is_refused(self):
        self.run_it("sh", "tools/use-hooks")
        self.assertIn("src/base/a.c:2", self.commit(a=UGLY, status=1))
        self.run_it("git", "commit", "-q", "-m", "all the same", "--no-verify")

    def test_a_broken_rule_is_refused(self):
        self.run_it("sh", "tools/use-hooks")
        said = self.commit(a=GOOD + "char *g = sprintf(0, 0);\n", status=1)
        self.assertIn("src/base/a.c:3: calls sprintf", said)

    def test_only_what_is_staged_counts(self):
        self.run_it("sh", "tools/use-hooks")
        self.commit(a=GOOD)
        with open(self.tree + "/src/base/a.c", "w") as file:
            file.write(UGLY + "\t\n")
        with open(self.tree + "/src/base/b.c", "w") as file:
            file.write(GOOD)
        self.run_it("git", "add", "src/base/b.c")
        self.run_it("git", "commit", "-q", "-m", "the other file")
        # And the other way round: what is staged is bad, what is in the file is not.
        self.run_it("git", "add", "src/base/a.c")
        with open(self.tree + "/src/base/a.c", "w") as file:
            file.write(GOOD)
        self.run_it("git", "commit", "-q", "-m", "the first file", status=1)

    def test_in_another_worktree(self):
        self.run_it("sh", "tools/use-hooks")
        self.commit(a=GOOD)
        self.run_it("git", "worktree", "add", "-q", "../other", "-b", "other")
        self.assertEqual(self.run_it("sh", "tools/use-hooks", cwd=self.folder + "/other"), "")
        self.commit(cwd=self.folder + "/other", b=GOOD)
        self.commit(cwd=self.folder + "/other", b=GOOD + "\t\n", status=1)

    def test_ci_and_a_tree_without_git_stay_as_they_are(self):
        self.assertEqual(self.run_it("sh", "tools/use-hooks", CI="true"), "")
        self.assertEqual(self.hooks_path(), "")
        shutil.rmtree(self.tree + "/.git")
        self.assertEqual(self.run_it("sh", "tools/use-hooks"), "")

    def test_somebodys_own_hooks_stay(self):
        self.run_it("git", "config", "core.hooksPath", "/dev/null")
        self.assertEqual(self.run_it("sh", "tools/use-hooks"), "")
        self.assertEqual(self.hooks_path(), "/dev/null")
        self.run_it("git", "config", "--unset", "core.hooksPath")
        os.makedirs(self.tree + "/.git/hooks", exist_ok=True)
        open(self.tree + "/.git/hooks/pre-push", "w").close()
        self.assertEqual(self.run_it("sh", "tools/use-hooks"), "")
        self.assertEqual(self.hooks_path(), "")


if __name__ == "__main__":
    unittest.main()
