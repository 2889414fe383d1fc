"""A server with something of everything on it, and the page in each of its states: for pictures and for checks of all.

    with Stage(tmp_path, browsers) as stage:
        for scene in SCENES:
            for page in scene.shown(stage): ...

The tasks are real: what is said of them, they did.
"""

import re
import signal
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from playwright.sync_api import Page, expect

from tests.browser.browser import Browsers, Chromium
from tests.server import Server, start_server

WIDE, LAPTOP, TABLET, PHONE, SMALL = (1440, 900), (1024, 768), (820, 1180), (390, 844), (360, 740)

_ENV = {
    "LSM_SLOTS": "4",
    "MAX_CONCURRENT_TASKS": "2",
    "WORKSPACE_QUOTA_MB": "500",
    "LSM_DISK_RESERVE_MB": "64",
}
_POST = """async ([path, body]) => {
    const headers = {"Content-Type": "application/json"};
    const answer = await fetch(path, {method: "POST", headers, body: JSON.stringify(body)});
    const found = await answer.json();
    if (!answer.ok) throw new Error(found.error);
    return found;
}"""
_PUT = """async ([path, text]) => {
    const answer = await fetch(path, {method: "PUT", body: text});
    if (!answer.ok) throw new Error((await answer.json()).error);
}"""
_STATE = "async id => (await (await fetch(`/api/task/${id}`)).json()).status"

REGIONS = """# Sales by region
import csv, struct, zlib, collections, os
os.makedirs('outputs', exist_ok=True)
totals = collections.Counter()
with open('inputs/sales.csv') as file:
    for row in csv.DictReader(file):
        totals[row['region']] += float(row['amount'])
with open('outputs/regions.csv', 'w') as file:
    writer = csv.writer(file)
    writer.writerow(['region', 'amount', 'share'])
    for region, amount in totals.most_common():
        print(f'{region:<10} {amount:>12,.2f}')
        writer.writerow([region, f'{amount:.2f}', f'{amount / sum(totals.values()):.1%}'])
width, height = 640, 240
most = max(totals.values())
bars = [int(amount / most * 200) for _, amount in totals.most_common()]
step = (width - 40) // len(bars)
rows = b''
for y in range(height):
    row = bytearray()
    for x in range(width):
        at, of = divmod(x - 20, step)
        bar = bars[at] if 0 <= at < len(bars) and step // 8 < of < step - step // 8 else 0
        inside = height - 20 - bar < y < height - 20
        row += b'\\x46\\x56\\x6b' if inside else b'\\xf6\\xf7\\xf9'
    rows += b'\\0' + bytes(row)
def chunk(kind, data):
    return struct.pack('>I', len(data)) + kind + data + struct.pack('>I', zlib.crc32(kind + data))
with open('outputs/regions.png', 'wb') as file:
    file.write(b'\\x89PNG\\r\\n\\x1a\\n' + chunk(b'IHDR', struct.pack('>IIBBBBB', width, height, 8, 2, 0, 0, 0)))
    file.write(chunk(b'IDAT', zlib.compress(rows)) + chunk(b'IEND', b''))
with open('outputs/summary.md', 'w') as file:
    file.write('# Sales by region\\n\\nThe strongest region is **' + totals.most_common(1)[0][0] + '**.\\n')
print('Written: regions.csv, regions.png, summary.md')
"""
TRAIN = """# Train the sentiment classifier
import math, random, sys, time
random.seed(7)
print('\\x1b[1mLoading 12,904 reviews\\x1b[0m')
time.sleep(0.3)
kept = []
for epoch in range(1, 400):
    kept.append(bytearray(random.randrange(4, 12) * 1_000_000))
    if len(kept) > 36:
        del kept[:24]
    loss = 0.9 * math.exp(-epoch / 40) + random.random() * 0.05
    work = time.process_time() + 0.05 + random.random() * 0.1
    while time.process_time() < work:
        math.sqrt(epoch)
    time.sleep(0.1)
    good = f'accuracy \\x1b[32m{1 - loss / 2:.3f}\\x1b[0m'
    print(f'epoch {epoch:>3}/400  loss \\x1b[36m{loss:.4f}\\x1b[0m  {good}', flush=True)
    if epoch % 17 == 0:
        print(f'learning rate lowered to {0.01 / epoch:.5f}', file=sys.stderr, flush=True)
"""
MEASURE = """# Load all measurements at once
print('Reading inputs/measurements.csv')
rows = []
while True:
    rows.append(bytearray(8_000_000))
    if len(rows) % 10 == 0:
        print(f'{len(rows) * 8} MB of rows read', flush=True)
"""
_SALES = "region,amount\n" + "".join(
    f"{region},{((n * 37) % 991 + 12.5) * part:.2f}\n"
    for n in range(300)
    for region, part in (("North", 1.2), ("South", 0.7), ("East", 0.9), ("West", 0.4))
)


class Stage:
    """One server, one device with tasks in every state, and another one beside it."""

    def __init__(
        self,
        scratch: Path,
        browsers: Browsers,
        *,
        prefix: Sequence[str] = (),
        server_prefix: Sequence[str] = (),
        host: str = "127.0.0.1",
        language: str = "en-GB",
    ) -> None:
        self._scratch = scratch
        self._browsers = browsers
        self._prefix = prefix
        self._server_prefix = server_prefix
        self._host = host
        self._language = language
        self.server: Server
        self.chromium: Chromium
        self.page: Page
        self.tasks: dict[str, str] = {}

    @property
    def url(self) -> str:
        """Where the page is."""
        return f"http://{self._host}:{self.server.port}/"

    def __enter__(self) -> Self:
        listen = "0.0.0.0" if self._server_prefix else self._host
        (self._scratch / "server").mkdir()
        self.server = start_server(
            self._scratch / "server", env=_ENV, host=listen, prefix=self._server_prefix, args=["--drain"]
        )
        self.chromium = self._browsers.launch(prefix=self._prefix, language=self._language)
        self.page = self.chromium.open(self.url)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.server.kill9()  # one that drains would wait
        self.server.stop()

    def fill(self) -> None:
        """Make a task of every kind; returns when each is what it will be."""
        workspace = f"/api/workspace/{self.page.evaluate(_IP)}/files"
        for path, text in (
            ("sales.csv", _SALES),
            ("notes.txt", "Ask Maria for the numbers of March.\n"),
            ("2026/march.csv", _SALES),
            ("2026/april.csv", _SALES),
        ):
            self.page.evaluate(_PUT, [f"{workspace}/inputs/{path}", text])
        self._submit("done", REGIONS, "python")
        self._until("done", "completed")
        self._submit("out of memory", MEASURE, "python")
        self._until("out of memory", "failed")
        self._submit("exit", "# Check the links of the wiki\necho 'wiki.local: no such host' >&2\nexit 2")
        self._until("exit", "failed")
        self._submit("cancelled", "# Convert the archive\nsleep 600")
        self._until("cancelled", "running")
        self.page.evaluate(_POST, [f"/api/task/{self.tasks['cancelled']}/cancel", {}])
        self._until("cancelled", "cancelled")
        self._submit("running", TRAIN, "python")
        self._submit(
            "beside", '# Resize the photos of the trip\nfor n in $(seq 1 900); do echo "IMG_$n.jpg"; sleep 1; done'
        )
        self._until("beside", "running")
        self._submit("queued", "# Weekly report\nsleep 5; echo done")
        self._submit("queued later", "# Back up the results\ntar -cf outputs/results.tar outputs/*.csv")

    def task(self, name: str) -> str:
        """The end of the address of a task: "task_003"."""
        return re.sub(r".*(task_\d+)$", r"\1", self.tasks[name])

    def show(self, fragment: str) -> Page:
        """The page at an address of its own, loaded anew."""
        self.page.goto("about:blank")
        self.page.goto(self.url + fragment)
        expect(self.page.locator("[data-connection=live]")).to_be_attached()
        return self.page

    def drain(self) -> None:
        """Have the server wait for its tasks to end."""
        self.server.process.send_signal(signal.SIGTERM)

    def _submit(self, name: str, command: str, runner: str = "shell") -> None:
        title = command.partition("\n")[0].removeprefix("# ")
        task = {"description": title, "command": command, "runner": runner}
        self.tasks[name] = self.page.evaluate(_POST, ["/api/task/submit", task])["task_id"]

    def _until(self, name: str, state: str) -> None:
        for _ in range(600):
            if self.page.evaluate(_STATE, self.tasks[name]) == state:
                return
            self.page.wait_for_timeout(100)
        raise AssertionError(f"the task {name} is not {state}")


_IP = "async () => (await (await fetch('/api/client-ip')).json()).ip"


@dataclass(frozen=True)
class Scene:
    """A state of the page. `sizes`: where it is a state of its own."""

    name: str
    show: Callable[[Stage], Page]
    sizes: tuple[tuple[int, int], ...] = (WIDE, PHONE)

    def open(self, stage: Stage) -> Page:
        """The page in this state, as large as it is there first."""
        width, height = self.sizes[0]
        stage.page.set_viewport_size({"width": width, "height": height})
        return self.show(stage)


def _dashboard(stage: Stage) -> Page:
    page = stage.show(f"#{stage.task('running')}")
    expect(page.get_by_role("log")).to_contain_text("epoch  12")
    expect(page.locator("#pane-files")).to_contain_text("sales.csv")
    return page


def _at(name: str, tab: str = "", ready: str = "") -> Callable[[Stage], Page]:
    def show(stage: Stage) -> Page:
        page = stage.show(f"#{stage.task(name)}{tab}")
        if ready:
            expect(page.locator(ready).first).to_be_visible()
        return page

    return show


def _opened(name: str) -> Callable[[Stage], Page]:
    def show(stage: Stage) -> Page:
        page = _dashboard(stage)
        page.get_by_role("button", name=re.compile(name)).first.click()
        return page

    return show


def _fragment(fragment: str) -> Callable[[Stage], Page]:
    def show(stage: Stage) -> Page:
        page = stage.show(fragment)
        expect(page.locator("#pane-files")).to_contain_text("sales.csv")
        return page

    return show


def _composing(stage: Stage) -> Page:
    page = stage.show("#tasks")
    page.get_by_role("textbox", name="Command").click()
    page.get_by_role("button", name=re.compile("^Options")).click()
    return page


def _choosing(stage: Stage) -> Page:
    page = stage.show("#tasks")
    page.get_by_role("button", name="Select", exact=True).click()
    for box in page.locator(".task .pick").all()[2:6]:
        box.click()
    return page


def _keys(stage: Stage) -> Page:
    page = _dashboard(stage)
    page.get_by_role("button", name="Keys").click()
    return page


def _deleting(stage: Stage) -> Page:
    page = stage.show(f"#{stage.task('done')}")
    page.locator(f".task[data-id='{stage.tasks['done']}']").get_by_role("button", name=re.compile("Delete")).click()
    expect(page.get_by_role("dialog")).to_be_visible()
    return page


def _polling(stage: Stage) -> Page:
    page = stage.chromium.open(f"{stage.url}#{stage.task('running')}", without_sockets=True)
    expect(page.locator("[data-connection=polling]")).to_be_attached()
    return page


def _draining(stage: Stage) -> Page:
    page = _dashboard(stage)
    stage.drain()
    expect(page.locator("[data-draining]")).to_be_visible()
    return page


def _offline(stage: Stage) -> Page:
    page = _dashboard(stage)
    stage.server.kill9()
    expect(page.locator(".banner [class*=countdown]")).to_be_visible()
    return page


def _admin(fragment: str = "") -> Callable[[Stage], Page]:
    def show(stage: Stage) -> Page:
        page = stage.page
        page.goto("about:blank")
        page.goto(f"{stage.url}admin{fragment}")
        token = page.get_by_label("Admin token")
        expect(token.or_(page.locator("main.admin"))).to_be_visible()
        if token.is_visible():
            token.fill(stage.server.admin_token)
            page.get_by_role("button", name="Log in").click()
        expect(page.locator("main.admin")).to_be_visible()
        return page

    return show


def _health(stage: Stage) -> Page:
    page = _admin("#health")(stage)
    expect(page.get_by_text("Checked", exact=False).first).to_be_visible(timeout=60_000)
    return page


def _login(stage: Stage) -> Page:
    page = stage.chromium.open(f"{stage.url}admin")
    expect(page.get_by_label("Admin token")).to_be_visible()
    return page


EMPTY = Scene("empty", lambda stage: stage.show(""), (WIDE, TABLET, PHONE))
# The last two leave no server behind.
SCENES: tuple[Scene, ...] = (
    Scene("dashboard", _dashboard, (WIDE, LAPTOP, TABLET, PHONE, SMALL)),
    Scene("task", _dashboard, (PHONE, SMALL)),
    Scene("outputs", _at("done", "/outputs", ".out img")),
    Scene("details", _at("running", "/details")),
    Scene("failed", _at("out of memory", "/details", ".callout")),
    Scene("stderr", _at("exit", "", ".log .err")),
    Scene("queued", _at("queued", "/details")),
    Scene("cancelled", _at("cancelled")),
    Scene("files", _fragment("#files"), (PHONE, SMALL)),
    Scene("swarm", _fragment("#swarm"), (PHONE, SMALL)),
    Scene("list", _fragment("#tasks"), (PHONE, SMALL)),
    Scene("options", _opened("^Options"), (WIDE,)),
    Scene("composer", _composing, (PHONE, SMALL)),
    Scene("device", _opened("^This device"), (WIDE,)),
    Scene("this-device", _fragment("#device"), (PHONE,)),
    Scene("join", _opened("^Join"), (WIDE, PHONE)),
    Scene("delete", _deleting, (WIDE, PHONE)),
    Scene("polling", _polling, (WIDE,)),
    Scene("admin-login", _login, (WIDE, PHONE)),
    Scene("admin", _admin(), (WIDE, TABLET, PHONE)),
    Scene("admin-queue", _admin("#queue")),
    Scene("admin-health", _health),
    Scene("admin-settings", _admin("#settings")),
    Scene("choosing", _choosing, (WIDE, PHONE)),
    Scene("keys", _keys, (WIDE,)),
    Scene("draining", _draining, (WIDE, PHONE)),
    Scene("offline", _offline, (WIDE, PHONE)),
)


# Colours fade over: whoever looks or measures in the middle of it sees none of the two.
SETTLED = """async () => {
    const reads = () => [...document.querySelectorAll('.says')].some(row => row.textContent.includes('…'));
    for (let i = 0; i < 50 && reads(); i += 1) await new Promise(done => setTimeout(done, 100));
    await new Promise(done => requestAnimationFrame(() => requestAnimationFrame(done)));
    for (const one of document.getAnimations())
        if (one.effect.getComputedTiming().iterations !== Infinity) one.finish();
}"""


def variants(scene: Scene, page: Page) -> Iterator[tuple[tuple[int, int], str, Any]]:
    """The page at each size of the scene, light and dark."""
    for width, height in scene.sizes:
        page.set_viewport_size({"width": width, "height": height})
        for scheme in ("light", "dark"):
            page.emulate_media(color_scheme=scheme)
            page.evaluate(SETTLED)
            yield (width, height), scheme, page
