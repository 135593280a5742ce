# Busybox, its commands as links, and nothing else.
FROM oh-base:1 AS base
RUN mkdir -p /root-of-busybox/bin /root-of-busybox/tmp && cp /bin/busybox /root-of-busybox/bin/ && \
    for command in $(/bin/busybox --list | grep -vx busybox); do ln -sf busybox "/root-of-busybox/bin/$command"; done && \
    chmod 1777 /root-of-busybox/tmp
FROM scratch
COPY --from=base /root-of-busybox /
ENV PATH=/bin
