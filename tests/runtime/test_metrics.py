"""What a monitor is shown, held against the exchange's own files, the clients' own counts and the stores."""

from __future__ import annotations

import http.client
import json
import os
import signal
import socket
import threading
import time
import urllib.error
import urllib.request
from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
from support.processes import (
    PATIENCE,
    Client,
    Exchange,
    Gateway,
    Process,
    Refused,
    ended,
    eventually,
    free_port,
    trading,
)
from support.prometheus import Page


def get(gateway: Gateway, path: str, **headers: str) -> tuple[int, str, http.client.HTTPMessage]:
    """Status, text and head of the answer."""
    url = gateway.running.listening["metrics"] + path
    request = urllib.request.Request(url, headers=headers)
    try:
        with urllib.request.urlopen(request, timeout=PATIENCE) as answer:
            return answer.status, answer.read().decode(), answer.headers
    except urllib.error.HTTPError as answer:
        return answer.code, answer.read().decode(), answer.headers


def scrape(gateway: Gateway) -> Page:
    """All numbers of this moment: a reading serves for a tenth of a second."""

    def answered() -> Page | None:
        time.sleep(0.11)
        status, text, head = get(gateway, "/metrics")
        assert status == 200
        assert head["Content-Type"] == "text/plain; version=0.0.4; charset=utf-8"
        page = Page(text)
        # On a machine that stands still the loop may be late to answer.
        return page if page.value("tradingsys_loop_answers") == 1 else None

    found: Page = eventually(answered, "an answer of the loop")
    return found


def problems(gateway: Gateway) -> dict[str, str]:
    """What keeps it from its work, by kind, as /healthz says."""
    status, text, _ = get(gateway, "/healthz")
    page = json.loads(text)
    found = {problem["kind"]: problem["reason"] for problem in page["problems"]}
    assert (status == 200) == (found == {}) == page["ready"], text
    assert status in (200, 503)
    return found


@pytest.fixture
def watched(gateway: Gateway) -> Gateway:
    """The gateway, not started, that can be watched."""
    gateway.config["metrics"] = "http://localhost:0"
    gateway.write_config()
    return gateway


@contextmanager
def scraping(gateway: Gateway) -> Iterator[list[Page]]:
    """Pages scraped one after another meanwhile."""
    pages: list[Page] = []
    over = threading.Event()

    def scrape_all() -> None:
        while not over.is_set():
            pages.append(scrape(gateway))

    thread = threading.Thread(target=scrape_all)
    thread.start()
    try:
        yield pages
    finally:
        over.set()
        thread.join()


def is_new(frame: dict[str, Any], order: str) -> bool:
    """Does this tell that the order rests?"""
    of_it = frame.get("event") == "order" and frame["order"]["order_id"] == order
    return of_it and frame["order"]["state"] == "NEW"


def traded(client: Client, others: Client) -> Counter[str]:
    """Orders of each fate, sent by two sessions; the errors that were given, by name."""
    refused: Counter[str] = Counter()
    for session in (client, others):
        for _ in range(12):
            session.buy("10")
    resting = [client.order(type="LIMIT", tif="GTC", qty="100", price="0.05") for _ in range(7)]
    for order in resting:
        client.until(lambda frame, order=order: is_new(frame, order))  # type: ignore[misc]
    for order in resting[:4]:
        client.number += 1
        client.call("cancel", n=client.number - 1, order_id=order)
        client.until(lambda frame, order=order: ended(frame, order))  # type: ignore[misc]
    for wrong in ({"symbol": "nosuch"}, {"qty": "0"}, {"qty": "0"}, {"price": "0.000000001"}):
        fields = {
            "symbol": "dogeusdt",
            "side": "BUY",
            "type": "LIMIT",
            "tif": "GTC",
            "qty": "10",
            "price": "0.05",
        }
        with pytest.raises(Refused) as given:
            client.place(**(fields | wrong))
        refused[given.value.error["name"]] += 1
    return refused


def test_the_numbers_are_those_of_exchange_clients_and_files(watched: Gateway, exchange: Exchange) -> None:
    watched.start()
    client, others = watched.client(1), watched.client(2, trading=True)
    watcher = watched.client(3, trading=False)
    with scraping(watched) as pages:
        refused = traded(client, others)
    client.call("time")
    page = scrape(watched)
    state = exchange.control("GET", "/control/state?orders=all")
    (account,) = (account for account in state["accounts"] if account["name"] == "main")
    trades = [json.loads(line) for line in (watched.folder / "sim" / "trades.jsonl").read_text().splitlines()]
    own = [trade for trade in trades if trade["account"] == "main"]
    fates = Counter(order["status"] for order in account["orders"])
    assert page.by("tradingsys_fills_total", "owner") == {"session": len(own), "external": 0}
    assert page.value("tradingsys_commands_sent_total", kind="order") == len(account["orders"]) == 31
    assert page.value("tradingsys_commands_sent_total", kind="cancel") == fates["CANCELED"] == 4
    assert page.value("tradingsys_open_orders", state="NEW") == fates["NEW"] == 3
    assert page.by("tradingsys_orders_ended_total", "state") == {"FILLED": fates["FILLED"], "CANCELED": 4}
    # The first order of a symbol may be refused while its past is read, any while answers are too slow for
    # the clocks to be compared: the client asks again by itself.
    errors = page.by("tradingsys_calls_refused_total", "error")
    for_now = ("not_ready", "clock_off")
    assert {name: count for name, count in errors.items() if name not in for_now} == refused
    assert (page.value("tradingsys_sessions"), page.value("tradingsys_sessions_trading")) == (3, 2)

    def as_the_journal() -> bool:
        # From time to time it writes down how far it has come.
        page = scrape(watched)
        ((records, events),) = watched.sql("SELECT max(seq), sum(kind = 'event') FROM record", "journal.db")
        shown = page.value("tradingsys_journal_records"), page.value("tradingsys_events_total")
        return shown == (records, events)

    eventually(as_the_journal, "records and events of the journal")
    file = watched.folder / "db" / "journal.db"
    size = "tradingsys_store_bytes"
    eventually(lambda: scrape(watched).value(size, file=file.name) == file.stat().st_size, "its size")
    assert page.value("tradingsys_commit_seconds_count") > 50
    assert page.value("tradingsys_ready") == page.value("tradingsys_loop_answers") == 1
    assert sum(page.by("tradingsys_recovery_phase", "phase").values()) == 1
    assert pages
    for before, after in zip(pages, [*pages[1:], page], strict=True):
        rises = before.counters()
        assert all(after.counters()[key] >= value for key, value in rises.items() if key in after.counters())
    watcher.close()
    eventually(lambda: scrape(watched).value("tradingsys_sessions") == 2, "the watcher is gone")


def test_the_budget_is_the_exchanges(watched: Gateway, exchange: Exchange) -> None:
    watched.start()
    watched.client(1).buy("10")
    with urllib.request.urlopen(
        exchange.listening["rest"] + "/api/v3/exchangeInfo", timeout=PATIENCE
    ) as answer:
        rows = json.load(answer)["rateLimits"]
    page = scrape(watched)
    seconds = {"SECOND": 1, "MINUTE": 60, "DAY": 86_400}
    kinds = {"REQUEST_WEIGHT": "weight", "ORDERS": "orders"}
    checked = 0
    for row in rows:
        if kind := kinds.get(row["rateLimitType"]):
            window = str(row["intervalNum"] * seconds[row["interval"]])
            used, left = (
                page.value(f"tradingsys_budget_{what}", kind=kind, window_seconds=window)
                for what in ("used", "left")
            )
            assert used + left == row["limit"], row
            checked += 1
    assert checked >= 3
    day = page.value("tradingsys_budget_used", kind="orders", window_seconds="86400")
    assert day in (0, 1), "one order, filled: which the exchange takes off again"


def test_a_stream_that_is_wanted_is_counted_and_a_slow_reader_too(
    watched: Gateway, exchange: Exchange
) -> None:
    watched.start()
    client = watched.client(1)
    client.call("subscribe", streams=["dogeusdt@bbo", "dogeusdt@trade", "dogeusdt@book", "btcusdt@bbo"])
    page = scrape(watched)
    assert page.by("tradingsys_streams", "channel") == {"bbo": 2, "trade": 1, "book": 1}
    page = eventually(
        lambda: (p := scrape(watched)).value("tradingsys_quiet_seconds") < 5 and p, "data arrives"
    )
    received = page.value("tradingsys_frames_received_total")
    eventually(lambda: scrape(watched).value("tradingsys_frames_received_total") > received, "more data")
    exchange.end(signal.SIGKILL)

    def lapsed() -> bool:
        page = scrape(watched)
        return page.by("tradingsys_streams_stale", "channel") == {"bbo": 2, "trade": 1, "book": 1}

    eventually(lapsed, "all streams are old")
    assert scrape(watched).value("tradingsys_streams_lapsed_total") >= 4


def test_an_exchange_that_is_away_is_a_problem_until_it_is_back(tmp_path: Path) -> None:
    with trading(tmp_path, port=free_port(), metrics="http://127.0.0.1:0") as (exchange, gateway):
        gateway.start()
        gateway.client(1)
        assert eventually(lambda: problems(gateway) == {}, "ready")
        port = urlsplit(exchange.listening["rest"]).port
        public = (tmp_path / "public_key.pem").read_text()
        exchange.end(signal.SIGKILL)
        found = eventually(lambda: "link_down" in (p := problems(gateway)) and p, "missed")
        assert "market_data_down" in eventually(lambda: len(p := problems(gateway)) > 1 and p, "all missed")
        assert found["link_down"]
        page = scrape(gateway)
        assert page.value("tradingsys_link_up", link="orders") == 0
        assert page.value("tradingsys_link_losses_total", link="orders") == 1
        assert page.value("tradingsys_recovery_phase", phase="down") == 1
        assert page.value("tradingsys_recovery_under_way_seconds") > 0
        again = Exchange(tmp_path, public, port=port or 0)
        try:
            eventually(lambda: problems(gateway) == {}, "all is well again")
            page = scrape(gateway)
            assert page.value("tradingsys_recoveries_total") == 2
            assert page.value("tradingsys_recovery_last_seconds") > 0
            assert page.value("tradingsys_recovery_under_way_seconds") == 0
        finally:
            again.kill()


def test_a_clock_that_is_off_is_a_problem_and_shown(watched: Gateway, exchange: Exchange) -> None:
    exchange.control("POST", "/control/faults", [{"fault": "clock.skew", "ms": 3000}])
    watched.start()
    found = eventually(lambda: "clock_off" in (p := problems(watched)) and p, "noticed")
    assert "apart" in found["clock_off"]
    # Half of a long way there and back may be taken for an offset, until a shorter one is measured.
    offset = "tradingsys_clock_offset_seconds"
    eventually(lambda: 2.9 < scrape(watched).value(offset) < 3.1, "what it is off")
    page = scrape(watched)
    assert page.value("tradingsys_problem", kind="clock_off") == 1


def test_an_unknown_order_is_shown_with_its_age(watched: Gateway, exchange: Exchange) -> None:
    watched.start()
    client = watched.client(1)
    client.buy("10")
    exchange.control("POST", "/control/faults", [{"fault": "reply.drop"}, {"fault": "event.drop"}])
    client.order(type="LIMIT", tif="GTC", qty="100", price="0.05")
    exchange.end(signal.SIGKILL)
    eventually(lambda: scrape(watched).value("tradingsys_open_orders", state="UNKNOWN") == 1, "unknown")
    first = scrape(watched).value("tradingsys_unknown_order_age_seconds")
    later = eventually(
        lambda: (v := scrape(watched).value("tradingsys_unknown_order_age_seconds")) > first + 0.3 and v,
        "older",
    )
    assert later < 60


def test_a_disk_that_refuses_is_a_problem_and_counted(watched: Gateway) -> None:
    env = os.environ | {"TRADINGSYS_FAILPOINT": "before_append:12=io_error"}
    watched.start(env=env)
    client = watched.client(1)

    def bought() -> bool:
        try:
            return str(client.buy("10")["order"]["state"]) == "FILLED"
        except Refused as refused:
            assert refused.error["name"] == "store_failed", refused
            return False

    def failures() -> float:
        return scrape(watched).value("tradingsys_store_failures_total")

    # How many records one commit takes is a matter of the disk, and so when the twelfth one comes.
    while not failures():
        eventually(bought, "an order to be taken")
    eventually(bought, "an order to be taken after that")
    assert failures() == 1
    eventually(lambda: problems(watched) == {}, "it healed")


def test_a_loop_that_is_stuck_is_told_by_those_who_are_not(watched: Gateway) -> None:
    """The pages' thread goes on when the loop does not."""
    for _ in range(10):
        if seen_while_stuck(watched):
            return
        # This process stood still itself, until the six seconds were over.
        watched.running.kill()
    pytest.fail("it was never looked at in time")


def seen_while_stuck(watched: Gateway) -> bool:
    """Is the problem told, and the page without an answer of the loop? `False`: it was over before."""
    watched.start(env=os.environ | {"TRADINGSYS_FAILPOINT": "after_accept:2=stall"})
    client = watched.client(1)
    client.buy("10")
    eventually(lambda: problems(watched) == {}, "ready")
    asked = time.monotonic()
    client.socket.send(json.dumps(order_call(client)))
    found: dict[str, str] = {}
    while not found and time.monotonic() - asked < 6:
        found = problems(watched)
    status, text, _ = get(watched, "/metrics")
    page = Page(text)
    if page.value("tradingsys_loop_answers") == 1:
        assert time.monotonic() - asked > 5, "not noticed"
        return False
    assert list(found) == ["loop_stuck"]
    assert status == 200
    assert "tradingsys_ready" not in page.families
    eventually(lambda: problems(watched) == {}, "it goes on")
    return True


def order_call(client: Client) -> dict[str, Any]:
    """The frame of an order."""
    params = {"n": client.number, "symbol": "dogeusdt", "side": "BUY", "type": "MARKET", "qty": "10"}
    return {"id": 999, "method": "order", "params": params}


def said(gateway: Gateway, request: bytes, patience: float = PATIENCE) -> bytes:
    """Everything that is answered to these bytes until the other side closes."""
    at = urlsplit(gateway.running.listening["metrics"])
    with socket.create_connection(("127.0.0.1", at.port or 0), timeout=patience) as raw:
        answer = b""
        with suppress(ConnectionError):
            raw.sendall(request)
            while part := raw.recv(65536):
                answer += part
        return answer


def test_r65_hostile_requests_get_nothing(watched: Gateway) -> None:
    watched.start()
    port = urlsplit(watched.running.listening["metrics"]).port
    own = f"Host: localhost:{port}\r\n"
    many = "".join(f"X-{n}: y\r\n" for n in range(200))
    for request, status in [
        (f"GET /metrics HTTP/1.1\r\n{own}\r\n", 200),
        (f"GET /metrics HTTP/1.1\r\nHost: LOCALHOST:{port}\r\n\r\n", 200),
        (f"GET /metrics HTTP/1.1\r\nHost: evil.example:{port}\r\n\r\n", 403),
        ("GET /metrics HTTP/1.1\r\nHost: localhost\r\n\r\n", 403),
        ("GET /metrics HTTP/1.1\r\n\r\n", 403),
        ("GET /metrics HTTP/1.0\r\n\r\n", 403),
        (f"GET /metrics HTTP/1.1\r\n{own}Host: evil.example\r\n\r\n", 403),
        (f"GET http://evil.example/metrics HTTP/1.1\r\n{own}\r\n", 403),
        (f"GET http://localhost:{port}/metrics HTTP/1.1\r\n{own}\r\n", 403),
        (f"GET /metrics HTTP/1.1\r\n{own}Origin: https://evil.example\r\n\r\n", 403),
        (f"GET /metrics HTTP/1.1\r\n{own}Origin: null\r\n\r\n", 403),
        (f"POST /metrics HTTP/1.1\r\n{own}Content-Length: 0\r\n\r\n", 405),
        (f"HEAD /metrics HTTP/1.1\r\n{own}\r\n", 405),
        (f"OPTIONS /metrics HTTP/1.1\r\n{own}\r\n", 405),
        (f"DELETE /healthz HTTP/1.1\r\n{own}\r\n", 405),
        (f"GET /healthz HTTP/1.1\r\n{own}Content-Length: 5\r\n\r\nhello", 400),
        (f"GET / HTTP/1.1\r\n{own}\r\n", 404),
        (f"GET /metrics/../healthz HTTP/1.1\r\n{own}\r\n", 404),
        (f"GET /%2e%2e/%2e%2e/etc/passwd HTTP/1.1\r\n{own}\r\n", 404),
        (f"GET /metrics HTTP/1.1\r\n{own}X: {'y' * 20_000}\r\n\r\n", 431),
        (f"GET /metrics HTTP/1.1\r\n{own}{many}\r\n", 431),
        (f"GET /{'x' * 20_000} HTTP/1.1\r\n{own}\r\n", 414),
        ("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", 0),
        ("\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03", 0),
        (
            f"GET /metrics HTTP/1.1\r\n{own}Transfer-Encoding: chunked\r\nContent-Length: 3\r\n\r\n0\r\n\r\n",
            0,
        ),
        ("\0" * 100, 0),
    ]:
        answer = said(watched, request.encode())
        found = int(answer.split(b" ")[1]) if answer.startswith(b"HTTP/1.") else 0
        # Where it is no request at all, nothing or any refusal will do.
        too_large = status in (414, 431) and found in (0, 400, 414, 431)
        fits = found == status or (status == 0 and found >= 400) or too_large
        assert fits, (request[:80], answer[:200])
        assert (found == 200) == (b"tradingsys_ready" in answer)
        assert b"access-control-allow" not in answer.lower()
    # One request a connection: what is sent behind it is not looked at.
    twice = f"GET /healthz HTTP/1.1\r\n{own}\r\n" * 2
    assert said(watched, twice.encode()).count(b"HTTP/1.1") == 1


def test_r67_who_sends_slowly_or_not_at_all_is_closed_and_bounded(watched: Gateway) -> None:
    watched.start()
    at = urlsplit(watched.running.listening["metrics"])
    began = time.monotonic()
    with ExitStack() as stack:
        idle = [
            stack.enter_context(socket.create_connection(("127.0.0.1", at.port or 0), timeout=PATIENCE))
            for _ in range(60)
        ]
        for raw in idle:
            with suppress(ConnectionError):
                raw.sendall(b"GET /metrics HTTP/1.1\r\nHo")
        # Beyond sixteen they are closed unheard, and the sixteen after seconds.
        kept = 0
        for raw in idle:
            with suppress(ConnectionError):
                assert raw.recv(1000) == b""
            kept += time.monotonic() - began > 3
        assert kept >= 1
    eventually(lambda: problems(watched) == {}, "ready")
    client = watched.client(1)
    assert client.buy("10")["order"]["state"] == "FILLED"


def test_without_the_key_nobody_listens_and_the_loopback_is_all_there_is(gateway: Gateway) -> None:
    gateway.start()
    assert list(gateway.running.listening) == ["listening"]
    gateway.running.end()
    for wrong, words in [
        ("http://0.0.0.0:9464", "is not a loopback address"),
        ("http://example.com:9464", "is not a loopback address"),
        ("localhost:9464", "no address like"),
        ("https://localhost:9464", "no address like"),
        ("http://localhost", "no address like"),
        ("http://localhost:99999", "no address like"),
    ]:
        gateway.config["metrics"] = wrong
        gateway.write_config()
        done = gateway.run("-c=spot.json")
        assert done.returncode == 78 and words in done.stderr, done.stderr
    with socket.create_server(("127.0.0.1", 0)) as taken:
        gateway.config["metrics"] = f"http://localhost:{taken.getsockname()[1]}"
        gateway.write_config()
        done = gateway.run("-c=spot.json")
    assert done.returncode == 69 and '"metrics"' in done.stderr, done.stderr


def test_lines_that_a_full_disk_does_not_take_stop_nothing_and_are_counted(watched: Gateway) -> None:
    """The file of the log is one that is always full."""
    # Of today, and of tomorrow: a day may end meanwhile.
    days = [time.strftime("%Y%m%d", time.gmtime(time.time() + later)) for later in (0, 86_400)]
    files = [watched.folder / "log" / f"spot_{day}.log" for day in days]
    files[0].parent.mkdir()
    for file in files:
        file.symlink_to("/dev/full")
    watched.start()
    client = watched.client(1)
    for _ in range(5):
        assert client.buy("10")["order"]["state"] == "FILLED"

    def all_counted() -> bool:
        # Every line is on standard error; the file has none of them.
        lines = watched.running.log().count("\n")
        return scrape(watched).value("tradingsys_log_lines_lost_total") == lines > 5

    eventually(all_counted, "each line is counted")
    assert scrape(watched).value("tradingsys_log_failures_total") > 0
    for file in files:
        file.unlink()

    def begun() -> list[Path]:
        # It looks after its file once a second, when it has something to write.
        watched.client(2).close()
        return [file for file in files if file.exists() and "lines_lost count=" in file.read_text()]

    (anew,) = eventually(begun, "the file is begun anew")
    assert anew.stat().st_mode & 0o777 == 0o600


def test_a_reader_of_standard_error_that_stops_stops_nothing(watched: Gateway) -> None:
    read, write = os.pipe()
    os.set_blocking(read, False)
    process: Process | None = None
    try:
        command: list[str | Path] = [
            Path(os.environ["TRADINGSYS_BIN_DIR"]).resolve() / "spot",
            "-c=spot.json",
            "-l=debug",
        ]
        process = Process(command, watched.folder, stderr=write)
        watched.process = process
        process.await_listening()
        client = watched.client(1)
        log = watched.folder / "log"
        while sum(file.stat().st_size for file in log.glob("spot_*.log")) < 400_000:
            # The name of a session is logged when it is taken. It has 256 bytes at most.
            watched.client(2, name="x" * 256, take_over=True).close()
        assert client.buy("10")["order"]["state"] == "FILLED"
        assert process.end() == 143
    finally:
        os.close(read)
        os.close(write)
