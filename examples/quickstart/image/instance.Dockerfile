# One example instance. The context holds its repository, committed once on the host, so that `base_commit` is the same everywhere.
FROM oh-base:1
COPY testbed /testbed
WORKDIR /testbed
