"""The process that a pool of kind `fork` forks from stands still under load, and then goes on, or is killed: the pool serves
again soon after.

WEIR_STALL_SECONDS is how long it stands: in a minute, which the nightly tests take, the server's writes to it fail.
"""
import http.client
import os
import signal
import time

import pytest

from conftest import until
from weir_process import Clients, descendants, weirs

SECONDS = float(os.environ.get("WEIR_STALL_SECONDS", "3"))
# 5 s are promised. The machine may be busy with other tests.
WELL = 10

# Orders to the zygote gather: who gave up has its worker killed.
CONFIG = """
listen: 127.0.0.1:0
admin: off
threads: 1
timeouts: {request: 500ms, drain: 10s, linger: 100ms}
log: {access: false}
pools:
  f: {kind: fork, size: 16, on_cancel: kill}
routes:
  - {route: GET /, nodes: {a: {step: echo, input: yes, pool: f}}, reply: $node.a}
"""


def ask(weir):
    try:
        return weir.get()[0]
    except (OSError, http.client.HTTPException) as e:
        return repr(e)


class Load(Clients):
    def __init__(self, weir):
        super().__init__(24)
        self.weir = weir
        self.statuses = set()

    def ask_all_the_time(self, _):
        while not self.ended.is_set():
            self.statuses.add(ask(self.weir))


@pytest.mark.parametrize("number", [signal.SIGCONT, signal.SIGKILL], ids=["goes_on", "killed"])
def test_a_pool_serves_again_after_its_zygote_stood_still(tmp_path, number):
    with weirs(tmp_path) as start:
        weir = start(config=CONFIG)
        assert ask(weir) == 200
        until(lambda: len(descendants(weir.servers()[-1])) == 1)  # the fork has gone
        zygote, = descendants(weir.servers()[-1])
        with Load(weir) as load:
            os.kill(zygote, signal.SIGSTOP)
            time.sleep(SECONDS)  # time: how long it stands still; longer is as good
            if zygote in descendants(weir.servers()[-1]):  # it may have been replaced
                os.kill(zygote, number)
        assert load.statuses <= {200, 503, 504}, weir.log()
        until(lambda: ask(weir) == 200, WELL)
        # Requests have half a second, which a busy machine may use up; a pool that is broken answers none.
        assert sum(ask(weir) == 200 for _ in range(50)) >= 40, weir.log()
