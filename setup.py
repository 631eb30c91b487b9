"""Everything is in pyproject.toml but the optional CPU kernels: where no compiler is found, torch does their work."""

from pathlib import Path

from setuptools import Extension, setup

setup(
    ext_modules=[
        Extension(
            "engine.embedded.kernels._native",
            ["engine/embedded/kernels/cpp/native.cpp"],
            depends=[str(header) for header in sorted(Path("engine/embedded/kernels/cpp").rglob("*.h"))],
            extra_compile_args=["-O3", "-std=c++17", "-pthread", "-Wno-maybe-uninitialized"],
            language="c++",
            optional=True,
        )
    ]
)
