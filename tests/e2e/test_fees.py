"""Fees that are taken in an asset which a session of its own holds."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from support import canary
from support.processes import Exchange, Gateway, eventually, keygen

PAYER = "canary-apikey-of-one-who-pays-in-bnb"


@pytest.fixture
def gateway(tmp_path: Path) -> Iterator[Gateway]:
    """At an account that pays its fees in BNB, and has none; not started."""
    public = keygen(tmp_path)
    account = {
        "name": "payer", "apikey": PAYER, "public_key_pem": public, "pays_in_bnb": True,
        "balances": {"USDT": "10000"},
    }  # fmt: skip
    (tmp_path / "accounts.json").write_text(json.dumps([account]))
    exchange = Exchange(tmp_path, public, "--accounts=accounts.json")
    gateway = Gateway(tmp_path, exchange.listening, apikey=PAYER)
    try:
        yield gateway
    finally:
        if gateway.process is not None:
            gateway.process.kill()
        exchange.kill()
    secrets = canary.of_key(tmp_path / "private_key.pem")
    assert canary.leaks(tmp_path, secrets | canary.tokens_in(tmp_path)) == []


def test_r23_fees_in_bnb_that_another_session_holds_are_told(gateway: Gateway) -> None:
    gateway.start()
    holder, other = gateway.client(1), gateway.client(2)
    holder.buy("1", "bnbusdt")
    bought = other.buy("1000")
    assert bought["fill"]["fee_asset"] == "BNB", bought
    told = holder.until(lambda frame: frame.get("event") == "notice")
    assert told["code"] == "overdrawn" and "sessions together hold" in told["message"], told
    (line, *_) = gateway.await_logged("sessions hold more of an asset than there is", asset="BNB")
    assert line.level == "WARN" and float(line.fields["sessions"]) > float(line.fields["account"])

    def rows() -> dict[str, float]:
        found = gateway.sql("SELECT owner, amount FROM _asset WHERE asset = 'BNB'")
        return {owner: float(amount) for owner, amount in found}

    eventually(lambda: rows().get("2", 0.0) < 0, "pos.db to show who paid")
    assert rows()["1"] == float(line.fields["sessions"]), rows()
