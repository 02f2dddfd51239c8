"""The live page in a real Chromium: a real agent, real Node processes, and nobody who reloads."""

import os
import shutil
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page

from fakes.browser import DESKTOP, PHONE, Tab, chromium, tab
from fakes.conditions import wait_for
from fakes.machine import APPS, DEMO, HEAPWARDEN, AgentHandle, agent, app, free_port, node, program, reporting

MAJOR = 22
MIB = 2**20
HOSTILE = f"<img src=x onerror=alert(1)>{'n' * 60}"
CONFIG = "defaults: {health: {start_grace: 1s}}"
UNREACHED = "net::ERR_"
"""What Chromium itself says of an agent that is not there."""
LEAK_RULES = """
defaults:
  health: {start_grace: 1s, heap_usage: {unhealthy: 40%, recover: 30%, for: 0s}}
  restart: {max_memory: {above: 190M, for: 0s}, min_uptime: 0s, drain: 1s}
"""


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    """One for all tests of this file."""
    with chromium() as started:
        yield started


def value(page: Page, chart: str, series: str) -> float:
    """What a chart's legend tells as newest; 0 while it is not known."""
    found = page.locator(f"[data-chart={chart}] [data-series={series}] .value").get_attribute("data-value")
    return float(found or 0)


def marks(page: Page, chart: str) -> str:
    """A chart in words."""
    return page.locator(f"[data-chart={chart}] .plot").get_attribute("aria-label") or ""


@contextmanager
def _leaking(folder: Path) -> Iterator[str]:
    """An app under `heapwarden run` whose heap grows by 20 MiB a second; the page's address."""
    (folder / "heapwarden.yaml").write_text(LEAK_RULES)
    own = ("--listen", "127.0.0.1:0", "--log-format", "json", "--state-dir", folder / "state")
    command = (*HEAPWARDEN, "run", *own, "--", node(MAJOR), "--max-old-space-size=256", APPS / "restartable.cjs")
    environment = {"HEAP_LEAK_MB_PER_S": "20", "HEAPWARDEN_CONFIG": str(folder / "heapwarden.yaml")}
    with program(command, {**reporting(folder), **environment, "NODE_OPTIONS": ""}, cwd=folder) as started:
        port = started.line('"port":').split('"port": ')[1].split(",")[0].rstrip("}")
        yield f"http://127.0.0.1:{port}/"


def test_a_leak_rises_changes_the_state_and_is_restarted_before_ones_eyes(tmp_path: Path, browser: Browser) -> None:
    """The only process opens by itself; its line, its state and the mark of its restart come without a reload."""
    with _leaking(tmp_path) as url, tab(browser, url) as opened:
        page = opened.page
        opened.wait("#detail")
        assert page.url.endswith("#/restartable/0")
        page.evaluate("window.loadedOnce = true")
        opened.wait("[data-chart=memory] [data-series=rss]")
        first = wait_for(lambda: value(page, "memory", "rss"))
        wait_for(lambda: value(page, "memory", "rss") > first + 20 * MIB, 60)
        opened.wait("#head:is([data-state=degraded], [data-state=unhealthy], [data-state=draining])")
        wait_for(lambda: "restartable is now " in (page.locator("#announcements").text_content() or ""))
        opened.wait('#entries [data-kind=restart][data-what="done"]')
        for chart in ("health", "memory", "heap", "gc", "loop"):
            assert "Marks: restart" in marks(page, chart), chart
        wait_for(lambda: 0 < value(page, "memory", "rss") < 120 * MIB, 60)
        assert page.evaluate("window.loadedOnce")
        opened.picture("live-restarted")
        assert opened.complaints == []


def test_the_agents_end_shows_and_its_return_heals(tmp_path: Path, browser: Browser) -> None:
    """A banner with the time, stale looks, and all of it gone once the agent is back; the app lived on."""
    port = free_port()
    mark = f"of-port-{port}"  # the browser's driver is a Node process too
    command = (node(MAJOR), DEMO, "0", mark)
    with ExitStack() as stack, program(command, reporting(tmp_path / "agent.sock")) as started:
        with agent(tmp_path, CONFIG, "--command", f" {mark}$", port=port) as watcher:
            opened = stack.enter_context(tab(browser, f"{watcher.url}/"))
            opened.wait("html[data-connection=live] #detail")
            opened.wait("#head[data-state=healthy]")
        banner = opened.wait("#lost")
        assert "No connection to Heapwarden since " in banner.inner_text()
        assert opened.text("#connection") == "not connected"
        assert opened.unfit() == []
        opened.picture("live-disconnected")
        with agent(tmp_path, CONFIG, "--command", f" {mark}$", port=port):
            opened.wait("html[data-connection=live] #head[data-state=healthy]")
            banner.wait_for(state="hidden")
            assert f"pid {started.pid} " in opened.text("#about-process")
            assert [line for line in opened.complaints if UNREACHED not in line] == []
            stack.close()


@pytest.fixture(scope="module")
def watched(tmp_path_factory: pytest.TempPathFactory) -> Iterator[AgentHandle]:
    """An agent with two processes, one of which is named by somebody who means harm."""
    folder = tmp_path_factory.mktemp("live")
    for file in DEMO.parent.glob("*.js"):
        shutil.copy(file, folder)
    hostile = (folder / "server.js").rename(folder / f"{HOSTILE}.js")
    mark = f"of-test-{os.getpid()}"
    with ExitStack() as stack:
        watcher = stack.enter_context(agent(folder, CONFIG, "--command", f" {mark}$"))
        for script in (DEMO, hostile):
            stack.enter_context(app(watcher, node(MAJOR), script, "0", mark))
        wait_for(lambda: [one["status"] for one in watcher.processes()] == ["healthy"] * 2, 60)
        yield watcher


def test_it_is_fit_for_everyone_in_light_and_dark(watched: AgentHandle, browser: Browser) -> None:
    """WCAG A and AA by axe, list and detail; what is chosen with the button is still so after a reload."""
    with tab(browser, f"{watched.url}/") as opened:
        for scheme in ("light", "dark"):
            opened.wait(f"html[data-theme={scheme}] #rows tr + tr")
            assert opened.unfit() == [], f"list, {scheme}"
            opened.picture(f"live-list-{scheme}")
            opened.page.click("text=server")
            opened.wait("[data-chart=memory] canvas")
            if scheme == "light":  # it stays open
                opened.page.click("#figures summary")
            opened.wait("#figures-table td")
            assert opened.unfit() == [], f"detail, {scheme}"
            opened.picture(f"live-detail-{scheme}")
            opened.page.click("#back a")
            opened.page.click("#theme")
        opened.page.click("#theme")
        opened.page.reload()
        opened.wait("html[data-theme=dark] #rows tr + tr")
        assert opened.complaints == []


def test_a_name_that_is_markup_stays_text(watched: AgentHandle, browser: Browser) -> None:
    """In the list, in the address, in the detail, in the title: no element is made of it, and nothing runs."""
    with tab(browser, f"{watched.url}/") as opened:
        assert HOSTILE in opened.wait("#rows").inner_text()
        opened.page.get_by_role("link", name=HOSTILE).click()
        opened.wait("[data-chart=memory] canvas")
        assert opened.text("#name") == HOSTILE
        assert HOSTILE in opened.page.title()
        opened.page.reload()
        opened.wait("[data-chart=memory] canvas")
        assert opened.text("#name") == HOSTILE
        assert opened.page.locator("img").count() == 0
        assert opened.complaints == []


def test_a_keyboard_is_enough(watched: AgentHandle, browser: Browser) -> None:
    """To the list, into a process, to another range of time, and back."""
    with tab(browser, f"{watched.url}/") as opened:
        opened.wait("#rows tr + tr")
        keys = opened.page.keyboard
        _tab_to(opened, "#rows a")
        name = opened.page.evaluate("document.activeElement.textContent")
        keys.press("Enter")
        opened.wait("#detail")
        assert opened.text("#name") == name
        assert opened.page.evaluate("document.activeElement.id") == "name"
        _tab_to(opened, "#ranges input")
        keys.press("ArrowRight")
        opened.wait("#ranges input[value='3600']:checked + span")
        _tab_to(opened, "#back a", "Shift+Tab")
        keys.press("Enter")
        opened.wait("#list")
        assert opened.page.evaluate("document.activeElement.textContent") == name
        assert opened.complaints == []


def _tab_to(opened: Tab, selector: str, key: str = "Tab") -> None:
    for _ in range(30):
        opened.page.keyboard.press(key)
        if opened.page.evaluate("selector => document.activeElement.matches(selector)", selector):
            return
    raise AssertionError(f"{selector} is not reached with the tabulator")


def test_a_phone_has_nothing_to_scroll_sideways(watched: AgentHandle, browser: Browser) -> None:
    """360 pixels, list and detail, with names that have no end in sight; axe is content here too."""
    with tab(browser, f"{watched.url}/", PHONE) as opened:
        opened.wait("#rows tr + tr")
        assert opened.width() == PHONE[0]
        assert opened.unfit() == []
        opened.picture("live-phone-list")
        opened.page.click("text=server")
        opened.wait("[data-chart=memory] canvas")
        assert opened.width() == PHONE[0]
        opened.picture("live-phone-detail")
        assert opened.complaints == []


def test_where_the_browser_gives_up_the_page_does_not(watched: AgentHandle, browser: Browser) -> None:
    """A 503, as with too many viewers, ends an EventSource for good; another one is opened later."""
    with tab(browser, "about:blank", DESKTOP) as opened:
        opened.page.route("**/live/events*", lambda route: route.fulfill(status=503, body="full"))
        opened.page.goto(f"{watched.url}/")
        opened.wait("#lost")
        opened.page.unroute("**/live/events*")
        opened.wait("html[data-connection=live] #rows tr + tr")
        assert all("503" in line for line in opened.complaints)


def test_without_scripts_there_is_a_way_to_the_figures(watched: AgentHandle, browser: Browser) -> None:
    """Links to what machines read."""
    context = browser.new_context(java_script_enabled=False)
    try:
        page = context.new_page()
        page.goto(f"{watched.url}/")
        assert "needs JavaScript" in page.locator("noscript").inner_text()
        targets = {link.get_attribute("href") for link in page.locator("noscript a").all()}
        assert targets == {"healthz", "processes", "metrics"}
    finally:
        context.close()
