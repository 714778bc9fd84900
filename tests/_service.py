"""examples/serving.py in a process of its own, and clients that ask it."""

import http.client
import json
import re
import subprocess
import sys
import tempfile
from pathlib import Path
from time import perf_counter, sleep

SOURCE = Path(__file__).parent.parent / "examples" / "serving.py"
#: How long a service may take to start, and to end, in seconds: on a busy machine too.
PATIENCE = 120


class Service:
    """The service for the model in a file; started and ended by `with`.

    Attributes
    ----------
    port : int
        Where it listens; one that was free.
    started_in : float
        Seconds from the start of the process to its readiness.
    log : str
        All that it said, once it has ended.
    returncode : int
        Of the process, once it has ended.
    """

    def __init__(self, path):
        self._path = path

    def __enter__(self):
        begin = perf_counter()
        self._said = tempfile.TemporaryFile("w+")
        self.process = subprocess.Popen(
            [sys.executable, str(SOURCE), str(self._path), "--port", "0"],
            stdout=self._said, stderr=subprocess.STDOUT,
        )  # fmt: skip
        while self.process.poll() is None and perf_counter() - begin < PATIENCE:
            if found := re.search(r"running on http://127\.0\.0\.1:(\d+)", self._read()):
                self.port, self.started_in = int(found[1]), perf_counter() - begin
                return self
            sleep(0.02)
        self._end()
        raise RuntimeError(f"the service did not start:\n{self.log}")

    def __exit__(self, *error):
        self.process.terminate()
        self._end()

    def _end(self):
        try:
            self.returncode = self.process.wait(PATIENCE)
        finally:
            self.process.kill()  # nothing, if it has ended
            self.log = self._read()
            self._said.close()

    def _read(self):
        self._said.seek(0)
        return self._said.read()


class Client:
    """One client, with a connection that stays open."""

    def __init__(self, port):
        self._connection = http.client.HTTPConnection("127.0.0.1", port, timeout=PATIENCE)

    def ask(self, path, body=None):
        """Return status and content of the answer; a body, text or JSON, is sent by POST."""
        if body is not None and not isinstance(body, str):
            body = json.dumps(body)
        headers = {"Content-Type": "application/json"} if body is not None else {}
        self._connection.request("GET" if body is None else "POST", path, body, headers)
        answer = self._connection.getresponse()
        return answer.status, json.loads(answer.read())

    def close(self):
        self._connection.close()
