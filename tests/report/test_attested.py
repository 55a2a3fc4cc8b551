"""How far boards have been tried: what an attestation needs, what it notes, and what is said of boards without one."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

import pytest
from report_samples import HOSTILE, sample

from pipeline import boards, cli
from pipeline.errors import DanasError, UsageError
from pipeline.figures import Source
from pipeline.report import attested
from pipeline.report.model import Report
from pipeline.validate import Verdict, equal


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A user without attestations."""
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    return tmp_path


def report(**changes: Any) -> Report:
    """A passing one of a physical board."""
    made = sample(target="device")
    mine = [
        equal(name, name, ("x", Source.HOST), ("x", Source.MEASURED)) for name in ("board", "build", "model", "outputs")
    ]
    values = {"serial_number": "066EFF111", "verdict": Verdict(checks=tuple(mine)), **changes}
    return made.model_copy(update=values)


def written(folder: Path, made: Report, name: str = "report.json") -> Path:
    path = folder / name
    path.write_text(made.model_dump_json())
    return path


def refused(path: Path) -> DanasError:
    with pytest.raises(UsageError) as caught:
        attested.attest(path)
    assert caught.value.next and str(caught.value).isprintable()
    assert not attested.users_file().exists()
    return caught.value


def test_a_passing_report_of_a_board_is_noted(home: Path) -> None:
    path = written(home, report())
    made, into = attested.attest(path)
    assert into == attested.users_file() and str(into).startswith(str(home))
    assert (made.board, made.date.isoformat(), made.serial_number) == ("nucleo_f746zg", "2026-01-01", "066EFF111")
    assert (made.build_id, made.model) == ("0123456789abcdef", "ab" * 32)
    assert made.versions == {"danas-deploy": "0.1.0"}
    assert made.report == hashlib.sha256(path.read_bytes()).hexdigest()
    assert attested.known() == (made,)
    assert attested.attest(path)[0] == made and attested.known() == (made,)  # once
    later = written(home, report(created="2026-03-01T23:30:00-05:00", serial_number="066EFF222"), "later.json")
    assert attested.attest(later)[0].date.isoformat() == "2026-03-02"
    assert len(attested.known()) == 2
    assert attested.status(boards.load("nucleo_f746zg"), attested.known()) == "measured on 2026-03-02"
    assert attested.status(boards.load("nucleo_l4r5zi"), attested.known()) == "emulated (never on silicon)"


def test_a_checkouts_file_counts_as_well(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    into = home / "boards" / attested.FILE_NAME
    attested.attest(written(home, report()), into=into)
    assert not attested.users_file().exists()
    monkeypatch.setattr("pipeline.resources.boards", lambda: into.parent)
    assert [one.board for one in attested.known()] == ["nucleo_f746zg"]
    assert boards.names() == ()  # it is no board file


@pytest.mark.parametrize(
    ("changes", "error_id"),
    [
        ({"target": "emulated"}, "report-of-emulated"),
        ({"passed": False}, "report-not-passed"),
        ({"serial_number": None}, "report-without-device"),
        ({"board": "toaster"}, "unknown-board"),
        ({"created": "yesterday"}, "bad-report"),
        ({"build_id": "none"}, "bad-report"),
        ({"verdict": Verdict(checks=(equal("board", "b", ("x", Source.HOST), ("x", Source.MEASURED)),))}, "bad-report"),
    ],
)
def test_what_shows_nothing_is_refused(changes: dict[str, Any], error_id: str, home: Path) -> None:
    assert refused(written(home, report(**changes))).id == error_id


def test_a_verdict_decides_not_what_the_report_says_of_itself(home: Path) -> None:
    failing = Verdict(checks=(*report().verdict.checks, equal("ram", "RAM", (1, Source.HOST), (2, Source.MEASURED))))
    error = refused(written(home, report(verdict=failing, passed=True)))
    assert error.id == "report-not-passed" and "RAM" in error.why
    emulated = Verdict(
        checks=tuple(one.model_copy(update={"measured_source": Source.EMULATED}) for one in failing.checks)
    )
    assert refused(written(home, report(verdict=emulated))).id == "report-of-emulated"


@pytest.mark.parametrize("content", [b"", b"{}", b"\xff\xfe", b"[1, 2]", b'{"schema_version": 2}'])
def test_what_is_no_report_is_refused(content: bytes, home: Path) -> None:
    path = home / f"re\x1bport{len(content)}.json"
    path.write_bytes(content)
    assert refused(path).id == "bad-report"
    assert refused(home).id == "bad-report"
    assert refused(home / "none.json").id == "bad-report"


def test_hostile_text_is_noted_as_plain_text(home: Path) -> None:
    made, into = attested.attest(
        written(home, report(serial_number=HOSTILE, versions={HOSTILE: HOSTILE, "ü": "1" * 500}))
    )
    assert made.serial_number.isprintable() and made.serial_number.isascii()
    assert all(text.isprintable() and len(text) <= 120 for pair in made.versions.items() for text in pair)
    assert attested.read(into).attestations == (made,)


@pytest.mark.parametrize(
    "text", ["", "[]", '{"schema_version": 2}', '{"attestations": [{"board": "\\u001b"}]}', '{"attestations": 1}']
)
def test_a_damaged_file_is_named(text: str, home: Path) -> None:
    attested.users_file().parent.mkdir(parents=True)
    attested.users_file().write_text(text)
    with pytest.raises(UsageError) as caught:
        attested.attest(written(home, report()))
    assert caught.value.id == "attestation-file"
    assert str(attested.users_file()) in caught.value.what and str(caught.value).isprintable()
    assert attested.users_file().read_text() == text


def test_each_board_has_one_status() -> None:
    found = {name: attested.status(boards.load(name)) for name in boards.names()}
    assert found["nano33ble"] == found["giga_r1_m7"] == "stub-compiled (never built for the target)"
    assert found["mps2_an500"] == found["nucleo_f746zg"] == "emulated (never on silicon)"
    bare = boards.load("nucleo_f746zg").model_copy(update={"emulator": None})
    assert attested.status(bare) == "built only"
    registry = bare.model_copy(update={"build": boards.Build(registry="nucleo_f746zg")})
    assert attested.status(registry) == "never built"


def test_the_commands_tell_it(home: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    def run(*arguments: str) -> str:
        monkeypatch.setattr("sys.argv", ["danas-deploy", *arguments])
        assert cli.app(list(arguments), standalone_mode=False) in (None, 0)
        return capsys.readouterr().out

    told = json.loads(run("boards", "attest", str(written(home, report())), "--json"))
    assert told["attestation"]["board"] == "nucleo_f746zg"
    rows = {row["name"]: row["status"] for row in json.loads(run("boards", "list", "--json"))}
    assert rows["nucleo_f746zg"] == "measured on 2026-01-01"
    assert rows["nano33ble"].startswith("stub-compiled")
    line = next(line for line in run("boards", "list").splitlines() if line.startswith("nucleo_f746zg"))
    assert line.endswith("; measured on 2026-01-01")
    shown = json.loads(run("boards", "show", "nucleo_f746zg", "--json"))
    assert shown["status"] == rows["nucleo_f746zg"] and len(shown["attestations"]) == 1
    assert "066EFF111" in run("boards", "show", "nucleo_f746zg")
    assert "066EFF111" in run("boards", "attest", str(home / "report.json"))
