"""What README.md tells a new user to type, typed."""

from __future__ import annotations

import re
import shutil
import stat
import subprocess
from pathlib import Path

from support.processes import program
from support.system import ROOT


def commands(word: str) -> str:
    """The block of README.md that has the word in it."""
    blocks = re.findall(r"```sh\n(.*?)```", (ROOT / "README.md").read_text(), re.DOTALL)
    (block,) = (block for block in blocks if word in block)
    return str(block)


def test_the_first_key_is_made_as_the_readme_says(tmp_path: Path) -> None:
    for name in ("spot.json", "private_key.pem"):
        shutil.copy(ROOT / name, tmp_path)
    (tmp_path / "target").mkdir()
    (tmp_path / "target" / "release").symlink_to(program("spot").parent)
    done = subprocess.run(["sh", "-ec", commands("keygen")], cwd=tmp_path, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("-----BEGIN PUBLIC KEY-----")
    key = tmp_path / "live" / "private_key.pem"
    assert stat.S_IMODE(key.stat().st_mode) == 0o600 and "PLACEHOLDER" not in key.read_text()
    # As far as it gets without a registered key: configuration and key are found where the README puts them.
    check = commands("spot check").splitlines()[0]
    config = tmp_path / "live" / "spot.json"
    endpoints = '"endpoints": {"ws_api": "ws://127.0.0.1:1", "streams": "ws://127.0.0.1:1"}'
    config.write_text(config.read_text().rstrip().removesuffix("}") + endpoints + "}")
    done = subprocess.run(["sh", "-ec", check], cwd=tmp_path / "live", capture_output=True, text=True)
    assert "ok   configuration" in done.stdout and "ok   key" in done.stdout, done.stdout + done.stderr
    assert done.returncode == 69, done.stdout


def test_the_margin_configuration_of_the_page_is_taken(tmp_path: Path) -> None:
    """As it stands, and with the addresses the page gives for an exchange of one's own."""
    page = (ROOT / "docs" / "configuration.md").read_text()
    (text,) = re.findall(r"```json margin.json\n(.*?)```", page, re.DOTALL)
    (endpoints,) = re.findall(r'"endpoints": \{[^}]*"margin_stream"[^}]*\}', page)
    subprocess.run(
        [program("spot"), "keygen", f"--out={tmp_path / 'private_key.pem'}"], check=True, capture_output=True
    )
    own = text.rstrip().removesuffix("}") + endpoints.replace("9080", "1") + "}"
    (tmp_path / "margin.json").write_text(own)
    done = subprocess.run(
        [program("spot"), "check", "-c=margin.json"], cwd=tmp_path, capture_output=True, text=True
    )
    assert "ok   configuration" in done.stdout and done.returncode == 69, done.stdout + done.stderr
    assert "margin_stream" not in done.stdout + done.stderr, "nothing is missing"
