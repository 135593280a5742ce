# Nothing but one static file: no shell, no /tmp, no /etc/passwd.
FROM oh-base:1 AS base
FROM scratch
COPY --from=base /bin/busybox /bin/busybox
