#!/usr/bin/env python3
"""The JSON Schema against Weir's own reading: on each of these configurations both say the same.

Beyond the table below a schema cannot say all: bounds of durations, references, includes.
"""

import json
import os
import re
import subprocess
import unittest

import jsonschema
import yaml

TOOL = os.environ["WEIR_CONF_TOOL"]


class Core(yaml.SafeLoader):
    """YAML as editors read it: what JSON has, and nothing of YAML 1.1's yes, no and sexagesimals."""


Core.yaml_implicit_resolvers = {}
for tag, pattern, first in [
        ("null", r"~|null|", "~n\0"), ("bool", r"true|false", "tf"),
        ("int", r"-?(0|[1-9][0-9]*)", "-0123456789"),
        ("float", r"-?(0|[1-9][0-9]*)(\.[0-9]+)?([eE][-+]?[0-9]+)?", "-0123456789")]:
    Core.add_implicit_resolver("tag:yaml.org,2002:" + tag, re.compile(f"^(?:{pattern})$"),
                               list(first) + ([""] if tag == "null" else []))
Core.add_constructor("tag:yaml.org,2002:float", lambda loader, node: float(node.value))
Core.add_constructor("tag:yaml.org,2002:int", lambda loader, node: int(node.value))

GOOD = [
    "", "{}", "limits:\nroutes:\nlog:\n",
    "listen: 8080", "listen: ':8080'", "listen: [1, '*:2', '[::1]:3', unix:/x, {address: 4, backlog: 5}]",
    "listen: {address: 127.0.0.1:80}", "listen: ${PORT}", "admin: off", "admin: 9000", "admin: 127.0.0.1:1",
    "threads: auto", "threads: 256", "date: false", "server: ''",
    "limits: {line: 64, head: 1MiB, fields: 1000, body: 0, requests_per_connection: 5, connections: 0}",
    "limits: {body: 1.5KiB, line: '512'}",
    "timeouts: {headers: 1.5s, body: 2m, body_rate: 0, idle: 1h, linger: 0, drain: 0s}",
    "log: {level: debug, format: json, access: true}",
    "client: {connections: 0, in_use: 5, idle: 1s, connect: 10ms, first_byte: 1s, reply_head: 1KiB, reply_body: 1GB}",
    "routes: []", "routes: [{route: GET /x}, {route: '/y/{z}'}, {route: '* /w'}]",
    "routes: [{route: /x, name: n, deadline: 1s, body: 1MB, order: sequential, nodes: {}, status: 204, "
    "reply: null, headers: {a: $body.x}}]",
    "routes: [{route: /x, reply: [1, {a: b}], status: $node.x.status, nodes: , headers: }]",
    "routes: [{route: /x, nodes: {a: {sleep: 1s}, b-2: {sleep: {uniform: [0, 1s], seed: 5}}, "
    "_c: {sleep: {exponential: 1ms}, optional: true, default: {x: 1}}}}]",
    "routes: [{route: /x, nodes: {a: {http: 'http://x/'}, b: {http: {url: 'http://x/', method: PATCH, "
    "headers: {X-y: 1}, body: [1], expect: [200, 300-399], times: 10}}, c: {http: {url: 'http://x', expect: 404}}, "
    "d: {reply: null, deadline: 0}}}]",
    "limits: {fields: '${X:-5}', body: '${X:-1MiB}'}\nlog: {level: '${X:-info}', access: '${X:-true}'}",
]

BAD = [
    "lisen: 1", "[]", "5", "listen: []", "listen: localhost:80", "listen: 70000", "listen: {backlog: 5}",
    "listen: {address: 1, x: 2}", "listen: {address: 1, backlog: 0}", "listen: true", "admin: no", "admin: false",
    "admin: [1]", "threads: 0", "threads: 257", "threads: many", "threads: '4'", "date: yes", "date: 1", "date: 'true'",
    "server: 5", "server: [a]", "server: null", "limits: []", "limits: {lines: 1}", "limits: {line: lots}",
    "limits: {line: 1KB}", "limits: {line: -1}", "limits: {line: 1}", "limits: {fields: 1001}", "limits: {fields: '5'}",
    "limits: {fields: 1.5}", "limits: {body: 1 MiB}", "timeouts: {idle: 5}", "timeouts: {idle: 5 s}",
    "timeouts: {idle: 0}", "timeouts: {idle: -1s}", "timeouts: {idle: 1d}", "timeouts: {idle: null}",
    "log: {level: loud}", "log: {format: yaml}", "log: {access: on}", "client: {times: 1}",
    "routes: {}", "routes: [GET /x]", "routes: [{}]", "routes: [{route: x}]", "routes: [{route: get /x}]",
    "routes: [{route: 5}]", "routes: [{route: /x, deadline: soon}]", "routes: [{route: /x, order: random}]",
    "routes: [{route: /x, status: 99}]", "routes: [{route: /x, status: '200'}]", "routes: [{route: /x, status: ok}]",
    "routes: [{route: /x, headers: [a]}]", "routes: [{route: /x, headers: {'a b': c}}]",
    "routes: [{route: /x, nodes: [a]}]", "routes: [{route: /x, nodes: {1a: {sleep: 1s}}}]",
    "routes: [{route: /x, nodes: {a: {}}}]", "routes: [{route: /x, nodes: {a: {sleep: 1s, reply: 2}}}]",
    "routes: [{route: /x, nodes: {a: {slep: 1s}}}]", "routes: [{route: /x, nodes: {a: {sleep: 5}}}]",
    "routes: [{route: /x, nodes: {a: {sleep: {uniform: [1s]}}}}]", "routes: [{route: /x, nodes: {a: {sleep: {gauss: 1s}}}}]",
    "routes: [{route: /x, nodes: {a: {sleep: {uniform: [1s, 2s], exponential: 1s}}}}]",
    "routes: [{route: /x, nodes: {a: {sleep: 1s, default: 1}}}]",
    "routes: [{route: /x, nodes: {a: {http: {method: GET}}}}]", "routes: [{route: /x, nodes: {a: {http: []}}}]",
    "routes: [{route: /x, nodes: {a: {http: {url: 'http://x', method: get}}}}]",
    "routes: [{route: /x, nodes: {a: {http: {url: 'http://x', expect: [99]}}}}]",
    "routes: [{route: /x, nodes: {a: {http: {url: 'http://x', expect: []}}}}]",
    "routes: [{route: /x, nodes: {a: {http: {url: 'http://x', times: 0}}}}]",
]


def run(verb, text=""):
    return subprocess.run([TOOL, verb], input=text, stdout=subprocess.PIPE, encoding="utf-8", check=True,
                          timeout=60).stdout


class SchemaTest(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.schema = json.loads(run("schema"))
        jsonschema.Draft202012Validator.check_schema(cls.schema)
        cls.validator = jsonschema.Draft202012Validator(cls.schema)

    def errors(self, text):
        return [e.message for e in self.validator.iter_errors(yaml.load(text, Core))]

    def test_both_say_the_same(self):
        cases = [(text, "good") for text in GOOD] + [(text, "bad") for text in BAD]
        # The empty text would end the list: its like is a comment.
        said = run("check", "".join((text or "# nothing") + "\0" for text, _ in cases)).split()
        self.assertEqual(len(said), len(cases))
        for (text, expected), weir in zip(cases, said):
            with self.subTest(text):
                self.assertEqual(weir, expected, "weir")
                errors = self.errors(text)
                self.assertEqual("bad" if errors else "good", expected, errors)

    def test_every_key_is_described(self):
        parts = [self.schema] + [d for d in self.schema["$defs"].values() if "properties" in d]
        self.assertEqual(len(parts), 11)
        for part in parts:
            for name, key in part["properties"].items():
                with self.subTest(name):
                    self.assertTrue(key["description"].endswith("."))
                    for value in key.get("examples", []) + ([key["default"]] if "default" in key else []):
                        validator = self.validator.evolve(schema={**key, "$defs": self.schema["$defs"]})
                        self.assertEqual([e.message for e in validator.iter_errors(value)], [])


if __name__ == "__main__":
    unittest.main()
