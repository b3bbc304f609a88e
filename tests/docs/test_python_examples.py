"""Every ```python example of README and docs is run."""

import logging
from pathlib import Path

import pytest

from tests.support.documentation import PAGES, Example, examples_of, run_python
from tests.support.models import make_model


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_examples_run(page: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    make_model(tmp_path / "Kimi-K2-Instruct")
    monkeypatch.chdir(tmp_path)
    logging.getLogger("server").setLevel(logging.CRITICAL)
    run_python(page)


PAGE = """# A page

```python
a = 1
```

````markdown
```python
never run
```
````

```console
$ true
```

```python
>>> a + 1
{answer}
>>> b = "anything at all"
>>> b
'any...all'
```

```python
{last}
```
"""


def page_with(tmp_path: Path, answer: object = 2, last: str = "assert b") -> Path:
    page = tmp_path / "page.md"
    page.write_text(PAGE.format(answer=answer, last=last), encoding="utf-8")
    return page


class TestTheRunnerItself:
    def test_blocks_are_found_with_their_lines(self, tmp_path: Path) -> None:
        assert list(examples_of(page_with(tmp_path), "console")) == [Example("$ true\n", 14)]

    def test_a_page_is_one_program(self, tmp_path: Path) -> None:
        assert run_python(page_with(tmp_path))["b"] == "anything at all"

    def test_a_wrong_output_fails(self, tmp_path: Path) -> None:
        with pytest.raises(AssertionError, match=r"Expected:\n\s+3\nGot:\n\s+2"):
            run_python(page_with(tmp_path, answer=3))

    def test_an_error_points_at_the_page_s_line(self, tmp_path: Path) -> None:
        with pytest.raises(ZeroDivisionError) as caught:
            run_python(page_with(tmp_path, last="1 / 0"))
        last = caught.traceback[-1]
        assert (Path(last.path).name, last.lineno + 1) == ("page.md", 26)
