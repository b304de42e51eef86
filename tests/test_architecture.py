"""The direction of the imports is the architecture: dags -> plugins -> include <- webui."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]

#: A layer -> its folder, and the packages of ours that it may import.
LAYERS = {
    "dags": ("dags", {"gas_airflow", "gas"}),
    "plugins": ("plugins/gas_airflow", {"gas_airflow", "gas"}),
    "include": ("include/gas", {"gas"}),
    "webui": ("webui", {"webui", "gas"}),
}
OURS = {"dags", "plugins", "gas_airflow", "gas", "webui", "include", "tests", "benchmarks"}


def _imports(file: Path) -> Iterator[tuple[str, int]]:
    """Every module that a file names in an import, at its top or inside a function, with the line."""
    for node in ast.walk(ast.parse(file.read_text(), str(file))):
        if isinstance(node, ast.Import):
            yield from ((alias.name, node.lineno) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{file}:{node.lineno} imports relative to itself; name the package"
            yield node.module or "", node.lineno


def _files(layer: str) -> list[Path]:
    files = sorted((ROOT / LAYERS[layer][0]).rglob("*.py"))
    assert files, f"the layer {layer} is empty"
    return files


@pytest.mark.parametrize("layer", LAYERS)
def test_imports_run_one_way(layer: str) -> None:
    """No file imports from a layer above its own, or from one beside it."""
    allowed = LAYERS[layer][1]
    wrong = [
        f"{file.relative_to(ROOT)}:{line} imports {module}"
        for file in _files(layer)
        for module, line in _imports(file)
        if module.split(".")[0] in OURS - allowed
    ]
    assert wrong == []


def test_the_core_knows_neither_airflow_nor_flask() -> None:
    """``gas`` works where neither Airflow nor Flask is installed."""
    wrong = [
        f"{file.relative_to(ROOT)}:{line} imports {module}"
        for file in _files("include")
        for module, line in _imports(file)
        if module.split(".")[0].startswith(("airflow", "flask"))
    ]
    assert wrong == []


def test_the_command_line_starts_without_the_heavy_parts() -> None:
    """The modules of the command line name nothing heavy at their top, so that ``gas --help`` comes at once."""
    heavy = {"boto3", "botocore", "duckdb", "moto", "numpy", "pysam"}
    wrong = [
        f"{file.name} imports {module}"
        for file in sorted((ROOT / "include/gas/cli").glob("*.py"))
        for node in ast.parse(file.read_text()).body
        if isinstance(node, ast.Import | ast.ImportFrom)
        for module in ([node.module or ""] if isinstance(node, ast.ImportFrom) else [a.name for a in node.names])
        if module.split(".")[0] in heavy
    ]
    assert wrong == []
