"""Arguments that are nearly JSON."""

import json

import pytest

from k2compat.arguments import Edit, Repaired, repair


class TestEdits:
    @pytest.mark.parametrize(
        ("written", "repaired", "reasons"),
        [
            (r'{"p": "\d+"}', r'{"p": "\\d+"}', ["escape"]),
            (r'{"p": "C:\users"}', r'{"p": "C:\\users"}', ["escape"]),
            (r'{"p": "C:\new\path"}', r'{"p": "C:\\new\\path"}', ["escape"] * 2),
            (r'{"p": "D:\my files\old\bin"}', r'{"p": "D:\\my files\\old\\bin"}', ["escape"] * 3),
            (r'{"p": "say \"\d\""}', r'{"p": "say \"\\d\""}', ["escape"]),
            (r'{"p": "it\'s"}', r"""{"p": "it's"}""", ["escape"]),
            ('{"t": "a\nb"}', r'{"t": "a\nb"}', ["control-character"]),
            ('{"t": "a\tb\x01"}', r'{"t": "a\tb\u0001"}', ["control-character"] * 2),
            ('{"a": [1, 2,]}', '{"a": [1, 2]}', ["trailing-comma"]),
            ('{"a": 1 ,\n}', '{"a": 1 \n}', ["trailing-comma"]),
            ('{"a": True, "b": [False, None]}', '{"a": true, "b": [false, null]}', None),
            ("{'a': 'b'}", '{"a": "b"}', ["python-literal"] * 4),
            ("""{'a': 'say "b"'}""", r'{"a": "say \"b\""}', ["python-literal"] * 6),
            (r"{'a': 'it\'s'}", """{"a": "it's"}""", None),
            ("""{"a": "it's"}""", """{"a": "it's"}""", []),
            ('{"a": "b"', '{"a": "b"}', ["closing-bracket-missing"]),
            ('{"a": "b"\n', '{"a": "b"}\n', ["closing-bracket-missing"]),
            ('{"a": true', '{"a": true}', ["closing-bracket-missing"]),
            ('{"a": 1 ', '{"a": 1} ', ["closing-bracket-missing"]),
            ('{"a": {"b": 1}', '{"a": {"b": 1}}', ["closing-bracket-missing"]),
            ('{"a": [{"b": 1, "c": 2}]', '{"a": [{"b": 1, "c": 2}]}', ["closing-bracket-missing"]),
            ('{"a": [1, 2}', '{"a": [1, 2]}', ["closing-bracket-missing"]),
            ('{"a": [{"b": 1]}', '{"a": [{"b": 1}]}', ["closing-bracket-missing"]),
            ('{"a": 1}}', '{"a": 1}', ["closing-bracket-surplus"]),
            ('{"a": 1} ]\n', '{"a": 1} \n', ["closing-bracket-surplus"]),
        ],
    )
    def test_each_makes_json_of_it(
        self, written: str, repaired: str, reasons: list[str] | None
    ) -> None:
        result = repair(written)
        assert result.arguments == repaired
        assert result.is_object
        json.loads(result.arguments)
        if reasons is not None:
            assert [edit.reason for edit in result.edits] == reasons

    def test_they_are_data(self) -> None:
        assert repair('{"a": True,}') == Repaired(
            '{"a": true}',
            (Edit(6, "True", "true", "python-literal"), Edit(10, ",", "", "trailing-comma")),
            is_object=True,
        )


class TestWhatStays:
    @pytest.mark.parametrize(
        "written",
        [
            "",
            "   ",
            "text",
            '{"a": ',
            '{"a"',
            '{"a": 1,',
            '{"a": "never closed',
            '{"a": "never closed\n}',
            '{"a": 12',
            '{"a": tru',
            '{"a": NaN}',
            '{"a": 01}',
            '{"a": {"b": 1, "c": 2}',
            '{"a": {"b": {"c": 1, "d": 2}}',
            '{"a": [[1, 2]}',
            '{"a": [[1]',
            '{"a": 1}}}',
            '{"a": [1, 2}}',
            '{"a": [1]]}',
            '{"a": 1] ',
            '{"a": 1} {"b": 2}',
            '{"a" "b"}',
            '{"a": "b" "c": 1}',
            "{'a': 'it's'}",
            r"{'a': '\x41'}",
            "{1: 2}",
            '{"a": Truer}',
            "{,}",
            '{"a": "say "b""}',
            # The backslashes of one string in two readings.
            r'{"a": "import re\nre.match(\d)"}',
            r'{"a": "\d and a tab \t"}',
            r'{"a": "\\server\share\docs"}',
            r'{"a": "C:\\Users\path"}',
            r'{"a": "C:\new\path\"x\""}',
            r'{"a": "C:\new is a path: \d"}',
            r'{"a": "it\'s \d"}',
            r'{"a": "\/\d"}',
        ],
    )
    def test_what_no_single_edit_decides(self, written: str) -> None:
        assert repair(written) == Repaired(written, (), is_object=False)

    @pytest.mark.parametrize("written", ["[1,]", "[1]", "7", '"{}"', "null"])
    def test_what_is_no_object(self, written: str) -> None:
        assert repair(written) == Repaired(written, (), is_object=False)

    def test_nesting_is_no_danger(self) -> None:
        deep = '{"a": ' + "[" * 100_000 + "]" * 100_000 + ",}"
        assert repair(deep).is_object
