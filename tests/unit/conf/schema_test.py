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
    "upstreams:\n", "upstreams: {a: {servers: 5001}, b-1: {servers: [a:1, 'unix:/x', {server: 5, weight: 1000}]}}",
    "upstreams: {a: {servers: ['1', '2'], balance: hash, retry: {attempts: 1, statuses: [500, 502-504], per_try: 0, "
    "backoff: 1ms, backoff_max: 1s, budget: 0, budget_min: 0}, eject: {failures: 0, time: 1s, time_max: 1m, "
    "slow_start: 0}, health: {path: '/x?y', interval: 1s, timeout: 1ms, rise: 1, fall: 1}}}\n"
    "routes: [{route: /x, retry: safe, nodes: {a: {http: {upstream: a, path: /, hash: $path}}}}]",
    "admin_hosts: x", "admin_hosts: [x, y.z]",
    "", "{}", "limits:\nroutes:\nlog:\n",
    "listen: 8080", "listen: ':8080'", "listen: [1, '*:2', '[::1]:3', unix:/x, {address: 4, backlog: 5}]",
    "listen: {address: 127.0.0.1:80}", "listen: localhost:80", "admin: a-1.example:9", "listen: ${PORT}", "admin: off", "admin: 9000", "admin: 127.0.0.1:1",
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
    "d: {reply: null, deadline: 1ms}}}]",
    "server_timing: false\npools:\nsteps:\n",
    "pools: {cpu: {kind: processes, size: 4, queue: 1, start: 5s, nice: 19, step_threads: auto, value: 1KiB, "
    "max_tasks: 0, memory: 1GiB, hard_timeout: 0, on_cancel: kill}, here: {kind: inline, step_threads: 1}, n: , "
    "new: {kind: fork, memory: 5}, t_1-2: {size: auto}, u: {kind: threads, nice: 0}, e: {kind: '${X:-fork}', memory: 1}}",
    "pools: {cpu: {}}\nsteps: {a: {plugin: ./a.so}, b: {plugin: /b.so, step: b_2, pool: cpu, retry: true, options: [1]}, "
    "c: {step: burn, options: }, d: {plugin: '${X:-x}', pool: '${X:-cpu}'}}\n"
    "routes: [{route: /x, nodes: {a: {step: a}, b: {step: echo, input: {a: $body}, pool: default}, "
    "c: {step: '${X:-echo}', input: null, optional: true, default: 1}}}]",
    "client: {adaptive: false, waiting: 0, send_deadline: true}\nsteps: {a: {step: burn, batch: {max: 64, wait: 1s}}, "
    "b: {step: burn, batch: }, c: {step: burn, batch: {wait: 0}}}\n"
    "routes: [{route: /x, dispatch: fanout, priority: -2, max_in_flight: 1, nodes: {a: {http: {url: 'http://x', send_deadline: true}}}}, "
    "{route: /y, dispatch: '${X:-fused}', priority: '${X:-2}', max_in_flight: 0}, {route: /z, priority: $query.p}]",
    "limits: {fields: '${X:-5}', body: '${X:-1MiB}'}\nlog: {level: '${X:-info}', access: '${X:-true}'}",
]

BAD = [
    "server_timing: 1", "pools: []", "pools: {1a: {}}", "pools: {a b: {}}", "pools: {a: 5}", "pools: {a: {kind: thread}}",
    "pools: {a: {size: 0}}", "pools: {a: {size: 1025}}", "pools: {a: {kinds: fork}}", "pools: {a: {nice: 20}}",
    "pools: {a: {kind: inline, size: 4}}", "pools: {a: {kind: inline, queue: 4}}", "pools: {a: {kind: inline, nice: 4}}",
    "pools: {a: {memory: 1GiB}}", "pools: {a: {kind: threads, on_cancel: kill}}", "pools: {a: {kind: fork, max_tasks: 1}}",
    "pools: {a: {kind: inline, hard_timeout: 1s}}", "pools: {a: {kind: fork, on_cancel: stay}}",
    "steps: []", "steps: {a: }", "steps: {a: {}}", "steps: {a: {pool: default}}", "steps: {echo: {plugin: x.so}}",
    "steps: {1a: {plugin: x.so}}", "steps: {a: {plugin: ''}}", "steps: {a: {plugin: 5}}", "steps: {a: {step: a b}}",
    "steps: {a: {step: burn, retry: 1}}", "steps: {a: {step: burn, opts: 1}}", "steps: {a: {step: burn, pool: [x]}}",
    "routes: [{route: /x, nodes: {a: {step: 5}}}]", "routes: [{route: /x, nodes: {a: {step: }}}]",
    "routes: [{route: /x, nodes: {a: {step: a b}}}]", "routes: [{route: /x, nodes: {a: {step: echo, sleep: 1s}}}]",
    "routes: [{route: /x, nodes: {a: {sleep: 1s, input: 1}}}]", "routes: [{route: /x, nodes: {a: {sleep: 1s, pool: default}}}]",
    "routes: [{route: /x, nodes: {a: {input: 1}}}]",
    "client: {adaptive: 1}", "client: {waiting: -1}", "client: {send_deadline: yes}", "steps: {a: {step: burn, batch: 5}}",
    "steps: {a: {step: burn, batch: {max: 65}}}",
    "steps: {a: {step: burn, batch: {max: 0}}}", "steps: {a: {step: burn, batch: {wait: 5}}}", "steps: {a: {step: burn, batch: {size: 5}}}",
    "routes: [{route: /x, dispatch: fuse}]", "routes: [{route: /x, priority: 3}]", "routes: [{route: /x, priority: -3}]",
    "routes: [{route: /x, priority: 1.5}]", "routes: [{route: /x, priority: '1'}]", "routes: [{route: /x, priority: [1]}]", "routes: [{route: /x, max_in_flight: -1}]",
    "routes: [{route: /x, nodes: {a: {http: {url: 'http://x', send_deadline: 1}}}}]",
    "upstreams: []", "upstreams: {a: 5001}", "upstreams: {a: {}}", "upstreams: {a: {servers: []}}",
    "upstreams: {a: {servers: 5, balance: fair}}", "upstreams: {a: {servers: 5, retry: {attempts: 0}}}",
    "upstreams: {a: {servers: 5, health: {path: x}}}", "upstreams: {'a b': {servers: 5}}",
    "upstreams: {a: {servers: {server: 5, weight: 0}}}", "routes: [{route: /x, retry: always}]",
    "routes: [{route: /x, nodes: {a: {http: {url: 'http://x', path: /}}}}]",
    "routes: [{route: /x, nodes: {a: {http: {path: /}}}}]",
    "upstreams: {a: {servers: 5}}\nroutes: [{route: /x, nodes: {a: {http: {upstream: a}}}}]",
    "upstreams: {a: {servers: 5}}\nroutes: [{route: /x, nodes: {a: {http: {upstream: a, path: /, url: 'http://x'}}}}]",
    "admin_hosts: []", "admin_hosts: [x, 5]", "admin_hosts: 5", "admin_hosts: ''",
    "lisen: 1", "[]", "5", "listen: []", "listen: 70000", "listen: {backlog: 5}",
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
    "routes: [{route: /x, nodes: {a: {sleep: 1s, deadline: 0}}}]",
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
        self.assertEqual(len(parts), 19)
        for part in parts:
            for name, key in part["properties"].items():
                with self.subTest(name):
                    self.assertTrue(key["description"].endswith("."))
                    for value in key.get("examples", []) + ([key["default"]] if "default" in key else []):
                        validator = self.validator.evolve(schema={**key, "$defs": self.schema["$defs"]})
                        self.assertEqual([e.message for e in validator.iter_errors(value)], [])


if __name__ == "__main__":
    unittest.main()
