"""Kernels compiled once for all tests of the generator."""

from __future__ import annotations

from pathlib import Path

import pytest

from codegen.building import host_compiler, kernel_archive

SANITIZE = ("-g", "-fsanitize=address,undefined", "-fno-sanitize-recover=all")


@pytest.fixture(scope="session")
def host_kernels(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """All kernels for this machine."""
    return kernel_archive(tmp_path_factory.mktemp("kernels"), host_compiler())


@pytest.fixture(scope="session")
def sanitizing_compiler() -> list[str]:
    """The host compiler with ASan and UBSan, every finding fatal."""
    return [*host_compiler(), *SANITIZE]


@pytest.fixture(scope="session")
def sanitized_kernels(tmp_path_factory: pytest.TempPathFactory, sanitizing_compiler: list[str]) -> Path:
    """All kernels under ASan and UBSan."""
    return kernel_archive(tmp_path_factory.mktemp("sanitized"), sanitizing_compiler)
