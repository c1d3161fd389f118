"""The page about a model: what is on it, and how a real browser shows and prints it."""

import re
from collections.abc import Iterator
from hashlib import sha256
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest
from onnx import helper

import onnxroot
from onnxroot._look import open_view
from onnxroot._report import MOST_CHARTS
from tests.chromium import Chromium
from tests.golden import golden
from tests.samples import each_golden, graph_model, raw_tensor
from tests.test_cli import done, run


class Page(HTMLParser):
    """Counts tags, checks that they close, and keeps what screen readers say."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict]] = []
        self.open: list[str] = []
        self.feed(text)
        assert not self.open

    def handle_starttag(self, tag: str, attrs: list) -> None:
        self.tags.append((tag, dict(attrs)))
        if tag not in {"meta", "rect", "path", "wbr"}:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list) -> None:
        self.tags.append((tag, dict(attrs)))

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def named(self, tag: str) -> list[dict]:
        return [attributes for name, attributes in self.tags if name == tag]


def page_of(model: Path | str, folder: Path) -> str:
    assert done("report", model, "-o", folder / "report.html", "--replace") == ""
    return (folder / "report.html").read_text(encoding="utf-8")


@pytest.mark.parametrize("name", each_golden())
def test_every_golden_model_has_a_sound_page(name: str, tmp_path: Path) -> None:
    text = page_of(golden(name), tmp_path)
    page = Page(text)
    assert not re.search(r"https?://|<script|<link|<img|@import|url\(", text)
    levels = [int(tag[1]) for tag, _ in page.tags if re.fullmatch(r"h\d", tag)]
    assert levels[0] == 1
    assert set(levels[1:]) == {2}
    assert len(page.named("caption")) == len(page.named("table")) >= 2
    assert all(svg["role"] == "img" and svg["aria-label"] for svg in page.named("svg"))
    assert all(cell.get("scope") in {"col", "row"} for cell in page.named("th"))
    identifiers = [attributes["id"] for _, attributes in page.tags if "id" in attributes]
    assert {f"#{name}" for name in identifiers} == {a["href"] for a in page.named("a")}


def test_what_is_on_the_page(tmp_path: Path) -> None:
    onnxroot.write(golden("mlp_jet_tagger"), tmp_path / "m.root:dir/t", metadata={"who": "<me>"})
    text = page_of(f"{tmp_path}/m.root:dir/t", tmp_path)
    assert str(tmp_path) not in text
    assert ">m.root:dir/t<" in text
    assert "3,397 parameters in 10 tensors" in text
    assert "Nodes by operator: Gemm 3; Relu 2; BatchNormalization 1; Softmax 1" in text
    assert "&lt;me&gt;" in text
    assert text.count("Distribution of ") == 2 * 10  # a title and a text for each
    with onnxroot.open(tmp_path / "m.root") as model:
        assert model.manifest.sha256 in text
        weight = model.tensors["hidden1.weight"].numpy()
    assert f"{weight.max():.5g}</td>" in text


def test_what_is_known_of_an_onnx_file(tmp_path: Path) -> None:
    """Its digest, and how many nodes are not in the main graph."""
    text = page_of(golden("functions"), tmp_path)
    assert sha256(golden("functions").read_bytes()).hexdigest() in text
    assert "3 nodes of 2 operators. 19 more are in subgraphs, functions or training." in text
    assert "<h1>functions.<wbr>onnx</h1><nav" in text  # and no address that says the same


def test_names_are_no_markup(tmp_path: Path) -> None:
    nasty = '"><script>alert(1)</script>'
    model = graph_model(
        [raw_tensor(nasty, np.ones(3))], nodes=[helper.make_node(nasty, [nasty], [nasty])]
    )
    model.producer_name = nasty
    (tmp_path / "m.onnx").write_bytes(model.SerializeToString())
    page = Page(page_of(tmp_path / "m.onnx", tmp_path))
    assert not page.named("script")
    with open_view(tmp_path / "m.onnx") as view:
        for shown in (view, view.tensors, view.tensors[nasty]):
            assert "&lt;script&gt;" in shown._repr_html_()
            assert "<script>" not in shown._repr_html_()


def test_most_charts(tmp_path: Path) -> None:
    tensors = [raw_tensor(f"t{i}", np.arange(2.0 + i)) for i in range(MOST_CHARTS + 5)]
    (tmp_path / "m.onnx").write_bytes(graph_model(tensors).SerializeToString())
    text = page_of(tmp_path / "m.onnx", tmp_path)
    assert text.count("<figure>") == MOST_CHARTS
    assert f"The {MOST_CHARTS} largest of {MOST_CHARTS + 5} tensors" in text
    assert "Distribution of t4<" not in text


def test_a_page_that_is_there_stays(tmp_path: Path) -> None:
    (tmp_path / "r.html").write_text("mine")
    result = run("report", golden("functions"), "-o", tmp_path / "r.html")
    assert (result.exit_code, "exists" in result.stderr) == (2, True)
    result = run("report", tmp_path / "missing.onnx", "-o", tmp_path / "r.html", "--replace")
    assert result.exit_code == 2
    assert (tmp_path / "r.html").read_text() == "mine"


# --- In a browser -----------------------------------------------------------------------------


@pytest.fixture(scope="module")
def page(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    folder = tmp_path_factory.mktemp("report")
    page_of(golden("mlp_jet_tagger"), folder)
    return folder / "report.html"


@pytest.mark.sweep
@pytest.mark.parametrize("width", [400, 1200])
def test_chromium_shows_and_prints_it(width: int, page: Path, tmp_path: Path) -> None:
    with Chromium(tmp_path / "profile", width) as browser:
        browser.open(page.as_uri())
        assert (browser.count("figure"), browser.count("svg")) == (11, 11)
        assert browser.count("tr") == page.read_text().count("<tr>")
        assert browser.value("document.documentElement.scrollWidth") <= width
        # No word is broken in a cell; what scrolls can be reached with the keyboard.
        cells = "[...document.querySelectorAll('#parameters td')].map(x => x.getClientRects()[0])"
        words = f"Math.max(...{cells}.map(x => x.height))"
        assert browser.value(words) < 2 * browser.value(words.replace("max", "min"))
        assert browser.count(".scroll") == browser.count(".scroll[tabindex='0'][role=region]") == 3
        heights = "[...document.querySelectorAll('svg')].map(x => x.getBoundingClientRect().height)"
        assert min(browser.value(heights)) > 30
        assert browser.value("performance.getEntriesByType('resource').length") == 0
        assert browser.screenshot(tmp_path / "page.png") > 100
        printed = browser.print()
    assert printed.startswith(b"%PDF")
    assert 2 <= len(re.findall(rb"/Type\s*/Page\b", printed)) <= 4
