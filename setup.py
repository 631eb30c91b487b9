"""Everything is in pyproject.toml but the optional CPU kernels: where no compiler is found, torch does their work."""

from setuptools import Extension, setup

setup(
    ext_modules=[
        Extension(
            "engine.embedded.kernels._native",
            ["engine/embedded/kernels/native.cpp"],
            depends=[f"engine/embedded/kernels/{h}.h" for h in ("op", "pool", "math_avx512", "linear_avx512", "attention_avx512")],
            extra_compile_args=["-O3", "-std=c++17", "-pthread", "-Wno-maybe-uninitialized"],
            language="c++",
            optional=True,
        )
    ]
)
