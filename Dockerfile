# Stoa as an image: `docker build --target cpu -t stoa:cpu .` or `--target cuda -t stoa:cuda` (with vLLM, for NVIDIA GPUs).
#
# What is built is copied into an image without a compiler. It runs as a user without rights, and its root file system may be
# read-only: weights and caches lie in the volume /data. No key and no password is in it: the server refuses to start without a key.

ARG PYTHON=docker.io/library/python:3.11-slim-bookworm

FROM ${PYTHON} AS build
RUN apt-get update -q && apt-get install -y -q --no-install-recommends g++
RUN python3 -m venv /opt/stoa
ENV PATH=/opt/stoa/bin:$PATH PIP_NO_CACHE_DIR=1 PIP_DISABLE_PIP_VERSION_CHECK=1
WORKDIR /source
COPY pyproject.toml ./
# The dependencies alone, so that a change of the sources does not install them again
RUN python -c "import tomllib; stoa = tomllib.load(open('pyproject.toml', 'rb'))['project']; extras = stoa['optional-dependencies']; \
    print(*stoa['dependencies'], *extras['postgres'], *extras['mysql'], *extras['ocr'], *extras['otel'], sep='\n'); \
    print(*extras['vllm'], sep='\n', file=open('/vllm.txt', 'w'))" >/requirements.txt

FROM build AS wheel
# Without the text of README.md, so that its changes compile nothing again
RUN touch README.md
COPY setup.py ./
COPY bench bench
COPY engine engine
COPY mcp_servers mcp_servers
COPY models models
COPY retrieval retrieval
COPY server server
# The kernels are optional where somebody installs Stoa, but not here
RUN pip wheel --no-deps --wheel-dir /wheel . && python -m zipfile --list /wheel/*.whl | grep -q kernels/_native

FROM build AS build-cpu
# Where pip finds PyTorch without CUDA, which is a tenth in size. Other options of pip, or none, if your own index has it
ARG TORCH_OPTIONS="--extra-index-url https://download.pytorch.org/whl/cpu"
RUN pip install ${TORCH_OPTIONS} 'torch==2.13.*' && pip install ${TORCH_OPTIONS} -r /requirements.txt
COPY --from=wheel /wheel /wheel
# Nobody compiles against PyTorch in the image, or tests it there
RUN pip install --no-deps /wheel/*.whl && cd /opt/stoa/lib/python3*/site-packages/torch \
    && rm -rf include test && find bin -type f ! -name torch_shm_manager -delete

FROM ${PYTHON} AS runtime
RUN useradd --system --uid 10001 --user-group --no-create-home --home-dir /data --shell /usr/sbin/nologin stoa \
    && install -d -o stoa -g stoa -m 0700 /data /data/tmp /secrets/admin /secrets/server /secrets/engine /secrets/watch \
    && install -d /documents /weights
ENV PATH=/opt/stoa/bin:$PATH HOME=/data TMPDIR=/data/tmp STOA_HOME=/data STOA_HOST=0.0.0.0 STOA_PORT=8000 \
    PYTHONUNBUFFERED=1 PYTHONDONTWRITEBYTECODE=1
WORKDIR /data
USER 10001:10001
EXPOSE 8000
# Whether the process is well; /ready says whether it takes requests
HEALTHCHECK --interval=15s --timeout=5s --start-period=20s --retries=3 CMD ["python", "/opt/deploy/health.py"]
STOPSIGNAL SIGTERM
# Settings come from STOA_* variables. Logs go to standard output
CMD ["sh", "-c", "exec stoa serve 2>&1"]

FROM runtime AS cpu
COPY --from=build-cpu /opt/stoa /opt/stoa
COPY deploy/*.py /opt/deploy/

FROM build AS build-cuda
RUN pip install -r /requirements.txt -r /vllm.txt 'ray[default]>=2.50,<3'
COPY --from=wheel /wheel /wheel
RUN pip install --no-deps /wheel/*.whl

FROM runtime AS cuda
# vLLM and Triton compile for the GPU that they find when they start: this image alone has a C compiler
USER root
RUN apt-get update -q && apt-get install -y -q --no-install-recommends gcc libc6-dev && rm -rf /var/lib/apt/lists/*
USER 10001:10001
COPY --from=build-cuda /opt/stoa /opt/stoa
COPY deploy/*.py /opt/deploy/
