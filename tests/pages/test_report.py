"""The report: complete, self-contained, and safe whatever candidates say."""

import re
from collections.abc import Mapping
from html.parser import HTMLParser

import pytest

from asiarch.api.reason import Reason
from asiarch.api.search import SearchStatus
from asiarch.core.observation import Observation
from asiarch.pages.report import DETAILED, Report, render
from tests.builders import a_candidate, a_code, a_search, an_observation
from tests.pages.demonstration import demonstration
from tests.pages.hostile import a_hostile_candidate

VOID = {"meta", "br", "img", "link", "hr", "input"}


class Page(HTMLParser):
    """What a browser would make of a page: its elements, links and ids; complains of what isn't closed."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.attributes: list[tuple[str, str]] = []
        self.text = ""
        self._open: list[str] = []
        self.feed(html)
        assert self._open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.attributes += [(name, value or "") for name, value in attrs]
        if tag not in VOID:
            self._open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.attributes += [(name, value or "") for name, value in attrs]

    def handle_endtag(self, tag: str) -> None:
        assert self._open
        assert self._open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.text += data


def rendered(observed: Observation, texts: Mapping[str, str] | None = None) -> Report:
    return render(observed, texts or {}, {"CPU": "two cores"})


@pytest.fixture(scope="module")
def shown() -> Report:
    observed, texts = demonstration()
    return rendered(observed, texts)


@pytest.fixture(scope="module")
def attacked() -> Report:
    candidate, texts = a_hostile_candidate()
    return rendered(an_observation(a_search(), a_candidate(1, origin="Baseline"), candidate), texts)


def test_the_page_is_well_formed(shown: Report) -> None:
    assert "h1" in Page(shown.html).tags


def test_every_inner_link_leads_somewhere_once(shown: Report) -> None:
    page = Page(shown.html)
    ids = [value for name, value in page.attributes if name == "id"]
    anchors = {value[1:] for name, value in page.attributes if name == "href" and value.startswith("#")}
    assert anchors <= set(ids)
    named = [i for i in ids if i.startswith("quickstart")]
    assert len(named) == len(set(named)) == 22


def test_the_page_names_no_address(shown: Report) -> None:
    addresses = set(re.findall(r"\w+://[^\s\"'<]+", shown.html))
    assert addresses <= {"http://www.w3.org/2000/svg"}
    assert "@import" not in shown.html


def test_the_page_runs_no_script_and_says_so(shown: Report) -> None:
    page = Page(shown.html)
    assert "script" not in page.tags
    assert ("content", "default-src 'none'; style-src 'unsafe-inline'") in page.attributes


def test_the_report_answers_what_a_reader_asks(shown: Report) -> None:
    text = Page(shown.html).text
    for answer in (
        "beats the best baseline, gated-delta-net, by +0.012",
        "CausalityViolation",
        "gate=output helps here.",
        "memory limit 2 GiB: all 22 candidates",
        "asiarch rerun quickstart-0019",
        "Kendall's tau",
        "two cores",
        "self.gate = nn.Linear(width, width)",
    ):
        assert answer in text


def test_the_markdown_shows_the_pictures_that_come_with_it(shown: Report) -> None:
    names = set(re.findall(r"\]\((report-[a-z]+\.svg)\)", shown.markdown))
    assert names == set(shown.pictures)
    assert all(svg.startswith("<svg ") for svg in shown.pictures.values())


def test_equal_searches_give_equal_reports(shown: Report) -> None:
    observed, texts = demonstration()
    assert rendered(observed, texts) == shown


def test_hostile_text_stays_text_on_the_page(attacked: Report) -> None:
    page = Page(attacked.html)
    assert not {"script", "img"} & set(page.tags)
    assert not [value for name, value in page.attributes if name.startswith("on") or "evil" in value]
    assert "<script>alert(1)</script>" in page.text


def test_hostile_text_stays_text_in_every_picture(attacked: Report) -> None:
    for svg in attacked.pictures.values():
        assert "script" not in Page(svg).tags
        assert "\x1b" not in svg


def test_hostile_text_can_not_steer_a_terminal_or_hide(attacked: Report) -> None:
    for text in (attacked.html, attacked.markdown):
        assert not re.search("[\x00-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069]", text)


def test_hostile_text_is_no_markup_in_markdown(attacked: Report) -> None:
    prose = re.sub(r"^(`{3,})\n.*?^\1$", "", attacked.markdown, flags=re.DOTALL | re.MULTILINE)
    assert "<script" not in prose
    assert "](http" not in prose
    assert not re.search(r"(?<!\\)\*\*b", prose)
    rows = [line for line in prose.splitlines() if line.startswith("| s-0002")]
    assert all(len(re.findall(r"(?<!\\)\|", row)) == 7 for row in rows)


def test_a_search_without_candidates_has_a_report() -> None:
    report = rendered(an_observation(a_search()))
    text = Page(report.html).text
    assert "No proposal was measured to its end." in text
    assert "No candidate was created." in text
    assert report.pictures == {}


def test_a_failed_search_says_why() -> None:
    failed = SearchStatus(
        phase="Failed", reason=Reason.BASELINE_FAILED, message="Baseline delta-net diverged."
    )
    baseline = a_candidate(0, origin="Baseline", phase="Failed", reason=Reason.DIVERGED)
    text = Page(rendered(an_observation(a_search(status=failed), baseline)).html).text
    assert "Failed, BaselineFailed: Baseline delta-net diverged." in text
    assert "not started" in text


def test_a_parent_that_is_gone_is_no_obstacle() -> None:
    orphan = a_candidate(5, parents=["s-0001"], references=["s-0002"])
    assert "s-0001" in Page(rendered(an_observation(a_search(), orphan)).html).text


def test_a_running_search_says_so() -> None:
    running = an_observation(a_search(), a_candidate(1, phase="Evaluating"))
    text = Page(rendered(running).html).text
    assert "still running" in text
    assert "at work" in text


def test_one_seed_is_called_one_seed() -> None:
    assert (
        "Every score here is one training seed"
        in Page(rendered(an_observation(a_search(), a_candidate())).html).text
    )


def test_a_large_search_shows_the_best_in_full_and_says_how_many_it_left_out() -> None:
    many = [a_candidate(i, scores={"recall": 0.5 + i / 1000}, code=a_code("x")) for i in range(DETAILED + 40)]
    report = rendered(an_observation(a_search(), *many))
    assert "40 more candidates are not shown in full" in Page(report.html).text
    assert "20 more are not shown" in report.pictures["report-lineage.svg"]
