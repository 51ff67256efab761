"""`bunraku view`: anything that can be looked at, in the browser.

See `bunraku.cli.rig` for why a function makes the class.
"""

import contextlib
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Annotated, Any

from tyro.conf import Positional, arg

from bunraku.cli.command import Command, RigCommand, Switch
from bunraku.core.progress import Progress

Flat = arg(name="")


def view() -> type[Command]:
    """The command."""
    from bunraku.api.viewing import ViewConfig

    @dataclass(frozen=True, kw_only=True)
    class View(RigCommand):
        """A rig, a mesh sequence, a take, a clip or a run, in the browser, until Ctrl-C.

        The address that it prints holds a token; without that nobody is let in.
        """

        path: Positional[str]
        """A rig (see `bunraku rig describe`), a mesh sequence, a take, a model, a clip or a run."""
        host: str = "127.0.0.1"
        """Listen on another address than this machine's own: others can then connect, if they know the token."""
        port: int | None = None
        """The port; without it 8080 or the next that is free."""
        open: Switch = False
        """Open the page in the browser of this machine."""
        cfg: Annotated[ViewConfig, Flat] = field(default_factory=ViewConfig)

        def run(self, progress: Progress) -> Mapping[str, Any]:
            from bunraku import api
            from bunraku.viewer.server import ServeConfig, is_loopback

            told: dict[str, Any] = {"path": self.path, "host": self.host}

            def ready(url: str) -> None:
                told["url"] = url
                if not is_loopback(self.host):
                    print(f"bunraku: listens on {self.host}: other machines can connect", file=sys.stderr)
                print(f"bunraku: {url} (Ctrl-C ends it)", file=sys.stderr, flush=True)
                if self.open:
                    import webbrowser

                    webbrowser.open(url)

            # There is nothing to keep or to resume: Ctrl-C is how it ends.
            with contextlib.suppress(KeyboardInterrupt):
                api.view(self.path, self.cfg, ServeConfig(self.host, self.port), ready=ready)
            return told

        def show(self, result: Mapping[str, Any]) -> None:
            del result

    return View
