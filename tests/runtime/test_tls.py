"""TLS towards the exchange: a certificate that is trusted, and one that is not."""

from __future__ import annotations

import asyncio
import contextlib
import ssl
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NoReturn

import pytest
from support.certificates import make_certificate
from support.processes import PATIENCE, Exchange, Gateway


@pytest.fixture
def certificate(tmp_path: Path, machine_lacks: Callable[[str], NoReturn]) -> Path:
    """A certificate of `localhost`, its key beside it."""
    return make_certificate(tmp_path, machine_lacks)


class TlsFront:
    """A port that speaks TLS and passes the bytes on, in a thread of its own."""

    def __init__(self, context: ssl.SSLContext, behind: tuple[str, int]) -> None:
        self.context = context
        self.behind = behind
        self.port = 0
        self.ready = threading.Event()
        self.thread = threading.Thread(target=lambda: asyncio.run(self.main()))
        self.thread.start()
        self.ready.wait(PATIENCE)

    async def main(self) -> None:
        """Serves until it is told to stop."""
        self.loop, self.stop = asyncio.get_running_loop(), asyncio.Event()
        async with await asyncio.start_server(self.serve, "localhost", 0, ssl=self.context) as server:
            self.port = server.sockets[0].getsockname()[1]
            self.ready.set()
            await self.stop.wait()

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """One connection."""
        try:
            inner, outer = await asyncio.open_connection(*self.behind)
            copies = [asyncio.create_task(copy(reader, outer)), asyncio.create_task(copy(inner, writer))]
            await asyncio.wait(copies, return_when=asyncio.FIRST_COMPLETED)
            for task in copies:
                task.cancel()
            outer.close()
        finally:
            writer.transport.abort()

    def end(self) -> None:
        """Stops it."""
        self.loop.call_soon_threadsafe(self.stop.set)
        self.thread.join()


async def copy(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Until one side is gone."""
    with contextlib.suppress(ConnectionError, ssl.SSLError):
        while data := await reader.read(65_536):
            writer.write(data)
            await writer.drain()


@pytest.fixture
def tls_port(certificate: Path, exchange: Exchange) -> Iterator[int]:
    """A port that leads to the exchange by TLS."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, certificate.with_suffix(".key"))
    host, port = exchange.listening["listening"].rsplit(":", 1)
    front = TlsFront(context, (host, int(port)))
    yield front.port
    exchange.kill()
    front.end()


def over_tls(gateway: Gateway, port: int, **keys: str) -> None:
    """Configures the gateway for that port."""
    base = f"wss://localhost:{port}"
    gateway.config |= keys | {"endpoints": {"ws_api": f"{base}/ws-api/v3", "streams": base}}
    gateway.write_config()


def test_with_its_certificate_named_an_exchange_is_reached_over_tls(
    gateway: Gateway, certificate: Path, tls_port: int
) -> None:
    over_tls(gateway, tls_port, ca_file=certificate.name)
    done = gateway.run("check", "-c=spot.json")
    assert done.returncode == 0, done.stdout
    gateway.start()
    assert gateway.client().buy("10")["order"]["state"] == "FILLED"
    gateway.running.kill()


def test_a_certificate_nobody_vouches_for_is_refused(gateway: Gateway, tls_port: int) -> None:
    over_tls(gateway, tls_port)
    done = gateway.run("check", "-c=spot.json")
    assert done.returncode == 69, done.stdout
    assert "tls: " in done.stdout and "certificate" in done.stdout
