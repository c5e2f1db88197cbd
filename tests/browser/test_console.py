"""Every page and what one does there, as a person would."""

import re

import pytest
from tests.browser.conftest import Visit

expect = pytest.importorskip("playwright.sync_api").expect
WAIT_MS = 20_000


def open_own(visit: Visit) -> None:
    """The utterance that this visit is about."""
    visit.go("/utterances")
    visit.page.locator("td.text a").nth(visit.place).click()
    visit.page.wait_for_url(re.compile(r"/utterances/\d+$"))


def test_utterances_are_listed_counted_and_found(visit: Visit) -> None:
    visit.go("/utterances")
    visit.shows("device kind")  # the slices came, too
    rows = visit.page.locator("tr.link").count()
    assert rows >= 5
    visit.page.get_by_label("Words in the text").fill("no such words as these")
    visit.page.get_by_role("button", name="Search").click()
    visit.shows("No utterance fits")


def test_one_utterance_is_seen_heard_corrected_and_tagged(visit: Visit) -> None:
    open_own(visit)
    page = visit.page
    expect(page.locator("svg path.wave")).to_be_visible(timeout=WAIT_MS)
    visit.until("document.querySelector('.sound img').naturalWidth > 0")
    visit.until("document.querySelector('audio').duration > 0.3")
    assert page.get_by_role("img", name=re.compile("recognizer: busy")).count() == 1
    page.get_by_label("What was said").fill("what was really said")
    page.get_by_role("button", name="Keep as label").click()
    visit.shows("ada (console)")
    assert page.locator("ins").count() >= 1
    page.get_by_label("New tag").fill("noisy")
    page.get_by_role("button", name="Add").click()
    page.get_by_role("button", name="take away tag noisy").click()
    visit.shows("none")


def test_the_pipeline_is_live_and_each_stage_has_its_history(visit: Visit) -> None:
    visit.go("/pipeline")
    read = visit.page.get_by_text(re.compile("^Read "))
    expect(read).to_be_visible(timeout=WAIT_MS)
    before = read.inner_text()
    expect(read).not_to_have_text(before, timeout=WAIT_MS)  # by the server's events alone
    visit.page.locator("a.stage", has_text="router").click()
    visit.page.wait_for_url("**/pipeline/router")
    expect(visit.page.locator("canvas").first).to_be_visible(timeout=WAIT_MS)


def test_a_degree_of_automation_is_previewed_and_put_in_force(visit: Visit) -> None:
    visit.go("/deployments")
    page = visit.page
    visit.shows("Side by side")
    in_force = page.locator("#mode").input_value()
    page.get_by_label("Who answers").select_option("human" if in_force == "full" else "full")
    form = page.locator("form").filter(has=page.get_by_label("Who answers"))
    form.get_by_label("Why").fill("a test of the browser")
    page.get_by_role("button", name="Change").click()
    visit.shows("Put this in force?")
    page.get_by_role("button", name="Put in force").click()
    page.wait_for_url("**/deployments")
    visit.shows("ada: a test of the browser")


def test_a_review_is_done_by_keyboard_alone(visit: Visit) -> None:
    open_own(visit)
    page = visit.page
    page.get_by_role("button", name="Ask for a review").click()
    page.wait_for_url("**/reviews")
    page.keyboard.press("Enter")
    answer = page.get_by_label("What was said")
    expect(answer).to_be_visible(timeout=WAIT_MS)
    page.keyboard.press("e")
    expect(answer).to_be_focused()
    page.keyboard.type("heard by a person")
    page.keyboard.press("Control+Enter")
    visit.shows("answered")
    visit.shows("heard by a person")


@pytest.mark.parametrize(
    ("path", "says"), [("/alarms", "rules watch"), ("/devices", "replay-0"), ("/drift", "No drift was found")]
)
def test_the_other_pages_are_there(visit: Visit, path: str, says: str) -> None:
    visit.go(path)
    visit.shows(says)


def test_a_page_cannot_ask_anybody_else(visit: Visit) -> None:
    visit.go("/utterances")
    asked = "fetch('http://127.0.0.1:9/').then(() => 'asked', () => 'refused')"
    assert visit.page.evaluate(asked) == "refused"
    assert any("Content Security Policy" in fault for fault in visit.faults)
    visit.faults.clear()


def test_text_that_is_markup_runs_nothing(visit: Visit) -> None:
    open_own(visit)
    script = "<script>document.title='run'</script>"
    visit.page.get_by_label("What was said").fill(f"<img src=x onerror=\"document.title='run'\">{script}")
    visit.page.get_by_role("button", name="Keep as label").click()
    visit.shows(script)
    assert "run" not in visit.page.title()


def test_signing_out_closes_the_door(visit: Visit) -> None:
    visit.page.get_by_role("button", name="Sign out").click()
    visit.page.wait_for_url("**/sign-in")
    visit.page.goto(f"{visit.console}/utterances")
    expect(visit.page.get_by_label("Password")).to_be_visible()
