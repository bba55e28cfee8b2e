"""Check how conditions on fractions are parsed and compared."""

import pytest

from gaq_listen.errors import BadSetting
from gaq_listen.reports.filters import Condition, parse_condition


@pytest.mark.parametrize(
    ("condition", "below", "equal", "above"),
    [
        ("<0.95", True, False, False),
        ("<=0.95", True, True, False),
        ("=0.95", False, True, False),
        (">=0.95", False, True, True),
        (">0.95", False, False, True),
    ],
)
def test_each_operator_compares(condition: str, below: bool, equal: bool, above: bool) -> None:
    found = parse_condition(condition)
    assert (found.holds(0.94), found.holds(0.95), found.holds(0.96)) == (below, equal, above)
    assert str(found) == condition


def test_rounding_errors_count_as_equal() -> None:
    total = 0.1 + 0.2
    assert total != 0.3
    assert parse_condition("=0.3").holds(total)
    assert not parse_condition(">0.3").holds(total)
    assert parse_condition(">0.3").holds(0.3 + 1e-6)


@pytest.mark.parametrize(
    ("text", "found"),
    [
        (" >= .5 ", Condition(">=", 0.5)),
        ("=1", Condition("=", 1.0)),
        ("<5%", Condition("<", 0.05)),
        (">= 99.5 %", Condition(">=", 0.995)),
    ],
)
def test_a_condition_may_have_spaces_and_percent(text: str, found: Condition) -> None:
    assert parse_condition(text) == found


@pytest.mark.parametrize("text", ["", "0.95", "=>0.95", "==0.95", ">=", ">=-1", ">=x", "!=0.9", ">=0.9 0.8", ">=nan"])
def test_a_text_that_is_no_condition_is_refused(text: str) -> None:
    with pytest.raises(BadSetting, match=r"is not a condition: write '>=0\.95'"):
        parse_condition(text)


@pytest.mark.parametrize("text", [">=95", "<1.01", "=101%"])
def test_a_limit_above_one_is_refused_with_advice(text: str) -> None:
    with pytest.raises(BadSetting, match=r"limit above 1: write '.+0\.95' or '.+95%'"):
        parse_condition(text)
