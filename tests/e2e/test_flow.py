"""What a flow hands on to other servers and back to clients: real servers on both sides, and clients that mean harm."""
import contextlib
import gzip
import http.client
import http.server
import json
import shutil
import subprocess
import tempfile
import pathlib
import threading

import pytest

from conftest import until
from weir_process import weirs

HEAD = """
listen: 127.0.0.1:0
admin: off
threads: 1
timeouts: {drain: 10s, linger: 100ms}
log: {access: false}
"""
NGINX = shutil.which("nginx", path="/usr/sbin:/usr/bin:/sbin:/bin")


@pytest.fixture
def start(tmp_path):
    with weirs(tmp_path) as start:
        yield start


def ask(weir, path, method="GET", body=None, **fields):
    """Status, header fields, body."""
    connection = http.client.HTTPConnection("127.0.0.1", weir.port, timeout=60)
    try:
        connection.request(method, path, body=body, headers=fields)
        reply = connection.getresponse()
        return reply.status, reply.headers, reply.read()
    finally:
        connection.close()


def problem(answer, status, kind, *parts):
    assert answer[0] == status and answer[1]["Content-Type"] == "application/problem+json", answer
    told = json.loads(answer[2])
    assert told["type"] == "urn:weir:problem:" + kind, told
    for part in parts:
        assert part in told["detail"], told


# ---- An upstream's path ----

NGINX_CONFIG = """
daemon off;
master_process off;
pid {0}/pid;
error_log {0}/errors;
events {{ worker_connections 64; }}
http {{
    access_log off;
    client_body_temp_path {0}/body;
    proxy_temp_path {0}/proxy;
    fastcgi_temp_path {0}/fastcgi;
    uwsgi_temp_path {0}/uwsgi;
    scgi_temp_path {0}/scgi;
    default_type text/plain;
    # It sees what the one before it made of the path: it decodes once more.
    server {{
        listen unix:{0}/second;
        location /users/ {{ return 200 "inside $uri"; }}
        location / {{ return 200 "outside $uri"; }}
    }}
    server {{
        listen unix:{0}/first;
        location /users/ {{ return 200 "inside $uri"; }}
        location /twice/ {{ rewrite ^/twice(/.*)$ $1 break; proxy_pass http://unix:{0}/second; }}
        location / {{ return 200 "outside $uri"; }}
    }}
}}
"""


@contextlib.contextmanager
def nginx():
    with tempfile.TemporaryDirectory(prefix="weir-", dir="/tmp") as name:  # a socket's path is to be short
        folder = pathlib.Path(name)
        (folder / "conf").write_text(NGINX_CONFIG.format(name))
        process = subprocess.Popen([NGINX, "-p", name, "-e", name + "/errors", "-c", name + "/conf"],
                                   stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        try:
            until(lambda: (folder / "first").exists() or process.poll() is not None)
            assert process.poll() is None, (folder / "errors").read_text()
            yield "unix:%s/first:" % name
        finally:
            process.terminate()
            process.wait()


CLIMBING = ["%2e%2e%2finternal", "%2e%2e%2Finternal%2f", "..%2finternal", "x%2f..%2f..%2finternal", "%2e%2e%5cinternal",
            "%252e%252e%252finternal", "..%252finternal", "%25252e%25252e%25252finternal", "%2e%252e%2finternal",
            "%2e%2e%2f%2e%2e%2f%2e%2e%2finternal", ".%2f..%2finternal", "..;%2finternal", "%2e%2e%3b%2finternal",
            "%2525252e.%2finternal", "..%2f", "a%2f%2e%2e%2f%2e%2e%2fb", "%25%32%65%25%32%65%2finternal"]


@pytest.mark.skipif(not NGINX, reason="Debian's nginx-light is not installed")
def test_no_value_leads_out_of_the_place_that_the_configuration_gives_it(start):
    with nginx() as place:
        weir = start(config=HEAD + """
routes:
  - {route: "GET /users/{id}", nodes: {n: {http: "http://PLACE/users/$path.id/profile"}}, reply: $node.n.body}
  - {route: "GET /last/{id}", nodes: {n: {http: "http://PLACE/users/$path.id"}}, reply: $node.n.body}
  - {route: "GET /dot/{id}", nodes: {n: {http: "http://PLACE/users/.$path.id/profile"}}, reply: $node.n.body}
  - {route: "GET /twice/{id}", nodes: {n: {http: "http://PLACE/twice/users/$path.id/profile"}}, reply: $node.n.body}
  - {route: "POST /body", nodes: {n: {http: "http://PLACE/users/$body.id/profile"}}, reply: $node.n.body}
""".replace("PLACE", place))
        assert ask(weir, "/users/ann")[2] == b'"inside /users/ann/profile"'
        assert ask(weir, "/users/a%2Fb..c")[2] == b'"inside /users/a/b..c/profile"'
        assert ask(weir, "/dot/ann")[2] == b'"inside /users/.ann/profile"'
        assert ask(weir, "/twice/ann")[2] == b'"inside /users/ann/profile"'
        for id in CLIMBING:
            for route in ["users", "last", "twice"]:
                answer = ask(weir, "/%s/%s" % (route, id))
                assert b"outside" not in answer[2], (route, id, answer)
                problem(answer, 400, "invalid-target", "$path.id would make a segment '.' or '..'")
        problem(ask(weir, "/dot/.%2finternal"), 400, "invalid-target", "$path.id")
        assert b"outside" not in ask(weir, "/dot/%2e")[2]
        for id in ["..", "../internal", "..\\internal", "x/../..", "%2e%2e/internal", "..\u0000/x", "%252e%252e%252f"]:
            answer = ask(weir, "/body", "POST", json.dumps({"id": id}), **{"Content-Type": "application/json"})
            problem(answer, 400, "invalid-target", "$body.id")


def test_a_path_that_lacks_a_value_is_not_asked_for(start):
    weir = start(config=HEAD + """
routes:
  - {route: DELETE /users, nodes: {n: {http: {method: DELETE, url: "http://127.0.0.1:9/users/$query.id"}}}, reply: $node.n}
  - {route: POST /users, nodes: {n: {http: {url: "http://127.0.0.1:9/users/$body.id/x"}}}, reply: $node.n}
""")
    for path in ["/users", "/users?id=", "/users?ID=1"]:
        problem(ask(weir, path, "DELETE"), 400, "invalid-target", "$query.id is missing or empty")
    for body in ["{}", '{"id":null}', '{"id":""}']:
        answer = ask(weir, "/users", "POST", body, **{"Content-Type": "application/json"})
        problem(answer, 400, "invalid-target", "$body.id is missing or empty")


# ---- What is handed on whole ----

class Echo(http.server.BaseHTTPRequestHandler):
    """Answers with what it was asked."""
    protocol_version = "HTTP/1.1"

    def answer(self):
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        text = json.dumps({"target": self.path, "fields": self.headers.items(), "body": body.decode()}).encode()
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(text)))
        self.end_headers()
        self.wfile.write(text)

    do_GET = do_POST = answer

    def log_message(self, *_):
        pass


@contextlib.contextmanager
def upstream(handler=Echo):
    """Its address."""
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        server.daemon_threads = True
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        try:
            yield "127.0.0.1:%d" % server.server_address[1]
        finally:
            server.shutdown()
            thread.join()


def test_a_path_and_a_query_are_handed_on_whole(start):
    with upstream() as place:
        weir = start(config=HEAD + """
routes:
  - route: "GET /api/{rest...}"
    nodes: {n: {http: {url: "http://PLACE/v1/$path.rest?key=k&$query", headers: {x-forwarded-for: $request.client}}}}
    reply: {target: $node.n.body.target, fields: $node.n.body.fields}
""".replace("PLACE", place))
        for asked, target in [("a/b/c", "a/b/c?key=k"), ("a%2Fb/c%20d/", "a%2Fb/c%20d/?key=k"), ("", "?key=k"),
                              ("x?a=1&a=2&b&c=%26+%2B", "x?key=k&a=1&a=2&b&c=%26%20%2B")]:
            told = json.loads(ask(weir, "/api/" + asked)[2])
            assert told["target"] == "/v1/" + target
            assert ["x-forwarded-for", "127.0.0.1"] in told["fields"]
        for climbing in ["a/%2e%2e%2f..%2fb", "..%2f", "a/..%5Cb", "x/%252e%252e/y"]:
            problem(ask(weir, "/api/" + climbing), 400, "invalid-target", "$path.rest would make a segment")


COOKIES = ["a=1; Expires=Wed, 21 Oct 2026 07:28:00 GMT", "b=2"]


class Cookies(Echo):
    def answer(self):
        self.send_response(200)
        for cookie in COOKIES:
            self.send_header("Set-Cookie", cookie)
        self.send_header("X-Twice", "1")
        self.send_header("X-Twice", "2")
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", "2")
        self.end_headers()
        self.wfile.write(b"[]")

    do_GET = answer


def test_cookies_stay_apart(start):
    with upstream(Cookies) as place:
        weir = start(config=HEAD + """
routes:
  - {route: GET /whole, nodes: {n: {http: "http://PLACE/"}}, reply: $node.n.headers}
  - {route: GET /none, nodes: {n: {http: "http://PLACE/"}}, reply: 1, headers: {x: $node.n.body}}
  - route: GET /on
    nodes: {n: {http: "http://PLACE/"}}
    reply: [$node.n.headers.set-cookie, "$node.n.headers.set-cookie[1]", $node.n.headers.x-twice]
    headers: {set-cookie: $node.n.headers.set-cookie, vary: [accept, $query.no, "x-$query.x"], x-twice: $node.n.headers.x-twice}
  - {route: POST /list, reply: 1, headers: {set-cookie: $body.cookies}}
""".replace("PLACE", place))
        told = json.loads(ask(weir, "/whole")[2])
        assert told["set-cookie"] == COOKIES and told["x-twice"] == "1, 2"
        status, fields, body = ask(weir, "/on?x=y")
        assert fields.get_all("Set-Cookie") == COOKIES
        assert fields.get_all("Vary") == ["accept", "x-y"] and fields.get_all("X-Twice") == ["1, 2"]
        assert json.loads(body) == [COOKIES, "b=2", "1, 2"]
        assert "X" not in ask(weir, "/none")[1]
        kind = {"Content-Type": "application/json"}
        assert ask(weir, "/list", "POST", '{"cookies":["a",1,"c"]}', **kind)[1].get_all("Set-Cookie") == ["a", "1", "c"]
        problem(ask(weir, "/list", "POST", r'{"cookies":["a","b\r\nx: y"]}', **kind), 400, "invalid-header", "$body.cookies")
        many = json.dumps({"cookies": ["a"] * 257})
        assert ask(weir, "/list", "POST", many, **kind)[0] == 503


# ---- Content codings, and no content ----

class Zipped(Echo):
    """As a server may that is not told what is wanted."""
    def answer(self):
        wanted = self.headers.get("Accept-Encoding")
        zipped = wanted != "identity" or self.path == "/always"
        text = gzip.compress(b'{"a":1}') if zipped else b'{"a":1}'
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        if zipped:
            self.send_header("Content-Encoding", "gzip")
        self.send_header("Content-Length", str(len(text)))
        self.end_headers()
        self.wfile.write(text)

    do_GET = answer


def test_what_comes_encoded_is_not_taken_for_text(start):
    with upstream(Zipped) as place:
        weir = start(config=HEAD + """
errors: full
routes:
  - {route: GET /usual, nodes: {n: {http: "http://PLACE/"}}, reply: $node.n.body.a}
  - {route: GET /always, nodes: {n: {http: "http://PLACE/always"}}, reply: $node.n.body}
  - {route: GET /status, nodes: {n: {http: "http://PLACE/always"}}, reply: $node.n.status}
  - {route: POST /body, reply: $body.a}
""".replace("PLACE", place))
        assert ask(weir, "/usual")[2] == b"1"
        problem(ask(weir, "/always"), 502, "upstream-encoding", "node 'n'", "the content coding 'gzip'")
        assert ask(weir, "/status")[2] == b"200"
        body = {"Content-Type": "application/json", "Content-Encoding": "gzip"}
        answer = ask(weir, "/body", "POST", gzip.compress(b'{"a":1}'), **body)
        problem(answer, 415, "unsupported-media-type", "Content-Encoding")
        assert answer[1]["Accept-Encoding"] == "identity"
        body["Content-Encoding"] = "identity"
        assert ask(weir, "/body", "POST", b'{"a":1}', **body)[2] == b"1"


def test_a_reply_without_content_has_no_type_and_no_length(start):
    weir = start(config=HEAD + """
routes:
  - {route: GET /gone, status: 204, reply: {a: 1}}
  - {route: GET /same, status: 304, headers: {content-type: text/plain, etag: '"x"'}}
  - {route: GET /chosen, status: $query.s, reply: {a: 1}}
""")
    for path, status in [("/gone", 204), ("/same", 304), ("/chosen?s=204", 204), ("/chosen?s=304", 304), ("/chosen?s=205", 205)]:
        answer = ask(weir, path)
        assert answer[0] == status and "Content-Type" not in answer[1] and answer[2] == b"", (path, answer)
        assert status != 204 or "Content-Length" not in answer[1]
    assert ask(weir, "/same")[1]["ETag"] == '"x"'
    assert ask(weir, "/chosen?s=200")[1]["Content-Type"] == "application/json"


# ---- JSON ----

def test_numbers_keep_their_digits(start):
    weir = start(config=HEAD + """
routes:
  - {route: POST /, nodes: {s: {step: echo}}, reply: {a: $body.a, made: [$body.b], step: $node.s.c, text: "$body.a|"}}
""")
    body = '{"a":18446744073709551616,"b":0.1000000000000000055511151231257827,"c":1e400}'
    text = ask(weir, "/", "POST", body, **{"Content-Type": "application/json"})[2].decode()
    assert text == '{"a":18446744073709551616,"made":[0.1000000000000000055511151231257827],"step":1e400,"text":"18446744073709551616|"}\n'


def test_a_key_that_comes_twice_is_refused(start):
    weir = start(config=HEAD + "routes: [{route: POST /, reply: $body}]\n")
    kind = {"Content-Type": "application/json"}
    answer = ask(weir, "/", "POST", r'{"role":"user","x":[{"\u0072ole":1,"role":2}]}', **kind)
    problem(answer, 400, "duplicate-key", "the key 'role' twice")
    many = {"%x" % i: 1 for i in range(100000)}  # a MiB of hostile names costs no more than it is long
    body = json.dumps(many, separators=(",", ":"))
    assert len(body) < 1 << 20 and ask(weir, "/", "POST", body, **kind)[2].decode() == body
    problem(ask(weir, "/", "POST", body[:-1] + ',"1869f":2}', **kind), 400, "duplicate-key", "the key '1869f' twice")


# ---- Markup ----

def test_what_a_stranger_sends_is_no_script_in_a_page(start):
    weir = start(config=HEAD + """
routes:
  - {route: "GET /hello", reply: "<p title='$query.q'>$query.q</p>", headers: {content-type: text/html}}
  - {route: "GET /list", reply: [$query.q], headers: {content-type: text/html}}
""")
    attack = "%3Cscript%3Ealert(1)%3C/script%3E%27%22%26"
    escaped = b"&lt;script&gt;alert(1)&lt;/script&gt;&#39;&quot;&amp;"
    assert ask(weir, "/hello?q=" + attack)[2] == b"<p title='" + escaped + b"'>" + escaped + b"</p>"
    text = ask(weir, "/list?q=" + attack)[2]
    assert b"<" not in text and b"'" not in text and json.loads(text) == ["<script>alert(1)</script>'\"&"]


# ---- What strangers are told of failures ----

SECRETS = ["hidden", "127.0.0.1:9", "node", "pool", "closet", "echo"]
FAILING = """
pools: {closet: {kind: threads, size: 1, value: 1KiB}}
routes:
  - {route: GET /refused, nodes: {hidden: {http: "http://127.0.0.1:9/"}}}
  - {route: GET /late, deadline: 30ms, nodes: {hidden: {sleep: 10s}}}
  - {route: POST /large, nodes: {hidden: {step: echo, pool: closet}}}
  - {route: POST /rejected, nodes: {hidden: {step: burn, pool: closet}}}
  - {route: GET /climbs, nodes: {hidden: {http: "http://127.0.0.1:9/$query.id"}}}
"""
LARGE = json.dumps("x" * 2000)
FAILURES = [
    ("/refused", None, 502, "upstream-failed", "a server behind this one did not answer as it should",
     "node 'hidden': cannot connect to http://127.0.0.1:9: connection refused"),
    ("/late", None, 504, "deadline", "the request was not answered in time",
     "the request was not answered within the route's deadline of 30 ms; it waited for node 'hidden'"),
    ("/large", LARGE, 413, "input-too-large", "the request is larger than what can be computed with",
     "node 'hidden': the input of step 'echo' has 2002 bytes; pool 'closet' takes 1024"),
    # What the client did wrong itself is said, without the node.
    ("/rejected", "{}", 422, "invalid-input", None, "node 'hidden': burn wants"),
    ("/climbs?id=..", None, 400, "invalid-target", None, "node 'hidden': $query.id would make a segment"),
]


@pytest.mark.parametrize("access", ["true", "false"])
@pytest.mark.parametrize("path, body, status, kind, short, full", FAILURES, ids=[row[0] for row in FAILURES])
def test_a_stranger_is_not_told_what_is_inside_and_the_log_is(start, access, path, body, status, kind, short, full):
    weir = start(config=HEAD.replace("access: false", "access: " + access) + FAILING)
    fields = {"X-Request-Id": "find-me", "Content-Type": "application/json"}
    answer = ask(weir, path, "POST" if body else "GET", body, **fields)
    problem(answer, status, kind)
    told = json.loads(answer[2])
    assert told["instance"] == "urn:weir:request:find-me"
    if short:
        assert told["detail"] == short
    else:
        assert full.startswith("node 'hidden': " + told["detail"][:10])
    assert not [word for word in SECRETS if word in answer[2].decode()], answer
    weir.wait_for_log("find-me")  # at its end, with the whole sentence
    weir.stop()
    line = next(line for line in weir.log().splitlines() if "find-me" in line)
    assert full in line and " access %d " % status in line


def test_the_whole_sentence_is_shown_where_the_configuration_says_so(start):
    weir = start(config=HEAD + "errors: full\n" + FAILING)
    for path, body, status, kind, _, full in FAILURES:
        problem(ask(weir, path, "POST" if body else "GET", body, **{"Content-Type": "application/json"}), status, kind, full)
