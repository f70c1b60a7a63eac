# One image for every process: `mistral-voice operator|gateway|broker|control-plane|simulator|talk`.
#
#   docker build --target production -t mistral-voice-operator .
#   docker build --target demo -t mistral-voice-operator:demo .
#
# `demo` is `production` plus the live simulator's ears and voice; the voice is GPL-3.0, which keeps it out of the other.
# BASE is any image with Python 3.11 or newer, its venv module and CA certificates.
ARG BASE=python:3.13-slim

FROM ${BASE} AS builder
ENV PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_NO_CACHE_DIR=1 PIP_PROGRESS_BAR=off PIP_ROOT_USER_ACTION=ignore
WORKDIR /build
COPY requirements-build.txt ./
# pip and the build tools stay in an environment of their own: none of them reaches the image.
RUN python3 -m venv tools \
 && tools/bin/pip install --quiet --require-hashes --only-binary=:all: -r requirements-build.txt \
 && python3 -m venv --without-pip /opt/mistral-voice

# Byte code is "unchecked": valid whatever the files' times, since a read-only root can't have it written anew.
FROM builder AS dependencies
COPY requirements.txt ./
RUN tools/bin/pip --python /opt/mistral-voice/bin/python3 install --quiet --no-compile --require-hashes --only-binary=:all: -r requirements.txt \
 && cd /opt/mistral-voice/lib/python3*/site-packages \
 && find . -type d \( -name tests -o -name test \) -prune -exec rm -r {} + \
 && rm -r onnxruntime/quantization onnxruntime/tools onnxruntime/transformers \
 && /opt/mistral-voice/bin/python3 -m compileall -q -f -j 0 --invalidation-mode unchecked-hash .

FROM dependencies AS live-voice
COPY requirements-demo.txt ./
RUN touch before \
 && tools/bin/pip --python /opt/mistral-voice/bin/python3 install --quiet --no-compile --require-hashes --only-binary=:all: -r requirements-demo.txt \
 && mkdir added \
 && find /opt/mistral-voice -type f -cnewer before -print0 | tar --create --null --files-from - | tar --extract --directory added \
 && /opt/mistral-voice/bin/python3 -m compileall -q -f -j 0 --invalidation-mode unchecked-hash -s added -p / added

FROM builder AS application
COPY pyproject.toml README.md ./
COPY operator operator
RUN tools/bin/pip wheel --quiet --no-deps --no-build-isolation . \
 && tools/bin/pip --python /opt/mistral-voice/bin/python3 install --quiet --no-compile --no-deps --no-warn-script-location --root added ./*.whl \
 && /opt/mistral-voice/bin/python3 -m compileall -q -f -j 0 --invalidation-mode unchecked-hash -s added -p / added

FROM ${BASE} AS production
# Some bases come without the standard library's byte code.
RUN test -e "$(python3 -B -c 'import argparse; print(argparse.__cached__)')" \
 || python3 -m compileall -q -f -j 0 --invalidation-mode unchecked-hash "$(python3 -c 'import argparse, pathlib; print(pathlib.Path(argparse.__file__).parent)')"
# The user has no entry in /etc/passwd: LOGNAME and HOME stand in for it.
ENV PATH=/opt/mistral-voice/bin:/usr/local/bin:/usr/bin:/bin \
    LOGNAME=mistral-voice \
    HOME=/tmp \
    PYTHONDONTWRITEBYTECODE=1 \
    PYTHONUNBUFFERED=1 \
    OPENBLAS_NUM_THREADS=1 \
    ORT_DISABLE_TELEMETRY=1
USER 65532:65532
WORKDIR /
ENTRYPOINT ["mistral-voice"]
LABEL org.opencontainers.image.title="mistral-voice-operator" \
      org.opencontainers.image.description="Real-time voice endpoints on Mistral's models for Kubernetes: operator and session gateway" \
      org.opencontainers.image.licenses="Apache-2.0"
COPY --from=dependencies /opt/mistral-voice /opt/mistral-voice
COPY --from=application /build/added /
ARG VERSION=dev
LABEL org.opencontainers.image.version="${VERSION}"

FROM production AS demo
COPY --from=live-voice /build/added /
LABEL org.opencontainers.image.title="mistral-voice-operator-demo" \
      org.opencontainers.image.licenses="Apache-2.0 AND GPL-3.0-or-later"

# A build that names no target is the production image.
FROM production
