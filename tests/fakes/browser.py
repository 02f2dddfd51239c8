"""A real Chromium, and pages that tell what went wrong in them."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from playwright.sync_api import Browser, ConsoleMessage, Locator, Page, sync_playwright

from fakes.machine import ROOT

CHROMIUM = "/usr/bin/chromium"
OPTIONS = (
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
)
SCREENSHOTS = ROOT / ".cache" / "screenshots"
AXE = ROOT / "dashboards" / "live" / "node_modules" / "axe-core" / "axe.min.js"
DESKTOP = (1280, 860)
PHONE = (360, 740)
PATIENCE_MS = 60_000
RULES = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa"]


@dataclass
class Tab:
    """One page, and all that it has complained about."""

    page: Page
    complaints: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        """Listen from the first line on."""
        self.page.on("console", self._heard)
        self.page.on("pageerror", lambda error: self.complaints.append(f"uncaught: {error}"))

    def _heard(self, message: ConsoleMessage) -> None:
        if message.type in ("error", "warning"):
            self.complaints.append(f"{message.type}: {message.text}")

    def text(self, selector: str) -> str:
        """What stands there now."""
        return self.page.locator(selector).first.inner_text(timeout=PATIENCE_MS)

    def wait(self, selector: str) -> Locator:
        """The first element of this kind, once it is to be seen."""
        found = self.page.locator(selector).first
        found.wait_for(state="visible", timeout=PATIENCE_MS)
        return found

    def until(self, expression: str, argument: object = None) -> None:
        """Wait until a JavaScript expression is true of ``argument``."""
        self.page.wait_for_function(expression, arg=argument, timeout=PATIENCE_MS)

    def unfit(self) -> list[dict[str, Any]]:
        """What axe-core finds against WCAG's levels A and AA: rule, why, and where."""
        # Evaluated by the debugger, so the page's own policy need not allow it.
        self.page.evaluate(AXE.read_text())
        found = self.page.evaluate("rules => axe.run(document, {runOnly: {type: 'tag', values: rules}})", RULES)
        return [
            {"rule": one["id"], "help": one["help"], "where": [node["html"][:200] for node in one["nodes"]]}
            for one in found["violations"]
        ]

    def picture(self, name: str, *, whole: bool = True) -> None:
        """Keep what it looks like, in place of an earlier one."""
        SCREENSHOTS.mkdir(parents=True, exist_ok=True)
        self.page.screenshot(path=SCREENSHOTS / f"{name}.png", full_page=whole)

    def width(self) -> int:
        """Pixels from edge to edge of all that is on it, to be scrolled to."""
        return int(self.page.evaluate("document.documentElement.scrollWidth"))


@contextmanager
def chromium() -> Iterator[Browser]:
    """Started, and ended with all its pages."""
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=list(OPTIONS))
        try:
            yield browser
        finally:
            browser.close()


@contextmanager
def tab(browser: Browser, url: str, size: tuple[int, int] = DESKTOP, scheme: Any = "light") -> Iterator[Tab]:
    """A page of its own, with no memory of others."""
    context = browser.new_context(viewport={"width": size[0], "height": size[1]}, color_scheme=scheme)
    try:
        opened = Tab(context.new_page())
        opened.page.goto(url)
        yield opened
    finally:
        context.close()
