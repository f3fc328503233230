"""The page of settings: the order in which they are looked for, and every variable that is read."""

from __future__ import annotations

import inspect
import re

from anyservice_core import settings
from pages.words import GENERATED, code, table

VARIABLES = {
    "ANYSERVICE_HOST": "The control plane; `local` is the plane on this machine.",
    "ANYSERVICE_CLI_TOKEN": "The token.",
    "ANYSERVICE_CLOUD": "The cloud, by name or id.",
    "ANYSERVICE_PROJECT": "The project, by name or id.",
    "ANYSCALE_HOST": "As Anyscale's own tools have it; used where `ANYSERVICE_HOST` is not set.",
    "ANYSCALE_CLI_TOKEN": "As Anyscale's own tools have it; used where `ANYSERVICE_CLI_TOKEN` is not set.",
    "ANYSCALE_SSL_CA_CERT": "File with the certificates to trust; before `REQUESTS_CA_BUNDLE`, `CURL_CA_BUNDLE` and `SSL_CERT_FILE`.",
    "ANYSCALE_EXPERIMENTAL_WORKSPACE_ID": "Set inside a workspace, whose name is then the default for a service.",
    "ANYSCALE_SESSION_ID": "Set inside a workspace: its cluster, whose project, image and compute config are then the defaults.",
    "ANYSCALE_WORKSPACE_DYNAMIC_DEPENDENCY_TRACKING": "1 inside a workspace that writes down what is installed in it: that is then installed for its services.",
    "ANYSCALE_DISABLE_GITIGNORE_EXCLUSION": "`1`: uploads do not heed `.gitignore` files.",
    "ANYSERVICE_STATE_DIR": "Folder in which a plane on this machine keeps everything. By default `anyservice` in the user's data folder.",
    "ANYSERVICE_PLANE_PORT": "Port of the plane on this machine; by default 8642.",
    "ANYSERVICE_DEBUG": "Anything: an unforeseen error shows its traceback.",
}
"""Read from the environment. A test compares this with what the code reads."""

INTRO = """# Settings

`anyservice config show` prints which one won, and from where; a token is never shown.

"""

OTHERS = """`NO_COLOR` turns colours off. `RAY_OVERRIDE_RUNTIME_ENV_DEFAULT_EXCLUDES` holds the patterns, parted by commas, of
what uploads leave out by default. `TMPDIR` names the folder in which they are packed.
"""


def page() -> str:
    rows = [(code(name), meaning) for name, meaning in VARIABLES.items()]
    return "\n".join(
        [
            GENERATED,
            INTRO + _order(),
            "## Environment variables\n",
            table(["variable", "meaning"], rows),
            OTHERS,
        ]
    )


def _order() -> str:
    """The table in the module's docstring, which is the plan of the code under it."""
    text = inspect.cleandoc(settings.__doc__ or "").split("\n\n", 1)[1]
    before, table_text, after = re.split(r"\n?=+ +=+\n", text, maxsplit=2)
    column = max(len(line.split(" ", 1)[0]) for line in table_text.splitlines())
    rows: list[list[str]] = []
    for line in table_text.splitlines():
        name, rest = line[:column].strip(), line[column:].strip()
        if name:
            rows.append([code(name), rest])
        else:
            rows[-1][1] += f" {rest}"
    shown = [(name, rest.replace("``", "`")) for name, rest in rows]
    return f"{before.strip()}\n\n{table(['setting', 'looked for in this order'], shown)}\n{after.strip().replace('``', '`')}\n"
