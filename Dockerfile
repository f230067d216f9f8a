# Two images from one build: `node` (the last stage, what `docker build .` gives) and `provider`,
# the fake provider that the tests and the demo run against.

FROM debian:trixie-slim AS build
WORKDIR /src
COPY scripts/common.sh scripts/dependencies scripts/
RUN scripts/dependencies build && rm -rf /var/lib/apt/lists/*
COPY . .
RUN cmake --preset release \
    && cmake --build build/release --parallel "$(nproc)" --target weir --target weir-provider \
    && strip build/release/weir build/release/weir-provider
# The packages of the libraries that these two load.
RUN ldd build/release/weir build/release/weir-provider | awk '$2 == "=>" { print $3 }' | sort -u \
        | xargs realpath | xargs dpkg-query --search | cut -d: -f1 | sort -u >build/libraries

FROM debian:trixie-slim AS runtime
COPY --from=build /src/build/libraries /tmp/
RUN apt-get update \
    && xargs apt-get install -y --no-install-recommends ca-certificates </tmp/libraries \
    && rm -rf /var/lib/apt/lists/* /tmp/libraries \
    && useradd --system --uid 10001 --user-group --no-log-init --shell /usr/sbin/nologin \
        --home-dir /var/lib/weir --create-home weir
USER weir
WORKDIR /var/lib/weir

FROM runtime AS provider
COPY --from=build /src/build/release/weir-provider /usr/local/bin/
ENTRYPOINT ["weir-provider"]

FROM runtime AS node
# A node without redis.url keeps a Redis of its own: one container alone serves.
USER root
RUN apt-get update \
    && apt-get install -y --no-install-recommends redis-server \
    && rm -rf /var/lib/apt/lists/*
USER weir
LABEL org.opencontainers.image.title="Weir" \
      org.opencontainers.image.description="Spreads LLM requests over subscriptions, exactly" \
      org.opencontainers.image.version="0.1.0" \
      org.opencontainers.image.licenses="Apache-2.0"
COPY --from=build /src/build/release/weir /usr/local/bin/
# Inside a container loopback reaches nobody. Who may call is still the config's affair: without
# "auth": "open" only callers from server.trusted_networks are served.
ENV WEIR_HOST=0.0.0.0 PORT=8080
EXPOSE 8080
STOPSIGNAL SIGTERM
HEALTHCHECK --interval=5s --timeout=3s --start-period=10s --retries=3 CMD ["weir", "health"]
ENTRYPOINT ["weir"]
CMD ["serve"]
