"""One mistake in many places becomes one sentence."""

from dataclasses import replace

import pytest

from k2compat.checkpoint.reporting import fold_by_code, fold_equal, named, numbered, ranges
from k2compat.findings import Finding, Severity

CUT = Finding(
    code="file-cut",
    severity=Severity.ERROR,
    where="model/1",
    message="is cut",
    expected="9",
    actual="8",
)


def in_files(count: int, finding: Finding = CUT) -> list[Finding]:
    return [replace(finding, where=f"model/{number}") for number in range(1, count + 1)]


def test_a_few_findings_stay_as_they_are() -> None:
    assert fold_equal("model", in_files(4)) == tuple(in_files(4))


def test_more_findings_that_differ_in_their_file_alone_are_one() -> None:
    (finding,) = fold_equal("model", in_files(5))
    assert (finding.where, finding.count, finding.expected, finding.actual) == (
        "model",
        5,
        "9",
        "8",
    )
    assert finding.message == "5 files have the same defect, first model/1: is cut"
    assert finding.items == tuple(f"model/{number}" for number in range(1, 6))


def test_a_summary_is_not_summarised_again() -> None:
    summaries = in_files(5, replace(CUT, items=("a", "b")))
    assert fold_equal("model", summaries) == tuple(summaries)


def test_findings_of_one_code_are_one_though_their_numbers_differ() -> None:
    found = [replace(each, actual=each.where) for each in in_files(5)]
    assert fold_equal("model", found) == tuple(found)
    (finding,) = fold_by_code("model", found)
    assert (finding.count, finding.expected, finding.actual) == (5, None, None)
    assert finding.message == "5 times, first at model/1: is cut"


def test_of_many_names_the_first_are_shown() -> None:
    assert named(["a", "b\n"], 2) == "a, b\\n"
    assert named(map(str, range(1_003)), 3) == "0, 1, 2 and 1,000 more"


@pytest.mark.parametrize(
    ("numbers", "words"),
    [
        ([3], "layer 3"),
        ([3, 4, 5], "layers 3–5"),
        ([9, 3, 4, 5], "layers 3–5 and 9"),
        ([1, 3, 5, 7], "layers 1, 3, 5 and 7"),
        ([1, 3, 5, 7, 9], "layers 1, 3, 5, 7, …"),
    ],
)
def test_numbers_in_words(numbers: list[int], words: str) -> None:
    assert numbered("layer", numbers) == words


def test_no_numbers_have_no_ranges() -> None:
    assert ranges([]) == []
