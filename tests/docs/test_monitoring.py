"""Check the dashboard and the alert rules: their PromQL parses, and a worker exports the metrics that they name."""

import json
import re
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import promql_parser
import pytest
import yaml

from gaq_listen.observers.metrics import Metrics
from gaq_listen.observers.worker_state import STATES, WorkerState
from gaq_listen.worker.events import BacklogCounted, Started

MONITORING = Path(__file__).parents[2] / "docs" / "monitoring"
OF_PROMETHEUS = {"up"}


def rules() -> list[dict[str, Any]]:
    (group,) = yaml.safe_load((MONITORING / "alerts.yaml").read_text())["groups"]
    return list(group["rules"])


def dashboard() -> dict[str, Any]:
    found: dict[str, Any] = json.loads((MONITORING / "dashboard.json").read_text())
    return found


def expressions() -> list[str]:
    panels = [target["expr"] for panel in dashboard()["panels"] for target in panel["targets"]]
    return [rule["expr"] for rule in rules()] + [_filled_in(expression) for expression in panels]


def _filled_in(expression: str) -> str:
    """Return an expression with values for the variables of Grafana."""
    for name, value in {"$__rate_interval": "1m", "$__range": "1h", "$job": ".*"}.items():
        expression = expression.replace(name, value)
    assert "$" not in expression
    return expression


def selectors(node: Any) -> Iterator[Any]:
    """Yield every selector of a series in a parsed expression."""
    if isinstance(node, promql_parser.VectorSelector):
        yield node
    for name in ("expr", "lhs", "rhs", "vector_selector", "param"):
        inner = getattr(node, name, None)
        if inner is not None and not isinstance(inner, str):
            yield from selectors(inner)
    for inner in getattr(node, "args", None) or []:
        yield from selectors(inner)


@pytest.fixture(scope="module")
def exported() -> dict[str, set[str]]:
    """Return the labels of each series that a worker exports, by the name of the series."""
    state = WorkerState(time.monotonic(), objective=1.0)
    for event in (Started("gaq", "18.1", "gaq-1"), BacklogCounted(0)):
        state.apply(event, time.monotonic())
    series: dict[str, set[str]] = {}
    for line in Metrics(state).text().decode().splitlines():
        if not line.startswith("#"):
            name, labels = re.match(r"(\w+)(\{.*\})?", line).groups()  # type: ignore[union-attr]
            series.setdefault(name, set()).update(re.findall(r"(\w+)=", labels or ""))
    return series


def test_selectors_finds_every_series_of_an_expression() -> None:
    expression = promql_parser.parse("histogram_quantile(0.9, sum by (le) (rate(a[5m]))) > b + -c or absent(d)")
    assert sorted(found.name for found in selectors(expression)) == ["a", "b", "c", "d"]


@pytest.mark.parametrize("expression", expressions())
def test_every_expression_names_exported_series(expression: str, exported: dict[str, set[str]]) -> None:
    asked = list(selectors(promql_parser.parse(expression)))
    assert asked
    for selector in asked:
        assert selector.name in exported.keys() | OF_PROMETHEUS
        for matcher in selector.matchers.matchers:
            assert matcher.name in {"job", "instance"} | exported.get(selector.name, set())
            if matcher.name == "state":
                assert set(matcher.value.split("|")) <= {state.lower() for state in STATES}


def test_every_alert_rule_says_what_to_look_at() -> None:
    names = [rule["alert"] for rule in rules()]
    assert len(names) == len(set(names)) >= 6
    for rule in rules():
        assert rule["labels"]["severity"] in ("warning", "critical")
        assert "Look at" in rule["annotations"]["description"]
        assert re.fullmatch(r"\d+[smh]", rule.get("for", "0s"))


def test_every_metric_is_shown_or_raises_an_alert(exported: dict[str, set[str]]) -> None:
    asked = {selector.name for text in expressions() for selector in selectors(promql_parser.parse(text))}
    families = {re.sub(r"_(total|created|bucket|count|sum)$", "", name) for name in exported}
    used = {re.sub(r"_(total|created|bucket|count|sum)$", "", name) for name in asked}
    assert families - used == {"gaq_listen_up_seconds", "gaq_listen_sweeps", "gaq_listen_pairs_audited"}


def test_panels_of_the_dashboard_do_not_overlap() -> None:
    taken: set[tuple[int, int]] = set()
    for panel in dashboard()["panels"]:
        at = panel["gridPos"]
        cells = {(x, y) for x in range(at["x"], at["x"] + at["w"]) for y in range(at["y"], at["y"] + at["h"])}
        assert not cells & taken
        assert at["x"] + at["w"] <= 24
        taken |= cells
    identifiers = [panel["id"] for panel in dashboard()["panels"]]
    assert len(identifiers) == len(set(identifiers))


def test_every_metric_is_in_the_monitoring_guide(exported: dict[str, set[str]]) -> None:
    documented = set(re.findall(r"gaq_listen_\w+", (MONITORING.parent / "guides" / "monitoring.md").read_text()))
    families = {re.sub(r"_(bucket|count|sum)$", "", name) for name in exported if not name.endswith("_created")}
    assert documented == families
