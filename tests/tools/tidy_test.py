#!/usr/bin/env python3
"""Shows that each rule of tools/tidy can fail, and only where it should.

Each case is a tiny tree in which exactly the expected violations must be found, no more and no fewer.
"""

import contextlib
import importlib.machinery
import importlib.util
import io
import os
import re
import sys
import tempfile
import unittest

sys.dont_write_bytecode = True
TIDY = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "..", "tools", "tidy")
LOADER = importlib.machinery.SourceFileLoader("tidy", TIDY)
MODULE = importlib.util.module_from_spec(importlib.util.spec_from_loader("tidy", LOADER))
LOADER.exec_module(MODULE)

OPENING = "/* What it is. */\n"
HEADER = OPENING + "#pragma once\n"


def tidy(files):
    """The violations in a tree of these files, as {(path, line, rule)}; its exit status; what it printed."""
    with tempfile.TemporaryDirectory() as root:
        for path, text in files.items():
            os.makedirs(os.path.join(root, os.path.dirname(path)), exist_ok=True)
            with open(os.path.join(root, path), "w", encoding="utf-8") as file:
                file.write(text)
        printed = io.StringIO()
        with contextlib.redirect_stdout(printed):
            status = MODULE.main(["--root", root])
    output = printed.getvalue()
    found = re.findall(r"^(\S+):(\d+): .*, .*; .* \[(\S+)\]$", output, re.M)
    return {(path, int(line), rule) for path, line, rule in found}, status, output


class TidyTest(unittest.TestCase):
    def assert_found(self, expected, files):
        found, status, output = tidy(files)
        self.assertEqual(found, set(expected), output)
        self.assertEqual(status, 1 if expected else 0, output)

    def assert_code(self, path, code, *rules):
        """`code` is the second line of the file `path`, and breaks exactly these rules."""
        self.assert_found([(path, 2, rule) for rule in rules], {path: OPENING + code + "\n"})

    def test_a_clean_tree(self):
        self.assert_found([], {
            "src/meson.build": "subdir('base')\nsubdir('world')\n",
            "src/base/heap.h": HEADER,
            "src/world/world.c": OPENING + '#include "base/heap.h"\n#include <stdio.h>\n',
        })

    def test_layers(self):
        files = {"src/base/heap.c": OPENING + '#include "world/world.h"\n', "src/world/world.h": HEADER}
        self.assert_found([("src/base/heap.c", 2, "include")], files)

    def test_unknown_layer(self):
        files = {"src/attic/a.c": OPENING + '#include "base/heap.h"\n', "src/base/heap.h": HEADER}
        self.assert_found([("src/attic/a.c", 2, "include")], files)

    def test_markdown(self):
        wide = "word " * 21
        self.assert_found([("a.md", 1, "markdown"), ("a.md", 9, "markdown")], {
            "a.md": f"{wide}end\n\n    {wide}code\n| {wide}|\n\n```\n{wide}code\n```\n{wide}end\n"
                    f"[link](https://example.org/{'x' * 99})\n"})

    def test_discarded_results(self):
        code = OPENING + ("int f(int unused)\n{\n    (void)unused;\n    int rc = g();\n    (void)rc;\n    int late = g();\n"
                          "    (void)late; /* the reason */\n    (void)g(rc);\n}\n")
        self.assert_found([("src/base/a.c", 6, "discard"), ("src/base/a.c", 9, "discard")], {"src/base/a.c": code})

    def test_siblings(self):
        files = {"src/world/sim/a.c": OPENING + '#include "world/uv/b.h"\n',
                 "src/world/sim/c.c": OPENING + '#include "../uv/b.h"\n',
                 "src/world/uv/d.c": OPENING + '#include "b.h"\n', "src/world/uv/b.h": HEADER}
        self.assert_found([("src/world/sim/a.c", 2, "include"), ("src/world/sim/c.c", 2, "include")], files)

    def test_names_in_comments(self):
        header = HEADER + "int heap_pop(void); /* heap_push comes before */\nint heap_push(void);\n"
        files = {"src/base/heap.h": header,
                 "src/base/a.c": OPENING + "/* As heap_pop and heap.h say,\n * heap_shove does. */\n",
                 "src/base/b_tree.c": OPENING + 'const char *text = "weir_pool_size /* no_comment */";\n',
                 "src/base/c.c": OPENING + "// b_tree counts weir_pool_size; gmtime_r is another's\n",
                 "tests/d.c": OPENING + "/* Only src is looked at: no_such_name. */\n"}
        self.assert_found([("src/base/a.c", 3, "name")], files)

    def test_private_headers(self):
        files = {"src/world/world.c": OPENING + '#include "coro/internal.h"\n', "src/coro/internal.h": HEADER,
                 "src/coro/coro.c": OPENING + '#include "coro/internal.h"\n'}
        self.assert_found([("src/world/world.c", 2, "include")], files)

    def test_choosing_a_world(self):
        files = {"src/http/a.c": OPENING + '#include "world/uv/uv_world.h"\n', "src/world/uv/uv_world.h": HEADER,
                 "src/app/a.c": OPENING + '#include "world/uv/uv_world.h"\n'}
        self.assert_found([("src/http/a.c", 2, "include")], files)

    def test_only_includers(self):
        for header, home in [("uv.h", "src/world/uv"), ("yyjson.h", "src/data"), ("yaml.h", "src/conf"),
                             ("zmq.h", "src/batch"), ("llhttp.h", "src/http")]:
            with self.subTest(header):
                self.assert_code(home + "/a.c", f"#include <{header}>")
                self.assert_code("src/flow/a.c", f"#include <{header}>", "include")
                self.assert_code("src/flow/a.c", f'#include "{header}"', "include")
                self.assert_code("include/weir/a.c", f"#include <{header}>", "include")
                self.assert_code("bench/a.c", f"#include <{header}>")

    def test_functions_banned_everywhere(self):
        for function in ("strcpy strcat sprintf vsprintf gets strtok atoi atol alloca signal rand srand "
                         "random").split():
            with self.subTest(function):
                self.assert_code("src/base/a.c", f"    x = {function}(y);", function)
                self.assert_code("tests/unit/a.c", f"    x = {function}(y);", function)

    def test_functions_that_reach_outside(self):
        for function in ("clock_gettime gettimeofday time getrandom usleep nanosleep sleep socket "
                         "fopen open poll").split():
            with self.subTest(function):
                self.assert_code("src/flow/a.c", f"    x = {function} (y);", function)
                self.assert_code("examples/echo/a.c", f"    x = {function}(y);", function)
                self.assert_code("src/world/uv/a.c", f"    x = {function}(y);")
                self.assert_code("tests/unit/a.c", f"    x = {function}(y); /* time: if it is one that sleeps */")
                self.assert_code("bench/a.c", f"    x = {function}(y);")

    def test_functions_with_a_home(self):
        for function, home in [("malloc", "src/base/mem.c"), ("calloc", "src/base/mem.c"),
                               ("realloc", "src/base/mem.c"), ("free", "src/base/mem.c"),
                               ("getenv", "src/base/mem.c"), ("getenv", "src/cli/a.c"),
                               ("pthread_create", "src/exec/a.c"), ("fork", "src/worker/a.c")]:
            with self.subTest(function):
                self.assert_code(home, f"    x = {function}(y);")
                self.assert_code("src/base/other.c", f"    x = {function}(y);", function)

    def test_what_only_looks_like_a_banned_function(self):
        for code in ["    w->ops->random(w);", "    ops.free(x);", "    mem_free(x);", "    world_sleep(w, 1);",
                     "    /* like strcpy(a, b) */", '    log("never call time(0)");', "    int time = 0;"]:
            with self.subTest(code):
                self.assert_code("src/flow/a.c", code)

    def test_globals(self):
        for code in ["static int count;", "static struct list all = {0};", "static char *name = NULL;",
                     "static const char *name = NULL;", "    static unsigned calls;", "static _Thread_local int x;"]:
            with self.subTest(code):
                self.assert_code("src/flow/a.c", code, "global")
                self.assert_code("src/coro/a.c", code)
                self.assert_code("tests/unit/a.c", code)
        for code in ["static const int limit = 3;", "static const char *const names[] = {", "static int f(int a);",
                     "static inline int f(void)", "static const struct ops ops = {"]:
            with self.subTest(code):
                self.assert_code("src/flow/a.c", code)

    def test_text(self):
        self.assert_found([("src/base/a.h", 1, "pragma")], {"src/base/a.h": OPENING})
        self.assert_found([("src/base/a.c", 1, "opening")], {"src/base/a.c": "int x(void);\n"})
        self.assert_code("src/base/a.c", "int x; ", "space")
        self.assert_code("src/base/a.c", "\tx();", "space")
        self.assert_found([("doc/a.md", 1, "space")], {"doc/a.md": "a \n"})
        self.assert_found([], {"Makefile": "all:\n\ttrue\n"})
        self.assert_code("src/base/a.c", "/*" + "x" * 96 + "*/")
        self.assert_code("src/base/a.c", "/*" + "x" * 97 + "*/", "columns")

    def test_order_of_the_build(self):
        self.assert_found([("src/meson.build", 2, "order")],
                          {"src/meson.build": "subdir('world')\nsubdir('base')\n"})

    def test_time_in_tests(self):
        fixture = '#include "../world/uv_fixture.h"\n'
        for code in ["    sleep(1);", "    usleep(5);", "    nanosleep(&t, NULL);", "    alarm(3);", "    poll(NULL, 0, 5);"]:
            with self.subTest(code):
                self.assert_code("tests/unit/a.c", code, "time")
                self.assert_code("tests/unit/a.c", code + " /* time: why */")
                self.assert_found([], {"tests/unit/a.c": OPENING + "/* time: why */\n" + code + "\n"})
                self.assert_code("bench/a.c", code)
        for code in ["    assert_int_equal(world_sleep(w, 5 * NS_PER_MS), 0);", "    assert_true(took < NS_PER_S);", "    x(a <= 3 * NS_PER_MS);",
                     "    assert_true(now() - began < HANG_NS);"]:
            with self.subTest(code):
                self.assert_code("tests/unit/a.c", code)  # in a simulation
                self.assert_found([("tests/unit/a.c", 3, "time")], {"tests/unit/a.c": OPENING + fixture + code + "\n"})
                self.assert_found([], {"tests/unit/a.c": OPENING + fixture + code + " /* time: why */\n"})
        for code in ["    require(world_sleep(w, span) == 0);", "    return world_sleep(w, NS_PER_S);", "    for (; i < 3 * NS_PER_MS; i++)", "    assert_true(took >= NS_PER_S);", "    x = 1 << NS_PER_S;"]:
            self.assert_found([], {"tests/unit/a.c": OPENING + fixture + code + "\n"})

    def test_time_in_tests_in_python(self):
        for code in ["time.sleep(1)", "assert time.monotonic() - began < 5", "run(timeout=20)", "s.settimeout(1.5)"]:  # time: what is to be found
            with self.subTest(code):
                self.assert_found([("tests/e2e/a.py", 1, "time")], {"tests/e2e/a.py": code + "\n"})
                self.assert_found([("bench/http/a_test.py", 1, "time")], {"bench/http/a_test.py": code + "\n"})
                self.assert_found([], {"tests/e2e/a.py": code + "  # time: why\n", "bench/a.py": code + "\n"})
        for code in ["assert time.monotonic() - began >= 5", "run(timeout=30)", "s.settimeout(0)", "run(timeout=HANG_S)",
                     "x = 1  # time.sleep(1)"]:
            with self.subTest(code):
                self.assert_found([], {"tests/e2e/a.py": code + "\n"})

    def test_permission(self):
        self.assert_code("src/flow/a.c", "    free(x); /* tidy: allow free because it is the C library's */")
        self.assert_found([], {"src/flow/a.c": OPENING + "/* tidy: allow free because I say so */\nfree(x);\n"})
        self.assert_code("src/flow/a.c", "    free(x); /* tidy: allow free */", "free")
        self.assert_code("src/flow/a.c", "    free(x); /* tidy: allow time because of it */", "free", "allow")
        self.assert_code("src/flow/a.c", "    x(); /* tidy: allow free because of it */", "allow")

    def test_assertions(self):
        self.assertEqual([f for f in MODULE.ASSERTION_FLOORS if MODULE.ASSERTION_FLOORS[f] <= 0], [])
        line, asserts = "    x();\n", "    check(y, \"y\");\n    dcheck(z, \"z\");\n"
        silent = OPENING + "/* check(y) */\n    recheck(y);\n    a.check(y);\n    a->dcheck(y);\n" + line * 495
        for folder in MODULE.ASSERTION_FLOORS:
            with self.subTest(folder):
                self.assert_found([(folder, 1, "assertions")], {folder + "/a.c": silent})
                self.assert_found([], {folder + "/a.c": silent + asserts * 10})
        self.assert_found([], {"src/sched/a.c": OPENING + line * 498, "src/cli/a.c": silent})

    def test_length_is_only_reported(self):
        body = "int long_one(void)\n{\n" + "    x();\n" * 71 + "}\n"
        _, status, output = tidy({"src/base/a.c": OPENING + body, "src/base/b.c": OPENING + "//\n" * 600})
        self.assertEqual(status, 0)
        self.assertIn("long_one has 71 lines", output)
        self.assertIn("src/base/b.c: 601 lines", output)
        short = "int f(void)\n{\n" + "    x();\n" * 70 + "}\n"
        _, _, output = tidy({"src/base/a.c": OPENING + short})
        self.assertNotIn("has", output)


if __name__ == "__main__":
    unittest.main()
