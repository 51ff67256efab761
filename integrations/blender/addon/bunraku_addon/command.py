# SPDX-License-Identifier: GPL-3.0-or-later
"""A `bunraku` command in a process of its own: started, listened to, interrupted."""

import json
import os
import re
import signal
import subprocess
import threading

from .preferences import MistakeError

# "sample: 34 %, about 20 s left, 12 of 60 poses"
_SHARE = re.compile(r"^(?P<stage>[^:]{1,60}): (?P<share>\d{1,3}) %")
PATIENCE_S = 10.0
"""How long a command may take to put away its work after it was interrupted."""


class Command:
    """A running command. `alive`, then `result()`; `stop` interrupts it: what it has done so far is kept."""

    def __init__(self, words, environment=None):
        self.text, self.share = "", 0.0
        own_group = (
            {"creationflags": subprocess.CREATE_NEW_PROCESS_GROUP} if os.name == "nt" else {"start_new_session": True}
        )
        # Blender's own Python must not be taken for bunraku's.
        clean = {name: value for name, value in os.environ.items() if not name.startswith("PYTHON")}
        self.process = subprocess.Popen(
            words,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            encoding="utf-8",
            errors="replace",
            env={**clean, "BUNRAKU_PROGRESS_S": "0.5", **(environment or {})},
            **own_group,
        )
        self.said, self.printed = [], []
        self.listeners = [
            threading.Thread(target=self._listen, args=(self.process.stderr, self._heard), daemon=True),
            threading.Thread(target=self._listen, args=(self.process.stdout, self.printed.append), daemon=True),
        ]
        for listener in self.listeners:
            listener.start()

    @property
    def alive(self):
        """Whether it still runs."""
        return self.process.poll() is None

    def result(self):
        """What a command that has ended printed as JSON.

        Raises:
            MistakeError: it failed; the text says why.
        """
        for listener in self.listeners:
            listener.join()
        if self.process.returncode != 0:
            lines = [line for line in self.said if line.strip()]
            wrong = [line for line in lines if "error" in line] or lines[-1:] or ["it said nothing"]
            raise MistakeError(wrong[-1].replace("bunraku: error: ", ""))
        try:
            return json.loads("".join(self.printed))
        except ValueError:
            raise MistakeError("the bunraku that is called printed no result; is it a bunraku?") from None

    def stop(self):
        """Interrupt it as Ctrl-C does, and kill it if it does not end."""
        if not self.alive:
            return
        self.process.send_signal(signal.CTRL_BREAK_EVENT if os.name == "nt" else signal.SIGINT)
        try:
            self.process.wait(PATIENCE_S)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()

    def _heard(self, line):
        self.said.append(line.rstrip())
        del self.said[:-200]
        found = _SHARE.match(line)
        if found:
            self.text, self.share = line.strip(), min(int(found["share"]) / 100, 1.0)

    @staticmethod
    def _listen(stream, take):
        with stream:
            for line in stream:
                take(line)
