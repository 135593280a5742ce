# An ordinary image: bash, coreutils, python3, git, and an empty /testbed.
FROM oh-base:1
WORKDIR /testbed
