"""The gate's checks on a made-up measurement: each is able to fail, and fails alone."""

import zlib
from dataclasses import replace

import pytest

from pipeline import boards
from pipeline.device.measure import (
    EmulatorFigures,
    InputMeasurement,
    Measurement,
    MemoryFigures,
)
from pipeline.device.replies import Identity
from pipeline.estimate.model import Estimate, Item, Limits, Predicted
from pipeline.figures import Figure, Source
from pipeline.validate import Evidence, Linked, judge

MODEL = "ab" * 32
OUTPUTS = (b"\x01\x02", b"\x03\x04")


def _figure(value: int, unit: str = "B") -> Figure:
    return Figure(value=value, unit=unit, source=Source.EMULATED)


def _memory(*, arena: int = 90_000, used: int = 90_000, static: int = 1_000, stack: int = 500) -> MemoryFigures:
    return MemoryFigures(
        arena=_figure(arena),
        arena_used=_figure(used),
        static=_figure(static),
        stack_reserve=_figure(2_048),
        stack_used=_figure(stack),
    )


def _inputs(outputs: tuple[bytes, ...] = OUTPUTS, *, damage: int = 0) -> tuple[InputMeasurement, ...]:
    return tuple(
        InputMeasurement(
            input_crc32=1, output_crc32=zlib.crc32(output) ^ damage, output=output, cycles=_figure(9, "cycles")
        )
        for output in outputs
    )


def _measurement() -> Measurement:
    return Measurement(
        target="emulated",
        identity=Identity(
            protocol=2,
            board="nucleo_f746zg",
            build="0123456789abcdef",
            model=MODEL,
            runtime="aot",
            clock_hz=216_000_000,
            input_bytes=4,
            output_bytes=2,
        ),
        clock=_figure(216_000_000, "Hz"),
        memory_before=_memory(),
        memory_after=_memory(),
        inputs=_inputs(),
        operators=(),
        emulator=EmulatorFigures(
            path="native",
            path_reason="",
            instructions=_figure(9, "instructions"),
            lowest_store=_figure(0x2000_0100, "address"),
            stack_used=_figure(500),
        ),
    )


_LINKED = Linked(flash=50_200, arena=90_000, static=1_000, stack=580)


def _evidence() -> Evidence:
    return Evidence(
        board=boards.load("nucleo_f746zg"),
        limits=Limits(ram_bytes=100_000, flash_bytes=60_000),
        estimate=Estimate(
            ram=(Item(name="arena", bytes=90_000), Item(name="static", bytes=1_000), Item(name="stack", bytes=600)),
            flash=(Item(name="all", bytes=50_000),),
            stack_reserve=2_048,
            macs=1,
        ),
        measurement=_measurement(),
        build_id="0123456789abcdef",
        model_hash=MODEL,
        elf=_LINKED,
        host_outputs=OUTPUTS,
    )


def _failed(evidence: Evidence) -> list[str]:
    return [check.id for check in judge(evidence).failed]


def test_a_sound_measurement_passes() -> None:
    verdict = judge(_evidence())
    assert verdict.passed
    assert len({check.id for check in verdict.checks}) == len(verdict.checks) == 15


@pytest.mark.parametrize(
    ("change", "failed"),
    [
        ({"inputs": _inputs((b"\x01\x02", b"\x03\x05"))}, ["outputs"]),
        ({"inputs": _inputs(damage=1)}, ["transfer"]),
        ({"inputs": _inputs(OUTPUTS[:1])}, ["outputs"]),
        ({"inputs": ()}, ["outputs"]),
        ({"memory_after": _memory(arena=90_001)}, ["ram-arena"]),
        ({"memory_after": _memory(arena=89_999)}, ["ram-arena"]),
        ({"memory_after": _memory(used=88_000)}, ["ram-arena"]),
        ({"memory_after": _memory(static=996)}, ["ram-static"]),
        ({"memory_after": _memory(stack=483)}, ["stack-oracle"]),
        ({"memory_after": _memory(stack=501)}, ["stack-oracle"]),
        ({"memory_after": _memory(static=11_000)}, ["ram-static", "ram", "ram-limit"]),
        ({"memory_after": _memory(stack=601), "emulator": None}, ["stack-bound", "ram"]),
    ],
)
def test_what_the_device_says_can_fail_the_gate(change: dict[str, object], failed: list[str]) -> None:
    evidence = _evidence()
    assert _failed(replace(evidence, measurement=evidence.measurement.model_copy(update=change))) == failed


@pytest.mark.parametrize(
    ("change", "failed"),
    [
        ({"build_id": "f" * 16}, ["build"]),
        ({"model_hash": "cd" * 32}, ["model"]),
        ({"elf": replace(_LINKED, flash=50_257)}, ["flash"]),
        ({"elf": replace(_LINKED, flash=49_743)}, ["flash"]),
        ({"elf": replace(_LINKED, arena=90_016)}, ["ram-arena"]),
        ({"elf": replace(_LINKED, static=1_004)}, ["ram-static"]),
        ({"elf": replace(_LINKED, stack=601)}, ["stack-graph"]),
        ({"elf": replace(_LINKED, stack=None, stack_reason="f → f is a recursion")}, ["stack-graph"]),
        ({"limits": Limits(ram_bytes=91_499, flash_bytes=60_000)}, ["ram-limit"]),
        ({"limits": Limits(ram_bytes=100_000, flash_bytes=50_199)}, ["flash-limit"]),
        ({"host_outputs": (*OUTPUTS, b"\x05\x06")}, ["outputs"]),
    ],
)
def test_what_was_made_can_fail_the_gate(change: dict[str, object], failed: list[str]) -> None:
    assert _failed(replace(_evidence(), **change)) == failed  # type: ignore[arg-type]


def test_of_ram_in_several_pieces_each_block_lies_where_it_was_said_to() -> None:
    dtcm, axi, d2 = 0x2000_0000, 0x2400_0000, 0x3000_0000

    def elf(*bases: int, arena: int = 90_000) -> Linked:
        sizes = (("stack", 2_048), ("static", 1_000), ("arena", arena))
        blocks = tuple((name, base, size) for (name, size), base in zip(sizes, bases, strict=True))
        return replace(_LINKED, blocks=blocks)

    board = boards.load("nucleo_h743zi")
    measurement = _measurement()
    identity = replace(measurement.identity, board=board.name)
    evidence = replace(_evidence(), board=board, measurement=measurement.model_copy(update={"identity": identity}))
    sound = elf(dtcm, dtcm + 2_048, dtcm + 3_056)
    checks = {check.id: check for check in judge(replace(evidence, elf=sound)).checks}
    assert checks["ram-regions"].passed and checks["ram-regions"].measured == "stack dtcm, static dtcm, arena dtcm"
    elsewhere = elf(dtcm, dtcm + 2_048, axi)
    assert _failed(replace(evidence, elf=elsewhere)) == ["ram-regions"]
    assert _failed(replace(evidence, elf=elsewhere, ram_tolerance=0.02)) == []
    for wrong in (elf(dtcm, d2, axi), elf(dtcm, dtcm + 2_048, axi, arena=600_000), elf(d2, dtcm, axi)):
        assert "ram-regions" in _failed(replace(evidence, elf=wrong, ram_tolerance=0.02))
    assert "ram-regions" not in {check.id for check in judge(replace(_evidence(), elf=sound)).checks}


@pytest.mark.parametrize(("used", "linked", "sound"), [(344, 344, True), (343, 343, False), (100, 344, True)])
def test_a_bound_is_not_far_above_what_is_used_or_what_the_program_could_use(
    used: int, linked: int, sound: bool
) -> None:
    evidence = replace(_evidence(), elf=replace(_LINKED, stack=linked))
    change = {"memory_after": _memory(stack=used), "emulator": None}
    found = _failed(replace(evidence, measurement=evidence.measurement.model_copy(update=change)))
    assert found == ([] if sound else ["stack-bound", "ram"])


def test_estimates_with_a_tolerance_need_not_be_exact() -> None:
    coarse = replace(_evidence(), ram_tolerance=0.01, elf=replace(_LINKED, stack=None))
    assert judge(coarse).passed and "stack-graph" not in {check.id for check in judge(coarse).checks}
    for change, failed in (
        ({"arena": 89_200}, []),
        ({"arena": 88_900}, ["ram-arena", "ram"]),
        ({"static": 937}, []),
        ({"static": 935}, ["ram-static"]),
    ):
        memory = _memory(**change)
        measurement = coarse.measurement.model_copy(update={"memory_after": memory})
        assert _failed(replace(coarse, measurement=measurement)) == failed


def test_the_first_input_that_differs_is_named() -> None:
    evidence = _evidence()
    other = evidence.measurement.model_copy(update={"inputs": _inputs((OUTPUTS[0], b"zz"))})
    check = next(check for check in judge(replace(evidence, measurement=other)).checks if check.id == "outputs")
    assert "input 1 " in check.detail


def test_a_board_has_no_emulator_to_ask() -> None:
    evidence = _evidence()
    verdict = judge(replace(evidence, measurement=evidence.measurement.model_copy(update={"emulator": None})))
    assert "stack-oracle" not in {check.id for check in verdict.checks}
    assert verdict.passed


def _worked(count: int, unit: str = "instructions", target: str = "emulated") -> Evidence:
    """Both inferences took 9 of the unit that the target counts; ``count`` were predicted."""
    evidence = _evidence()
    work = Predicted.model_validate({"count": count, "unit": unit, "source": "x"})
    return replace(
        evidence,
        estimate=evidence.estimate.model_copy(update={"instructions": work}),
        measurement=evidence.measurement.model_copy(update={"target": target}),
    )


@pytest.mark.parametrize(
    ("evidence", "failed"),
    [
        (_worked(9), []),
        (_worked(10), ["instructions"]),
        (_worked(8), ["instructions"]),
        (_worked(9, "cycles", "device"), []),
        (_worked(20, "cycles", "device"), ["instructions"]),
    ],
)
def test_predicted_work_is_held_against_what_was_counted(evidence: Evidence, failed: list[str]) -> None:
    assert "instructions" in {check.id for check in judge(evidence).checks}
    assert _failed(evidence) == failed


@pytest.mark.parametrize(("unit", "target"), [("cycles", "emulated"), ("instructions", "device")])
def test_cycles_and_instructions_are_never_compared(unit: str, target: str) -> None:
    evidence = _worked(100, unit, target)
    assert "instructions" not in {check.id for check in judge(evidence).checks}
    assert _failed(evidence) == []


@pytest.mark.parametrize(
    ("limits", "target", "found"),
    [
        ({"instructions": 9}, "emulated", {"instructions-limit": True}),
        ({"instructions": 8}, "emulated", {"instructions-limit": False}),
        ({"instructions": 8}, "device", {}),
        # 9 cycles at 216 MHz are 41.7 ns.
        ({"latency_ms": 0.000042}, "device", {"latency-limit": True}),
        ({"latency_ms": 0.000041}, "device", {"latency-limit": False}),
        ({"latency_ms": 0.000041, "energy_mj": 0.0001}, "emulated", {}),
    ],
)
def test_limits_on_work_are_checked_where_the_board_can_tell(
    limits: dict[str, float], target: str, found: dict[str, bool]
) -> None:
    evidence = _worked(9, "instructions" if target == "emulated" else "cycles", target)
    evidence = replace(evidence, limits=Limits.model_validate({"ram_bytes": 100_000, "flash_bytes": 60_000, **limits}))
    checks = {check.id: check.passed for check in judge(evidence).checks if check.id.endswith("-limit")}
    assert {name: passed for name, passed in checks.items() if name not in ("ram-limit", "flash-limit")} == found
