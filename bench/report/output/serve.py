"""The page of a report in a browser of this machine, made anew while a grid runs."""

from __future__ import annotations

import functools
import io
import threading
import webbrowser
from collections.abc import Callable
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

from bench.core.errors import BenchError
from bench.core.files import signature
from bench.store.folder import ResultsFolder

SECONDS = 2.0
"""How often the records are looked at."""
LONGEST_PAUSE = 30.0
"""Seconds between two tries at most while a report cannot be built: the pause doubles from `SECONDS` on."""
HOME = ("/", "/index.html")
FOLLOWING = {
    b'<html lang="en">': b'<html lang="en" data-follow>',
    b"default-src 'none';": b"default-src 'none'; connect-src 'self';",
}
"""What the page is given so that its script asks whether there is a newer one; the file stays as it is."""


class Handler(SimpleHTTPRequestHandler):
    """The files of a report, for this machine's own browser only."""

    def send_head(self):
        """As the library does; the page itself is told to follow, and no other name of this machine is answered."""
        host = self.headers.get("Host", "").rpartition(":")[0]
        if host not in ("127.0.0.1", "localhost"):  # a page elsewhere whose name was pointed here
            self.send_error(403)
            return None
        path = Path(self.directory) / "index.html"
        if self.path.partition("?")[0] not in HOME or not path.is_file():
            return super().send_head()
        content = path.read_bytes()
        for plain, following in FOLLOWING.items():
            content = content.replace(plain, following, 1)
        self.send_response(200)
        self.send_header("Content-Type", "text/html; charset=utf-8")
        self.send_header("Content-Length", str(len(content)))
        self.send_header("Last-Modified", self.date_time_string(path.stat().st_mtime))
        self.send_header("Cache-Control", "no-store")
        self.end_headers()
        return io.BytesIO(content)

    def log_message(self, *_) -> None:
        """Nothing: the terminal is for the report."""


def serve(
    build: Callable[[], object],
    results: Path,
    out: Path,
    tell: Callable[[str], object],
    *,
    browser: bool = True,
    stop: threading.Event | None = None,
) -> None:
    """Build the report, serve it on localhost, and build it again whenever a record changed, until Ctrl-C.

    One that cannot be built is told and tried again.

    Parameters
    ----------
    build
        Writes the report below `out`.
    results
        The results folder that is watched.
    tell
        Gets the address, and why a report could not be built.
    browser
        Whether to open the address in a browser.
    stop
        Ends serving when set.
    """
    stop, seen = stop or threading.Event(), state(results)
    build()
    with ThreadingHTTPServer(("127.0.0.1", 0), functools.partial(Handler, directory=str(out))) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        address = f"http://127.0.0.1:{server.server_port}/"
        tell(f"{address} shows {results} and is updated as it changes; press Ctrl-C to stop")
        if browser:
            _open(address)
        pause, told = SECONDS, ""
        try:
            while not stop.wait(pause):
                try:
                    if (now := state(results)) != seen:
                        build()
                    seen, pause, told = now, SECONDS, ""
                except (BenchError, OSError) as error:
                    pause = min(2 * pause, LONGEST_PAUSE)
                    if str(error) != told:
                        told = str(error)
                        tell(f"not updated: {error}")
        except KeyboardInterrupt:
            tell("stopped; the report is kept")
        finally:
            server.shutdown()


def state(results: Path) -> int:
    """A number that changes when a record or a pack of a results folder is written, changed or removed.

    Raises UsageError or OSError where the folder cannot be read.
    """
    folder = ResultsFolder(results)
    return hash(tuple((str(path), signature(path)) for path in [*folder.pack_paths(), *folder.loose_records()]))


def _open(address: str) -> None:
    """Open a window of a browser; one that would take over the terminal stays closed."""
    try:
        found = webbrowser.get()
    except webbrowser.Error:
        return
    if type(found) is not webbrowser.GenericBrowser:
        found.open_new_tab(address)
