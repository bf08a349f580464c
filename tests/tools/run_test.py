#!/usr/bin/env python3
"""./run and ./test up to where they build and start something: their help, and which server is started how."""
import os
import shutil
import subprocess
import tempfile
import unittest

TREE = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "..")


class Run(unittest.TestCase):
    def setUp(self):
        # Nothing is built here, and the weir that is started prints its arguments.
        self.tree = tempfile.mkdtemp()
        self.addCleanup(shutil.rmtree, self.tree)
        for name in ["run", "test"]:
            shutil.copy(os.path.join(TREE, name), self.tree)
        shutil.copytree(os.path.join(TREE, "examples"), self.tree + "/examples")
        for name in ["tools/setup", "tools/use-hooks", "tools/build", "tools/run-tests", "build/release/src/cli/weir", "build/release/examples/echo/echo"]:
            os.makedirs(os.path.dirname("%s/%s" % (self.tree, name)), exist_ok=True)
            with open("%s/%s" % (self.tree, name), "w") as file:
                file.write('#!/bin/sh\necho "%s: $*"\n' % name)
            os.chmod(file.name, 0o755)

    def run_it(self, *arguments, status=0):
        done = subprocess.run(arguments, cwd=self.tree, capture_output=True, text=True, timeout=60)
        self.assertEqual(done.returncode, status, done.stderr)
        return done.stdout, done.stderr

    def started(self, *arguments):
        return self.run_it("./run", *arguments)[0].splitlines()[-1]

    def test_help_goes_to_standard_output_and_nothing_is_built(self):
        for arguments in [("./run", "--help"), ("./run", "-h"), ("./run", "first", "--help"), ("./test", "--help"), ("./test", "-h")]:
            said, errors = self.run_it(*arguments)
            self.assertTrue(said.startswith("usage: %s " % arguments[0]), said)
            self.assertEqual(errors, "")
            self.assertNotIn("tools/", said)

    def test_an_example_is_served(self):
        self.assertEqual(self.started(), "build/release/src/cli/weir: serve examples/mixed/weir.yaml")
        self.assertEqual(self.started("mixed"), self.started())
        self.assertEqual(self.started("first"), "build/release/src/cli/weir: serve examples/first/weir.yaml")
        self.assertEqual(self.started("echo"), "build/release/examples/echo/echo: serve 127.0.0.1:7070")

    def test_options_are_the_servers(self):
        self.assertEqual(self.started("first", "--log-level", "debug", "--admin", "off"),
                         "build/release/src/cli/weir: serve --log-level debug --admin off examples/first/weir.yaml")
        self.assertEqual(self.started("--log-level=debug"), "build/release/src/cli/weir: serve --log-level=debug examples/mixed/weir.yaml")

    def test_what_is_called_and_suggested_follows_the_port(self):
        for listen, address in [(["--listen", "8081"], "127.0.0.1:8081"), (["--listen=8081"], "127.0.0.1:8081"),
                                (["-l", "127.0.0.2:80"], "127.0.0.2:80")]:
            said, _ = self.run_it("./run", "mixed", *listen, "--admin", "9901")
            self.assertEqual(said.splitlines()[-1], "build/release/src/cli/weir: serve %s --admin 9901 build/release/mixed.yaml" % " ".join(listen))
            with open(self.tree + "/build/release/mixed.yaml") as file:
                config = file.read()
            self.assertEqual(config.count(address), 4)
            self.assertIn("curl %s/work " % address, said)
            self.assertIn("curl 127.0.0.1:9901/metrics", said)
            self.assertNotIn(":8080", config + said)

    def test_what_there_is_not_is_refused(self):
        self.assertIn("there are: mixed, first, echo", self.run_it("./run", "frist", status=2)[1])
        self.assertIn("takes no options", self.run_it("./run", "echo", "--listen", "1", status=2)[1])

    def test_words_choose_tests(self):
        self.assertEqual(self.run_it("./test", "coro/", "-stack")[0].splitlines()[-1], "tools/run-tests: debug coro/ -stack")


if __name__ == "__main__":
    unittest.main()
