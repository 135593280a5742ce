# What every example image starts from. Where this base image cannot be had, `cargo xtask images` makes the same
# from Debian's packages with debootstrap; `packages` is the one list for both.
FROM debian:bookworm-slim
COPY packages /tmp/packages
RUN apt-get update \
    && DEBIAN_FRONTEND=noninteractive xargs apt-get install -y --no-install-recommends < /tmp/packages \
    && rm -rf /var/lib/apt/lists/* /tmp/packages
ENV PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin
