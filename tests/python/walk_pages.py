"""Opens pages in a headless Chromium, and tells what they asked for and what went wrong.

    python walk_pages.py CHROMIUM <visits.json

Standard input is a list of visits, each with a `url` and the texts that are to appear (`texts`).
Standard output is a list with a report for each visit:

    requests   [method, path without query, status, media type] of each request to the page's server;
               the path of a GraphQL request ends with the name of its operation
    failures   requests to the page's server that got no answer, with the reason
    elsewhere  addresses of other servers that the page asked for
    errors     what the page wrote to the console as an error, and uncaught exceptions
    missing    texts that did not appear in time
"""

import asyncio
import json
import re
import sys
import tempfile
from pathlib import Path
from urllib.parse import urlsplit

import aiohttp

PATIENCE = 60  # Seconds for the texts of a visit to appear.
QUIET = 1.0  # Seconds without traffic after which a page is complete.

SHOWN = "document.body ? document.body.innerText : ''"


class Browser:
    """A connection to the one tab of a Chromium, by the DevTools protocol."""

    def __init__(self, socket):
        self.socket = socket
        self.number = 0
        self.answers = {}
        self.visit = None
        self.reader = asyncio.create_task(self.read())

    async def read(self):
        async for message in self.socket:
            said = json.loads(message.data)
            if "id" in said:
                self.answers.pop(said["id"]).set_result(said)
            elif self.visit:
                self.visit.note(said["method"], said["params"])

    async def call(self, method, **parameters):
        self.number += 1
        answer = self.answers[self.number] = asyncio.get_running_loop().create_future()
        await self.socket.send_json({"id": self.number, "method": method, "params": parameters})
        said = await asyncio.wait_for(answer, PATIENCE)
        if "error" in said:
            raise RuntimeError(f"{method}: {said['error']}")
        return said["result"]

    async def shown(self):
        found = await self.call("Runtime.evaluate", expression=SHOWN, returnByValue=True)
        return found["result"].get("value") or ""


class Visit:
    """What happens while a page is open."""

    def __init__(self, url):
        self.url = url
        self.origin = urlsplit(url).netloc
        self.sent = {}
        self.open = set()
        self.requests, self.failures, self.elsewhere, self.errors = [], [], [], []
        self.last = asyncio.get_running_loop().time()

    def note(self, method, said):
        request = said.get("requestId")
        if method == "Network.requestWillBeSent":
            self.begin(request, said["request"])
        elif method == "Network.responseReceived" and request in self.sent:
            answer = said["response"]
            self.requests.append([*self.sent[request], answer["status"], answer["mimeType"]])
        elif method in ("Network.loadingFinished", "Network.loadingFailed"):
            self.end(request, said)
        elif method == "Runtime.exceptionThrown":
            details = said["exceptionDetails"]
            self.errors.append(details.get("exception", {}).get("description") or details["text"])
        elif method == "Runtime.consoleAPICalled" and said["type"] in ("error", "assert"):
            parts = [str(part.get("value", part.get("description"))) for part in said["args"]]
            self.errors.append(" ".join(parts))
        elif method == "Log.entryAdded" and said["entry"]["level"] == "error":
            self.errors.append(f"{said['entry']['text']} {said['entry'].get('url', '')}".strip())

    def begin(self, request, sent):
        address = urlsplit(sent["url"])
        if address.scheme not in ("http", "https"):
            return
        if address.netloc != self.origin:
            self.elsewhere.append(sent["url"])
            return
        path = address.path
        if path == "/graphql":
            operation = re.search(r"(?:query|mutation) (\w+)", sent.get("postData", ""))
            path = f"{path} {operation and operation[1]}"
        self.sent[request] = [sent["method"], path]
        self.open.add(request)
        self.last = asyncio.get_running_loop().time()

    def end(self, request, said):
        if request not in self.open:
            return
        self.open.discard(request)
        self.last = asyncio.get_running_loop().time()
        # What the page itself gave up is no failure of the server.
        if "errorText" in said and not said.get("canceled"):
            self.failures.append([*self.sent[request], said["errorText"]])

    def is_quiet(self):
        return not self.open and asyncio.get_running_loop().time() - self.last > QUIET

    async def run(self, browser, texts):
        await browser.call("Page.navigate", url="about:blank")
        browser.visit = self
        await browser.call("Page.navigate", url=self.url)
        end = asyncio.get_running_loop().time() + PATIENCE
        missing, shown = texts, ""
        while asyncio.get_running_loop().time() < end and (missing or not self.is_quiet()):
            await asyncio.sleep(0.1)
            shown = await browser.shown()
            missing = [text for text in texts if text not in shown]
        browser.visit = None
        report = {"url": self.url, "missing": missing, "requests": self.requests}
        report |= {"failures": self.failures, "errors": self.errors}
        report["elsewhere"] = sorted(set(self.elsewhere))
        return report | ({"shown": shown} if missing else {})


async def page_of(folder, process):
    """The address of the tab's socket, once the browser listens."""
    file = Path(folder, "DevToolsActivePort")
    for _ in range(PATIENCE * 10):
        if process.returncode is not None:
            raise RuntimeError("Chromium ended: " + (await process.stderr.read()).decode())
        if file.exists() and len(file.read_text().split()) == 2:
            break
        await asyncio.sleep(0.1)
    port = file.read_text().split()[0]
    async with aiohttp.ClientSession() as session:
        async with session.get(f"http://127.0.0.1:{port}/json") as answer:
            tabs = await answer.json()
    return next(tab["webSocketDebuggerUrl"] for tab in tabs if tab["type"] == "page")


async def walk(chromium, visits):
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as folder:
        process = await asyncio.create_subprocess_exec(
            chromium,
            "--headless=new",
            # A sandbox cannot be made by root, nor in most containers; the pages are our own.
            "--no-sandbox",
            "--disable-dev-shm-usage",
            "--disable-gpu",
            "--disable-background-networking",
            "--no-first-run",
            "--window-size=1600,1200",
            "--remote-debugging-port=0",
            f"--user-data-dir={folder}",
            "about:blank",
            stdout=asyncio.subprocess.DEVNULL,
            stderr=asyncio.subprocess.PIPE,
        )
        try:
            async with aiohttp.ClientSession() as session:
                async with session.ws_connect(await page_of(folder, process), max_msg_size=0) as socket:
                    browser = Browser(socket)
                    for domain in ("Network", "Runtime", "Log", "Page"):
                        await browser.call(f"{domain}.enable")
                    return [await Visit(visit["url"]).run(browser, visit["texts"]) for visit in visits]
        finally:
            process.terminate()
            await process.wait()


if __name__ == "__main__":
    print(json.dumps(asyncio.run(walk(sys.argv[1], json.load(sys.stdin)))))
