"""Tests of the page in a real browser: the system's Chromium, driven by Playwright."""

from __future__ import annotations

import base64
import json
import shutil
import socket
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
import uvicorn

from mnist_core.data.feedback import read_feedback
from serving.app import STATIC, Settings, create_app
from serving.model_manager import ModelManager, load_predictor
from tests.helpers.picture_files import encode
from tests.helpers.serving_fakes import FolderModelSource

playwright = pytest.importorskip("playwright.sync_api", reason="needs Playwright: pip install playwright")
CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="needs Chromium: apt-get install chromium")

Bytes = npt.NDArray[np.uint8]
# A three in four strokes of the pen, in shares of the canvas's side.
THREE = [
    [(0.3, 0.27), (0.38, 0.19), (0.5, 0.16), (0.62, 0.2), (0.67, 0.3)],
    [(0.67, 0.3), (0.62, 0.4), (0.52, 0.46), (0.43, 0.48)],
    [(0.43, 0.48), (0.56, 0.5), (0.66, 0.57), (0.69, 0.68)],
    [(0.69, 0.68), (0.64, 0.79), (0.52, 0.85), (0.4, 0.84), (0.29, 0.77)],
]


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    with playwright.sync_playwright() as driver:
        browser = driver.chromium.launch(
            executable_path=CHROMIUM, args=["--no-sandbox", "--disable-gpu", "--disable-background-networking"]
        )
        yield browser
        browser.close()


@pytest.fixture
def url(source: FolderModelSource, tmp_path: Path) -> Iterator[str]:
    """Address of a service that collects feedback."""
    manager = ModelManager(source, load_predictor)
    manager.check()
    app = create_app(manager, Settings(collect=tmp_path / "feedback", check_seconds=0.1))
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        server = uvicorn.Server(uvicorn.Config(app, log_level="warning"))
        thread = threading.Thread(target=server.run, args=([listener],))
        thread.start()
        while not server.started:
            time.sleep(0.01)
        yield f"http://127.0.0.1:{listener.getsockname()[1]}"
        server.should_exit = True
        thread.join()


@pytest.fixture
def page(browser: Any, url: str) -> Iterator[Any]:
    """The page in a desktop's window. No script may fail in it."""
    with browser.new_context(viewport={"width": 1100, "height": 900}) as context:
        yield from open_page(context, url)


def open_page(context: Any, url: str) -> Iterator[Any]:
    page = context.new_page()
    failures: list[str] = []
    page.on("pageerror", lambda error: failures.append(str(error)))
    page.on("console", lambda line: failures.append(line.text) if "Content Security" in line.text else None)
    page.clock.install()
    page.goto(url)
    playwright.expect(page.locator("#model-summary")).to_contain_text("digits 1")
    yield page
    assert failures == []


def position(page: Any, x: float, y: float) -> tuple[float, float]:
    box = page.locator("#canvas").bounding_box()
    return box["x"] + x * box["width"], box["y"] + y * box["height"]


def draw(page: Any, stroke: list[tuple[float, float]]) -> None:
    page.mouse.move(*position(page, *stroke[0]))
    page.mouse.down()
    for point in stroke[1:]:
        page.mouse.move(*position(page, *point), steps=3)
    page.mouse.up()


def check_service(page: Any) -> None:
    """Advance the page's clock by the time after which it looks at the service again."""
    page.clock.fast_forward(4000)


def set_champion(page: Any, source: FolderModelSource, version: str | None) -> None:
    """Set the champion, and wait until the service and then the page have noticed."""
    source.champion = version
    while page.request.get(f"{page.url}health").json()["version"] != version:
        time.sleep(0.01)
    check_service(page)


def expect_text(page: Any, selector: str, text: str) -> None:
    playwright.expect(page.locator(selector)).to_have_text(text)


def test_predictions_go_on_while_an_explanation_takes_long(page: Any) -> None:
    held: list[Any] = []
    page.route("**/explain", lambda route: route.continue_() if held else held.append(route))
    for stroke in THREE[:2]:
        draw(page, stroke)
        page.clock.fast_forward(500)
        playwright.expect(page.locator("#confidence")).to_contain_text("confidence")
    page.check("#show-hidden")
    expect_text(page, "#input-caption", "The first explanation takes some seconds. Predictions go on.")
    expect_text(page, "#hidden-caption", "")
    for stroke in THREE[2:]:
        draw(page, stroke)
    expect_text(page, "#result", "It is a 3")
    held[0].continue_()
    playwright.expect(page.locator("#hidden-caption")).to_contain_text("of 64 hidden units are active")
    expect_text(page, "#result", "It is a 3")


def test_a_late_explanation_is_not_shown_for_a_later_drawing(page: Any) -> None:
    held: list[Any] = []
    page.route("**/explain", lambda route: route.continue_() if held else held.append(route))
    page.clock.pause_at(page.evaluate("Date.now() / 1000") + 1)
    draw(page, THREE[0])
    while not held:
        page.wait_for_timeout(10)
    for stroke in THREE[1:]:
        draw(page, stroke)
    page.check("#show-hidden")
    page.clock.fast_forward(500)
    expect_text(page, "#result", "It is a 3")
    held[0].continue_()
    playwright.expect(page.locator("#hidden-caption")).to_contain_text("of 64 hidden units are active")
    expect_text(page, "#result", "It is a 3")


def test_a_prediction_is_shown_where_it_cannot_be_explained(page: Any) -> None:
    reason = "version 1 cannot be explained: no memory"
    page.route("**/explain", lambda route: route.fulfill(status=503, json={"detail": reason}))
    for stroke in THREE:
        draw(page, stroke)
    expect_text(page, "#result", "It is a 3")
    expect_text(page, "#input-caption", reason)


def test_a_three_is_recognised_while_it_is_drawn(page: Any) -> None:
    expect_text(page, "#result", "Nothing drawn yet")
    page.mouse.move(*position(page, *THREE[0][0]))
    page.mouse.down()
    for point in [point for stroke in THREE for point in stroke]:
        page.mouse.move(*position(page, *point), steps=3)
    expect_text(page, "#digit", "3")  # the pen is still down
    page.mouse.up()
    expect_text(page, "#result", "It is a 3")
    expect_text(page, ".bars .top span:first-child", "3")


def test_undo_and_clear_remove_strokes(page: Any) -> None:
    for stroke in THREE:
        draw(page, stroke)
    expect_text(page, "#digit", "3")
    page.keyboard.press("Control+z")
    playwright.expect(page.locator("#undo")).to_be_enabled()
    for _ in range(3):
        page.click("#undo")
    expect_text(page, "#result", "Nothing drawn yet")
    expect_text(page, "#digit", "")
    draw(page, THREE[0])
    page.keyboard.press("Escape")
    expect_text(page, "#result", "Nothing drawn yet")


def test_the_eraser_leaves_an_empty_canvas(page: Any) -> None:
    line = [(0.5, 0.2), (0.5, 0.8)]
    draw(page, line)
    expect_text(page, "#digit", "1")
    page.click("#eraser")
    draw(page, [(0.5, 0.1), (0.5, 0.9)])
    expect_text(page, "#result", "Nothing drawn yet")


def test_a_one_can_be_drawn_by_keyboard(page: Any) -> None:
    page.focus("#canvas")
    page.keyboard.press("Space")
    for _ in range(10):
        page.keyboard.press("Shift+ArrowDown")
    page.keyboard.press("Space")
    expect_text(page, "#digit", "1")


def test_the_input_the_saliency_and_the_activations_are_shown(page: Any) -> None:
    for stroke in THREE:
        draw(page, stroke)
    expect_text(page, "#digit", "3")
    page.check("#show-saliency")
    page.check("#show-hidden")
    playwright.expect(page.locator("#hidden-caption")).to_contain_text("of 64 hidden units")
    colours = """() => { const canvas = document.getElementById("network-input");
        const data = canvas.getContext("2d").getImageData(0, 0, 280, 280).data;
        return data.some((level, index) => index % 4 == 0 && level != data[index + 2]); }"""
    assert page.evaluate(colours)


def test_a_picture_file_is_recognised(page: Any, digits: Bytes, tmp_path: Path) -> None:
    dark_on_light = 255 - np.kron(digits[0], np.ones((10, 10), np.uint8))
    page.set_input_files(
        "#file", {"name": "zero.jpg", "mimeType": "image/jpeg", "buffer": encode(dark_on_light, "JPEG")}
    )
    expect_text(page, "#digit", "0")
    page.set_input_files("#file", {"name": "no.png", "mimeType": "image/png", "buffer": b"no picture"})
    expect_text(page, "#result", "No prediction")


def test_a_picture_is_recognised_when_it_is_pasted(page: Any, digits: Bytes) -> None:
    picture = base64.b64encode(encode(255 - digits[4])).decode()
    paste = """(picture) => {
        const bytes = Uint8Array.from(atob(picture), (character) => character.charCodeAt(0));
        const data = new DataTransfer();
        data.items.add(new File([bytes], "one.png", { type: "image/png" }));
        document.dispatchEvent(new ClipboardEvent("paste", { clipboardData: data }));
    }"""
    page.evaluate(paste, picture)
    expect_text(page, "#digit", "1")


def test_a_correction_is_stored_with_the_input_of_the_network(
    page: Any, source: FolderModelSource, tmp_path: Path
) -> None:
    for stroke in THREE:
        draw(page, stroke)
    expect_text(page, "#digit", "3")
    page.get_by_label("The correct digit is 7").click()
    expect_text(page, "#feedback-status", "Thank you. Stored as a 7.")
    set_champion(page, source, None)  # updates what is shown, and not the drawing
    with page.expect_response("**/explain"):
        set_champion(page, source, "1")
    page.wait_for_timeout(100)
    expect_text(page, "#feedback-status", "Thank you. Stored as a 7.")
    stored = read_feedback(tmp_path / "feedback" / "feedback.jsonl")
    assert stored.labels.tolist() == [7]
    assert stored.images[0].max() == 255


def test_a_correction_is_stored_with_the_version_that_was_wrong(
    page: Any, source: FolderModelSource, trained_file: Path, tmp_path: Path
) -> None:
    for stroke in THREE:
        draw(page, stroke)
    expect_text(page, "#digit", "3")
    page.route("**/health", lambda route: route.abort())  # so that the page does not notice the next champion
    source.put("2", trained_file.read_bytes())
    source.champion = "2"
    while page.request.get(f"{page.url}model").json()["version"] != "2":
        time.sleep(0.01)
    page.get_by_label("The correct digit is 7").click()
    expect_text(page, "#feedback-status", "Thank you. Stored as a 7.")
    line = json.loads((tmp_path / "feedback" / "feedback.jsonl").read_text())
    assert (line["model"], line["truth"]) == ("1", 7)


def test_the_page_follows_the_champion(page: Any, source: FolderModelSource) -> None:
    set_champion(page, source, None)
    playwright.expect(page.locator("#waiting")).to_contain_text("mnist-search promote")
    playwright.expect(page.locator(".prediction")).to_be_hidden()
    set_champion(page, source, "1")
    playwright.expect(page.locator(".prediction")).to_be_visible()
    playwright.expect(page.locator("#model-info a")).to_have_attribute(
        "href", "http://127.0.0.1:5000/#/experiments/1/runs/0"
    )


def test_the_model_is_shown_again_after_the_service_was_out_of_reach(page: Any) -> None:
    page.route("**/health", lambda route: route.abort())
    check_service(page)
    expect_text(page, "#model-summary", "The service cannot be reached.")
    page.unroute("**/health")
    check_service(page)
    playwright.expect(page.locator("#model-summary")).to_contain_text("digits 1")


def test_without_a_model_that_can_be_served_the_page_states_the_problem(page: Any) -> None:
    health = {"status": "waiting", "version": None, "problem": "the store is out of reach", "collecting": False}
    page.route("**/health", lambda route: route.fulfill(json=health, status=503))
    check_service(page)
    expect_text(page, "#waiting-reason", "The champion cannot be served: the store is out of reach")
    expect_text(page, "#waiting-title", "No model is served")
    playwright.expect(page.locator("#waiting-steps")).to_be_hidden()


def test_the_button_for_pictures_shows_the_focus_of_the_keyboard(page: Any) -> None:
    page.focus("#eraser")
    page.keyboard.press("Tab")
    page.keyboard.press("Tab")  # past the width of the pen
    assert page.evaluate("document.activeElement.id") == "file"
    assert page.evaluate("getComputedStyle(document.querySelector('label[for=file]')).outlineStyle") == "solid"


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_drawing_with_a_finger_on_a_phone_does_not_scroll_the_page(browser: Any, url: str, scheme: str) -> None:
    phone = {"viewport": {"width": 390, "height": 780}, "has_touch": True, "is_mobile": True, "device_scale_factor": 3}
    with browser.new_context(**phone, color_scheme=scheme) as context:
        for page in open_page(context, url):
            finger = context.new_cdp_session(page)

            def touch(kind: str, *points: tuple[float, float], finger: Any = finger) -> None:
                touches = [{"x": x, "y": y} for x, y in points]
                finger.send("Input.dispatchTouchEvent", {"type": kind, "touchPoints": touches})

            touch("touchStart", position(page, *THREE[0][0]))
            for point in [point for stroke in THREE for point in stroke]:
                touch("touchMove", position(page, *point))
            touch("touchEnd")
            expect_text(page, "#digit", "3")
            assert page.evaluate("[scrollX, scrollY]") == [0, 0]
            assert page.evaluate("document.documentElement.scrollWidth") <= 390


def test_the_page_can_be_installed_and_opens_offline(browser: Any, url: str) -> None:
    with browser.new_context() as context:
        for page in open_page(context, url):
            manifest = page.evaluate("fetch('manifest.webmanifest').then((response) => response.json())")
            sizes = {icon["sizes"] for icon in manifest["icons"]}
            assert {"192x192", "512x512"} <= sizes
            page.evaluate("navigator.serviceWorker.ready.then(() => true)")
            page.reload()
            context.set_offline(True)
            page.reload()
            expect_text(page, "h1", "Draw a digit")
            expect_text(page, "#model-summary", "The service cannot be reached.")


def test_the_newest_page_is_shown_when_it_cannot_be_cached(browser: Any, url: str) -> None:
    with browser.new_context() as context:
        for page in open_page(context, url):
            page.evaluate("navigator.serviceWorker.ready.then(() => true)")
            page.reload()  # through the service worker
            (worker,) = context.service_workers
            worker.evaluate("""async () => {
                const cache = await caches.open("shell-2");
                await cache.put("style.css", new Response("an old style"));
                Cache.prototype.put = () => Promise.reject(new DOMException("full", "QuotaExceededError"));
            }""")
            style = page.evaluate("fetch('style.css').then((response) => response.text())")
            assert style == (STATIC / "style.css").read_text()
