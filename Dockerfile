# The server as an image with nothing else in it: one static program, certificates, and a folder
# for data. `docker build .`; with podman `podman build --format docker .`, as the other format has
# no health checks. `docker buildx build --platform linux/amd64,linux/arm64,linux/arm/v7 .` builds
# for others by cross-compiling, without emulation.

FROM --platform=$BUILDPLATFORM rust:1-bookworm AS build
ARG TARGETARCH
ARG TARGETVARIANT

# Static against glibc, not musl: Debian has C libraries and compilers of it for all three. Since
# glibc 2.34 also a static program looks up names in /etc/hosts and by DNS itself, where no
# nsswitch.conf names a module to be loaded for it; scripts/test-packaging tries both.
RUN set -eu; \
    case "$TARGETARCH$TARGETVARIANT" in \
      amd64*) target=x86_64-unknown-linux-gnu gnu=x86_64-linux-gnu libc=amd64 ;; \
      arm64*) target=aarch64-unknown-linux-gnu gnu=aarch64-linux-gnu libc=arm64 ;; \
      armv7) target=armv7-unknown-linux-gnueabihf gnu=arm-linux-gnueabihf libc=armhf ;; \
      *) echo "no build for $TARGETARCH $TARGETVARIANT" >&2; exit 1 ;; \
    esac; \
    linker=cc; \
    if [ "$target" != "$(rustc -vV | sed -n 's/^host: //p')" ]; then \
      linker="$gnu-gcc"; \
      apt-get update; \
      apt-get install -y --no-install-recommends "gcc-$gnu" "libc6-dev-$libc-cross"; \
      rm -rf /var/lib/apt/lists/*; \
      rustup target add "$target"; \
    fi; \
    printf '[build]\ntarget = "%s"\n[target.%s]\nlinker = "%s"\nrustflags = ["%s", "%s"]\n' \
      "$target" "$target" "$linker" -C target-feature=+crt-static >"$CARGO_HOME/config.toml"; \
    # Kernels for arm64 have pages of 4, 16 (Raspberry Pi 5) or 64 KiB; the allocator has to know
    # the largest when it is built.
    case "$TARGETARCH" in arm64) \
      printf '[env]\nJEMALLOC_SYS_WITH_LG_PAGE = "16"\n' >>"$CARGO_HOME/config.toml" ;; \
    esac

# The dependencies first, for an empty program: they are built again only when they change. What
# the manifest says of benchmarks is taken out, as cargo would look for their sources.
WORKDIR /build
COPY Cargo.toml Cargo.lock ./
COPY .cargo .cargo
RUN sed -i '/^\[\[bench\]\]$/,/^$/d' Cargo.toml \
 && mkdir src \
 && echo 'fn main() {}' >src/main.rs \
 && touch src/lib.rs \
 && cargo build --locked --release --bin sync-server

# The sources may be older than what was built from the empty ones.
COPY . .
RUN sed -i '/^\[\[bench\]\]$/,/^$/d' Cargo.toml \
 && touch src/lib.rs src/main.rs \
 && cargo build --locked --release --bin sync-server

# What the image has. The program brings the public certification authorities with it; the file is
# for tlsCAFile=/etc/ssl/certs/ca-certificates.crt in MONGODB_URI, or for others mounted in its place.
RUN mkdir -p /image/etc/ssl/certs /owned/data \
 && cp target/*/release/sync-server /image/ \
 && cp /etc/ssl/certs/ca-certificates.crt /image/etc/ssl/certs/

FROM scratch
ARG VERSION=unknown
ARG REVISION=unknown
LABEL org.opencontainers.image.title="Khun Phaen Sync Server" \
      org.opencontainers.image.description="Live rooms and document sync over WebSocket" \
      org.opencontainers.image.licenses="MIT" \
      org.opencontainers.image.version="$VERSION" \
      org.opencontainers.image.revision="$REVISION"
COPY --from=build /image/ /
COPY --from=build --chown=65532:65532 /owned/ /
ENV DATA_DIR=/data
USER 65532:65532
# `backup copy.db` puts the copy here.
WORKDIR /data
VOLUME /data
EXPOSE 3001
STOPSIGNAL SIGTERM
HEALTHCHECK --interval=30s --timeout=5s --start-period=10s --retries=3 \
  CMD ["/sync-server", "healthcheck"]
ENTRYPOINT ["/sync-server"]
