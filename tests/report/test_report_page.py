"""The page of a report: it stands alone, hostile names in it are inert, and it draws what there is."""

from __future__ import annotations

import base64
import hashlib
import importlib
import json
import re
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from report_samples import HOSTILE, sample

from pipeline.estimate.model import Item
from pipeline.figures import Figure, Modelled, Source
from pipeline.genotype import Genotype
from pipeline.graph.inputs import quantize_images
from pipeline.graph.model import DType, Quantization, Tensor
from pipeline.report.evaluated import Evaluated, History
from pipeline.report.html import page
from pipeline.report.html.architecture import Stage, of_genotype, slab
from pipeline.report.html.charts import embedded
from pipeline.report.html.figures import comparison
from pipeline.report.html.images import misclassified, pixels
from pipeline.report.html.material import Classified, Material
from pipeline.report.html.page import HtmlReporter
from pipeline.report.html.script import inert, script
from pipeline.report.model import Finalist, Report, SearchSummary
from pipeline.validate import at_most, covers, within

BENCHMARKS = Path(__file__).resolve().parents[2] / "benchmarks"
WINNER = "64-mono-d13100-a03"


def _figure(value: float, unit: str, source: Source = Source.ANALYTIC) -> Figure:
    return Figure(value=value, unit=unit, source=source)


def _finalist(genotype: str) -> Finalist:
    percent = _figure(90.5, "%", Source.HOST)
    return Finalist(
        genotype=genotype,
        inherited_accuracy=percent,
        float_accuracy=percent,
        int8_accuracy=percent,
        ram=_figure(1000, "B"),
        flash=_figure(2000, "B"),
        macs=_figure(3000, "MAC"),
    )


def _evaluated(proposal: int, genotype: str, *, feasible: bool = True, seconds: float | None = 1.5) -> Evaluated:
    return Evaluated(
        proposal=proposal,
        genotype=genotype,
        accuracy=0.8 + proposal / 100,
        fitness=1.0,
        feasible=feasible,
        ram_bytes=9000 + 100 * proposal,
        flash_bytes=90_000,
        macs=10**6,
        latency=Modelled(value=5, low=4, high=6, unit="ms", text="modelled: of nothing"),
        seconds=seconds,
    )


def _searched(name: str = "", *, passed: bool = True) -> tuple[Report, Material]:
    """A report of a search and its material; ``name`` is wherever a text comes from outside."""
    search = SearchSummary(
        data={"title": name or "shapes"},
        preset="quick",
        limits={"RAM": 9350, "flash": None, "latency in ms": 5.5},
        evaluations=4,
        finalists=(_finalist(WINNER), _finalist(name or "32-mono-d10000-a01")),
        genotype=WINNER,
        warnings=(name,) if name else (),
    )
    report = sample(note=name, passed=passed).model_copy(
        update={"search": search, "accuracy": {name or "on the device": _figure(75.0, "%", Source.EMULATED)}}
    )
    space = {
        "space": name or "paper",
        "size": 100,
        "drawn": None,
        "all": {"count": 4, "fits": 1},
        "data": [{"data": "32-mono", "count": 4, "fits": 1, "share": 0.25, "over": {"RAM": 3}}],
        "widths": [{"resolution": 32, "alpha": 0.1, "count": 4, "fits": 1, "share": 0.25, "over": {"RAM": 3}}],
    }
    material = Material(
        board=name or "A board",
        stages=of_genotype(Genotype.parse(WINNER), 2),
        flash_estimate=(Item(name="model", bytes=90, parts=(Item(name=name or "weights", bytes=90),)),),
        flash_linked=(Item(name="model", bytes=91),),
        evaluated=(
            *(_evaluated(number, name or f"32-mono-d1000{number}-a01") for number in range(3)),
            _evaluated(3, WINNER),
            _evaluated(4, "32-mono-d11000-a01", feasible=False),
        ),
        space=space,
        classified=Classified(
            classes=(name or "disc", "ring"),
            labels=(0, 0, 1, 1),
            found=(0, 1, 1, 1),
            source=Source.EMULATED,
            origin="test split",
            images=np.full((4, 8, 8, 1), 7, np.uint8),
        ),
    )
    return report, material


class _Elements(HTMLParser):
    """Elements with their attributes, the texts of scripts, and the text that is shown."""

    def __init__(self, document: str) -> None:
        super().__init__()
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.scripts: list[tuple[dict[str, str | None], str]] = []
        self.text = ""
        self.feed(document)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))

    def handle_data(self, data: str) -> None:
        tag, attributes = self.elements[-1] if self.elements else ("", {})
        if tag == "script" and self.get_starttag_text() is not None and self.cdata_elem == "script":
            self.scripts.append((attributes, data))
        else:
            self.text += data

    @property
    def specs(self) -> dict[str, Any]:
        """The charts' documents by their elements' ids."""
        return {str(of["id"]): json.loads(text) for of, text in self.scripts if of.get("type") == "application/json"}


@pytest.fixture
def short(monkeypatch: pytest.MonkeyPatch) -> str:
    """A script of one line in place of the library: bundling it takes seconds."""
    text = "draw()"
    monkeypatch.setattr(page, "script", lambda: text)
    return text


@pytest.mark.parametrize("name", ["", HOSTILE, "</script><img src=x onerror=alert(1)>", "{{ 7 * 7 }}\u2028'\"&amp;"])
def test_the_page_stands_alone_and_nothing_from_outside_becomes_markup(short: str, name: str) -> None:
    document = HtmlReporter(_searched(name)[1]).render(_searched(name)[0])
    parsed = _Elements(document)
    tame = _Elements(HtmlReporter(_searched()[1]).render(_searched()[0]))
    kinds = {tag for tag, _ in tame.elements}
    assert {tag for tag, _ in parsed.elements} == kinds, "a name has made an element"
    assert not [found for _, found in parsed.elements for key in found if key.startswith("on")]
    targets = [str(found[key]) for _, found in parsed.elements for key in ("src", "href", "action") if key in found]
    assert all(target.startswith("data:image/png;base64,") for target in targets)
    assert parsed.specs.keys() == tame.specs.keys()
    for character in ("\x1b", "\u202e", "\x00", "\u2028"):
        assert character not in document
    (own,) = (text for of, text in parsed.scripts if not of)
    assert own == short
    (policy,) = (
        of["content"] for tag, of in parsed.elements if tag == "meta" and "Policy" in str(of.get("http-equiv"))
    )
    digest = base64.b64encode(hashlib.sha256(own.encode()).digest()).decode()
    assert f"script-src 'sha256-{digest}';" in str(policy)
    assert str(policy).startswith("default-src 'none';")


def test_what_a_search_has_left_is_drawn_by_its_sources(short: str) -> None:
    import altair

    report, material = _searched()
    parsed = _Elements(HtmlReporter(material).render(report))
    specs = parsed.specs
    assert set(specs) == {
        *("spec-comparison", "spec-front-ram", "spec-front-flash", "spec-front-latency", "spec-progress-evaluations"),
        *("spec-progress-time", "spec-space-data", "spec-space-other", "spec-flash", "spec-confusion"),
    }
    for spec in specs.values():
        altair.vegalite.v6.schema.core.Root.from_dict(spec, validate=True)
    layers = {key: specs["spec-front-ram"]["layer"][number] for number, key in enumerate(("region", "front", "points"))}
    rows = layers["points"]["data"]["values"]
    assert [row["kind"] for row in rows] == ["finalist", "evaluated", "evaluated", "winner", "beyond a limit"]
    assert layers["region"]["data"]["values"][0]["x2"] == 9350
    assert [step["x"] for step in layers["front"]["data"]["values"]] == [9000, 9100, 9200, 9300, 9350]
    assert "(modelled)" in json.dumps(specs["spec-front-latency"])
    for word in ("analytic", "emulated", "host"):
        assert word in parsed.text
    assert "Input 1: disc, taken for ring" in str([found.get("alt") for tag, found in parsed.elements if tag == "img"])


def test_a_run_without_a_search_and_without_anything_else_has_its_page(short: str) -> None:
    for reporter in (HtmlReporter(), HtmlReporter(Material(board="A board"))):
        document = reporter.render(sample(passed=False))
        parsed = _Elements(document)
        assert set(parsed.specs) == {"spec-comparison"}
        assert "FAIL" in parsed.text
        assert "expected 90000 B" in parsed.text
        assert not re.search("Winner|search|Architecture", parsed.text)


def test_images_are_in_a_page_only_where_they_are_given(short: str) -> None:
    report, material = _searched()
    classified = material.classified
    assert classified is not None
    bare = Classified(
        classes=classified.classes,
        labels=classified.labels,
        found=classified.found,
        source=classified.source,
        origin=classified.origin,
    )
    document = HtmlReporter(Material(board="A board", classified=bare)).render(report)
    assert "data:image" not in document.replace("img-src data:", "")
    assert "--with-images" in document
    assert [picture.number for picture in misclassified(classified)] == [1]
    assert list(misclassified(bare)) == []


def test_pixels_are_those_that_were_quantized() -> None:
    images = np.arange(256, dtype=np.uint8).reshape(1, 16, 16, 1)
    quantization = Quantization((1 / 255,), (-128,))
    tensor = Tensor(0, "", (1, 16, 16, 1), DType.INT8, quantization, constant=False)
    found = pixels(quantize_images(images, tensor), tensor)
    assert found is not None
    assert (found == images).all()
    assert pixels(np.zeros((3, 10), np.int8), tensor) is None


@given(st.recursive(st.text() | st.integers(), lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner)))
def test_embedded_json_is_the_same_and_ends_no_script(document: object) -> None:
    text = embedded(document)
    assert json.loads(text) == document
    assert not set("<>&\u2028\u2029") & set(text)


def test_a_script_cannot_end_its_element() -> None:
    text = inert("a('</script>'); b('</SCRIPT >'); c('<!--')")
    assert "</script" not in text.lower()
    assert "<!--" not in text


@given(st.integers(0, 10**6), st.integers(0, 10**6), st.integers(0, 300), st.sampled_from([0.0, 0.02, 0.5]))
def test_what_is_allowed_is_what_passes(estimate: int, found: int, room: int, tolerance: float) -> None:
    figures = (estimate, Source.ANALYTIC), (found, Source.EMULATED)
    options: dict[str, Any] = {"tolerance": tolerance, "tolerance_bytes": room}
    for check in (
        covers("a", "A", *figures, **options),
        within("a", "A", *figures, **options),
        at_most("a", "A", *figures),
    ):
        assert check.allowed is not None
        low, high = check.allowed
        assert check.passed == ((low is None or low <= estimate) and (high is None or estimate <= high))


def test_a_band_is_drawn_where_a_check_says_what_is_allowed() -> None:
    verdict = sample().verdict
    chart = comparison(verdict)
    assert chart is not None
    assert chart.spec is not None
    bands = [layer for layer in chart.spec["vconcat"][0]["layer"] if layer["mark"]["type"] == "rect"]
    assert [band["data"]["values"] for band in bands] == [[{"what": "estimate", "low": 100_000, "high": 102_000}]]
    old = verdict.model_copy(update={"checks": tuple(c.model_copy(update={"allowed": None}) for c in verdict.checks)})
    chart = comparison(old)
    assert chart is not None
    assert chart.spec is not None
    assert not [layer for layer in chart.spec["vconcat"][0]["layer"] if layer["mark"]["type"] == "rect"]
    assert comparison(verdict.model_copy(update={"checks": ()})) is None


def test_a_genotype_is_drawn_stage_by_stage() -> None:
    stages = of_genotype(Genotype.parse(WINNER), 3)
    assert [stage.size for stage in stages[:4]] == ["64×64×1", "32×32×32", "32×32×16", "16×16×24"]
    assert stages[-1].shape == (3,)
    assert [stage.name for stage in stages if stage.name.startswith("stage")] == [f"stage {n}" for n in range(1, 6)]
    sides = [slab(stage, stages) for stage in stages]
    assert sides[0][1] == max(tall for _, tall in sides)
    assert all(wide > 0 and tall > 0 for wide, tall in sides)
    assert slab(Stage("one", (4,)), (Stage("one", (4,)),)) == (60, 4)


def test_a_history_is_in_the_order_of_proposals_and_an_older_run_has_a_shorter_one() -> None:
    one, two = _evaluated(1, WINNER), _evaluated(0, WINNER)
    kept = History(evaluations=(two, one))
    assert History.model_validate_json(kept.model_dump_json()) == kept
    with pytest.raises(KeyError):
        History.of_candidates({})


@pytest.mark.slow
def test_chromium_draws_it_in_both_themes_and_asks_for_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(BENCHMARKS)
    chromium = importlib.import_module("chromium")
    if chromium.found() is None:
        pytest.skip(f"needs {' or '.join(chromium.NAMES)}")
    report, material = _searched("</script><img src=http://x.invalid/ onerror=alert(1)>")
    path = tmp_path / "report.html"
    path.write_text(HtmlReporter(material).render(report), encoding="utf-8")
    assert path.stat().st_size < 3_000_000
    assert len(script()) > 500_000
    with chromium.Chromium() as browser:
        for theme, other in (("light", "dark"), ("dark", "light")):
            browser.open(path, theme=theme)
            assert browser.complaints == []
            assert browser.requests == [path.as_uri()]
            charts = "[...document.querySelectorAll('[data-chart]')]"
            assert browser.ask(f"{charts}.every(place => place.querySelector('svg path'))")
            assert browser.ask("document.querySelectorAll('.pictures img').length") == 1
            colour = "getComputedStyle(document.body).backgroundColor"
            before = browser.ask(colour)
            browser.ask("document.getElementById('theme').click()")
            assert browser.ask("document.documentElement.dataset.theme") == other
            assert browser.ask(colour) != before
