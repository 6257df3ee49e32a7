"""The page in a real browser: quiet, alone, narrow, dark, by keyboard."""

import shutil
from pathlib import Path

import pytest

from transferscope.report import page

sync_api = pytest.importorskip("playwright.sync_api")
CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
QUIET = ["--no-sandbox", "--disable-gpu", "--no-first-run", "--disable-sync"]
QUIET += ["--disable-background-networking", "--disable-component-update"]
pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="no chromium on this machine")

CONTRAST = """() => {
  const known = {};
  const probe = document.createElement("canvas").getContext("2d", { willReadFrequently: true });
  const rgb = (text) => {
    if (!(text in known)) {
      probe.clearRect(0, 0, 1, 1); probe.fillStyle = text; probe.fillRect(0, 0, 1, 1);
      known[text] = [...probe.getImageData(0, 0, 1, 1).data];
    }
    return known[text];
  };
  const light = ([r, g, b]) => [r, g, b].map((v) => v / 255)
    .map((v) => (v <= 0.04045 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4))
    .reduce((sum, v, k) => sum + v * [0.2126, 0.7152, 0.0722][k], 0);
  const behind = (element) => {
    for (let e = element; e; e = e.parentElement) {
      const colour = rgb(getComputedStyle(e).backgroundColor);
      if (colour[3] === 255) return colour;
    }
    return [255, 255, 255, 255];
  };
  const out = [];
  const texts = "h1, h1 b, h2, p, li, dt, dd, th, td, summary, figcaption, .cell b, .f-value, .num";
  for (const e of document.querySelectorAll(texts)) {
    if (!e.textContent.trim() || !e.checkVisibility()) continue;
    const [a, b] = [light(rgb(getComputedStyle(e).color)), light(behind(e))].sort((x, y) => y - x);
    out.push([(a + 0.05) / (b + 0.05), e.outerHTML.slice(0, 90)]);
  }
  return out.sort((x, y) => x[0] - y[0])[0];
}"""


@pytest.fixture(scope="module")
def url(comparison, tmp_path_factory) -> str:
    path = tmp_path_factory.mktemp("page") / "report.html"
    page.write(path, page.render(comparison))
    return Path(path).as_uri()


@pytest.fixture(scope="module")
def browser():
    with sync_api.sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=QUIET)
        yield browser
        browser.close()


@pytest.fixture
def opened(browser, url):
    """Opens the page; fails at the end where it complained or asked for anything but itself."""
    contexts, complaints, requests = [], [], []

    def open_page(**options):
        context = browser.new_context(**options)
        contexts.append(context)
        tab = context.new_page()
        tab.on("console", lambda message: complaints.append(message.text))
        tab.on("pageerror", lambda error: complaints.append(str(error)))
        tab.on("request", lambda request: requests.append(request.url))
        tab.goto(url)
        return tab

    yield open_page
    for context in contexts:
        context.close()
    assert complaints == []
    assert {request for request in requests if not request.startswith("data:")} == {url}


def test_the_page_does_not_scroll_sideways(opened):
    tab = opened(viewport={"width": 390, "height": 844})
    tab.evaluate("document.querySelectorAll('details').forEach((d) => { d.open = true; })")
    for width in (390, 768, 1280):
        tab.set_viewport_size({"width": width, "height": 844})
        assert tab.evaluate("document.documentElement.scrollWidth") <= width
        assert tab.locator(".matrix a.cell").first.bounding_box()["width"] >= 44


@pytest.mark.parametrize(("scheme", "lightest", "darkest"), [("dark", 60, 0), ("light", 255, 230)])
def test_background_follows_the_scheme_and_text_stands_out(opened, scheme, lightest, darkest):
    tab = opened(color_scheme=scheme)
    channels = tab.evaluate("getComputedStyle(document.body).backgroundColor.match(/\\d+/g).map(Number)")
    assert all(darkest <= channel <= lightest for channel in channels[:3])
    contrast, where = tab.evaluate(CONTRAST)
    assert contrast >= 4.5, where


def test_tab_reaches_the_matrix_and_enter_opens_the_evidence(opened):
    tab = opened()
    first = tab.locator(".matrix a.cell").first
    for _ in range(60):
        tab.keyboard.press("Tab")
        if first.evaluate("(cell) => cell === document.activeElement"):
            break
    else:
        pytest.fail("60 tabs do not reach the matrix")
    assert float(first.evaluate("(cell) => parseFloat(getComputedStyle(cell).outlineWidth)")) >= 2
    tab.keyboard.press("ArrowDown")
    chosen = tab.evaluate("document.activeElement.getAttribute('href')")
    assert chosen != first.get_attribute("href")
    evidence = tab.locator(chosen)
    assert not evidence.is_visible()
    tab.keyboard.press("Enter")
    evidence.wait_for(state="visible", timeout=5000)
    sync_api.expect(tab.locator(chosen)).to_be_in_viewport()
    assert tab.evaluate(
        "document.activeElement.closest('details').contains(document.querySelector(location.hash))"
    )


def test_without_javascript_all_is_there_and_links_still_open_the_evidence(opened):
    tab = opened(java_script_enabled=False)
    link = tab.locator(".matrix a.cell").first
    target = link.get_attribute("href")
    link.click()
    tab.locator(target).wait_for(state="visible", timeout=5000)
    assert tab.locator(".chips button").count() == 0


def test_a_verdict_can_be_singled_out(opened):
    tab = opened()
    chip = tab.locator(".chips button[data-only=negative]")
    own = tab.locator(".matrix a.cell[data-verdict=negative]").first
    others = tab.locator(".matrix a.cell[data-verdict]:not([data-verdict=negative])").first
    chip.click()
    sync_api.expect(others).to_have_css("opacity", "0.16")
    sync_api.expect(own).to_have_css("opacity", "1")
    chip.click()
    sync_api.expect(others).to_have_css("opacity", "1")
