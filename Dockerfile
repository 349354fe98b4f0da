# Windlass in a container: docs/install.md, "Docker".
#
# At the root of the repository and not among packaging/, for that is where `docker build .` and `docker compose up` look.
# Any image with Python 3.11 or newer will do as BASE, if the same glibc wheels run there: not Alpine, for which pycurl
# would have to be compiled.
ARG BASE=python:3.13-slim

FROM ${BASE} AS build
# Such as [postgresql].
ARG EXTRAS=""
WORKDIR /source
# Without pip, which nobody needs in the result: the image's own fills it. What that compiles ahead is 49 MB and saves 3 s
# of each start; later it could not be kept, where the file system is read-only.
RUN python3 -m venv --without-pip /opt/windlass
COPY pyproject.toml README.md LICENSE ./
COPY src src
RUN python3 -m pip --python /opt/windlass/bin/python install --no-cache-dir --only-binary :all: ".${EXTRAS}"

FROM ${BASE}
LABEL org.opencontainers.image.title="Windlass" \
      org.opencontainers.image.description="A headless model downloader that speaks LM Studio's REST API" \
      org.opencontainers.image.licenses="MIT"
# A number above those that people have on the host, so that in a shared folder nobody is taken for somebody else.
RUN groupadd --gid 10001 windlass \
 && useradd --uid 10001 --gid 10001 --home-dir /state --no-create-home --shell /usr/sbin/nologin windlass \
 && install --directory --owner=10001 --group=10001 --mode=0700 /state \
 && install --directory --owner=10001 --group=10001 /lmstudio /lmstudio/models /lmstudio/hub
COPY --from=build /opt/windlass /opt/windlass

# HOME, for `docker run --user` with a number that has no account. All addresses, for the container's loopback is nobody's
# else; who gets in is then a matter of tokens, and of what is published.
ENV PATH=/opt/windlass/bin:$PATH \
    HOME=/state \
    WINDLASS_HOME=/state \
    WINDLASS_LMSTUDIO_HOME=/lmstudio \
    WINDLASS_HOST=0.0.0.0 \
    WINDLASS_PORT=1234
USER 10001:10001
WORKDIR /state
VOLUME ["/lmstudio", "/state"]
EXPOSE 1234
STOPSIGNAL SIGTERM
# http.client and not urllib, which would ask a proxy that was set for the downloads.
HEALTHCHECK --interval=30s --timeout=5s --start-period=20s --retries=3 CMD ["python3", "-c", "import http.client, os; ask = http.client.HTTPConnection('127.0.0.1', int(os.environ['WINDLASS_PORT']), timeout=4); ask.request('GET', '/api/windlass/v1/health'); raise SystemExit(ask.getresponse().status != 200)"]
ENTRYPOINT ["windlass"]
# Without --insecure: published to a network, as `docker run -p 1234:1234` does, it does not start until a token is made.
CMD ["serve"]
