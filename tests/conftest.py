"""Hypothesis profiles, and the count of the models that came back at the end of a run."""

import os
import signal
from collections import Counter, defaultdict

import portalocker
import pytest
from hypothesis import HealthCheck, settings

# What tests share asserts under `python -O`, too.
SHARED = ("adapters.conformance", "chromium", "cxx", "golden", "layout")
pytest.register_assert_rewrite(*(f"tests.{name}" for name in SHARED))

from onnxroot import _kernels  # noqa: E402
from tests.cxx import Probe, compile_program  # noqa: E402
from tests.samples import COUNTED, OUTCOMES, SAID  # noqa: E402

# In the background of a script, processes ignore Ctrl-C, which some tests wait for.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)

settings.register_profile(
    "default",
    deadline=None,  # the machine may be busy, and the first example compiles and imports
    max_examples=100,
    suppress_health_check=[HealthCheck.too_slow],
)
settings.register_profile("fuzz", settings.get_profile("default"), max_examples=5000)
settings.load_profile("default")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Leave sweeps out of the coverage: they repeat what others do, and it takes their time."""
    for item in items:
        if {"sweep", "corpus"} & {mark.name for mark in item.iter_markers()}:
            item.add_marker("no_cover")


@pytest.fixture(scope="module", params=["C", "NumPy"])
def both_twins(request):
    """Run the module's tests with the kernels, and again without."""
    if request.param == "C" and not _kernels.available():
        pytest.skip("onnxroot was built without a compiler, or ONNXROOT_KERNELS is 0")
    with pytest.MonkeyPatch.context() as patch:
        if request.param == "NumPy":
            patch.setattr(_kernels, "available", lambda: False)
        yield


@pytest.fixture(scope="session")
def probe(tmp_path_factory):
    """Start the program that calls the C++ reader; the first worker compiles it, for 10 s."""
    folder = tmp_path_factory.getbasetemp()
    if "PYTEST_XDIST_WORKER" in os.environ:
        folder = folder.parent
    program = folder / "probe"
    with portalocker.Lock(folder / "probe.lock", timeout=600):
        if not program.exists():
            compile_program("probe.cxx", program, "-O1")
    with Probe(program) as started:
        yield started


@pytest.hookimpl
def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Print what tests have to say, and `N of N models identical` for each sweep, summed up."""
    lines: list[str] = []
    identical: Counter[str] = Counter()
    total: Counter[str] = Counter()
    outcomes: defaultdict[str, Counter[str]] = defaultdict(Counter)
    for reports in terminalreporter.stats.values():
        for report in reports:
            for name, value in getattr(report, "user_properties", ()):
                if name == SAID and report.when == "call":
                    lines.append(value)
                if name == OUTCOMES and report.when == "call":
                    outcomes[value[0]].update(value[1])
                if name == COUNTED and report.when == "call":
                    what, n_identical, n_models = value
                    identical[what] += n_identical
                    total[what] += n_models
    for what, counts in outcomes.items():
        found = ", ".join(f"{n} {kind}" for kind, n in sorted(counts.items()))
        lines.append(f"{what}: {counts.total():,} times ({found}; nothing else)")
    if lines:
        terminalreporter.section(SAID)
    for line in sorted(lines):
        terminalreporter.write_line(line)
    if total:
        terminalreporter.section(COUNTED)
    for what, n_models in total.items():
        terminalreporter.write_line(f"{what}: {identical[what]} of {n_models} identical")
