"""The page in a real browser, by keyboard and by drag and drop, where Chromium is installed."""

from __future__ import annotations

import asyncio
import json
import re
import shutil
import subprocess
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import aiohttp
import pytest

from tests.labelling.people import group, page, records, right, write

CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="no Chromium")
KEYS = {"Backspace": 8, "Enter": 13, "ArrowLeft": 37, "ArrowRight": 39, "Delete": 46}
DROP = """(() => { const data = new DataTransfer(); data.setData("text/plain", "%s");
  document.querySelectorAll("#order .%s")[%d].dispatchEvent(new DragEvent("drop", {dataTransfer: data, bubbles: true})); })()"""


class Tab:
    """A tab that is told what to do over the DevTools protocol; `errors` are what its console reported."""

    def __init__(self, socket: aiohttp.ClientWebSocketResponse):
        self._socket, self._count = socket, 0
        self.errors: list[str] = []

    async def call(self, method: str, **params: Any) -> Any:
        self._count += 1
        await self._socket.send_json({"id": self._count, "method": method, "params": params})
        while True:
            told = json.loads((await self._socket.receive()).data)
            if told.get("method") in ("Runtime.exceptionThrown", "Log.entryAdded"):
                self.errors.append(json.dumps(told))
            if told.get("id") == self._count:
                return told["result"]

    async def js(self, text: str) -> Any:
        result = await self.call("Runtime.evaluate", expression=text, returnByValue=True)
        return result["result"].get("value")

    async def key(self, key: str, shift: bool = False) -> None:
        code = (
            f"Digit{key}"
            if key.isdigit()
            else f"Key{key.upper()}"
            if key.isalpha() and len(key) == 1
            else key
        )
        more = {"text": "\r"} if key == "Enter" else {}
        common = {
            "key": key,
            "code": code,
            "modifiers": 8 if shift else 0,
            "windowsVirtualKeyCode": KEYS.get(key, 0),
        }
        await self.call("Input.dispatchKeyEvent", type="keyDown", **common, **more)
        await self.call("Input.dispatchKeyEvent", type="keyUp", **common)

    async def until(self, text: str, value: Any) -> None:
        async with asyncio.timeout(30):
            while await self.js(text) != value:
                await asyncio.sleep(0.05)

    async def order(self) -> str:
        return str(await self.js("document.getElementById('text').value"))


@asynccontextmanager
async def tab(folder: Any) -> AsyncIterator[Tab]:
    options = [
        "--headless=new",
        "--no-sandbox",
        "--disable-gpu",
        "--remote-debugging-port=0",
        f"--user-data-dir={folder}",
    ]
    process = subprocess.Popen([str(CHROMIUM), *options, "about:blank"], stderr=subprocess.PIPE, text=True)
    assert process.stderr is not None
    try:
        port = next(m[1] for line in process.stderr if (m := re.search(r"ws://[^/]+:(\d+)/", line)))
        async with aiohttp.ClientSession() as session:
            async with session.put(f"http://127.0.0.1:{port}/json/new?about:blank") as reply:
                address = (await reply.json(content_type=None))["webSocketDebuggerUrl"]
            async with session.ws_connect(address, max_msg_size=0) as socket:
                opened = Tab(socket)
                for domain in ("Page", "Runtime", "Log"):
                    await opened.call(f"{domain}.enable")
                yield opened
    finally:
        process.kill()
        process.wait()
        process.stderr.close()


@pytest.mark.timeout(240)
async def test_a_group_is_ordered_by_keys_and_by_dragging(tmp_path):
    evil = "<img src=x onerror=\"document.title='owned'\"><script>document.title='owned'</script>\x1b[2J"
    groups = [group(i) for i in range(3)]
    for member in groups[0]["trajectories"]:
        member["messages"].append({"role": "assistant", "content": evil * 300})
    source, out = write(tmp_path / "g.jsonl", groups), tmp_path / "l.jsonl"
    with page(source, out) as server:
        async with tab(tmp_path / "profile") as browser:
            width = {"width": 390, "height": 844, "deviceScaleFactor": 1, "mobile": True}
            await browser.call("Emulation.setDeviceMetricsOverride", **width)
            await browser.call("Page.navigate", url=server.address)
            await browser.until("document.querySelectorAll('article').length", 4)
            assert await browser.js("document.documentElement.scrollWidth") == 390
            assert await browser.js("document.querySelectorAll('article img, article script').length") == 0
            assert "⟨U+001B⟩" in await browser.js("document.querySelector('article').textContent")
            await browser.key("2")
            await browser.key("1")
            await browser.key("4", shift=True)
            assert await browser.order() == "B > A = D"
            await browser.js("document.querySelector('[data-chip=B]').focus()")
            await browser.key("ArrowRight")
            assert await browser.order() == "A = D > B"
            await browser.key("=")
            assert await browser.order() == "A = B = D"
            await browser.key("ArrowLeft")
            assert await browser.order() == "B > A = D"
            assert await browser.js("document.activeElement.dataset.chip") == "B"
            await browser.js("document.activeElement.blur()")
            assert not browser.errors
            await browser.key("Enter")
            await browser.until(
                "document.getElementById('said').textContent", "Not every attempt stands once; missing: C."
            )
            await browser.key("Backspace")
            assert await browser.order() == "B > A"
            await browser.js(DROP % ("D", "tier", 0))
            assert await browser.order() == "B = D > A"
            await browser.js(DROP % ("C", "gap", 0))
            assert await browser.order() == "C > B = D > A"
            await browser.key("Enter")
            await browser.until("document.getElementById('progress').textContent.slice(0, 6)", "1 of 3")
            await browser.key("u")
            await browser.until("document.getElementById('progress').textContent.slice(0, 6)", "0 of 3")
            await browser.js(
                f"document.getElementById('text').value = '{right(0)}'; document.getElementById('text').focus()"
            )
            await browser.key("Enter")
            await browser.until("document.getElementById('progress').textContent.slice(0, 6)", "1 of 3")
            await browser.key("s")
            await browser.until("document.getElementById('progress').textContent.slice(0, 6)", "2 of 3")
            for letter in right(2).split(">"):
                await browser.js(f"document.querySelector('#card-{letter} .next').click()")
            await browser.js("document.getElementById('save').click()")
            await browser.until(
                "document.getElementById('message').textContent",
                "All groups are labelled. You can close this page.",
            )
            assert await browser.js("document.title") == "Ranker: rank the attempts"
            assert all("400 (Bad Request)" in error for error in browser.errors)
        assert await asyncio.to_thread(server.process.wait, 60) == 0
    assert [(r["id"], r["ranking"][0]) for r in records(out)] == [("g0", ["secret-0"]), ("g2", ["secret-0"])]
