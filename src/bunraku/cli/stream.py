"""`bunraku rig stream`: frames in, curves out, live."""

import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any

from tyro.conf import Positional, arg

from bunraku.api.streaming import QueueConfig, Residual
from bunraku.cli.command import Command, RigCommand, Switch, patterns
from bunraku.cli.instructions import instructions
from bunraku.cli.rig import Rate
from bunraku.core.progress import Progress

Flat = arg(name="")


def stream() -> type[Command]:
    """`bunraku rig stream`."""
    from bunraku.inversion.stream import StreamConfig

    @dataclass(frozen=True, kw_only=True)
    class StreamFrames(RigCommand):
        """Solve frames as they come, from standard input or from a socket of this machine; lines of JSON come back.

        docs/stream.md has the framing. What was counted follows at the end: with --json as the last line on standard
        output, else as a table on standard error.
        """

        rig: Positional[str]
        """The rig: see `bunraku rig describe`."""
        model: Path | None = None
        """An approximation from `bunraku rig fit`; rigs without derivatives need one unless they are very fast."""
        fps: Rate | None = None
        """Refuse a stream that says another rate."""
        port: int | None = None
        """Listen on 127.0.0.1 in place of reading standard input; 0 takes a free port. Port and token are told on
        standard error."""
        token_file: Path | None = None
        """A file with the token that a caller has to say; without it a new one is made."""
        controls: str = ""
        """What is solved for: names and shell patterns between commas, or a file; the rest stays at neutral."""
        lock: str = ""
        """Controls that stay at neutral: names and shell patterns between commas."""
        freeze: str = ""
        """Controls that stay at a value: NAME=VALUE between commas."""
        residual: Residual = "auto"
        """Compare frames with the rig itself, or with the model alone; auto asks the rig where it is fast enough."""
        out: Path | None = None
        """The folder of a take to write at the end."""
        overwrite: Switch = False
        """Replace a take that is there."""
        queue: Annotated[QueueConfig, Flat] = field(default_factory=QueueConfig)
        cfg: Annotated[StreamConfig, Flat] = field(default_factory=StreamConfig)

        def run(self, progress: Progress) -> Mapping[str, Any]:
            from bunraku.core.errors import BunrakuError

            if self.port is None:
                if self.token_file is not None:
                    raise BunrakuError(
                        f"--token-file {self.token_file}: only a socket asks for a token; name its --port"
                    )
                return self._standard_input(progress)
            return self._socket(self.port, progress)

        def _standard_input(self, progress: Progress) -> Mapping[str, Any]:
            from bunraku.api.loopback import standard_input

            def send(line: str) -> None:
                sys.stdout.write(line)
                sys.stdout.flush()

            source, from_file = standard_input()
            # A file does not mind waiting.
            queue = QueueConfig(self.queue.waiting, self.queue.every_frame or from_file)
            return self._stream(source, send, queue, "standard input", progress)

        def _socket(self, port: int, progress: Progress) -> Mapping[str, Any]:
            from bunraku.api import loopback

            token = loopback.new_token() if self.token_file is None else loopback.read_token(self.token_file)
            with loopback.listening(port) as listener:
                where = f"{loopback.HOST}:{listener.getsockname()[1]}"
                said = f"token {token}" if self.token_file is None else f"the token of {self.token_file}"
                print(f"bunraku: listening on {where}; {said}", file=sys.stderr, flush=True)
                caller = loopback.admitted(listener, token)

            def send(line: str) -> None:
                caller.target.write(line.encode())
                caller.target.flush()

            try:
                return self._stream(caller.source, send, self.queue, "the caller", progress)
            finally:
                caller.close()

        def _stream(
            self, source: Any, send: Any, queue: QueueConfig, name: str, progress: Progress
        ) -> Mapping[str, Any]:
            from bunraku import api

            said = instructions(lock=self.lock, freeze=self.freeze)
            return api.stream(
                self.rig,
                source,
                send,
                self.cfg,
                model=self.model,
                controls=patterns(self.controls),
                lock=() if said is None else said.lock,
                freeze=None if said is None else said.freeze,
                fps=self.fps,
                residual=self.residual,
                queue=queue,
                out=self.out,
                overwrite=self.overwrite,
                name=name,
                progress=progress,
            )

        def show(self, result: Mapping[str, Any]) -> None:
            for name, value in result.items():
                print(f"{name}: {value:.6g}" if isinstance(value, float) else f"{name}: {value}", file=sys.stderr)

    return StreamFrames
