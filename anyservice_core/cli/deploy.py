"""``anyservice deploy``: a config file, flags over it, or an import path alone."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import click

from anyservice_core.cli.options import cloud, connected, host, project

if TYPE_CHECKING:
    from anyservice_core.models import ServiceConfig

__all__ = ["deploy"]


@click.command()
@click.argument("import_path", required=False)
@click.argument("arguments", nargs=-1)
@click.option("-f", "--config-file", help="A YAML config file. Flags overwrite what it says.")
@click.option("-n", "--name", help="Name of the service.")
@click.option("--version-name", help="Name of this version; a deploy run again finds its version by it.")
@click.option(
    "--canary-percent", type=int, help="Give the new version this percent (0-100) and hold it there."
)
@click.option(
    "--max-surge-percent", type=int, help="Excess capacity allowed meanwhile, 0-100. [default: 100]"
)
@click.option("-i", "--in-place", is_flag=True, help="Update the running version; image and compute stay.")
@click.option("-w", "--working-dir", help="A local folder, uploaded, or the URI of a zip.")
@click.option(
    "-e",
    "--exclude",
    "excludes",
    multiple=True,
    help="Pattern left out of uploads; repeatable, added to the file's.",
)
@click.option("-r", "--requirements", help="A requirements.txt to install on top of the image.")
@click.option("--py-module", "py_modules", multiple=True, help="A local folder to import from; repeatable.")
@click.option("--env", multiple=True, metavar="KEY=VALUE", help="Environment variable; repeatable.")
@click.option("--image-uri", help="The image; exclusive with --containerfile.")
@click.option("--registry-login-secret", help="Secret with the registry's credentials, for --image-uri.")
@click.option("--containerfile", help="A containerfile to build the image from; exclusive with --image-uri.")
@click.option("--ray-version", help="The Ray version (X.Y.Z) in the image.")
@click.option("--compute-config", help="A registered compute config: name or name:version.")
@click.option("--connection", "connections", multiple=True, hidden=True)
@click.option("--tag", "tags", multiple=True, metavar="KEY=VALUE", help="Tag; repeatable.")
@cloud
@project
@host
@click.option("-j", "--json", "as_json", is_flag=True, help="Say what was deployed as JSON on stdout.")
def deploy(
    import_path: str | None, arguments: tuple[str, ...], config_file: str | None, as_json: bool, **given: Any
) -> None:
    r"""Deploy a service, or a new version of it.

    Returns as soon as the control plane has taken it; `anyservice wait` waits for it.

    \b
      anyservice deploy -f service.yaml
      anyservice deploy -f service.yaml --canary-percent 10 --version-name v2
      anyservice deploy main:app -n recommender -w . size=large
    """
    options = {name: given.pop(name) for name in ("canary_percent", "max_surge_percent", "in_place")}
    host = given.pop("host")
    config = _config(config_file, import_path, arguments, given)
    with connected(host) as client:
        deployed = client.deploy(config, **options)
    if as_json:
        from anyservice_core.cli import render

        names = ("service_name", "version_id", "version_name", "query_url")
        render.show({"id": str(deployed), **{name: getattr(deployed, name) for name in names}}, "json")


def _config(
    file: str | None, import_path: str | None, arguments: Sequence[str], given: dict[str, Any]
) -> ServiceConfig:
    from anyservice_core.models.config import ServiceConfig, read_yaml

    if (file is None) == (import_path is None):
        raise click.UsageError("Give a config file with -f, or an import path such as main:app, one of them.")
    fields = read_yaml(file) if file else {"applications": [_application(str(import_path), arguments)]}
    return ServiceConfig.parse(_overwritten(fields, given))


def _application(import_path: str, arguments: Sequence[str]) -> dict[str, Any]:
    args = _pairs("ARGUMENTS", arguments)
    return {"import_path": import_path, **({"args": args} if args else {})}


def _overwritten(fields: dict[str, Any], given: dict[str, Any]) -> dict[str, Any]:
    """The file's fields with the flags over them; those that come in lists and pairs are added."""
    env, tags = _pairs("--env", given.pop("env")), _pairs("--tag", given.pop("tags"))
    flags = {name: [*value] if isinstance(value, tuple) else value for name, value in given.items() if value}
    merged = {**fields, **flags}
    if given["excludes"]:
        merged["excludes"] = [*(fields.get("excludes") or ()), *given["excludes"]]
    for name, pairs in (("env_vars", env), ("tags", tags)):
        if pairs:
            merged[name] = {**(fields.get(name) or {}), **pairs}
    return merged


def _pairs(option: str, values: Sequence[str]) -> dict[str, str]:
    for value in values:
        if not value.partition("=")[0] or "=" not in value:
            raise click.UsageError(f"{option}: {value!r} is not of the form key=value.")
    return dict(value.split("=", 1) for value in values)
