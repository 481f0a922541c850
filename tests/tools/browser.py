"""A headless Chromium that opens a page and clicks through it, over a pipe: nothing listens on the network."""

import base64
import json
import os
import shutil
import subprocess
from pathlib import Path

import pytest

NAMES = ("chromium", "chromium-browser", "google-chrome")


class Browser:
    """A page in Chromium, by its DevTools protocol. Errors of the page's script are those of the test."""

    def __init__(self, folder: Path):
        found = next(filter(None, map(shutil.which, NAMES)), None)
        if found is None:
            pytest.skip(f"needs a browser, one of {', '.join(NAMES)}, and there is none")
        self.folder, self.number, self.events = folder, 0, []
        to_read, self.to_write = os.pipe()
        self.to_read, to_write = os.pipe()

        def descriptors():
            # Chromium reads from 3 and writes to 4, which may be numbers that the pipes have here.
            reading, writing = os.dup(to_read), os.dup(to_write)
            os.dup2(reading, 3)
            os.dup2(writing, 4)

        words = ["--headless", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--remote-debugging-pipe"]
        self.process = subprocess.Popen(
            [found, *words, f"--user-data-dir={folder / 'profile'}", "about:blank"],
            preexec_fn=descriptors, close_fds=False, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
        )  # fmt: skip
        os.close(to_read)
        os.close(to_write)
        self.answers = os.fdopen(self.to_read, "rb")
        self.session = None
        (target,) = [one for one in self.call("Target.getTargets")["targetInfos"] if one["type"] == "page"]
        self.session = self.call("Target.attachToTarget", targetId=target["targetId"], flatten=True)["sessionId"]
        for domain in ("Page", "Runtime", "Network", "Log"):
            self.call(f"{domain}.enable")
        self.call("Browser.setDownloadBehavior", behavior="allow", downloadPath=str(folder), eventsEnabled=True)

    def message(self) -> dict:
        text = bytearray()
        while (byte := self.answers.read(1)) != b"\0":
            if not byte:
                raise RuntimeError("Chromium ended")
            text += byte
        return json.loads(text)

    def call(self, method: str, **parameters) -> dict:
        self.number += 1
        said = {"id": self.number, "method": method, "params": parameters}
        if self.session:
            said["sessionId"] = self.session
        os.write(self.to_write, json.dumps(said).encode() + b"\0")
        while True:
            answer = self.message()
            if answer.get("id") == self.number:
                assert "error" not in answer, f"{method}: {answer['error']}"
                return answer["result"]
            self.events.append(answer)

    def wait_for(self, method: str) -> dict:
        """The next event of that name, also one that came before."""
        while True:
            for place, event in enumerate(self.events):
                if event.get("method") == method:
                    return self.events.pop(place)["params"]
            self.events.append(self.message())

    def open(self, page: Path, width: int = 1200, height: int = 900) -> None:
        self.call(
            "Emulation.setDeviceMetricsOverride", width=width, height=height, deviceScaleFactor=1, mobile=width < 500
        )
        self.call("Page.navigate", url=page.as_uri())
        self.wait_for("Page.loadEventFired")

    def run(self, script: str):
        """The value of an expression in the page."""
        answer = self.call("Runtime.evaluate", expression=script, returnByValue=True, userGesture=True)
        assert "exceptionDetails" not in answer, answer["exceptionDetails"]
        return answer["result"].get("value")

    def texts(self, selector: str) -> list[str]:
        return self.run(f"[...document.querySelectorAll({json.dumps(selector)})].map((one) => one.innerText)")

    def click(self, selector: str, nth: int = 0) -> None:
        """A press of the mouse in the middle of the element, which has to be what is seen there."""
        x, y, hit = self.run(f"""(() => {{
            const one = document.querySelectorAll({json.dumps(selector)})[{nth}];
            one.scrollIntoView({{ block: "center" }});
            const box = one.getBoundingClientRect();
            const x = box.x + box.width / 2, y = box.y + box.height / 2;
            return [x, y, one.contains(document.elementFromPoint(x, y))];
        }})()""")
        assert hit, f"{selector} is hidden by something else"
        for kind in ("mousePressed", "mouseReleased"):
            self.call("Input.dispatchMouseEvent", type=kind, x=x, y=y, button="left", clickCount=1)

    def write(self, selector: str, text: str, nth: int = 0) -> None:
        """Clicks into a field, replaces what is in it and leaves it."""
        self.click(selector, nth)
        self.run("document.activeElement.select()")
        self.call("Input.insertText", text=text)
        self.run("document.activeElement.blur()")

    def choose(self, selector: str, value: str) -> None:
        one = f"document.querySelector({json.dumps(selector)})"
        self.run(f"{one}.value = {json.dumps(value)}; {one}.dispatchEvent(new Event('change'))")

    def downloaded(self) -> Path:
        while (progress := self.wait_for("Browser.downloadProgress"))["state"] != "completed":
            assert progress["state"] != "canceled"
        return max(self.folder.glob("*.csv"), key=lambda file: file.stat().st_mtime)

    def requests(self) -> list[str]:
        """What the page asked for, images that are in it left out."""
        asked = [one["params"] for one in self.events if one.get("method") == "Network.requestWillBeSent"]
        addresses = [one["request"]["url"] for one in asked]
        return [address for address in addresses if not address.startswith("data:")]

    def complaints(self) -> list[dict]:
        """Errors of scripts, and what the page's policy forbade."""
        return [one for one in self.events if one.get("method") in ("Runtime.exceptionThrown", "Log.entryAdded")]

    def picture(self, file: Path) -> None:
        file.write_bytes(base64.b64decode(self.call("Page.captureScreenshot")["data"]))

    def close(self) -> None:
        os.close(self.to_write)
        try:
            self.process.wait(10)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
        self.answers.close()
