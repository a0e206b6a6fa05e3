"""A gateway that crashes soon after its start, again and again."""

from __future__ import annotations

import json
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from support.processes import PATIENCE, Client, Gateway, Refused, ended, eventually, trading

OFTEN = 3


@pytest.fixture
def gateway(tmp_path: Path) -> Iterator[Gateway]:
    """One that counts its crashes, as it does by itself; not started."""
    with trading(tmp_path) as (_, found):
        del found.config["pause_after_crashes"]
        found.write_config()
        yield found


def count(gateway: Gateway) -> int:
    """As its file has it."""
    try:
        text = (gateway.folder / "db" / "crashes.json").read_text()
    except FileNotFoundError:
        return 0
    return int(json.loads(text)["fast_crashes"])


def crash(gateway: Gateway, times: int) -> None:
    """So many runs that are gone as soon as they listen."""
    for _ in range(times):
        gateway.start().running.kill()


def operator(gateway: Gateway, *arguments: str) -> Any:
    """What `pyalgo` says to machines."""
    command = [sys.executable, "-m", "pyalgo", *arguments, "--json", "--addr", gateway.url]
    command += ["--token-file", str(gateway.folder / "operator.token")]
    done = subprocess.run(command, capture_output=True, text=True, timeout=PATIENCE, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return json.loads(done.stdout)


def far_below(client: Client) -> str:
    """An order that stays open; its id."""
    return client.order(type="LIMIT", price="0.1", qty="100")


def paused(gateway: Gateway) -> Any:
    """The pause of all sessions, if there is one."""
    return operator(gateway, "status")["stop"]["paused_all"]


def test_r53_after_three_fast_crashes_nothing_new_is_taken_until_the_operator_resumes(
    gateway: Gateway,
) -> None:
    gateway.start()
    client = gateway.client()
    client.buy("50")
    resting = far_below(client)
    client.until(lambda frame: frame.get("event") == "order" and frame["order"]["order_id"] == resting)
    gateway.running.end()
    crash(gateway, OFTEN)
    assert count(gateway) == OFTEN

    gateway.start()
    pause = paused(gateway)
    words = "crashed 3 times within 10 s of its start: look into the log, then `pyalgo resume`"
    assert (pause["by"], pause["reason"]) == ("the gateway", words)
    (line,) = gateway.await_logged("the gateway crashed again and again", times="3")
    assert line.level == "ERROR"
    client = gateway.client()
    assert client.seat["state"]["stopped"] == "paused"
    assert float(gateway.position() or 0) > 49, "what it holds is known"
    with pytest.raises(Refused) as refused:
        far_below(client)
    assert refused.value.error["name"] == "paused" and words in str(refused.value)
    number, client.number = client.number, client.number + 1
    client.call("cancel", n=number, order_id=resting)
    client.until(lambda frame: ended(frame, resting))

    assert operator(gateway, "resume")["paused_all"] is None
    client.until(lambda frame: frame.get("event") == "state" and frame.get("stopped") is None)
    assert client.buy("50")["order"]["state"] == "FILLED"
    assert gateway.running.end() == 143
    assert count(gateway) == 0
    gateway.start()
    assert paused(gateway) is None


def test_r53_two_fast_crashes_are_not_too_many(gateway: Gateway) -> None:
    crash(gateway, OFTEN - 1)
    gateway.start()
    assert paused(gateway) is None


def test_r53_a_run_that_lives_for_ten_seconds_counts_no_more(gateway: Gateway) -> None:
    crash(gateway, OFTEN - 1)
    gateway.start()
    assert count(gateway) == OFTEN, "with the run that is under way"
    eventually(lambda: count(gateway) == 0, "a run that lives")
    gateway.running.kill()
    crash(gateway, OFTEN - 1)
    gateway.start()
    assert paused(gateway) is None, "two in a row are not three"


def test_r53_starts_that_are_refused_do_not_count(gateway: Gateway) -> None:
    gateway.start()
    gateway.client().buy("10")
    gateway.running.end()
    crash(gateway, OFTEN - 1)
    good = dict(gateway.config)
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = f"ws://127.0.0.1:{taken.getsockname()[1]}"
        # The last one is refused by what its journal says, after it has begun to count.
        for change, code in (({"locale": "x"}, 78), ({"local": port}, 69), ({"install": "zzzzz"}, 78)):
            gateway.config = good | change
            gateway.write_config()
            assert gateway.run("-c=spot.json").returncode == code, change
            assert count(gateway) == OFTEN - 1, change
    gateway.config = good
    gateway.write_config()
    gateway.start()
    assert gateway.run("-c=spot.json").returncode == 78, "the folder is in use"
    assert count(gateway) == OFTEN, "its holder's own"
    gateway.running.kill()
    gateway.start()
    assert paused(gateway) is not None, "nor do they begin the count anew"


def test_r53_a_damaged_count_is_told_and_counts_from_none(gateway: Gateway) -> None:
    crash(gateway, OFTEN)
    file = gateway.folder / "db" / "crashes.json"
    file.write_text('{"fast_crashes": 3')
    gateway.start()
    assert count(gateway) == 1, "first of all: after ten seconds it is none"
    gateway.await_logged("crash_count_damaged")
    assert paused(gateway) is None


def test_r53_a_limit_of_none_counts_nothing(gateway: Gateway) -> None:
    gateway.config["pause_after_crashes"] = 0
    gateway.write_config()
    crash(gateway, OFTEN)
    gateway.start()
    assert paused(gateway) is None
    assert count(gateway) == 0
