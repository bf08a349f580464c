"""Our HTTP/1 reader beside h11's: thousands of messages, valid, mutated and ambiguous, from fixed seeds.

What both accept must mean the same to both: start line, fields, body, trailers, and the bytes left over. We are the
stricter one on purpose, and each way in which we are has its line in STRICTER with its reason; what we accept and h11
does not has its line in LOOSER. Anything else is a mistake, and so is a line that nothing meets.
"""
import json
import os
import random
import subprocess
from collections import Counter

import h11
import pytest

CAT = os.environ.get("WEIR_HTTP1_CAT", "build/debug/tests/differential/http1_cat")
COUNT = 6000

# What we refuse and h11 accepts: our sentence, and why it is right to refuse.
STRICTER = {
    "400 a CONNECT to what is no host and port": "RFC 9112, 3.2.3: a CONNECT has the authority form and no other",
    "400 a Content-Length that is no number of bytes": "h11 takes up to 20 digits; no body has 2^63 bytes",
    "400 a Content-Length that is no number, or beside a Transfer-Encoding":
        "RFC 9112, 6.3: may be a smuggler's, ought to be an error; h11 lets the coding win, and keeps lengths in trailers",
    "400 a Host that differs from the target's": "RFC 9112, 3.2.2, lets the target win; who looks at Host sees another site",
    "400 a Host that is no name or address": "RFC 9112, 3.2: an invalid value is a 400; h11 does not look",
    "400 a Transfer-Encoding in HTTP/1.0": "RFC 9112, 6.1: the framing is faulty",
    "400 a Transfer-Encoding that does not end with chunked, or beside a Content-Length":
        "as above, the other way round, or repeated among the trailers",
    "400 a Transfer-Encoding that does not end with one chunked": "a tab after it, which llhttp does not see through",
    "400 a chunk whose extensions are malformed": "RFC 9112, 7.1.1: h11 takes any bytes there, a smuggler's too",
    "400 a chunk whose size is beyond reason": "h11 takes up to 20 digits; 16 are enough for 2^64",
    "400 a chunk whose size is no hexadecimal number": "RFC 9112, 7.1.1, knows no white space at a size's end",
    "400 a header field that is malformed": "RFC 9110, 5.5: control bytes in a value",
    "400 a line that begins with white space": "RFC 9112, 5.2: a folded line is a 400",
    "400 a line that does not end with CR LF": "RFC 9112, 2.2, lets a reader take LF alone; not all do",
    "400 a reason with control bytes": "RFC 9112, 4",
    "400 a status that does not exist": "RFC 9110, 15: beyond 599 is invalid",
    "400 a target '*' of another method than OPTIONS": "RFC 9112, 3.2.4",
    "400 a target that is neither a path nor an http URI": "RFC 9112, 3.2",
    "400 a target whose host is no name or address": "RFC 9110, 4.2.1, 4.2.4: no empty host, no user",
    "400 a target with bytes that no URI has": "RFC 9112, 3.2: no fragment",
    "400 a trailer that belongs into the head": "RFC 9110, 6.5.1: no framing, no routing",
    "400 two Content-Length fields": "RFC 9110, 8.6, lets equal ones pass; nobody who means well sends them",
    "417 an expectation other than 100-continue": "RFC 9110, 10.1.1",
    "501 a method that is not known": "RFC 9110, 9.1",
    "505 a version of HTTP other than 1.1 and 1.0": "RFC 9110, 2.5; h11 takes HTTP/2.0 for one of its own",
}

# What we accept and h11 refuses: a name, whether it is that, and why it is right to accept.
LOOSER = {
    "empty lines before a request": (
        lambda stream, why: stream.startswith(b"\r\n") and why == "no request line received",
        "RFC 9112, 2.2: a server SHOULD ignore at least one"),
}

# ---- Messages ----

METHODS = [b"GET", b"GET", b"GET", b"POST", b"PUT", b"HEAD", b"DELETE", b"OPTIONS", b"PATCH", b"CONNECT", b"PROPFIND",
           b"FROB", b"get", b"PRI", b"SOURCE", b""]
TARGETS = [b"/", b"/", b"/", b"/a/b?c=d", b"*", b"http://a/", b"http://b/x", b"https://a", b"a:80", b"//", b"/%zz", b"/#f",
           b"a", b"", b"/\xc3\xa9", b"/a b", b"http://u@a/"]
VERSIONS = [b"1.1"] * 12 + [b"1.0"] * 3 + [b"1.2", b"2.0", b"0.9", b"1.10", b"1", b"11"]
HOSTS = [b"a"] * 10 + [b"", b"a:80", b"[::1]:80", b"a b", b"a,b", b"a/b", b"u@a", b"a:x", b"\xc3\xa9", b"a%20b", b"http://a"]
FIELDS = [b"Accept: */*", b"X-Empty:", b"Cookie: a=b; c=d", b"X:y", b"X: \t y \t ", b"X-Obs: \xff\x80", b"User-Agent: x/1 (y)",
          b"Connection: close", b"Connection: keep-alive", b"Connection: upgrade, x", b"Upgrade: h2c",
          b"Expect: 100-continue", b"Expect: y", b"TE: trailers", b"X : y", b": y", b"X", b" X: y", b"X: a\r\n b",
          b"X: a\x00b", b"X: a\x7fb", b"X\xff: y", b"X: a\rb", b"X: a\x0bb", b"(x): y"]
LENGTHS = [b"5"] * 10 + [b"0", b"4", b"6", b"05", b"5, 5", b"5,6", b"+5", b"-5", b"5x", b"0x5", b"", b"5 5", b"1_0", b"5.0",
                         b"9223372036854775807", b"9223372036854775808", b"18446744073709551621", b"00000000000000000005"]
CODINGS = [b"chunked"] * 10 + [b"Chunked", b"CHUNKED ", b"chunked, chunked", b"gzip", b"gzip, chunked", b"chunked, gzip",
                              b"identity", b"", b"chunked,", b", chunked", b"xchunked", b"chunked;a=b", b"\tchunked\t"]
SIZES = [b"5"] * 10 + [b"05", b"0005", b"5;a", b"5;a=b", b'5;a="b"', b"5 ", b" 5", b"5 ;a", b"0x5", b"+5", b"-5", b"4", b"6",
                      b"5;", b"5;=", b"5;a=\x00", b"5\t", b"5_", b"", b"10000000000000005", b"5;a\rb", b"5;\x7f",
                      b"0000000000000005", b"00000000000000005", b"00000000000000000000000000000005"]
LAST = [b"0"] * 10 + [b"00", b"0;a", b"0 ", b"", b"-0"]
TRAILERS = [b""] * 8 + [b"X: y\r\n", b"X:\r\nY: z\r\n", b"Content-Length: 5\r\n", b"Host: a\r\n", b"X : y\r\n", b"X: a\r\n b\r\n",
                        b"Transfer-Encoding: chunked\r\n", b"X\r\n", b"X: \x00\r\n"]
STATUSES = [b"200"] * 12 + [b"204", b"304", b"404", b"500", b"100", b"103", b"101", b"099", b"600", b"999", b"20", b"2000",
                           b"2x0", b"-20", b""]
REASONS = [b" OK"] * 6 + [b"", b" ", b" Not Found", b" \xe9", b" a\tb", b"  x ", b"OK", b" \x00", b" a\x7f"]
NEXT = [b""] * 6 + [b"GET / HTTP/1.1\r\nHost: a\r\n\r\n", b"\r\n", b"x", b"HTTP/1.1 200 OK\r\n\r\n", b"\x00\xff"]


def rarely(r, common, odd, chance=0.12):
    return r.choice(odd) if r.random() < chance else common


def chunks(r):
    text = b""
    for _ in range(r.randrange(3)):
        text += rarely(r, b"5", SIZES) + b"\r\nhello" + rarely(r, b"\r\n", [b"\n", b"\r", b"", b"\r\n\r\n"], 0.03)
    return text + rarely(r, b"0", LAST) + b"\r\n" + r.choice(TRAILERS) + b"\r\n"


def framing(r):
    """Fields that say how the body is framed, and the body."""
    what = r.random()
    if what < 0.35:
        return [], b""
    if what < 0.65:
        return [b"Content-Length: " + rarely(r, b"5", LENGTHS, 0.4)], b"hello"
    if what < 0.9:
        return [b"Transfer-Encoding: " + rarely(r, b"chunked", CODINGS, 0.3)], chunks(r)
    both = [b"Content-Length: " + r.choice(LENGTHS), b"Transfer-Encoding: " + r.choice(CODINGS),
            b"Content-Length: " + r.choice(LENGTHS), b"Transfer-Encoding: " + r.choice(CODINGS)]
    return r.sample(both, 2), r.choice([b"hello", chunks(r)])


def mutated(r, text):
    """Some bytes changed, more often those that matter."""
    odd = [b"\r", b"\n", b"\r\n", b" ", b"\t", b"\x00", b"\x7f", b"\xff", b":", b",", b";", b"0", b"x", b"\x0b", b"\x85"]
    for _ in range(r.choice([0, 0, 0, 1, 1, 2])):
        at = r.randrange(len(text) + 1)
        if r.random() < 0.5:
            ends = [i for i, c in enumerate(text) if c in b"\r\n :"]
            at = r.choice(ends or [at]) + r.randrange(2)
        text = text[:at] + r.choice(odd + [b""]) + text[at + r.randrange(3):]
    return text


def message(r, start, fields):
    framed, body = framing(r)
    fields = fields + [rarely(r, r.choice(FIELDS[:13]), FIELDS, 0.15) for _ in range(r.randrange(3))] + framed
    r.shuffle(fields)
    head = b"\r\n".join([start] + fields) + b"\r\n\r\n"
    return mutated(r, head + body + r.choice(NEXT))


def request(r):
    method = rarely(r, r.choice(METHODS[:5]), METHODS)
    start = method + b" " + rarely(r, r.choice(TARGETS[:4]), TARGETS) + b" HTTP/" + rarely(r, b"1.1", VERSIONS, 0.2)
    start = rarely(r, b"", [b"\r\n", b"\n", b" ", b"\r\n\r\n"], 0.04) + start
    hosts = [b"Host: " + rarely(r, b"a", HOSTS)]
    return message(r, start, rarely(r, hosts, [[], hosts * 2, hosts + [b"host: b"]], 0.06))


def reply(r):
    start = b"HTTP/" + rarely(r, b"1.1", VERSIONS, 0.2) + b" " + rarely(r, b"200", STATUSES, 0.3) + \
        rarely(r, b" OK", REASONS, 0.3)
    return message(r, start, [])


# ---- The two readers: None where one refuses, else what the message means ----


def text(s):
    return None if s is None else s.encode("latin-1")


def fields_of(pairs):
    """h11 writes names, and codings, in lower case."""
    low = [(n.lower(), v) for n, v in pairs]
    return [(n, v.lower() if n == b"transfer-encoding" else v) for n, v in low]


def ours(streams):
    given = b"".join(head + b" %d %d\n" % (len(s), piece) + s for head, s, piece in streams)
    run = subprocess.run([CAT], input=given, stdout=subprocess.PIPE, stderr=subprocess.PIPE, timeout=100)
    assert run.returncode == 0, run.stderr.decode()
    answers = run.stdout.decode().split("\n\n")
    if answers[-1] == "":
        answers.pop()
    assert len(answers) == len(streams)
    return [understood([json.loads(line) for line in a.splitlines()]) for a in answers]


def understood(lines):
    """(meaning or None, our sentence where we refuse)"""
    meaning = None
    body = b""
    left = b""
    trailers = []
    for line in lines:
        if "bad" in line:
            return None, "%d %s" % (line["bad"], line["why"])
        if "fields" in line:
            meaning = line
        body = text(line["body"]) if "body" in line else body
        left = text(line["left"]) if "left" in line else left
        trailers = line.get("trailers", trailers)
    if not meaning or lines[-1].keys().isdisjoint({"end", "left"}) or meaning.get("status", 200) < 200:
        return None, "cut off"
    start = (text(meaning["method"]), text(meaning["target"])) if "method" in meaning else \
        (meaning["status"], text(meaning["reason"]))
    return {
        "start": start,
        "minor": meaning["minor"],
        "fields": fields_of([tuple(map(text, f)) for f in meaning["fields"]]),
        "body": body,
        "trailers": fields_of([tuple(map(text, f)) for f in trailers]),
        "left": left,
    }, None


def theirs(kind, method, stream):
    connection = h11.Connection(h11.SERVER if kind == "request" else h11.CLIENT)
    if kind == "reply":
        connection.send(h11.Request(method=method, target="/", headers=[("Host", "a")]))
        connection.send(h11.EndOfMessage())
    meaning = None
    try:
        connection.receive_data(stream)
        at_end = False
        while True:
            event = connection.next_event()
            if isinstance(event, (h11.Request, h11.Response)):
                is_request = isinstance(event, h11.Request)
                meaning = {
                    "start": (event.method, event.target) if is_request else (event.status_code, bytes(event.reason)),
                    "minor": int(event.http_version.split(b".")[1]),
                    "fields": fields_of(event.headers),
                    "body": b"",
                }
            elif isinstance(event, h11.Data):
                meaning["body"] += bytes(event.data)
            elif isinstance(event, h11.EndOfMessage):
                meaning["trailers"] = fields_of(event.headers)
                meaning["left"] = bytes(connection.trailing_data[0])
                return meaning, None
            elif event is h11.NEED_DATA and not at_end:
                connection.receive_data(b"")
                at_end = True
            elif not isinstance(event, h11.InformationalResponse):
                return None, "cut off"
    except h11.RemoteProtocolError as e:
        return None, str(e)


# ---- The comparison ----


def compare(kind, make):
    streams = []
    for seed in range(COUNT):
        r = random.Random("%s %d" % (kind, seed))
        method = r.choice([b"GET"] * 5 + [b"HEAD"])
        head = b"request" if kind == "request" else b"reply " + method
        streams.append((head, make(r), r.choice([0, 0, 1, 7])))
    met = Counter()
    agreed = Counter()
    wrong = []
    for (head, stream, _), (mine, why_mine) in zip(streams, ours(streams)):
        their, why_their = theirs(kind, head.split()[-1], stream)
        if mine and their and mine == their:
            agreed["accepted"] += 1
        elif mine is None and their is None:
            agreed["refused"] += 1
        elif mine is None and why_mine in STRICTER:
            met[why_mine] += 1
        else:
            looser = [name for name, (holds, _) in LOOSER.items() if mine and not their and holds(stream, why_their)]
            met[looser[0] if looser else "?"] += 1
            if not looser:
                wrong.append((stream, mine or why_mine, their or why_their))
    return agreed, met, wrong


@pytest.fixture(scope="module")
def compared():
    return {"request": compare("request", request), "reply": compare("reply", reply)}


@pytest.mark.parametrize("kind", ["request", "reply"])
def test_what_both_accept_means_the_same_and_else_we_are_the_stricter(compared, kind):
    agreed, met, wrong = compared[kind]
    print(kind, dict(agreed), *("%4d %s" % (n, name) for name, n in met.most_common()), sep="\n")
    assert not wrong, "%d differences, the first:\n%r\nours:   %r\ntheirs: %r" % ((len(wrong),) + wrong[0])
    assert agreed["accepted"] > COUNT / 4 and agreed["refused"] > COUNT / 8, "the messages are too good or too bad"


def test_every_deliberate_difference_is_met(compared):
    met = compared["request"][1] + compared["reply"][1]
    assert set(met) == set(STRICTER) | set(LOOSER)
