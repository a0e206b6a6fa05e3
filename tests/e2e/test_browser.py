"""The same page in a real browser, on a foreign origin and on an allowed one. It even knows the token."""

from __future__ import annotations

import json
import queue
import shutil
import subprocess
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, NoReturn

import pytest
from support.processes import PATIENCE, Gateway, trading

PAGE = Path(__file__).parent / "browser" / "page.html"
BROWSERS = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
# A browser has defences of its own by now; not every one does, and here the gateway's are tested.
UNGUARDED = (
    "LocalNetworkAccessChecks", "LocalNetworkAccessChecksWebSockets", "BlockInsecurePrivateNetworkRequests",
    "PrivateNetworkAccessSendPreflights", "PrivateNetworkAccessRespectPreflightResults",
)  # fmt: skip


class Site:
    """A web server on this machine: `localhost` and `127.0.0.1` are two origins of it."""

    def __init__(self) -> None:
        self.gateway: dict[str, str] = {}
        self.reports: queue.Queue[dict[str, Any]] = queue.Queue()
        site = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                body = json.dumps(site.gateway).encode() if self.path == "/gateway" else PAGE.read_bytes()
                kind = "application/json" if self.path == "/gateway" else "text/html; charset=utf-8"
                self.answer(body, kind)

            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                self.answer(b"", "text/plain")
                site.reports.put(json.loads(body))

            def answer(self, body: bytes, kind: str) -> None:
                self.send_response(200)
                self.send_header("Content-Type", kind)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *_: object) -> None:
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.port = self.server.server_address[1]
        self.thread = threading.Thread(target=self.server.serve_forever)
        self.thread.start()

    def end(self) -> None:
        """Stops it."""
        self.server.shutdown()
        self.thread.join()
        self.server.server_close()


@pytest.fixture
def site() -> Iterator[Site]:
    """The pages' server."""
    site = Site()
    yield site
    site.end()


@pytest.fixture
def gateway(tmp_path: Path, site: Site) -> Iterator[Gateway]:
    """A gateway that lets pages of `http://localhost` in, and no others."""
    with trading(tmp_path, allowed_origins=[f"http://localhost:{site.port}"]) as (_, gateway):
        gateway.start()
        site.gateway = {"url": gateway.url, "token": gateway.token}
        yield gateway


def browsed(folder: Path, site: Site, url: str, browser: str) -> dict[str, Any]:
    """What the page at that address has to report."""
    profile = folder / "profile"
    command = [
        browser, "--headless=new", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage",
        "--no-first-run", "--disable-background-networking", "--no-proxy-server",
        f"--disable-features={','.join(UNGUARDED)}", f"--user-data-dir={profile}", url,
    ]  # fmt: skip
    with (folder / "browser.err").open("wb") as err:
        process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=err, stderr=err)
    try:
        return site.reports.get(timeout=PATIENCE)
    except queue.Empty:
        pytest.fail((folder / "browser.err").read_text()[-2000:])
    finally:
        process.terminate()
        process.wait(PATIENCE)
        shutil.rmtree(profile, ignore_errors=True)


def test_r64_a_page_trades_from_an_allowed_origin_and_from_no_other(
    gateway: Gateway, site: Site, tmp_path: Path, machine_lacks: Callable[[str], NoReturn]
) -> None:
    browser = next(filter(None, map(shutil.which, BROWSERS)), None)
    if browser is None:
        machine_lacks("no browser: install Debian's chromium to see pages kept out")
    foreign = browsed(tmp_path, site, f"http://127.0.0.1:{site.port}/", browser)
    assert foreign == {
        "origin": f"http://127.0.0.1:{site.port}", "opened": False, "greeted": False, "seated": False,
        "subscribed": False, "end": "closed with 1006",
    }  # fmt: skip
    # By us, not by the browser.
    gateway.await_logged("handshake_refused", f"http://127.0.0.1:{site.port}")
    allowed = browsed(tmp_path, site, f"http://localhost:{site.port}/", browser)
    assert allowed["origin"] == f"http://localhost:{site.port}"
    assert allowed["opened"] and allowed["seated"] and allowed["subscribed"], allowed
