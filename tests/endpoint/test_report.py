"""A check as a whole: its summary, the table for an issue, and what the gateway repairs."""

from dataclasses import replace

from k2compat.endpoint import plan
from k2compat.endpoint.figures import Figures, Share
from k2compat.endpoint.report import Repairs, as_markdown, as_text
from k2compat.findings import Codes, Finding, Report
from tests.endpoint.faulty.calls import HexIds, StopsAtForeignIds
from tests.endpoint.faulty.choices import NoneIgnored
from tests.endpoint.faulty.prompts import ListsPrinted, MarkersAct, NullThoughtPrinted, ToolsDropped
from tests.endpoint.faulty.streams import NoDone
from tests.endpoint.faulty.texts import NoParser
from tests.endpoint.serving import checked
from tests.endpoint.standin import Json, Reply, Response, Server, dump

SHORT = [request for request in plan() if request.case in ("plain", "one", "cut")]
ROOM = Codes("endpoint")


def through_gateway(server: Server) -> Repairs:
    report = checked(server, gateway=True)
    assert report.repairs is not None
    return report.repairs


def test_a_sound_server_is_right() -> None:
    report = checked(Server(), SHORT)
    lines = as_text(report).splitlines()
    assert lines[0].endswith("/v1: Kimi-K2.5-standin")
    assert lines[1].startswith("7 requests, ")
    assert lines[2:] == ["Calls: 2 of 2 answers as asked.", "Right: every check passed."]
    assert as_markdown(report).splitlines()[-1] == "Right: every check passed."


def test_consequences_are_counted_apart() -> None:
    report = checked(NoParser(), SHORT)
    assert as_text(report).splitlines()[-1] == "Found: 1 error, with 2 consequences."
    one = checked(NoParser(), [request for request in SHORT if request.case != "one"])
    assert as_text(one).splitlines()[-1] == "Found: 1 error."


def test_one_consequence_is_singular() -> None:
    class LeaksOnce(NoParser):
        def reply(self, body: Json) -> Reply:
            return super().reply(body) if body.get("stream") else Server.reply(self, body)

    requests = [request for request in SHORT if request.case == "one"]
    found = as_text(checked(LeaksOnce(), [*SHORT[:1], *requests]))
    assert found.endswith("with 2 consequences.")


def test_a_budget_makes_no_server_right() -> None:
    report = checked(Server(), SHORT, budget=400)
    text = as_text(report)
    assert "Not asked, for the budget: " in text
    assert text.endswith("Right as far as it was asked: the budget left requests out.")


def test_the_table_is_one_that_an_issue_shows() -> None:
    table = as_markdown(checked(NoParser(), plan()))
    head, *rows = [line for line in table.splitlines() if line.startswith("|")]
    assert head == "| severity | code | requests | what was found | because |"
    assert rows[1].startswith("| error | `markers-leaked` | one.whole, one.stream, two.whole and ")
    assert "\\<\\|tool_calls_section_begin\\|>" in rows[1]
    assert any(row.endswith("| markers-leaked |") for row in rows)
    assert " 18 more |" in rows[1]
    assert all(row.count("|") - row.count("\\|") == 6 for row in rows)


def test_text_of_a_server_cannot_break_the_table() -> None:
    class Hostile(Server):
        def handle(self, raw: bytes) -> Response:
            return Response(400, body=dump({"error": "a\n| b | <script> @everyone \x1b[1m"}))

    table = as_markdown(checked(Hostile(), SHORT))
    assert "\x1b" not in table
    assert "<script>" not in table.replace("\\<", "")
    assert "@everyone" not in table


def test_figures_are_shown_with_their_intervals() -> None:
    report = checked(Server(), SHORT)
    figures = Figures(10, 4, 3, 3, 1, 1)
    shown = as_text(replace(report, figures=figures, schemas=Share(0.5, 0.25, 0.75)))
    assert "Forced calls that fit their schemas: 50.0% (95 % interval 25.0% to 75.0%)." in shown
    assert "Trigger similarity: 75.0% (95 % interval " in shown
    assert "Schema accuracy: 75.0% (95 % interval " in shown
    nothing = as_text(replace(report, figures=Figures(1, 0, 0, 0, 0, 0)))
    assert "Trigger similarity: no calls." in nothing
    assert replace(report, figures=figures).as_dict()["figures"]["calls"] == 4


def finding(code: str) -> Finding:
    return ROOM.finding(code, "x", "y")


def test_repairs_are_what_is_gone_what_stays_and_what_is_new() -> None:
    before = Report((finding("marker-text-acts"), finding("usage-wrong"), finding("server-failed")))
    after = Report((finding("usage-wrong"), finding("stream-held-back"), finding("call-not-made")))
    repairs = Repairs(before, after)
    report = replace(checked(Server(), SHORT), repairs=repairs)
    assert [line for line in as_text(report).splitlines() if "serve" in line] == [
        "Through k2compat serve: server-failed is gone.",
        "Through k2compat serve: marker-text-acts is gone (step marker-text).",
        "Through k2compat serve: usage-wrong stays.",
        "Through k2compat serve: stream-held-back is new.",
    ]
    assert "- Through k2compat serve: usage-wrong stays." in as_markdown(report).splitlines()
    assert report.as_dict()["through_gateway"]["repaired"] == {
        "server-failed": "",
        "marker-text-acts": "marker-text",
    }


def test_the_gateway_leaves_a_sound_server_sound() -> None:
    repairs = through_gateway(Server())
    assert repairs.as_dict() == {"repaired": {}, "left": [], "added": [], "findings": []}
    report = replace(checked(Server(), SHORT), repairs=repairs)
    assert "Through k2compat serve: nothing to repair, and nothing new." in as_text(report)


def test_the_gateway_repairs_what_the_list_promises() -> None:
    for server, code, step in (
        (NoParser(), "markers-leaked", "reading"),
        (HexIds(), "call-id-foreign", "reading"),
        (NoDone(), "stream-done-missing", "reading"),
        (NoneIgnored(), "tool-choice-none-ignored", "tool-choice"),
        (StopsAtForeignIds(), "history-ids-not-renamed", "history-ids"),
        (ListsPrinted(), "content-list-printed", "content"),
        (NullThoughtPrinted(), "thought-null-printed", "thoughts"),
        (MarkersAct(), "marker-text-acts", "marker-text"),
    ):
        repairs = through_gateway(server)
        assert repairs.repaired == {code: step}
        assert (repairs.left, repairs.added) == ([], [])


def test_the_gateway_cannot_repair_everything() -> None:
    repairs = through_gateway(ToolsDropped())
    assert repairs.repaired == {}
    assert repairs.left == ["tools-not-in-prompt"]
