# The agent and nothing else: for `agent.image`.
FROM scratch
COPY oh-agent /oh-agent
