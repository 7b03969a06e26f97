"""An exported page in a real browser: it reads, folds, searches, and runs nothing of a message."""

from __future__ import annotations

import os
from collections.abc import Iterator

import pytest

from holdfast.demo import lines
from tests.support.browser import CHROMIUM, Page, browser
from tests.support.home import Home, moment, talk
from tests.support.waiting import until

pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="needs chromium")

ATTACK = (
    "<script>window.pwned = 1</script><img src=x onerror='window.pwned = 2'>"
    "</script></style>--><svg onload='window.pwned = 3'> [x](javascript:window.pwned=4) "
    "![y](http://127.0.0.1:9/z.png)"
)
WIDE = "a_word_without_an_end_" * 40


@pytest.fixture
def home_with_page(home: Home) -> Home:
    home.write_log(
        "talk",
        lines.user_line(ATTACK, at=moment(1)),
        lines.assistant_line("I look for the barnacle first.", at=moment(2)),
        lines.tool_use_line("Bash", {"command": f"echo barnacle; {WIDE}"}, use="t1", at=moment(3)),
        lines.tool_result_line(f"{ATTACK}\nBarnacle found\n{WIDE}", use="t1", at=moment(4)),
        lines.assistant_line(
            f"| a | b |\n|---|---|\n| {WIDE} | barnacle |\n\n```python\n{WIDE} = 1\n```",
            at=moment(5),
        ),
        lines.user_line("thanks", at=moment(6)),
    )
    home.write_log("other", lines.user_line(ATTACK, at=moment(9)))
    home.ok("import", "--quiet")
    return home


@pytest.fixture
def page(home_with_page: Home) -> Iterator[Page]:
    home_with_page.ok("export", "talk", "-f", "html", "-o", "talk.html")
    with browser(home_with_page.folder) as page:
        yield page


def path(home: Home, name: str = "talk.html") -> str:
    return os.path.join(home.folder, name)


def told(page: Page) -> str:
    return str(page.ask("document.getElementById('count').value"))


def test_nothing_of_a_message_runs_or_loads(page: Page, home_with_page: Home) -> None:
    page.open(path(home_with_page))
    page.ask("document.getElementById('unfold').click()")
    assert page.ask("window.pwned") is None
    assert page.complaints == []
    assert all(url.startswith(("file:", "about:", "data:")) for url in page.requests)
    assert ATTACK.split(" [x]", maxsplit=1)[0] in page.ask(
        "document.querySelector('#e0').innerText"
    )


def test_the_policy_refuses_a_script_that_is_not_the_page_s_own(
    page: Page, home_with_page: Home
) -> None:
    """So that a mistake in our escaping would still not run."""
    page.open(path(home_with_page))
    page.ask(
        "{ const s = document.createElement('script'); s.textContent = 'window.pwned = 1';"
        " document.body.append(s); 0 }"
    )
    assert page.ask("window.pwned") is None
    assert any("Content Security Policy" in each for each in page.complaints)


@pytest.mark.parametrize("width", [320, 390, 1280])
def test_the_page_never_scrolls_sideways(page: Page, home_with_page: Home, width: int) -> None:
    page.open(path(home_with_page), width=width)
    page.ask("document.getElementById('unfold').click()")
    page.ask(
        "document.querySelectorAll('.event').forEach(e => e.style.contentVisibility='visible')"
    )
    assert page.ask("document.documentElement.scrollWidth") <= width


def test_the_search_opens_what_is_folded_and_goes_around(page: Page, home_with_page: Home) -> None:
    page.open(path(home_with_page))
    assert page.ask("document.querySelectorAll('main details[open]').length") == 0
    page.press("/")
    assert page.ask("document.activeElement.id") == "query"
    page.type("barnacle")
    until(lambda: told(page) == "1 of 4", "all hits are counted", detail=lambda: told(page))
    for count, opened in (("2 of 4", 1), ("3 of 4", 2), ("4 of 4", 2), ("1 of 4", 2)):
        page.press("Enter")
        assert told(page) == count
        assert page.ask("document.querySelectorAll('main details[open]').length") == opened
    page.press("Enter", shift=True)
    assert told(page) == "4 of 4"
    assert page.ask("CSS.highlights.get('hit').size") == 4
    page.press("Escape")
    assert told(page) == ""
    assert page.ask("CSS.highlights.get('hit').size") == 0
    page.press("/")
    page.type(".*[(")
    until(lambda: told(page) == "no hits", "signs of a pattern are letters")
    assert page.complaints == []


def test_it_is_dark_or_light_as_the_reader_s_system_is_and_as_they_choose(
    page: Page, home_with_page: Home
) -> None:
    ground = "getComputedStyle(document.body).backgroundColor"
    page.open(path(home_with_page))
    light = page.ask(ground)
    page.open(path(home_with_page), dark=True)
    dark = page.ask(ground)
    assert light != dark
    page.ask("document.getElementById('theme').click()")
    assert page.ask(ground) == light


def test_a_link_to_an_event_opens_it(page: Page, home_with_page: Home) -> None:
    page.open(f"{path(home_with_page)}#e3")
    assert page.ask("document.querySelector('#e3 details').open")
    assert page.ask("location.hash") == "#e3"


@pytest.mark.parametrize("width", [240, 390, 1280])
def test_what_a_link_points_to_comes_to_rest_below_the_bar(
    page: Page, home_with_page: Home, width: int
) -> None:
    home_with_page.write_log("long", *talk(60, session="long"))
    home_with_page.ok("import", "--quiet")
    home_with_page.ok("export", "long", "-f", "html", "-o", "long.html")
    page.open(f"{path(home_with_page, 'long.html')}#e30", width=width)
    space = (
        "document.getElementById('e30').getBoundingClientRect().top"
        " - document.getElementById('bar').getBoundingClientRect().bottom"
    )
    until(lambda: 0 <= page.ask(space) < 60, "the event is below the bar")
    page.ask("{ location.hash = '#e10'; 0 }")
    space = space.replace("e30", "e10")
    until(lambda: 0 <= page.ask(space) < 60, "the next one too", detail=lambda: page.ask(space))


def test_a_long_name_of_a_tool_leaves_room_until_it_is_opened(
    page: Page, home_with_page: Home
) -> None:
    name = "mcp__a_server_with_a_long_name__a_tool_with_a_longer_one_" * 2
    home_with_page.write_log("tool", lines.tool_use_line(name, {"a": "b"}, use="t1", at=moment(1)))
    home_with_page.ok("import", "--quiet")
    home_with_page.ok("export", "tool", "-f", "html", "-o", "tool.html")
    page.open(path(home_with_page, "tool.html"), width=390)
    height = "document.querySelector('.call summary b').getBoundingClientRect().height"
    folded = page.ask(height)
    assert folded < 30, "one line"
    page.ask("document.querySelector('.call details').open = true")
    assert page.ask(height) > folded, "all of it"
    assert page.ask("document.documentElement.scrollWidth") <= 390


def test_the_index_filters_and_sorts(page: Page, home_with_page: Home) -> None:
    home_with_page.ok("export", "--all", "-f", "html", "-o", "pages/")
    page.open(path(home_with_page, "pages/index.html"))
    shown = "[...document.querySelectorAll('tbody tr')].filter(r => !r.hidden)"
    assert page.ask(f"{shown}.length") == 2
    assert page.ask("document.querySelectorAll('tbody a').length") == 2
    page.ask("document.querySelectorAll('th button')[5].click()")
    assert page.ask(f"{shown}.map(r => r.cells[5].textContent)") == ["1", "6"]
    page.press("/")
    page.type("nothing like it")
    assert page.ask(f"{shown}.length") == 0
    page.press("Escape")
    assert page.ask(f"{shown}.length") == 2
    assert page.ask("window.pwned") is None
    assert page.complaints == []
    page.open(path(home_with_page, "pages/index.html"), width=320)
    assert page.ask("document.documentElement.scrollWidth") <= 320
    label = "getComputedStyle(document.querySelector('td.{}'), '::before').content"
    assert page.ask(label.format("began")) == '"began "'
    assert page.ask(label.format("updated")) == '"updated "'
