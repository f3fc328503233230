"""Started in place of a worker's Python: sets environment variables from a file, then becomes that Python.

Ray passes ``runtime_env.env_vars`` on the command line of a worker that starts, where everybody on the
machine can read them, and writes them to its logs. This script is given the path of a file that only the
owner can read. It imports nothing of ours, since it runs on any Python and before the user's code.

    python -I -S with_variables.py FILE PYTHON ARGUMENT...
"""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path

__all__ = ["main"]


def main() -> None:
    """Take the variables from the file named first; one that is ``null`` there shall not be set."""
    path, *command = sys.argv[1:]
    for name, value in json.loads(Path(path).read_text()).items():
        if value is None:
            os.environ.pop(name, None)
        else:
            os.environ[name] = value
    os.execvp(command[0], command)  # noqa: S606  Ray's own command, word by word


if __name__ == "__main__":
    main()
