"""A process that imports slow packages once and forks for each command, so pages of commands run in seconds.

`python shell_fork_server.py SOCKET` serves. The shims that `shims` writes send it their arguments, folder, environment and open
files, so that pipes and redirections of a real shell work. Nothing of clinspan is imported before the fork.
"""

from __future__ import annotations

import json
import os
import runpy
import signal
import socket
import sys
import traceback
from pathlib import Path

_SHIM = """#!{python} -SE
import json, os, socket, sys
words = sys.argv[1:]
if {clinspan}:
    words = ["-m", "clinspan.programs.cli", *words]
if words[:1] != ["-m"]:
    os.execv({python!r}, [{python!r}, *words])
line = socket.socket(socket.AF_UNIX)
line.connect({address!r})
asked = json.dumps({{"words": words[1:], "folder": os.getcwd(), "env": dict(os.environ)}}).encode()
socket.send_fds(line, [len(asked).to_bytes(8, "big")], [0, 1, 2])
line.sendall(asked)
sys.exit(int(line.recv(16)))
"""


def shims(folder: Path, address: Path) -> None:
    """Write shims `clinspan` and `python`. The server at this address runs their `-m`; the real Python runs everything else."""
    folder.mkdir(parents=True, exist_ok=True)
    for name in ("clinspan", "python"):
        path = folder / name
        path.write_text(_SHIM.format(python=sys.executable, address=str(address), clinspan=name == "clinspan"), encoding="utf-8")
        path.chmod(0o755)


def preload() -> None:
    """Import the third-party packages of the commands. No thread may be left behind, or forks could hang."""
    import chromadb
    import dspy
    import hydra
    import matplotlib.pyplot
    import sentence_transformers
    import torch
    import transformers

    assert chromadb and dspy and hydra and matplotlib.pyplot and sentence_transformers and transformers
    torch.set_num_threads(1)


def serve(address: str) -> None:
    """Run one command after the other until this process is ended."""
    preload()
    listener = socket.socket(socket.AF_UNIX)
    listener.bind(address)
    listener.listen()
    print("ready", flush=True)
    while True:
        connection, _ = listener.accept()
        with connection:
            size, files, _, _ = socket.recv_fds(connection, 8, 3)
            request = b""
            while len(request) < int.from_bytes(size, "big"):
                request += connection.recv(1 << 16)
            child = os.fork()
            if not child:
                listener.close()
                connection.close()
                command(json.loads(request), files)
            for file in files:
                os.close(file)
            code = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
            connection.sendall(str(code if code >= 0 else 128 - code).encode())


def command(asked: dict[str, object], files: list[int]) -> None:
    """Run the command in the child process, and exit."""
    words, env = asked["words"], asked["env"]
    assert isinstance(words, list) and isinstance(env, dict)
    for target, file in enumerate(files):
        os.dup2(file, target)
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    os.environ.clear()
    os.environ.update(env)
    os.chdir(str(asked["folder"]))
    sys.path[:0] = [place for place in env.get("PYTHONPATH", "").split(os.pathsep) if place]
    sys.argv = [str(words[0]), *map(str, words[1:])]
    code = 0
    try:
        runpy.run_module(str(words[0]), run_name="__main__", alter_sys=True)
    except SystemExit as end:
        code = end.code if isinstance(end.code, int) else int(end.code is not None)
    except BaseException:
        traceback.print_exc()
        code = 1
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code)


if __name__ == "__main__":
    sys.path = [place for place in sys.path if Path(place).resolve() != Path(__file__).resolve().parent]
    serve(sys.argv[1])
