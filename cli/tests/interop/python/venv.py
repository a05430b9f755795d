"""Build the virtual environment of the interop peers once and print the path of its Python.

    python3 venv.py target/interop-venv [requirements.txt]

Any number of processes may run this at once: one builds, the others wait on a lock. A marker file that repeats
the requirements and the interpreter's version says that the environment is complete; anything else is rebuilt. Only
the standard library is used. Exit 1 with the reason on stderr when the environment cannot be had.
"""

import fcntl
import os
import shutil
import subprocess
import sys
from pathlib import Path

REQUIREMENTS = Path(sys.argv[2]) if len(sys.argv) > 2 else Path(__file__).with_name("requirements.txt")
TIMEOUT_S = 300


def run(*command):
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=TIMEOUT_S, stdin=subprocess.DEVNULL)
    except subprocess.TimeoutExpired:
        sys.exit(f"`{' '.join(map(str, command))}` took more than {TIMEOUT_S} s")
    if done.returncode != 0:
        tail = "\n".join((done.stdout + done.stderr).strip().splitlines()[-8:])
        sys.exit(f"`{' '.join(map(str, command))}` failed:\n{tail}")


def main():
    venv = Path(sys.argv[1]).absolute()
    python = venv / "bin" / "python"
    marker = venv / "complete"
    wanted = f"{sys.version}\n{REQUIREMENTS.read_text()}"
    venv.parent.mkdir(parents=True, exist_ok=True)
    with open(venv.with_name(venv.name + ".lock"), "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not (marker.is_file() and marker.read_text() == wanted and python.exists()):
            shutil.rmtree(venv, ignore_errors=True)
            run(sys.executable, "-m", "venv", venv)
            run(python, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", "-r", REQUIREMENTS)
            fresh = venv / "complete.new"
            fresh.write_text(wanted)
            os.replace(fresh, marker)
    print(python)


if __name__ == "__main__":
    main()
