# An image that holds the agent already, runs as somebody, and starts something of its own.
FROM oh-test:1
COPY oh-agent /opt/oh-agent
USER 10001
ENTRYPOINT ["/bin/sh", "-c", "echo started >/tmp/own; sleep \"$0\""]
CMD ["31415"]
